/**
 * What the leader makes of one node: alive, suspect or down. One actor per node, at `leader/node/<id>`.
 *
 * It answers the node, gives it a session, writes its reports to the ledger in batches, and declares it down
 * when it has been silent for too long. Silence that may be our own fault is listened to once more, and the
 * dispatcher, which hears all nodes, has the last word on it.
 */
import { joinAddress, peersMark, peersOf, raftIdOf } from "#actors/authority/peers.ts"
import type { Role } from "#actors/authority/protocol.ts"
import type { RenewalRequest } from "#actors/authority/renew.ts"
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import type { AutoscalerMessage, Usage } from "#actors/autoscaler/protocol.ts"
import type { DispatcherMessage } from "#actors/dispatcher/protocol.ts"
import type { Command } from "#actors/ledger/commands.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose } from "#actors/ledger/writer.ts"
import {
  idle,
  mayWrite,
  type Proposed,
  propose,
  settle,
  type Writing,
  writing
} from "#actors/ledger/writer.ts"
import { seconds } from "#actors/logs/copies/seconds.ts"
import { missingEpoch } from "#actors/model/network-keys.ts"
import type { Node, NodeDescription, TaskStatus } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { isBefore, isLive, isTerminal } from "#actors/model/task-state.ts"
import { leftOf, nanosToMs, toIso, toMs } from "#actors/model/time.ts"
import type { AttachRequest } from "#actors/node/attach.ts"
import { type FromNode, hasLeft, type ToNodeAnswer } from "#actors/node/protocol.ts"
import { type CommonAction, later, reply, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type ReplyTo, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface NodeProps {
  readonly ledger: LedgerReader
  /** The node that leads: its silence at the start is its Engine coming up, not an outage. */
  readonly ownId: string
}

/** From the dispatcher, which has forgotten this session: the node shall register again. */
export interface Expire {
  readonly _tag: "Expire"
  readonly session: string
}

/** From the keymaster: the node shall have its certificate from this issuer, whose public key this is. */
export interface Recertify {
  readonly _tag: "Recertify"
  readonly issuer: string
}

/** From the dispatcher, in answer to `Missed`: the silence is the node's own. */
export interface Lost {
  readonly _tag: "Lost"
}

/** What the node says, and what comes from inside: the dispatcher's words, own timers, own writes. */
export type NodeMessage =
  | FromNode
  | Expire
  | Recertify
  | Lost
  | { readonly _tag: "Check" }
  | { readonly _tag: "Orphan" }
  | { readonly _tag: "WriteAgain" }
  /** How an `Issue` ended, for the one who asked. */
  | { readonly _tag: "Issued"; readonly asker: ReplyTo; readonly answer: ToNodeAnswer }
  /** How a `Certify` or an `Attach` ended, likewise. */
  | { readonly _tag: "Certified"; readonly asker: ReplyTo; readonly answer: ToNodeAnswer }
  | Proposed

export type NodeAction =
  | Propose
  /** Makes the node a member in its new role. Answered by `Issued`. */
  | { readonly _tag: "Issue"; readonly request: RenewalRequest; readonly asker: ReplyTo }
  /** Another certificate for what the node is. Answered by `Certified`. */
  | {
      readonly _tag: "Certify"
      readonly nodeId: string
      readonly csr: string
      readonly addr?: string
      readonly asker: ReplyTo
    }
  /** Gives a container addresses. Answered by `Certified`. */
  | {
      readonly _tag: "Attach"
      readonly nodeId: string
      readonly request: AttachRequest
      readonly asker: ReplyTo
    }
  /** Takes containers' addresses back. Not answered. */
  | { readonly _tag: "Detach"; readonly nodeId: string; readonly attached: ReadonlyArray<string> }

interface Registration {
  readonly description: NodeDescription
  readonly addr: string
  readonly askers: ReadonlyArray<ReplyTo>
}

/** Its process is being begun again: until `until` (milliseconds since the epoch) nobody misses it. */
interface Absence {
  readonly until: number
  readonly askers: ReadonlyArray<ReplyTo>
}

/** It has left, and ended its tasks. */
interface Parting {
  readonly askers: ReadonlyArray<ReplyTo>
}

interface Report {
  readonly statuses: ReadonlyArray<{ readonly id: string; readonly status: TaskStatus }>
  readonly askers: ReadonlyArray<ReplyTo>
}

/** What waits to be written, or is being written. */
interface Wanted {
  readonly registration?: Registration
  readonly description?: NodeDescription
  /** Why it is down. */
  readonly down?: string
  readonly away?: Absence
  readonly parting?: Parting
  readonly report?: Report
  /** Volumes that it has let go of. */
  readonly unmounted?: ReadonlyArray<string>
}

export interface NodeState {
  readonly ledger: LedgerReader
  readonly id: string
  readonly writing: Writing
  readonly session?: string
  /** Milliseconds since the epoch. For a node that may take its time at the start, ahead of now. */
  readonly heardAt: number
  /** The heartbeat that it was told last, in milliseconds; the cluster's may be another one by now. */
  readonly beatMs: number
  /** When it last beat or registered. */
  readonly beatAt: number
  /** By how much it was late lately, in milliseconds; fades as it is in time. */
  readonly latenessMs: number
  /** When it registered, within the time that counts. */
  readonly registeredAt: ReadonlyArray<number>
  /** When the timer that looks for silence should fire. */
  readonly dueAt: number
  readonly suspect: boolean
  /** It was given another membership and has not registered since. */
  readonly changingRole: boolean
  /** The public key of whom it shall have its certificate from; absent where that does not matter. */
  readonly issuer?: string
  readonly wanted: Wanted
  readonly underWay: Wanted
}

type NodeStep = Step<NodeState, NodeAction>
const stay = stayWith<NodeState, NodeAction>

const usualHeartbeatMs = 1_000
/** Of what is asked for less often nodes would hear nothing but that they are missed. */
const leastHeartbeatMs = 100
/** Swarm writes its own default into the spec; it stands for ours. */
const swarmHeartbeatNanos = 5_000_000_000
// Three heartbeats: one lost packet is not a lost node.
const heartbeatsMissed = 3
/** The last part of the silence: time for what waits in queues to be read before the verdict. */
const confirmMs = 250
/** What is left of a node's lateness with each heartbeat. */
const fading = 0.9
// Swarm's: so many registrations within this time. A new life that was asked for, in another role, is none of them.
const registrationsAtMost = 3
const registrationsWithinMs = 8_000
/** A timer that is later than this says that this process was held up, and with it whatever the node had said. */
const lateMs = 200
/** What a node has, at least, to find a new leader. */
const graceHeartbeats = 2
/** What the leader's own node has: its Engine may be coming up with it. */
const ownGraceMs = 30_000
/** What a node has to begin another life in its new role: nobody should replace tasks that go on meanwhile. */
const renewalGraceMs = 30_000
/** The longest that a node may be away to be begun again, and what is shown of it meanwhile. */
const awayAtMostMs = 30_000
const awayMessage = "restarting"
// Swarm's: a task of a node that has been away this long is not waited for.
const orphanAfterMs = 24 * 60 * 60_000
/** Of which a leader sees so much pass itself: clocks of two may be a day apart. */
const orphanLeastMs = 60 * 60_000
const orphanAgainMs = 60_000

/** How often a node shall be heard of, in whole milliseconds. */
export function heartbeatMs(ledger: LedgerReader): number {
  const nanos = ledger.cluster()?.Spec.Dispatcher?.HeartbeatPeriod ?? 0
  if (nanos === 0 || nanos === swarmHeartbeatNanos) return usualHeartbeatMs
  return Math.max(leastHeartbeatMs, Math.ceil(nanosToMs(nanos)))
}

/** How long a node may be silent: who was late before is given as much again, up to twice the usual time. */
function patienceMs({ beatMs, latenessMs }: NodeState): number {
  const usual = beatMs * heartbeatsMissed
  return usual + Math.min(latenessMs, usual)
}

const toDispatcher = (message: DispatcherMessage): CommonAction =>
  tell(address("leader", "dispatcher", "main"), message)
/** What tasks use goes to their services' autoscalers. A node speaks of its own tasks only. */
function passOn({ ledger, id }: NodeState, tasks: ReadonlyArray<Usage>): ReadonlyArray<CommonAction> {
  const byService = new Map<string, Array<Usage>>()
  for (const usage of tasks) {
    const task = ledger.get("task", usage.id)
    if (task?.NodeID !== id) continue
    const known = byService.get(task.ServiceID)
    if (known === undefined) byService.set(task.ServiceID, [usage])
    else known.push(usage)
  }
  return [...byService].map(([service, used]) =>
    tell(address("leader", "autoscaler", service), { _tag: "Used", tasks: used } satisfies AutoscalerMessage)
  )
}

/** A node may speak of every service: requests come in anywhere. */
function toAutoscaler(
  { ledger }: NodeState,
  service: string,
  message: AutoscalerMessage
): ReadonlyArray<CommonAction> {
  const spec = ledger.get("service", service)?.Spec
  return spec !== undefined && asksForScaling(spec)
    ? [tell(address("leader", "autoscaler", service), message)]
    : []
}
const answer = (to: ReplyTo, message: ToNodeAnswer): CommonAction => reply(to, message)

export function start(props: NodeProps, moment: Moment): NodeStep {
  const { ledger, ownId } = props
  const id = moment.self.id
  const node = ledger.get("node", id)
  const limit = heartbeatMs(ledger) * heartbeatsMissed
  const grace = id === ownId ? ownGraceMs : heartbeatMs(ledger) * graceHeartbeats
  // A new leader goes on from what the last one wrote down, but gives everyone time to find it.
  const latest = moment.now + (node?.Status.Message === awayMessage ? awayAtMostMs - limit : 0)
  const heardAt =
    id === ownId
      ? moment.now + grace - limit
      : Math.min(latest, Math.max(toMs(node?.LastSeen), moment.now - limit + grace))
  const state: NodeState = {
    ledger,
    id,
    writing: idle,
    heardAt,
    beatMs: heartbeatMs(ledger),
    beatAt: moment.now,
    latenessMs: 0,
    registeredAt: [],
    dueAt: 0,
    suspect: false,
    changingRole: false,
    wanted: {},
    underWay: {}
  }
  if (node?.Status.State !== "down") return listen(state, moment)
  const since = toMs(node.LastSeen ?? node.UpdatedAt)
  return stay(state, orphanLater(Math.max(orphanLeastMs, leftOf(orphanAfterMs, since, moment.now))))
}

export function decide(state: NodeState, message: NodeMessage, moment: Moment): NodeStep {
  switch (message._tag) {
    case "Register":
      return register(state, message, moment)
    case "Heartbeat":
      return heartbeat(state, message, moment)
    case "Describe":
      if (message.session !== state.session) return stay(state)
      return write(want(state, { description: message.description }), moment)
    case "Report":
      return report(state, message, moment)
    case "Used":
      return message.session === state.session ? stay(state, ...passOn(state, message.tasks)) : stay(state)
    case "Requests":
      if (message.session !== state.session) return stay(state)
      return stay(
        state,
        ...message.services.flatMap(({ id, rps, inflight, took }) =>
          toAutoscaler(state, id, { _tag: "Requests", node: state.id, rps, inflight, took })
        )
      )
    case "Waiting":
      if (message.session !== state.session) return stay(state)
      return stay(state, ...message.services.flatMap((id) => toAutoscaler(state, id, { _tag: "Waiting" })))
    case "Away":
      return away(state, message.forMs, moment)
    case "Ended":
      return ended(state, moment)
    case "Unable":
      return message.session === state.session ? lose(state, message.reason, moment) : stay(state)
    case "Lost":
      return state.suspect ? lose(state, "heartbeat failure", moment) : stay(state)
    // The dispatcher knows which session is the newest.
    case "Routed":
    case "Resync":
      return stay(state, toDispatcher({ ...message, nodeId: state.id }))
    case "Renew":
      return renew(state, message, moment)
    case "Certify":
      return certify(state, message, moment)
    case "Certified":
      return stay(state, answer(message.asker, message.answer))
    case "Recertify":
      return stay({ ...state, issuer: message.issuer })
    case "Attach":
      if (moment.asker === undefined) return stay(state)
      return stay(state, { _tag: "Attach", nodeId: state.id, request: message, asker: moment.asker })
    case "Detach":
      return stay(state, { _tag: "Detach", nodeId: state.id, attached: message.attached })
    case "Unmounted":
      if (message.session !== state.session) return stay(state)
      return write(
        want(state, { unmounted: [...(state.wanted.unmounted ?? []), ...message.volumes] }),
        moment
      )
    case "AskManagers":
      return stay(
        state,
        ...(moment.asker === undefined
          ? []
          : [answer(moment.asker, { _tag: "Managers", managers: peersOf(state.ledger) })])
      )
    case "Issued":
      return issued(state, message, moment)
    case "Expire":
      return message.session === state.session ? stay(closed(state)) : stay(state)
    case "Check":
      return check(state, moment)
    case "Orphan":
      return orphan(state, moment)
    case "WriteAgain":
      return write(state, moment)
    case "Proposed":
      return written(state, message, moment)
  }
}

const want = (state: NodeState, more: Wanted): NodeState => ({
  ...state,
  wanted: { ...state.wanted, ...more }
})

function closed(state: NodeState): NodeState {
  const { session: _session, ...rest } = state
  return rest
}

const heardNow = (state: NodeState, moment: Moment): NodeState => ({
  ...state,
  heardAt: Math.max(heardBy(state, moment), moment.now),
  suspect: false
})

/** Nobody is heard of further ahead than this: what is was written down before the clock was set back. */
const heardBy = ({ heardAt }: NodeState, { now }: Moment): number =>
  heardAt > now + awayAtMostMs ? now : heardAt

// --- what the node says --------------------------------------------------------------------------------------

function register(
  state: NodeState,
  message: Extract<FromNode, { _tag: "Register" }>,
  moment: Moment
): NodeStep {
  const { description, addr } = message
  const recently = state.registeredAt.filter((at) => at > moment.now - registrationsWithinMs)
  if (recently.length >= registrationsAtMost && !state.changingRole) {
    const reason = `registered ${recently.length} times within ${registrationsWithinMs / 1_000} s`
    return stay(
      state,
      ...(moment.asker === undefined ? [] : [answer(moment.asker, { _tag: "Unavailable", reason })])
    )
  }
  const before = state.wanted.registration?.askers ?? []
  const askers = moment.asker === undefined ? before : [...before, moment.asker]
  // It is there: from here on its silence counts as everyone's.
  const heardAt = state.changingRole ? moment.now : state.heardAt
  const registeredAt = state.changingRole ? recently : [...recently, moment.now]
  const registering = { ...state, heardAt, beatAt: moment.now, registeredAt, changingRole: false }
  const here = heardNow(registering, moment)
  return write(want(here, { registration: { description, addr, askers } }), moment)
}

function heartbeat(
  state: NodeState,
  message: Extract<FromNode, { _tag: "Heartbeat" }>,
  moment: Moment
): NodeStep {
  const { session, applied } = message
  const { asker } = moment
  if (session !== state.session) {
    return stay(state, ...(asker === undefined ? [] : [answer(asker, { _tag: "SessionInvalid" })]))
  }
  const lateMs = Math.max(0, moment.now - state.beatAt - state.beatMs)
  const latenessMs = Math.max(lateMs, state.latenessMs * fading)
  const beatMs = asker === undefined ? state.beatMs : heartbeatMs(state.ledger)
  const heard = heardNow({ ...state, beatAt: moment.now, beatMs, latenessMs }, moment)
  const listening = beatMs === state.beatMs ? stay(heard) : listen(heard, moment)
  return stay(
    listening.state,
    ...listening.actions,
    ...(asker === undefined
      ? []
      : [
          answer(asker, {
            _tag: "Beat",
            heartbeatMs: beatMs,
            ...standingOf(state),
            ...trustOf(state),
            ...keysOf(state),
            ...copyOf(state),
            managers: state.ledger.view(peersMark).mark
          })
        ]),
    toDispatcher({ _tag: "Heard", nodeId: state.id, session, applied })
  )
}

/** Only where every manager's nats-server lets nodes send them. */
function copyOf({ ledger, id }: NodeState): { readonly copyTo?: string } {
  if ((ledger.cluster()?.FeatureLevel ?? 0) < levelOf["log copies"]) return {}
  const copyTo = ledger.view(seconds).of(id)
  return copyTo === undefined ? {} : { copyTo }
}

function report(state: NodeState, message: Extract<FromNode, { _tag: "Report" }>, moment: Moment): NodeStep {
  const { asker } = moment
  if (message.session !== state.session) {
    return stay(state, ...(asker === undefined ? [] : [answer(asker, { _tag: "SessionInvalid" })]))
  }
  const { statuses, askers } = state.wanted.report ?? { statuses: [], askers: [] }
  const gathered: Report = {
    statuses: newest([...statuses, ...message.statuses]),
    askers: asker === undefined ? askers : [...askers, asker]
  }
  return write(want(heardNow(state, moment), { report: gathered }), moment)
}

/**
 * The last word on each task. What is not answered is said again, for hours where nothing can be written, and all of it
 * together would be more than an entry carries.
 */
function newest(statuses: Report["statuses"]): Report["statuses"] {
  const byTask = new Map<string, Report["statuses"][number]>()
  for (const one of statuses) {
    const known = byTask.get(one.id)
    if (known === undefined || !isBefore(one.status.State, known.status.State)) byTask.set(one.id, one)
  }
  return [...byTask.values()]
}

/** Others may have the places of its tasks, also those that two must not have. */
function ended(state: NodeState, moment: Moment): NodeStep {
  const askers = moment.asker === undefined ? [] : [moment.asker]
  return lose(want(state, { parting: { askers } }), hasLeft, moment)
}

/** It is heard of ahead of time, as far as it asks for; the next leader knows, too. */
function away(state: NodeState, forMs: number, moment: Moment): NodeStep {
  const { asker, now } = moment
  const until = now + Math.min(forMs, awayAtMostMs)
  const heardAt = Math.max(state.heardAt, until - patienceMs(state))
  const askers = asker === undefined ? [] : [asker]
  return write(want({ ...state, heardAt, suspect: false }, { away: { until, askers } }), moment)
}

/**
 * What the node is to be, by what the ledger says of it. Who is demoted stays a manager until it is out of the Raft
 * group; who is promoted has no name in it before it asks for one.
 */
function standingOf({ ledger, id }: NodeState): { readonly role?: Role; readonly raftId?: string } {
  const node = ledger.get("node", id)
  if (node === undefined) return {}
  const { ManagerStatus, Spec } = node
  if (ManagerStatus !== undefined) return { role: "manager", raftId: raftIdOf(node) }
  return { role: Spec.Role ?? "worker" }
}

/** The epoch of which the node is to make a key, where it has none. */
function keysOf({ ledger, id }: NodeState): { readonly keyEpoch?: number } {
  const cluster = ledger.cluster()
  const keyEpoch = cluster && missingEpoch(cluster, ledger.get("node", id)?.Description)
  return keyEpoch === undefined ? {} : { keyEpoch }
}

/** What the node's trust is to be, where what it says of itself differs. */
function trustOf({ ledger, id, issuer }: NodeState): { readonly issuer?: string; readonly root?: string } {
  const own = ledger.get("node", id)?.Description?.TLSInfo
  const root = ledger.cluster()?.Roots?.ca.certificate
  if (own === undefined || root === undefined) return {}
  return {
    ...(issuer !== undefined && issuer !== own.CertIssuerPublicKey && { issuer }),
    ...(root !== own.TrustRoot && { root })
  }
}

function certify(
  state: NodeState,
  { csr, role, addr }: Extract<FromNode, { _tag: "Certify" }>,
  { asker }: Moment
): NodeStep {
  if (asker === undefined) return stay(state)
  const known = standingOf(state).role
  if (known === role) {
    // A worker is reached by nobody: it could only take the place of somebody who is.
    const reached = role === "manager" && addr !== undefined ? { addr } : {}
    return stay(state, { _tag: "Certify", nodeId: state.id, csr, ...reached, asker })
  }
  const reason =
    known === undefined
      ? "this node is not of this cluster"
      : `this node is to be a ${known}: it asks for that role first`
  return stay(state, answer(asker, { _tag: "NotRenewed", reason }))
}

function renew(state: NodeState, message: Extract<FromNode, { _tag: "Renew" }>, moment: Moment): NodeStep {
  const { asker, fresh } = moment
  if (asker === undefined) return stay(state)
  const { role } = standingOf(state)
  const node = state.ledger.get("node", state.id)
  if (role === undefined || node === undefined) {
    return stay(state, answer(asker, { _tag: "NotRenewed", reason: "this node is not of this cluster" }))
  }
  if (role === "manager" && node.Spec.Role === "worker") {
    return stay(
      state,
      answer(asker, { _tag: "NotRenewed", reason: "this node is about to leave the Raft group: ask again" })
    )
  }
  const { csr, addr, ports } = message
  // A new name whenever it asks: nobody knows whether a log was ever begun under the one before.
  const raftId = role === "manager" ? fresh.id() : undefined
  const request = { nodeId: state.id, csr, addr, ports, ...(raftId !== undefined && { raftId }) }
  return stay(state, { _tag: "Issue", request, asker })
}

function issued(
  state: NodeState,
  { asker, answer: said }: Extract<NodeMessage, { _tag: "Issued" }>,
  moment: Moment
): NodeStep {
  if (said._tag !== "Renewed") return stay(state, answer(asker, said))
  const limit = state.beatMs * heartbeatsMissed
  const heardAt = Math.max(state.heardAt, moment.now + renewalGraceMs - limit)
  return stay({ ...state, heardAt, suspect: false, changingRole: true }, answer(asker, said))
}

// --- writing -------------------------------------------------------------------------------------------------

/** Writes everything that waits, unless a write is under way: then it is part of the next one. */
function write(state: NodeState, moment: Moment): NodeStep {
  if (!mayWrite(state.writing)) return stay(state)
  const commands = commandsFor(state, moment)
  const next = { ...state, wanted: {}, underWay: state.wanted }
  // A node that comes with nothing new is given a session only by who leads still: it would take old goals for new.
  if (commands.length > 0 || state.wanted.registration !== undefined) {
    const why = commands.map((command) => command.type).join(", ") || "whether this manager leads still"
    return stay({ ...next, writing: writing(state.writing) }, propose(why, commands))
  }
  return finished(next, moment)
}

function commandsFor(state: NodeState, moment: Moment): ReadonlyArray<Command> {
  const { registration, description, down, away: absence, parting, report, unmounted = [] } = state.wanted
  const commands: Array<Command> = []
  const node = state.ledger.get("node", state.id)
  if (node === undefined) return commands
  if (registration !== undefined && !isKnownAs(node, registration)) {
    const { ID, Spec, ManagerStatus } = node
    const place = ManagerStatus && { ...ManagerStatus, Addr: doorOf(ManagerStatus, registration) }
    // Nothing of it but what is new: the rest may be another's by the time this is written.
    commands.push({
      type: "node.register",
      v: 1,
      node: {
        ID,
        Spec,
        Description: registration.description,
        Status: { State: "ready", Addr: registration.addr },
        ...(place !== undefined && place.Addr !== ManagerStatus?.Addr && { ManagerStatus: place }),
        LastSeen: toIso(moment.now)
      }
    })
  }
  if (registration === undefined && description !== undefined && !equal(description, node.Description)) {
    commands.push({ type: "node.observe", v: 1, nodes: [{ id: state.id, description }] })
  }
  if (registration === undefined && down !== undefined && node.Status.State !== "down") {
    const status = { ...node.Status, State: "down" as const, Message: down }
    commands.push({ type: "node.observe", v: 1, nodes: [{ id: state.id, status }] })
  }
  if (registration === undefined && absence !== undefined && node.Status.State === "ready") {
    const status = { ...node.Status, Message: awayMessage }
    const lastSeen = toIso(absence.until - patienceMs(state))
    commands.push({ type: "node.observe", v: 1, nodes: [{ id: state.id, status, lastSeen }] })
  }
  if (registration === undefined && parting !== undefined) {
    const statuses = endedOn(state, moment)
    if (statuses.length > 0) commands.push({ type: "tasks.report", v: 1, node: state.id, statuses })
  }
  if (report !== undefined && report.statuses.length > 0) {
    commands.push({ type: "tasks.report", v: 1, node: state.id, statuses: report.statuses })
  }
  // It says so again until the leader has it down.
  const gone = unmounted.filter((id) =>
    state.ledger
      .get("volume", id)
      ?.PublishStatus.some(({ NodeID, State }) => NodeID === state.id && State === "pending-node-unpublish")
  )
  if (gone.length > 0) {
    const step = { node: state.id, state: "pending-controller-unpublish" as const }
    commands.push({
      type: "volume.observe",
      v: 1,
      volumes: [...new Set(gone)].map((id) => ({ id, nodes: [step] }))
    })
  }
  return commands
}

function endedOn({ ledger, id }: NodeState, moment: Moment): Report["statuses"] {
  const ending = { Timestamp: toIso(moment.now), State: "shutdown" as const, Message: hasLeft }
  return [...ledger.tasksOfNode(id)]
    .filter(({ Status }) => isLive(Status.State))
    .map(({ ID, Status }) => ({ id: ID, status: { ...Status, ...ending } }))
}

/** Nothing of the registration is new: many nodes that find a new leader at once need no entry each. */
const isKnownAs = (node: Node, registration: Registration): boolean =>
  node.Status.State === "ready" &&
  node.Status.Message === undefined &&
  node.Status.Addr === registration.addr &&
  (node.ManagerStatus === undefined ||
    node.ManagerStatus.Addr === doorOf(node.ManagerStatus, registration)) &&
  equal(node.Description, registration.description)

/** Where a manager lets others join: its address may be another one than in its life before. */
const doorOf = (known: NonNullable<Node["ManagerStatus"]>, { addr }: Registration): string =>
  known.Ports === undefined ? known.Addr : joinAddress(addr, known.Ports)

function written(state: NodeState, message: Proposed, moment: Moment): NodeStep {
  const { writing: settled, afterMs } = settle(state.writing, message.outcome)
  const next = { ...state, writing: settled }
  if (message.outcome._tag === "Applied") return finished(next, moment)
  // Nobody is answered for what may not be written: it is tried again, before whatever came in since.
  const retried: NodeState = { ...next, wanted: merge(state.underWay, state.wanted), underWay: {} }
  if (afterMs === undefined) return stay(retried)
  return stay(retried, later("write", Math.max(1, afterMs), { _tag: "WriteAgain" } satisfies NodeMessage))
}

function merge(first: Wanted, second: Wanted): Wanted {
  const report: Report = {
    statuses: newest([...(first.report?.statuses ?? []), ...(second.report?.statuses ?? [])]),
    askers: [...(first.report?.askers ?? []), ...(second.report?.askers ?? [])]
  }
  const merged = { ...first, ...second, report }
  if (first.registration === undefined || second.registration === undefined) return merged
  const askers = [...first.registration.askers, ...second.registration.askers]
  return { ...merged, registration: { ...second.registration, askers } }
}

/** What was under way is in the ledger: those who asked are told, and what has come in meanwhile is next. */
function finished(state: NodeState, moment: Moment): NodeStep {
  const { registration, down, away: absence, parting, report } = state.underWay
  const actions: Array<CommonAction> = []
  let next: NodeState = { ...state, underWay: {} }
  for (const asker of [report, absence, parting].flatMap((one) => one?.askers ?? []))
    actions.push(answer(asker, { _tag: "Noted" }))
  if (registration !== undefined) {
    const session = moment.fresh.id()
    const beatMs = heartbeatMs(state.ledger)
    next = { ...next, session, beatMs }
    for (const asker of registration.askers) {
      const heartbeat = { heartbeatMs: beatMs, ...standingOf(state) }
      actions.push(answer(asker, { _tag: "Registered", session, ...heartbeat }))
    }
    actions.push(toDispatcher({ _tag: "SessionOpened", nodeId: state.id, session }))
    const listening = listen(heardNow(next, moment), moment)
    next = listening.state
    actions.push(...(listening.actions as ReadonlyArray<CommonAction>))
  } else if (down !== undefined) {
    actions.push(orphanLater(orphanAfterMs))
  }
  if (Object.keys(next.wanted).length === 0) return stay(next, ...actions)
  const more = write(next, moment)
  return stay(more.state, ...actions, ...more.actions)
}

// --- silence -------------------------------------------------------------------------------------------------

/** Looks for silence when it could first be long enough to be suspicious. */
function listen(state: NodeState, moment: Moment): NodeStep {
  const heardAt = heardBy(state, moment)
  const afterMs = Math.max(1, heardAt + patienceMs(state) - confirmMs - moment.now)
  return checkIn({ ...state, heardAt }, afterMs, moment)
}

const checkIn = (state: NodeState, afterMs: number, moment: Moment): NodeStep =>
  stay(
    { ...state, dueAt: moment.now + afterMs },
    later("check", afterMs, { _tag: "Check" } satisfies NodeMessage)
  )

function check(state: NodeState, moment: Moment): NodeStep {
  const node = state.ledger.get("node", state.id)
  // A node that has never come is not missed, and one that is down is waited for without a clock.
  if (node === undefined || node.Status.State !== "ready" || state.writing.halted) return stay(state)
  const silentMs = moment.now - state.heardAt
  if (silentMs < patienceMs(state) - confirmMs) return listen(state, moment)
  // We were held up, so the silence may be ours: a heartbeat's time for what has piled up to come in.
  if (moment.now - state.dueAt > lateMs)
    return checkIn({ ...state, suspect: false }, state.beatMs + confirmMs, moment)
  const again = checkIn({ ...state, suspect: true }, confirmMs, moment)
  if (!state.suspect) return again
  return stay(again.state, ...again.actions, toDispatcher({ _tag: "Missed", nodeId: state.id, silentMs }))
}

function lose(state: NodeState, why: string, moment: Moment): NodeStep {
  const step = write(want(closed({ ...state, suspect: false }), { down: why }), moment)
  return stay(step.state, ...step.actions, toDispatcher({ _tag: "SessionClosed", nodeId: state.id }))
}

const orphanLater = (afterMs: number): CommonAction =>
  later("orphan", afterMs, { _tag: "Orphan" } satisfies NodeMessage)

/** The node has been away for a day: nobody waits any longer for what it ran. */
function orphan(state: NodeState, moment: Moment): NodeStep {
  const node = state.ledger.get("node", state.id)
  if (node === undefined || node.Status.State !== "down") return stay(state)
  const update = []
  for (const task of state.ledger.tasksOfNode(state.id)) {
    if (isTerminal(task.Status.State)) continue
    const Status = { ...task.Status, Timestamp: toIso(moment.now), State: "orphaned" as const }
    update.push({ id: task.ID, Status })
  }
  if (update.length === 0) return stay(state)
  // It may not be written.
  const again = orphanLater(orphanAgainMs)
  if (!mayWrite(state.writing)) return stay(state, again)
  const command: Command = { type: "tasks.change", v: 1, create: [], update, remove: [] }
  return stay(
    { ...state, writing: writing(state.writing) },
    propose("the node has been away for a day", [command]),
    again
  )
}

/** One line for the tree. */
export function summary(state: NodeState): string {
  const node = state.ledger.get("node", state.id)
  const health =
    node?.Status.State === "ready" && state.suspect ? "suspect" : (node?.Status.State ?? "removed")
  const draining = node?.Spec.Availability === "drain" ? ", draining" : ""
  return `${node?.Description?.Hostname ?? state.id}: ${health}${draining}`
}
