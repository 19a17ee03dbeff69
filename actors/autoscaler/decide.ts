/**
 * One service's autoscaler: gathers what its tasks use, asks the control law once a second, and writes how many tasks
 * follow, which is no update. It remembers nothing in the ledger: a new leader's watches anew, and takes no task
 * away before it has watched for as long as it has to look back.
 */
import type { AlertsMessage } from "#actors/alerts/protocol.ts"
import { choose, type Decision } from "#actors/autoscaler/choose.ts"
import { blank, type Memory, unasked } from "#actors/autoscaler/memory.ts"
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { natsPrefix, type Policy } from "#actors/autoscaler/policy.ts"
import type {
  AutoscalerAction,
  AutoscalerMessage,
  AutoscalerProps,
  Explained,
  RequestsOfNode,
  Usage
} from "#actors/autoscaler/protocol.ts"
import { room } from "#actors/autoscaler/room.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { idle, mayWrite, propose, settle, type Writing, writing } from "#actors/ledger/writer.ts"
import { addUp, quantileOf } from "#actors/meter/requests.ts"
import type { Service } from "#actors/model/objects.ts"
import { replicasOf } from "#actors/model/service-facts.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { isPaused, isUnderWay } from "#actors/model/update-status.ts"
import { later, reply, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { end, type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

/** Its maps change in place; they belong to this actor alone. */
export interface AutoscalerState {
  readonly ledger: LedgerReader
  readonly id: string
  readonly writing: Writing
  /** The spec that was read last, and what it asks for; or what the last good one did. */
  readonly spec?: ServiceSpec
  readonly policy?: Policy
  readonly problem?: string
  readonly memory: Memory
  /** By task, what its node said last, and when. */
  readonly used: Map<string, Usage & { readonly at: number }>
  /** By node, what its HTTP entrance was asked, and when that was heard. */
  readonly requests: Map<string, RequestsOfNode & { readonly at: number }>
  /** When it was heard last that somebody waits for the first task. */
  readonly waitedAt?: number
  /** By subject of NATS, what was said there last, and when it was heard. */
  readonly published: Map<string, { readonly value: number; readonly at: number }>
  readonly last?: Decision
  readonly changes: ReadonlyArray<Decision>
}

type AutoscalerStep = Step<AutoscalerState, AutoscalerAction>
const stay = stayWith<AutoscalerState, AutoscalerAction>

const everyMs = 1_000
/** What was said longer ago says nothing of now: five words missed. */
const staleMs = 5_000
/** One task that has only begun, and a tenth of them, may be missing from the sum. */
const mostMissing = (running: number): number => 1 + running / 10
const keptChanges = 50
const next = later("decide", everyMs, { _tag: "Decide" } satisfies AutoscalerMessage)

export function start({ ledger }: AutoscalerProps, { self, now }: Moment): AutoscalerStep {
  return stay(
    {
      ledger,
      id: self.id,
      writing: idle,
      memory: blank(now),
      used: new Map(),
      requests: new Map(),
      published: new Map(),
      changes: []
    },
    next
  )
}

export function decide(state: AutoscalerState, message: AutoscalerMessage, moment: Moment): AutoscalerStep {
  switch (message._tag) {
    case "Used":
      for (const task of message.tasks) state.used.set(task.id, { ...task, at: moment.now })
      return stay(state)
    case "Requests":
      state.requests.set(message.node, { ...message, at: moment.now })
      return stay(state)
    case "Waiting": {
      const waited = { ...state, waitedAt: moment.now }
      const isNews = (state.waitedAt ?? Number.NEGATIVE_INFINITY) < moment.now - staleMs
      return isNews ? decideNow(waited, moment) : stay(waited)
    }
    case "Published":
      state.published.set(message.subject, { value: message.value, at: moment.now })
      return stay(state)
    case "Explain":
      return moment.asker === undefined ? stay(state) : stay(state, reply(moment.asker, explained(state)))
    case "Proposed":
      return stay({ ...state, writing: settle(state.writing, message.outcome).writing })
    case "Decide":
      return decideNow(state, moment)
  }
}

function decideNow(before: AutoscalerState, { now }: Moment): AutoscalerStep {
  const service = before.ledger.get("service", before.id)
  if (service === undefined) return end(before)
  const state = before.spec === service.Spec ? before : read(before, service.Spec)
  const { policy } = state
  if (policy === undefined) return state.problem === undefined ? end(state) : stay(state, next)
  if (!mayWrite(state.writing)) return stay(state, next)
  const { running, figures } = measure(state, policy, now)
  const isAwaited = (state.waitedAt ?? Number.NEGATIVE_INFINITY) >= now - staleMs
  const decision = choose(policy, state.memory, {
    now,
    replicas: replicasOf(service.Spec),
    running,
    figures,
    callers: isAwaited || (figures.get("inflight") ?? 0) > 0,
    rollout: isRollingOut(service),
    room: () => room(state.ledger, service)
  })
  const decided: AutoscalerState = { ...state, last: decision }
  const told = tellUnknown(service, decision)
  if (decision.to === decision.from) return stay(decided, ...told, next)
  const changes = [decision, ...state.changes].slice(0, keptChanges)
  const write = scale(state.ledger, service, decision)
  return stay({ ...decided, changes, writing: writing(state.writing) }, write, ...told, next)
}

/** Tasks that do not run use nothing; what is published does not need them. */
function tellUnknown({ ID: service }: Service, { running, votes }: Decision) {
  const targets = votes.flatMap(({ target, wants }) =>
    wants === undefined && (running > 0 || target.startsWith(natsPrefix)) ? [target] : []
  )
  if (targets.length === 0) return []
  return [
    tell(address("leader", "alerts", "main"), { _tag: "Unknown", service, targets } satisfies AlertsMessage)
  ]
}

/** Labels that cannot be meant change nothing; without any, there is nothing to do any more. */
function read({ problem: _before, ...state }: AutoscalerState, spec: ServiceSpec): AutoscalerState {
  const policy = parsePolicy(spec)
  if (policy !== undefined && "problem" in policy) return { ...state, spec, problem: policy.problem }
  const { policy: _old, ...rest } = state
  state.memory.scheduled = unasked
  return { ...rest, spec, ...(policy !== undefined && { policy }) }
}

/** A paused update is under way, too: which of two specs its tasks have is for people to say. */
const isRollingOut = ({ UpdateStatus: status }: Service): boolean => isUnderWay(status) || isPaused(status)

function measure(
  { ledger, id, used, published, requests }: AutoscalerState,
  { targets }: Policy,
  now: number
): { readonly running: number; readonly figures: ReadonlyMap<string, number> } {
  let [running, known, cpu, memory, connections] = [0, 0, 0, 0, 0]
  const present = new Set<string>()
  for (const task of ledger.tasksOfService(id)) {
    if (task.Status.State !== "running" || task.DesiredState !== "running") continue
    running += 1
    present.add(task.ID)
    const usage = used.get(task.ID)
    if (usage === undefined || usage.at < now - staleMs) continue
    known += 1
    cpu += usage.cpu
    memory += usage.memory
    // Of one that cannot be counted nothing is known of them all.
    connections += usage.connections ?? Number.NaN
  }
  for (const taskId of used.keys()) if (!present.has(taskId)) used.delete(taskId)
  const isKnown = known > 0 && running - known <= mostMissing(running)
  const figures = new Map<string, number>()
  if (isKnown) {
    figures.set("cpu", cpu).set("memory", memory)
    if (!Number.isNaN(connections)) figures.set("connections", connections)
  }
  for (const [node, { at }] of requests) if (at < now - staleMs) requests.delete(node)
  if (requests.size > 0) {
    const asked = [...requests.values()]
    const [rps = 0, inflight = 0] = addUp(asked.map((one) => [one.rps, one.inflight]))
    figures.set("rps", rps).set("inflight", inflight)
    figures.set("p95", quantileOf(addUp(asked.map(({ took }) => took)), 0.95))
  }
  for (const { name, metric } of targets) {
    if (metric !== "nats") continue
    const said = published.get(name.slice(natsPrefix.length))
    if (said !== undefined && said.at >= now - staleMs) figures.set(name, said.value)
  }
  return { running, figures }
}

function scale(
  ledger: LedgerReader,
  { ID: id, Version: { Index: version }, Spec }: Service,
  { from, to, why }: Decision
): AutoscalerAction {
  const isKnown = (ledger.cluster()?.FeatureLevel ?? 0) >= levelOf["service.scale"]
  const spec = { ...Spec, Mode: { Replicated: { Replicas: to } } }
  return propose(`autoscaler: ${from} → ${to}, ${why}`, [
    isKnown
      ? { type: "service.scale", v: 1, id, version, replicas: to }
      : { type: "service.update", v: 1, id, version, spec, registryAuthFrom: "spec" }
  ])
}

const explained = ({ id, policy, problem, last, changes }: AutoscalerState): Explained => ({
  _tag: "Explained",
  service: id,
  min: policy?.min ?? 0,
  max: policy?.max ?? 0,
  ...(problem !== undefined && { problem }),
  ...(last !== undefined && { now: last }),
  changes
})

/** One line for the tree. */
export const summary = ({ last, problem, policy }: AutoscalerState): string =>
  problem ??
  (last === undefined ? "watches" : `${last.from} → ${last.to} of ${policy?.max ?? 0}: ${last.why}`)
