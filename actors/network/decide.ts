/** Which bridge to make or remove next, who waits for it and for the kernel behind it, and which ports shall answer. */
import type { PortProblem } from "#actors/drivers/data-plane.ts"
import type { WireGuard } from "#actors/model/objects.ts"
import { gaveWay, isLaid, laid, lay, look, noOverlays, type Overlays, reopen } from "#actors/network/lay.ts"
import { chooseResolver } from "#actors/network/names/resolver.ts"
import type { NetworkPlan, PublishedPort } from "#actors/network/plan.ts"
import type { NetworkAction, NetworkMessage, NetworkView } from "#actors/network/protocol.ts"
import { backOff } from "#actors/node/back-off.ts"
import type { SessionMessage } from "#actors/node/session/protocol.ts"
import type { TaskMessage } from "#actors/task/protocol.ts"
import { type CommonAction, later, reply, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { never } from "#runtime/assert.ts"
import { type Moment, type Step, stay } from "#runtime/behaviour.ts"

/** A network is looked at again while its last containers go, and a port while somebody else holds it. */
const removePatience = { firstMs: 500, mostMs: 30_000 }
const listAgainMs = 5_000
const keyAgainMs = 60_000
const publishPatience = { firstMs: 200, mostMs: 10_000 }

interface Waiter {
  readonly taskId: string
  readonly missing: ReadonlySet<string>
  readonly bridges: Readonly<Record<string, string>>
  /** Once nothing is missing: the kernel must be as it was to be in this round. */
  readonly round: number
}

/** Whoever waits until all of this is carried out. */
interface Confirmation {
  readonly session: string
  readonly seq: number
  readonly round: number
  readonly publication: number
}

export interface Networks {
  /** The networks that tasks here may need; one that is not among them goes when nobody uses it. */
  readonly wanted: ReadonlyMap<string, NetworkPlan>
  /** What is underway per network, one thing at a time. */
  readonly underway: ReadonlyMap<string, "ensure" | "remove">
  /** To be ensured once a removal that is underway has ended. */
  readonly next: ReadonlyMap<string, NetworkPlan>
  readonly waiters: ReadonlyArray<Waiter>
  /** To be removed, and how often that was tried. */
  readonly dropped: ReadonlyMap<string, number>
  readonly overlays: Overlays
  readonly ports: ReadonlyArray<PublishedPort> | undefined
  /** Counts what was to be published: told, begun and done. */
  readonly told: number
  readonly begun: number
  readonly done: number
  readonly confirmations: ReadonlyArray<Confirmation>
  readonly publishing: boolean
  /** The ports changed while others were being published. */
  readonly stale: boolean
  readonly publishAttempt: number
  readonly problems: ReadonlyArray<PortProblem>
}

export const idle: Networks = {
  wanted: new Map(),
  underway: new Map(),
  next: new Map(),
  waiters: [],
  dropped: new Map(),
  overlays: noOverlays,
  ports: undefined,
  told: 0,
  begun: 0,
  done: 0,
  confirmations: [],
  publishing: false,
  stale: false,
  publishAttempt: 0,
  problems: []
}

type Result = Step<Networks, NetworkAction>
type Action = NetworkAction | CommonAction

export function decide(before: Networks, message: NetworkMessage, moment: Moment): Result {
  const step = follow(before, message, moment)
  return step.state.confirmations.length === 0 ? step : confirm(step, moment)
}

function follow(state: Networks, message: NetworkMessage, moment: Moment): Result {
  switch (message._tag) {
    case "Need":
      return need(state, message.taskId, message.plans)
    case "Want":
      return want(state, message.plans)
    case "Keep":
      return keep(state, message.plans)
    case "Listed":
      return drop(
        state,
        message.networks.filter((id) => !state.wanted.has(id))
      )
    case "NotListed":
      return stay(state, later("list", listAgainMs, { _tag: "ListAgain" } satisfies NetworkMessage))
    case "ListAgain":
      return stay<Networks, NetworkAction>(state, { _tag: "ListNetworks" })
    case "Drop":
      return unwant(state, message.networks)
    case "Ensured":
      return ensured(state, message.id, message.bridge, moment)
    case "NotEnsured":
      return notEnsured(state, message, moment)
    case "NetworkGone":
      return removed({ ...state, dropped: without(state.dropped, message.id) }, message.id)
    case "NetworkKept":
      return kept(state, message.id, moment)
    case "RemoveAgain":
      return state.dropped.has(message.id) ? drop(state, [message.id]) : stay(state)
    case "Tables":
      return resume(
        state,
        lay({ ...state.overlays, tables: message.tables, certificates: message.certificates ?? [] })
      )
    case "LookAgain":
      return lookAgain(state)
    case "Show":
      return moment.asker === undefined ? stay(state) : stay(state, reply(moment.asker, view(state)))
    case "Laid": {
      const step = resume(state, laid(state.overlays, message.round, message.report, message.names))
      const freed = free(step.state, moment)
      return { state: freed.state, actions: [...step.actions, ...freed.actions] }
    }
    case "GaveWay":
      return resume(state, gaveWay(state.overlays))
    case "MakeKey":
      return stay<Networks, NetworkAction>(state, message)
    case "Keyed":
      return keyed(state, message.wireGuard, moment)
    case "Publish":
      return publish({ ...state, ports: message.ports, publishAttempt: 0, told: state.told + 1 })
    case "Confirm": {
      const { session, seq } = message
      const confirmation = { session, seq, round: state.overlays.round, publication: state.told }
      return stay({ ...state, confirmations: [...state.confirmations, confirmation] })
    }
    case "PublishAgain":
      return publish(state)
    case "Published": {
      const step = published(state, message.problems, moment)
      const opened = resume(step.state, reopen(step.state.overlays, message.open))
      return { state: opened.state, actions: [...step.actions, ...opened.actions] }
    }
    case "NotPublished":
      return notPublished(state, message.message, moment)
    default:
      return never(message)
  }
}

/** Answers those whose wishes are carried out. */
function confirm({ state, actions }: Result, { self }: Moment): Result {
  const isDone = ({ round, publication }: Confirmation): boolean =>
    round <= state.overlays.done && publication <= state.done
  const done = state.confirmations.filter(isDone)
  const routed = done.map(({ session, seq }) => {
    const message: SessionMessage = { _tag: "Routed", session, seq }
    return tell(address(self.home, "session", "main"), message)
  })
  const confirmations = state.confirmations.filter((one) => !isDone(one))
  return { state: { ...state, confirmations }, actions: [...actions, ...routed] }
}

function want(state: Networks, plans: ReadonlyArray<NetworkPlan>): Result {
  const wanted = new Map(state.wanted)
  for (const plan of plans) wanted.set(plan.id, plan)
  return ensure({ ...state, wanted }, plans)
}

/** What exists here beyond these was left by an earlier life, or dropped while nobody listened. */
function keep(state: Networks, plans: ReadonlyArray<NetworkPlan>): Result {
  const added = plans.filter(({ id }) => !state.wanted.has(id))
  const step = ensure({ ...state, wanted: new Map(plans.map((plan) => [plan.id, plan])) }, added)
  return { state: step.state, actions: [...step.actions, { _tag: "ListNetworks" }] }
}

function unwant(state: Networks, ids: ReadonlyArray<string>): Result {
  const wanted = new Map(state.wanted)
  for (const id of ids) wanted.delete(id)
  return drop({ ...state, wanted }, ids)
}

function need(state: Networks, taskId: string, plans: ReadonlyArray<NetworkPlan>): Result {
  const waiter: Waiter = { taskId, missing: new Set(plans.map(({ id }) => id)), bridges: {}, round: 0 }
  const waiters = [...state.waiters.filter((other) => other.taskId !== taskId), waiter]
  return ensure({ ...state, waiters }, plans)
}

/** Whoever asks while a network is being made gets that answer; nothing is remembered beyond it. */
function ensure(state: Networks, plans: ReadonlyArray<NetworkPlan>): Result {
  const underway = new Map(state.underway)
  const next = new Map(state.next)
  const dropped = new Map(state.dropped)
  const actions: Action[] = []
  for (const plan of plans) {
    dropped.delete(plan.id)
    const busy = underway.get(plan.id)
    if (busy === "remove") next.set(plan.id, plan)
    if (busy !== undefined) continue
    underway.set(plan.id, "ensure")
    actions.push({ _tag: "EnsureNetwork", plan })
  }
  return { state: { ...state, underway, next, dropped }, actions }
}

function drop(state: Networks, ids: ReadonlyArray<string>): Result {
  const underway = new Map(state.underway)
  const dropped = new Map(state.dropped)
  const actions: Action[] = []
  for (const id of ids) {
    dropped.set(id, dropped.get(id) ?? 0)
    if (underway.has(id)) continue
    underway.set(id, "remove")
    actions.push({ _tag: "RemoveNetwork", id })
  }
  return { state: { ...state, underway, dropped }, actions }
}

function ensured(before: Networks, id: string, bridge: string, moment: Moment): Result {
  const step = isLaid(before.overlays, id)
    ? stay<Networks, NetworkAction>(before)
    : resume(before, lay(before.overlays))
  const { state } = step
  const waiters = state.waiters.map((waiter): Waiter => {
    if (!waiter.missing.has(id)) return waiter
    const missing = new Set(waiter.missing)
    missing.delete(id)
    return { ...waiter, missing, bridges: { ...waiter.bridges, [id]: bridge }, round: state.overlays.round }
  })
  const freed = free({ ...state, waiters }, moment)
  return afterEnsure(freed.state, id, [...step.actions, ...freed.actions])
}

/** Answers those whose bridges are there and reach the other nodes. */
function free(state: Networks, { self }: Moment): Result {
  const isFree = ({ missing, round }: Waiter): boolean => missing.size === 0 && round <= state.overlays.done
  const actions = state.waiters.filter(isFree).map(({ taskId, bridges }) => {
    const { tables, host } = state.overlays
    const resolver = chooseResolver(tables, new Set(Object.keys(bridges)), host)
    return tellTask(self.home, taskId, { _tag: "Networked", bridges, ...(resolver && { resolver }) })
  })
  return { state: { ...state, waiters: state.waiters.filter((waiter) => !isFree(waiter)) }, actions }
}

const view = ({ overlays }: Networks): NetworkView => ({
  tables: overlays.tables,
  rounds: overlays.done,
  repairs: overlays.repairs,
  tunnels: overlays.tunnels,
  problems: overlays.problems,
  isLaying: overlays.isLaying,
  bridgeless: [...overlays.bridgeless]
})

/** A bridge that the Engine could not make, or lost, is asked for again. */
function lookAgain(before: Networks): Result {
  const { state, actions } = resume(before, look(before.overlays))
  const missing = [...state.overlays.bridgeless].flatMap((id) => state.wanted.get(id) ?? [])
  const step = ensure(state, missing)
  return { state: step.state, actions: [...actions, ...step.actions] }
}

/** Tunnels go by the new key as soon as the others know it. Where there can be none, somebody may install what is missing. */
function keyed(before: Networks, wireGuard: WireGuard, { self }: Moment): Result {
  const { state, actions } =
    before.overlays.tables.length === 0
      ? stay<Networks, NetworkAction>(before)
      : resume(before, lay(before.overlays))
  const told = tell(address(self.home, "session", "main"), {
    _tag: "Keyed",
    wireGuard
  } satisfies SessionMessage)
  const again = later("key", keyAgainMs, { _tag: "MakeKey" } satisfies NetworkMessage)
  return { state, actions: [...actions, told, ...(wireGuard.Refusal === undefined ? [] : [again])] }
}

function resume(state: Networks, { overlays, actions }: ReturnType<typeof lay>): Result {
  return { state: { ...state, overlays }, actions }
}

function notEnsured(
  state: Networks,
  { id, message, temporary }: { readonly id: string; readonly message: string; readonly temporary: boolean },
  { self }: Moment
): Result {
  const actions = state.waiters
    .filter(({ missing }) => missing.has(id))
    .map(({ taskId }) => tellTask(self.home, taskId, { _tag: "Unnetworked", message, temporary }))
  const waiters = state.waiters.filter(({ missing }) => !missing.has(id))
  return afterEnsure({ ...state, waiters }, id, actions)
}

/** A network that was dropped while it was being made goes now. */
function afterEnsure(before: Networks, id: string, actions: ReadonlyArray<Action>): Result {
  const state = { ...before, underway: without(before.underway, id) }
  if (!state.dropped.has(id)) return { state, actions }
  const step = drop(state, [id])
  return { state: step.state, actions: [...actions, ...step.actions] }
}

function removed(before: Networks, id: string): Result {
  const plan = before.next.get(id)
  const state = { ...before, underway: without(before.underway, id), next: without(before.next, id) }
  return plan === undefined ? stay(state) : ensure(state, [plan])
}

function kept(state: Networks, id: string, { fresh }: Moment): Result {
  const step = removed(state, id)
  const tries = step.state.dropped.get(id)
  if (tries === undefined) return step
  const dropped = new Map(step.state.dropped).set(id, tries + 1)
  const again = later(`remove-${id}`, backOff(tries + 1, removePatience, fresh), {
    _tag: "RemoveAgain",
    id
  } satisfies NetworkMessage)
  return { state: { ...step.state, dropped }, actions: [...step.actions, again] }
}

function publish(state: Networks): Result {
  if (state.ports === undefined) return stay(state)
  if (state.publishing) return stay({ ...state, stale: true })
  return stay<Networks, NetworkAction>(
    { ...state, publishing: true, stale: false, begun: state.told },
    { _tag: "PublishPorts", ports: state.ports }
  )
}

function published(before: Networks, problems: ReadonlyArray<PortProblem>, { fresh }: Moment): Result {
  const news = JSON.stringify(problems) !== JSON.stringify(before.problems)
  const attempt = problems.length > 0 ? before.publishAttempt + 1 : 0
  const state = { ...before, publishing: false, problems, publishAttempt: attempt, done: before.begun }
  const actions: Action[] = news && problems.length > 0 ? [{ _tag: "Complain", problems }] : []
  if (state.stale) {
    const step = publish(state)
    return { state: step.state, actions: [...actions, ...step.actions] }
  }
  // Somebody else's process may let go of the port.
  if (problems.length > 0) actions.push(publishLater(attempt + 5, fresh))
  return { state, actions }
}

function notPublished(before: Networks, message: string, { fresh }: Moment): Result {
  const problems = [{ protocol: "", publishedPort: 0, message }]
  const news = before.problems[0]?.message !== message
  const attempt = before.publishAttempt + 1
  // Nothing answers here, so nobody is led astray.
  const state = { ...before, publishing: false, publishAttempt: attempt, problems, done: before.begun }
  const actions: Action[] = news ? [{ _tag: "Complain", problems }] : []
  return { state, actions: [...actions, publishLater(attempt, fresh)] }
}

const publishLater = (attempt: number, fresh: Moment["fresh"]): CommonAction =>
  later("publish", backOff(attempt, publishPatience, fresh), {
    _tag: "PublishAgain"
  } satisfies NetworkMessage)

const tellTask = (home: string, taskId: string, message: TaskMessage): CommonAction =>
  tell(address(home, "task", taskId), message)

function without<Value>(map: ReadonlyMap<string, Value>, key: string): ReadonlyMap<string, Value> {
  const copy = new Map(map)
  copy.delete(key)
  return copy
}
