/**
 * The dispatcher's turns: changes of the ledger become changes of what nodes should hold, gathered for a moment
 * and sent once. A node that lags behind is told everything again. It hears all nodes, and so knows when too many
 * fall silent at once for each of them to be at fault.
 */
import {
  completeAssignment,
  differenceOf,
  type Goal,
  goalOf,
  nothing,
  portsOf
} from "#actors/dispatcher/assign.ts"
import { Leaving } from "#actors/dispatcher/leaving.ts"
import { Overlays, type Told, toldNothing } from "#actors/dispatcher/overlays.ts"
import { inParts, nothingNew } from "#actors/dispatcher/parts.ts"
import type { DispatcherAction, DispatcherMessage, DispatcherProps } from "#actors/dispatcher/protocol.ts"
import { Provisions } from "#actors/dispatcher/provide.ts"
import { featureLevelOf, levelOf } from "#actors/ledger/features.ts"
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import { propose } from "#actors/ledger/writer.ts"
import type { Node, Service, Task } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { isBefore, isLive } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import { certificateOf, endsTls } from "#actors/network/certificates.ts"
import { takesTraffic } from "#actors/network/tabulate.ts"
import { type Expire, heartbeatMs, type Lost } from "#actors/node/decide.ts"
import type { AssignedPort, FromLeader } from "#actors/node/protocol.ts"
import { type CommonAction, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

interface Session {
  readonly session: string
  /** The last assignment that was sent. */
  seq: number
  sentAt: number
  heardAt: number
  held: Goal
  told: Told
}

/** Belongs to this actor alone and changes in place. */
export interface DispatcherState {
  readonly ledger: LedgerReader
  readonly nodeId: string
  readonly sessions: Map<string, Session>
  /** Nodes whose goal may have changed. */
  readonly dirty: Set<string>
  /** Nodes that are to be told everything. */
  readonly lost: Set<string>
  readonly ports: Map<string, ReadonlyArray<typeof AssignedPort.Type>>
  /** Services whose ports may have changed. */
  readonly stalePorts: Set<string>
  readonly overlays: Overlays
  readonly leaving: Leaving
  readonly provisions: Provisions
  flushing: boolean
  readonly heard: Map<string, number>
  /** When nodes were last counted, and when it last was found that more than half of them are silent. */
  countedAt: number
  massSilentAt: number
}

type DispatcherStep = Step<DispatcherState, DispatcherAction>
const stay = stayWith<DispatcherState, DispatcherAction>

/** Changes are gathered this long: the entries of one burst become one message per node. */
const gatherMs = 2
/** A message that a node has not taken by then was lost. */
const patienceMs = 2_000
/** How often it is written down when nodes were last heard of. */
const noteSeenMs = 5_000
/** Of a node that was not heard of for this many heartbeats at least one is missing. */
const quietHeartbeats = 1.75
/** What nodes that fell silent together are given to be heard again: a switch that starts anew needs no longer. */
const cautiousHeartbeats = 10
/** What the last of them are given when the first are heard again. */
const returningHeartbeats = 3
/** Thousands of nodes may be missed at once; all of them are counted only so often. */
const countEveryMs = 100

export function start(props: DispatcherProps, { now }: Moment): DispatcherStep {
  const state: DispatcherState = {
    ledger: props.ledger,
    nodeId: props.nodeId,
    sessions: new Map(),
    dirty: new Set(),
    lost: new Set(),
    ports: new Map(),
    stalePorts: new Set(),
    overlays: new Overlays(props.ledger),
    leaving: new Leaving(),
    provisions: new Provisions(),
    flushing: false,
    heard: new Map(),
    countedAt: Number.NEGATIVE_INFINITY,
    massSilentAt: Number.NEGATIVE_INFINITY
  }
  for (const service of props.ledger.all("service")) state.stalePorts.add(service.ID)
  state.leaving.begin(props.ledger, confirming(props.ledger), now)
  return stay(state, later("seen", noteSeenMs, { _tag: "NoteSeen" }))
}

export function decide(state: DispatcherState, message: DispatcherMessage, moment: Moment): DispatcherStep {
  switch (message._tag) {
    case "SessionOpened":
      state.sessions.set(message.nodeId, {
        session: message.session,
        seq: 0,
        sentAt: 0,
        heardAt: moment.now,
        held: nothing,
        told: toldNothing
      })
      state.lost.add(message.nodeId)
      state.heard.set(message.nodeId, moment.now)
      return flush(state, moment)
    case "SessionClosed":
      state.sessions.delete(message.nodeId)
      state.heard.delete(message.nodeId)
      state.leaving.confirmed(message.nodeId)
      return gather(state)
    case "Heard":
      return heard(state, message, moment)
    case "Missed":
      return missed(state, message, moment)
    case "Resync":
      if (state.sessions.get(message.nodeId)?.session !== message.session) return stay(state)
      state.lost.add(message.nodeId)
      return flush(state, moment)
    case "Routed":
      if (state.sessions.get(message.nodeId)?.session !== message.session) return stay(state)
      state.leaving.confirmed(message.nodeId, message.seq)
      return flush(state, moment)
    case "Changed": {
      let absent: ReadonlyArray<string> | undefined
      const absentees = (): ReadonlyArray<string> => {
        absent ??= confirming(state.ledger).filter((nodeId) => !state.sessions.has(nodeId))
        return absent
      }
      for (const change of message.changes) {
        state.leaving.note(change, moment.now, absentees)
        note(state, change)
        if (state.overlays.note(change)) noteNode(state, change)
      }
      return gather(state)
    }
    case "Certificates":
      state.overlays.noteRoutes(message.services)
      noteCertificates(state)
      return gather(state)
    case "Refresh":
      state.overlays.refresh()
      for (const nodeId of state.sessions.keys()) state.dirty.add(nodeId)
      for (const serviceId of state.ports.keys()) state.stalePorts.add(serviceId)
      for (const service of state.ledger.all("service")) state.stalePorts.add(service.ID)
      return gather(state)
    case "Provided":
      state.provisions.take(message.taskId, message.secretId, message.provision)
      state.dirty.add(message.nodeId)
      return gather(state)
    case "Flush":
      return flush(state, moment)
    case "NoteSeen":
      return noteSeen(state)
    case "Proposed":
      // When a node was last heard of is written again soon; one time lost is nothing lost.
      return stay(state)
  }
}

function heard(
  state: DispatcherState,
  message: Extract<DispatcherMessage, { _tag: "Heard" }>,
  moment: Moment
): DispatcherStep {
  const { nodeId, applied } = message
  const session = state.sessions.get(nodeId)
  if (session === undefined || session.session !== message.session || applied > session.seq) {
    const expire: Expire = { _tag: "Expire", session: message.session }
    return stay(state, tell(address("leader", "node", nodeId), expire))
  }
  state.heard.set(nodeId, moment.now)
  session.heardAt = moment.now
  if (applied < session.seq && moment.now >= session.sentAt + patienceMs) {
    state.lost.add(nodeId)
    return flush(state, moment)
  }
  return stay(state)
}

/**
 * One node that is silent is lost. Where more than half are, it is more likely that we hear nobody: they are waited for
 * longer, with everything as it was, until each is judged by itself again.
 */
function missed(
  state: DispatcherState,
  { nodeId, silentMs }: Extract<DispatcherMessage, { _tag: "Missed" }>,
  moment: Moment
): DispatcherStep {
  const beat = heartbeatMs(state.ledger)
  if (moment.now >= state.countedAt + countEveryMs) {
    state.countedAt = moment.now
    if (isMassSilent(state, moment.now - beat * quietHeartbeats)) state.massSilentAt = moment.now
  }
  const isCautious = moment.now < state.massSilentAt + beat * returningHeartbeats
  if (isCautious && silentMs < beat * cautiousHeartbeats) return stay(state)
  return stay(state, tell(address("leader", "node", nodeId), { _tag: "Lost" } satisfies Lost))
}

/** Whether of more than half of the nodes that should be there nothing was heard since `since`. */
function isMassSilent({ ledger, sessions }: DispatcherState, since: number): boolean {
  let [ready, silent] = [0, 0]
  for (const node of ledger.all("node")) {
    if (node.Status.State !== "ready") continue
    ready += 1
    const session = sessions.get(node.ID)
    // A new leader has heard nothing yet of those that have not found it.
    if (session === undefined || session.heardAt < since) silent += 1
  }
  return silent > ready / 2
}

/** Whose goal and which ports a change may touch. */
function note(state: DispatcherState, change: Change): void {
  switch (change.kind) {
    case "task": {
      const { before, after } = change
      if (before !== undefined && (after === undefined || !isLive(after.Status.State)))
        state.provisions.forget(before.ID)
      if (concernsNode(before, after)) {
        for (const nodeId of [before?.NodeID, after?.NodeID])
          if (nodeId !== undefined) state.dirty.add(nodeId)
      }
      const served = before !== undefined && takesTraffic(before)
      const serves = after !== undefined && takesTraffic(after)
      const serviceId = after?.ServiceID ?? before?.ServiceID
      if (serviceId !== undefined && served !== serves) state.stalePorts.add(serviceId)
      return
    }
    case "service":
      noteService(state, change.before, change.after)
      return
    case "network":
      if (change.before === undefined) return
      for (const [nodeId, session] of state.sessions) {
        if (session.held.networks.has(change.before.ID)) state.dirty.add(nodeId)
      }
      return
    case "node":
      if (change.after === undefined && change.before !== undefined) state.sessions.delete(change.before.ID)
      return
    case "volume":
      for (const volume of [change.before, change.after])
        for (const { NodeID } of volume?.PublishStatus ?? []) state.dirty.add(NodeID)
      return
    default:
      // Secrets and configs never change what they hold, and one that is in use is not removed.
      return
  }
}

/** Whoever has a TLS entrance is given other certificates. */
function noteCertificates({ ledger, sessions, dirty }: DispatcherState): void {
  for (const nodeId of sessions.keys()) {
    const node = ledger.get("node", nodeId)
    if (node !== undefined && endsTls(node)) dirty.add(nodeId)
  }
}

/** A node that has another address of its own waits for nothing that was held back for it. */
function noteNode(state: DispatcherState, change: Change): void {
  if (change.kind === "node" && change.after !== undefined) state.dirty.add(change.after.ID)
}

/** False for what the node itself has said: how far a task has come. */
function concernsNode(before: Task | undefined, after: Task | undefined): boolean {
  if (before === undefined || after === undefined) return true
  return (
    before.NodeID !== after.NodeID ||
    before.DesiredState !== after.DesiredState ||
    !equal(before.Attachments, after.Attachments) ||
    isBefore(before.Status.State, "assigned") !== isBefore(after.Status.State, "assigned") ||
    isLive(before.Status.State) !== isLive(after.Status.State)
  )
}

function noteService(state: DispatcherState, before: Service | undefined, after: Service | undefined): void {
  const id = after?.ID ?? before?.ID
  if (id === undefined) return
  if (before?.Endpoint !== after?.Endpoint) state.stalePorts.add(id)
  if (certificateOf(before?.Spec) !== certificateOf(after?.Spec)) noteCertificates(state)
  const concernsNodes = before?.Spec !== after?.Spec || before?.RegistryAuth !== after?.RegistryAuth
  if (before === undefined || after === undefined || !concernsNodes) return
  for (const task of state.ledger.tasksOfService(id))
    if (task.NodeID !== undefined) state.dirty.add(task.NodeID)
}

function gather(state: DispatcherState): DispatcherStep {
  const isQuiet = state.dirty.size === 0 && state.stalePorts.size === 0 && !state.overlays.isStale
  if (state.flushing || isQuiet) return stay(state)
  state.flushing = true
  return stay(state, later("flush", gatherMs, { _tag: "Flush" } satisfies DispatcherMessage))
}

function flush(state: DispatcherState, moment: Moment): DispatcherStep {
  state.flushing = false
  const portsChanged = refreshPorts(state)
  const all = portsChanged || state.lost.size > 0 ? [...state.ports.values()].flat() : []
  const actions: Array<DispatcherAction | CommonAction> = []
  for (const nodeId of state.leaving.takeFree(moment.now)) state.dirty.add(nodeId)
  const news = state.overlays.takeNews()
  for (const nodeId of portsChanged ? [...state.sessions.keys()] : concerned(state, news.keys())) {
    const session = state.sessions.get(nodeId)
    if (session === undefined) continue
    const isLost = state.lost.delete(nodeId)
    const isDirty = state.dirty.delete(nodeId)
    const goal = isLost || isDirty ? goalOf(state.ledger, nodeId, session.held, state) : session.held
    const change = isLost ? completeAssignment(goal) : differenceOf(session.held, goal)
    session.held = goal
    const { told, ...said } = state.overlays.say(nodeId, isLost ? toldNothing : session.told, news)
    session.told = told
    const isTold = said.overlays.length > 0 || said.overlaysGone.length > 0
    const isRouted = portsChanged || isTold || isLost
    if (change === undefined && !portsChanged && !isTold) continue
    session.sentAt = moment.now
    const parts = inParts({
      ...(change ?? nothingNew),
      ...(portsChanged || isLost ? { ports: portsFor(state, nodeId, all) } : {}),
      ...(isTold || isLost ? said : {})
    })
    // Where all is said anew, what is told of routes counts from the first part on.
    const routes = isLost ? 0 : parts.length - 1
    for (const [at, part] of parts.entries()) {
      session.seq += 1
      const confirm = at === routes && isRouted && isToConfirm(state, nodeId, session.seq, isLost)
      const message: FromLeader = {
        _tag: "Assign",
        session: session.session,
        seq: session.seq,
        ...part,
        ...(confirm ? { confirm } : {})
      }
      actions.push(tell(address(nodeId, "session", "main"), message))
    }
  }
  state.lost.clear()
  state.dirty.clear()
  state.leaving.toldAll()
  for (const wanted of state.provisions.takeWanted()) actions.push({ _tag: "Provide", ...wanted })
  const due = state.leaving.nextDue
  if (due !== undefined) {
    const waitMs = Math.max(0, due - moment.now)
    actions.push(later("leaving", waitMs, { _tag: "Flush" } satisfies DispatcherMessage))
  }
  return stay(state, ...actions)
}

/** A node that would open them at all of its addresses is not told of those that are for some alone. */
function portsFor({ ledger }: DispatcherState, nodeId: string, all: ReadonlyArray<typeof AssignedPort.Type>) {
  const node = ledger.get("node", nodeId)
  const knows = node !== undefined && featureLevelOf(node) >= levelOf["ports at addresses"]
  return knows ? all : all.filter(({ only }) => only === undefined)
}

/** Notes that a node is told where traffic goes; true when it is to say that it has carried that out. */
function isToConfirm({ ledger, leaving }: DispatcherState, nodeId: string, seq: number, isLost: boolean) {
  const node = ledger.get("node", nodeId)
  return node !== undefined && confirms(node) && leaving.told(nodeId, seq, isLost)
}

/** Ids of the nodes that are there, as far as anybody knows, and say where they lead traffic. */
const confirming = (ledger: LedgerReader): ReadonlyArray<string> =>
  [...ledger.all("node")].flatMap((node) =>
    node.Status.State === "ready" && confirms(node) ? [node.ID] : []
  )

const confirms = (node: Node): boolean => featureLevelOf(node) >= levelOf.confirm

/** The nodes that may hear something new; those on the `networks` of which there are news among them. */
function concerned(state: DispatcherState, networks: Iterable<string>): ReadonlySet<string> {
  const nodes = new Set([...state.lost, ...state.dirty])
  for (const networkId of networks) for (const nodeId of state.overlays.nodesOn(networkId)) nodes.add(nodeId)
  return nodes
}

/** Works the stale ports out again; true when any differs from what was said last. */
function refreshPorts(state: DispatcherState): boolean {
  let changed = false
  for (const serviceId of state.stalePorts) {
    const service = state.ledger.get("service", serviceId)
    const before = state.ports.get(serviceId) ?? []
    const after = service === undefined ? [] : portsOf(state.ledger, service)
    if (equal(before, after)) continue
    changed = true
    if (after.length === 0) state.ports.delete(serviceId)
    else state.ports.set(serviceId, after)
  }
  state.stalePorts.clear()
  return changed
}

/** One entry for all nodes: a new leader goes on counting from here, and knows when the last one was there. */
function noteSeen(state: DispatcherState): DispatcherStep {
  const again = later("seen", noteSeenMs, { _tag: "NoteSeen" } satisfies DispatcherMessage)
  const nodes = Array.from(state.heard, ([id, at]) => ({ id, lastSeen: toIso(at) }))
  state.heard.clear()
  // A leader that is alone has nobody to tell.
  if (nodes.every(({ id }) => id === state.nodeId)) return stay(state, again)
  return stay(state, again, propose("nodes heard of", [{ type: "node.observe", v: 1, nodes }]))
}

/** One line for the tree. */
export const summary = (state: DispatcherState): string =>
  `${state.sessions.size} sessions, ${state.ports.size} services publish ports`
