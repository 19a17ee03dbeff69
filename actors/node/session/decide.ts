/**
 * A node's conversation with the leader: register, beat, take assignments in order, report until acknowledged.
 *
 * Nothing that goes wrong here ends a task: without a leader the node keeps what it was told and catches up after.
 * The state is large and belongs to this actor alone, so it changes in place.
 */

import type { CertificateMessage } from "#actors/authority/certificate/protocol.ts"
import type { ContainerState } from "#actors/drivers/executor.ts"
import { clusterLabel, nodeLabel, taskLabel } from "#actors/drivers/labels.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import type { NodeDescription, TaskStatus, WireGuard } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { isBefore } from "#actors/model/task-state.ts"
import type { NetworkMessage } from "#actors/network/protocol.ts"
import { backOff } from "#actors/node/back-off.ts"
import type { WatchMessage } from "#actors/node/engine-watch/protocol.ts"
import { placeOf, sameDescription } from "#actors/node/facts.ts"
import type { FromNode } from "#actors/node/protocol.ts"
import {
  type Holdings,
  hosted,
  noHoldings,
  published,
  pursuitOf,
  remindMounts,
  remindNetwork,
  routed,
  sleepers,
  take,
  toTask,
  watched,
  watchFor
} from "#actors/node/session/holdings.ts"
import type { Assign, SessionAction, SessionMessage, Standing } from "#actors/node/session/protocol.ts"
import type { StatsMessage } from "#actors/node/stats/protocol.ts"
import type { Place } from "#actors/task/protocol.ts"
import { type CommonAction, dismiss, later, reply, spawn, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { never } from "#runtime/assert.ts"
import type { Moment, Step } from "#runtime/behaviour.ts"

const patience = { firstMs: 100, mostMs: 5_000 }
const reportPatience = { firstMs: 100, mostMs: 2_000 }
/** A leader that lives answers sooner; the next one should be asked soon. */
const askWithinMs = 3_000
/**
 * A leader falls and another takes over in less. After that long it may be that nobody knows any more what is heard here:
 * nats-server 2.9 may lose that for good where it takes a new configuration while another server comes.
 */
const deafAfterMs = 3_000
const reconnectEveryMs = 6_000
/** Statuses of one moment travel together. */
const gatherMs = 5
/** Keeps one report well below any message limit. */
const reportAtMost = 256
/** Between being let in and the first complete assignment, and between a gap and its repair. */
const completeWithinMs = 1_000
/** Assignments that came before `Registered` or before the first survey. */
const earlyAtMost = 64
/** For containers whose task nobody remembers. */
const strayGraceMs = 10_000

export interface SessionProps {
  readonly clusterId: string
  /** Where other nodes reach this one. */
  readonly addr: string
  /** Where VXLAN packets reach it, where that is not `addr`. */
  readonly dataPath?: string
  /** Its HTTP entrance answers by TLS. */
  readonly tlsEntrance?: boolean
  /** What the node is called, where that is not what its machine says. */
  readonly name?: string
  /** Whether it has a certificate, whose actor knows of what kind. */
  readonly certified?: boolean
}

export interface Session {
  readonly props: SessionProps
  /** Distinguishes this life of the process from the ones before. */
  readonly boot: string
  description: NodeDescription | undefined
  certificate: NodeDescription["TLSInfo"]
  wireGuard: WireGuard | undefined
  /** The description that it registered with. */
  registered: NodeDescription | undefined
  phase: "without facts" | "registering" | "joined" | "without executor"
  session: string
  heartbeatMs: number
  /** What the cluster took this node for when it last said so. */
  standing: Standing | undefined
  /** The node that has the copy of this one's logs, so far as the leader said. */
  copyTo: string | undefined
  /** What the leader last said of where managers are reached. */
  managers: number | undefined
  /** The tasks of which the output is published, so far as was passed on. */
  published: ReadonlyArray<string> | undefined
  /** When the last heartbeat was sent. */
  beatAt: number
  /** The last assignment taken; 0 before the first complete one of a session. */
  applied: number
  /** Only a complete assignment helps: none came yet, or some were missed. */
  behind: boolean
  /** What containers there are is known: before that, no task can adopt the one it has. */
  surveyed: boolean
  /** A complete assignment came in this life: what it does not name is nobody's. */
  settled: boolean
  /** There was something to measure at the last heartbeat. */
  measuring: boolean
  watching: boolean
  attempt: number
  misses: number
  /** When the leader was last heard, or connections were last taken anew for want of it. */
  heardAt: number
  /** How long it may be silent from then on. */
  hearWithinMs: number
  reportAttempt: number
  readonly early: Assign[]
  readonly holdings: Holdings
  /** Not yet acknowledged by the leader. */
  readonly unreported: Map<string, TaskStatus>
  /** On its way to the leader. */
  reporting: ReadonlyMap<string, TaskStatus> | undefined
  readonly discarding: Set<string>
}

type Action = SessionAction | CommonAction

/** One decision in the making. */
interface Turn {
  readonly session: Session
  readonly actions: Action[]
  readonly moment: Moment
}

export function start(props: SessionProps, moment: Moment): Step<Session, SessionAction> {
  const session: Session = {
    props,
    boot: moment.fresh.id(),
    description: undefined,
    certificate: undefined,
    wireGuard: undefined,
    registered: undefined,
    phase: "without facts",
    session: "",
    heartbeatMs: 1_000,
    standing: undefined,
    copyTo: undefined,
    managers: undefined,
    published: undefined,
    beatAt: 0,
    applied: 0,
    behind: true,
    surveyed: false,
    settled: false,
    measuring: false,
    watching: false,
    attempt: 0,
    misses: 0,
    heardAt: moment.now,
    hearWithinMs: deafAfterMs,
    reportAttempt: 0,
    early: [],
    holdings: noHoldings(),
    unreported: new Map(),
    reporting: undefined,
    discarding: new Set()
  }
  const introduce = tell(certificateOf(moment), { _tag: "Introduce" } satisfies CertificateMessage)
  const actions = [...(props.certified ? [introduce] : []), makeKey(moment), look(moment)]
  return { state: session, actions }
}

export function decide(
  session: Session,
  message: SessionMessage,
  moment: Moment
): Step<Session, SessionAction> {
  const turn: Turn = { session, actions: [], moment }
  follow(turn, message)
  return { state: session, actions: turn.actions }
}

function follow(turn: Turn, message: SessionMessage): void {
  const { session } = turn
  switch (message._tag) {
    case "Described":
      described(turn, message.description)
      break
    case "Certified":
      session.certificate = message.info
      if (session.description !== undefined) described(turn, session.description)
      break
    case "Keyed":
      session.wireGuard = message.wireGuard
      if (session.description !== undefined) described(turn, session.description)
      break
    case "ExecutorSilent":
      executorSilent(turn, message.reason)
      break
    case "Leave":
      executorSilent(turn, message.reason)
      if (turn.moment.asker !== undefined) turn.actions.push(reply(turn.moment.asker, { _tag: "Left" }))
      break
    case "ExecutorAnswers":
      if (session.phase === "without executor") registerAgain(turn)
      break
    case "Assign":
      assigned(turn, message)
      break
    case "Awake":
      awake(turn, message.id)
      break
    case "Reported":
      reported(turn, message.id, message.status)
      break
    case "Forgotten":
      forgotten(turn, message.id)
      break
    case "Routed":
      if (message.session === session.session)
        turn.actions.push(tell(leader(turn.moment), message satisfies FromNode))
      break
    case "NetworkAwake":
      turn.actions.push(makeKey(turn.moment))
      if (session.settled) turn.actions.push(...remindNetwork(session.holdings, turn.moment.self.home))
      break
    case "MountsAwake":
      if (session.settled) turn.actions.push(remindMounts(session.holdings, turn.moment.self.home))
      break
    case "LetGo":
      letGoOf(turn, message.volumes)
      break
    case "Surveyed":
      surveyed(turn, message.containers)
      break
    case "Discarded":
      session.discarding.delete(message.container)
      break
    case "Answered":
      answered(turn, message)
      break
    case "Unanswered":
      unanswered(turn, message)
      break
    case "RegisterNow":
      if (session.phase === "registering") askToRegister(turn)
      break
    case "BeatNow":
      if (session.phase === "joined") beat(turn)
      break
    case "ReportNow":
      report(turn)
      break
    case "ResyncNow":
      if (session.phase === "joined" && session.behind && session.surveyed) resync(turn)
      break
    default:
      never(message)
  }
}

// Registering and beating

function described(turn: Turn, description: NodeDescription): void {
  const { session } = turn
  const { name, dataPath, tlsEntrance } = session.props
  session.description = {
    ...description,
    ...(name === undefined ? {} : { Hostname: name }),
    ...(dataPath === undefined ? {} : { DataPath: dataPath }),
    ...(tlsEntrance && { TlsEntrance: true as const }),
    ...(session.certificate && { TLSInfo: session.certificate }),
    ...(session.wireGuard && { WireGuard: session.wireGuard }),
    FeatureLevel: featureLevel
  }
  if (session.phase === "without facts") {
    session.phase = "registering"
    askToRegister(turn)
  } else if (session.phase === "joined") tellFacts(turn)
}

/**
 * No node without an executor: the leader places its tasks elsewhere, and tells what became of them when it is back.
 * Where the telling is lost, silence says the same a little later.
 */
function executorSilent({ session, actions, moment }: Turn, reason: string): void {
  if (session.phase === "without facts") return
  if (session.phase === "joined")
    actions.push(
      tell(leader(moment), { _tag: "Unable", session: session.session, reason } satisfies FromNode)
    )
  session.phase = "without executor"
  session.session = ""
}

/** Said with every look at the machine until the next registration, because one telling may be lost. */
function tellFacts({ session, actions, moment }: Turn): void {
  const { description, registered } = session
  if (description === undefined || (registered && sameDescription(registered, description))) return
  actions.push(tell(leader(moment), { _tag: "Describe", session: session.session, description }))
}

function askToRegister({ session, actions }: Turn): void {
  const { description, boot, props } = session
  if (description === undefined) return
  session.registered = description
  actions.push(ask({ _tag: "Register", boot, description, addr: props.addr }))
}

/** The leader does not know us (any more): begin again, not all nodes in the same instant. */
function registerAgain({ session, actions, moment }: Turn): void {
  session.phase = "registering"
  session.session = ""
  session.attempt = 0
  actions.push(later("register", Math.ceil(moment.fresh.fraction() * 200), { _tag: "RegisterNow" }))
}

type Answered = Extract<SessionMessage, { _tag: "Answered" }>

function answered(turn: Turn, { about, session: asked, answer }: Answered): void {
  const { session } = turn
  session.heardAt = turn.moment.now
  session.hearWithinMs = deafAfterMs
  if (answer._tag === "Registered") {
    if (about === "Register" && session.phase === "registering") {
      joined(turn, answer.session, answer.heartbeatMs)
      stand(turn, answer)
    }
    return
  }
  if (answer._tag === "Noted") {
    if (about === "Report") noted(turn)
    return
  }
  if (answer._tag === "Beat") {
    if (about !== "Heartbeat" || asked !== session.session || session.phase !== "joined") return
    session.misses = 0
    session.heartbeatMs = answer.heartbeatMs
    beatLater(turn, answer.heartbeatMs)
    stand(turn, answer)
    trust(turn, answer)
    if (answer.keyEpoch !== undefined) turn.actions.push(makeKey(turn.moment, answer.keyEpoch))
    copy(turn, answer.copyTo)
    knowManagers(turn, answer.managers)
    return
  }
  if (about === "Report") {
    session.reporting = undefined
    reportLater(turn, gatherMs)
  }
  if (about === "Register") {
    unanswered(turn, { _tag: "Unanswered", about, session: asked, reason: answer._tag })
    return
  }
  if (asked === session.session && session.phase === "joined") registerAgain(turn)
}

/** Passes on what is new of our role. */
function stand({ session, actions }: Turn, { role, raftId }: Partial<Standing>): void {
  if (role === undefined) return
  if (session.standing?.role === role && session.standing.raftId === raftId) return
  session.standing = { role, ...(raftId !== undefined && { raftId }) }
  actions.push({ _tag: "Stand", standing: session.standing })
}

/** Passes on who has the copy of our logs, when that is another one. */
function copy({ session, actions }: Turn, copyTo: string | undefined): void {
  if (session.copyTo === copyTo) return
  session.copyTo = copyTo
  actions.push({ _tag: "CopyTo", ...(copyTo !== undefined && { node: copyTo }) })
}

/** Passes on that managers are reached elsewhere, as who leads says with another number. */
function knowManagers({ session, actions }: Turn, managers: number | undefined): void {
  if (managers === undefined || session.managers === managers) return
  session.managers = managers
  actions.push({ _tag: "ManagersChanged" })
}

/** Passes on what the leader wants of our certificate, for as long as it does. */
function trust(
  { actions, moment }: Turn,
  { issuer, root }: { readonly issuer?: string; readonly root?: string }
) {
  if (issuer === undefined && root === undefined) return
  const wanted = { ...(issuer !== undefined && { issuer }), ...(root !== undefined && { root }) }
  actions.push(tell(certificateOf(moment), { _tag: "Wanted", ...wanted } satisfies CertificateMessage))
}

function joined(turn: Turn, id: string, heartbeatMs: number): void {
  const { session, actions, moment } = turn
  session.phase = "joined"
  session.session = id
  session.heartbeatMs = heartbeatMs
  session.attempt = 0
  session.misses = 0
  session.applied = 0
  session.behind = true
  session.beatAt = moment.now
  beatLater(turn, heartbeatMs)
  actions.push(later("resync", completeWithinMs, { _tag: "ResyncNow" }))
  tellFacts(turn)
  // What the last leader noted it also wrote down; but saying it again costs little and repairs much.
  for (const [taskId, { status }] of session.holdings.tasks) {
    if (status !== undefined) session.unreported.set(taskId, status)
  }
  reportLater(turn, gatherMs)
  takeEarly(turn)
}

function takeEarly(turn: Turn): void {
  for (const message of turn.session.early.splice(0)) assigned(turn, message)
}

function beat({ session, actions, moment }: Turn): void {
  session.beatAt = moment.now
  const tasks = watched(session.holdings)
  const counted = routed(session.holdings)
  const isNeeded = tasks.length + counted.size > 0
  // Said once more when there is nothing left to measure, and again in the next life: it costs nothing.
  if (isNeeded || session.measuring) {
    session.measuring = isNeeded
    const measure: StatsMessage = {
      _tag: "Measure",
      session: session.session,
      tasks,
      routed: counted,
      hosted: hosted(session.holdings)
    }
    actions.push(tell(address(moment.self.home, "stats", "main"), measure))
  }
  const asleep = sleepers(session.holdings)
  if (asleep.length > 0 || session.watching) {
    session.watching = asleep.length > 0
    actions.push(watchFor(asleep, session.session, moment.self.home))
  }
  actions.push({
    _tag: "Ask",
    message: { _tag: "Heartbeat", session: session.session, applied: session.applied },
    withinMs: Math.max(500, session.heartbeatMs)
  })
}

/** Counted from the last one sent, and up to a tenth early, so that the nodes of a cluster spread out. */
function beatLater({ session, actions, moment }: Turn, everyMs: number): void {
  const due = session.beatAt + everyMs * (0.9 + moment.fresh.fraction() / 10)
  actions.push(later("beat", Math.max(0, Math.ceil(due - moment.now)), { _tag: "BeatNow" }))
}

type Unanswered = Extract<SessionMessage, { _tag: "Unanswered" }>

function unanswered(turn: Turn, { about, session: asked }: Unanswered): void {
  const { session, actions, moment } = turn
  if (moment.now - session.heardAt >= session.hearWithinMs) {
    session.heardAt = moment.now
    session.hearWithinMs = reconnectEveryMs
    actions.push({ _tag: "Reconnect" })
  }
  if (about === "Register") {
    if (session.phase !== "registering") return
    session.attempt += 1
    const pause = backOff(session.attempt, patience, moment.fresh)
    actions.push(later("register", pause, { _tag: "RegisterNow" }))
  } else if (about === "Heartbeat") {
    if (session.phase !== "joined" || asked !== session.session) return
    session.misses += 1
    const most = { firstMs: 100, mostMs: session.heartbeatMs }
    actions.push(later("beat", backOff(session.misses, most, moment.fresh), { _tag: "BeatNow" }))
  } else if (about === "Report") {
    session.reporting = undefined
    session.reportAttempt += 1
    reportLater(turn, backOff(session.reportAttempt, reportPatience, moment.fresh))
  }
}

// Assignments

function assigned(turn: Turn, message: Assign): void {
  const { session } = turn
  if (session.phase === "joined" && message.session !== session.session) return
  if (session.phase !== "joined" || !session.surveyed) {
    session.early.push(message)
    if (session.early.length > earlyAtMost) session.early.shift()
    return
  }
  if (message.complete) {
    if (message.seq < session.applied) return
  } else {
    if (message.seq <= session.applied) return
    if (session.behind) return
    if (message.seq !== session.applied + 1) {
      resync(turn)
      return
    }
  }
  accept(turn, message)
}

function accept(turn: Turn, message: Assign): void {
  const { session, actions, moment } = turn
  const place = placeHere(turn)
  if (place === undefined) return
  session.applied = message.seq
  actions.push(...take(session.holdings, message, place))
  publishLogs(turn)
  if (message.confirm) {
    const confirm: NetworkMessage = { _tag: "Confirm", session: message.session, seq: message.seq }
    actions.push(tell(address(moment.self.home, "network", "main"), confirm))
  }
  if (!message.complete) return
  session.behind = false
  for (const id of [...session.unreported.keys()]) {
    if (!session.holdings.tasks.has(id)) session.unreported.delete(id)
  }
  if (session.settled) return
  session.settled = true
  actions.push({ _tag: "Sweep", taskIds: [...session.holdings.tasks.keys()] }, look(moment))
}

/** Asks for everything; again until it comes. */
function resync({ session, actions, moment }: Turn): void {
  session.behind = true
  actions.push(
    tell(leader(moment), { _tag: "Resync", session: session.session } satisfies FromNode),
    later("resync", completeWithinMs, { _tag: "ResyncNow" })
  )
}

// Tasks

function awake(turn: Turn, id: string): void {
  const { session, actions, moment } = turn
  const place = placeHere(turn)
  const pursuit = place && pursuitOf(session.holdings, id, place)
  if (pursuit) actions.push(toTask(moment.self.home, id, pursuit))
  else letGo(turn, id)
}

/** Tells a task's actor that nobody wants it; before the first complete assignment nobody can know. */
function letGo({ session, actions, moment }: Turn, id: string): void {
  const leaving = session.holdings.leaving.get(id)
  if (leaving || session.settled)
    actions.push(toTask(moment.self.home, id, { _tag: "Forget", ...leaving?.parting }))
}

function reported(turn: Turn, id: string, status: TaskStatus): void {
  const { session } = turn
  const held = session.holdings.tasks.get(id)
  if (held === undefined) {
    letGo(turn, id)
    return
  }
  const known = held.status
  if (known !== undefined && (isBefore(status.State, known.State) || same(known, status))) return
  held.status = status
  session.unreported.set(id, status)
  reportLater(turn, gatherMs)
}

const same = (a: TaskStatus, b: TaskStatus): boolean =>
  a === b || (a.State === b.State && a.Timestamp === b.Timestamp && a.Err === b.Err)

/** Passes on of which tasks the output is published, when those are others. */
function publishLogs({ session, actions }: Turn): void {
  const tasks = published(session.holdings)
  if (equal(tasks, session.published)) return
  session.published = tasks
  actions.push({ _tag: "PublishLogs", tasks })
}

function forgotten(turn: Turn, id: string): void {
  const { session, actions } = turn
  session.holdings.leaving.delete(id)
  publishLogs(turn)
  actions.push(dismiss("task", id))
  // Assigned again while it was leaving: a fresh actor asks for its goal.
  if (session.holdings.tasks.has(id)) actions.push(spawn("task", id, undefined))
}

function reportLater({ session, actions }: Turn, afterMs: number): void {
  if (session.phase !== "joined" || session.reporting !== undefined) return
  if (session.unreported.size > 0) actions.push(later("report", afterMs, { _tag: "ReportNow" }))
}

function report({ session, actions }: Turn): void {
  if (session.phase !== "joined" || session.reporting !== undefined || session.unreported.size === 0) return
  const batch = [...session.unreported].slice(0, reportAtMost)
  session.reporting = new Map(batch)
  const statuses = batch.map(([id, status]) => ({ id, status }))
  actions.push(ask({ _tag: "Report", session: session.session, statuses }))
}

function noted(turn: Turn): void {
  const { session } = turn
  for (const [id, status] of session.reporting ?? []) {
    if (session.unreported.get(id) === status) session.unreported.delete(id)
  }
  session.reporting = undefined
  session.reportAttempt = 0
  reportLater(turn, 0)
}

/** Lost, it is said again; without a session, it is said in the next. */
function letGoOf({ session, actions, moment }: Turn, volumes: ReadonlyArray<string>): void {
  if (session.phase !== "joined") return
  const said: FromNode = { _tag: "Unmounted", session: session.session, volumes }
  actions.push(tell(leader(moment), said))
}

// What is really there

/** Tells every task what was found of it, and puts away containers of ours that belong to no task. */
function surveyed(turn: Turn, containers: ReadonlyArray<ContainerState>): void {
  const { session, actions, moment } = turn
  const { tasks, leaving, found: ids } = session.holdings
  const found = new Map<string, ContainerState>()
  ids.clear()
  for (const container of containers) {
    const id = container.labels[taskLabel]
    if (id === undefined || !isOurs(turn, container)) continue
    ids.set(id, container.id)
    if (tasks.has(id)) found.set(id, container)
    else if (session.settled && !leaving.has(id) && !session.discarding.has(container.id)) {
      session.discarding.add(container.id)
      actions.push({ _tag: "Discard", container: container.id, graceMs: strayGraceMs })
    }
  }
  for (const id of tasks.keys()) {
    const container = found.get(id)
    actions.push(
      toTask(
        moment.self.home,
        id,
        container === undefined ? { _tag: "Observed" } : { _tag: "Observed", container }
      )
    )
  }
  if (session.surveyed) return
  session.surveyed = true
  if (session.phase === "joined" && session.early.length === 0) resync(turn)
  takeEarly(turn)
}

const isOurs = ({ session, moment }: Turn, { labels }: ContainerState): boolean =>
  labels[clusterLabel] === session.props.clusterId && labels[nodeLabel] === moment.self.home

// Small things

const ask = (message: FromNode): SessionAction => ({ _tag: "Ask", message, withinMs: askWithinMs })

const certificateOf = ({ self }: Moment) => address(self.home, "certificate", "main")

/** The network actor says `Keyed`; without an epoch, of what it has. */
const makeKey = ({ self }: Moment, epoch?: number): CommonAction =>
  tell(address(self.home, "network", "main"), {
    ...({ _tag: "MakeKey" } as const),
    ...(epoch !== undefined && { epoch })
  } satisfies NetworkMessage)

const leader = ({ self }: Moment) => address("leader", "node", self.home)

const look = ({ self }: Moment): CommonAction =>
  tell(address(self.home, "engine-watch", "main"), { _tag: "Look" } satisfies WatchMessage)

const placeHere = ({ session, moment }: Turn): Place | undefined =>
  session.description && placeOf(session.props.clusterId, moment.self.home, session.description)
