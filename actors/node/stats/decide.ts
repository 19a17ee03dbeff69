/** Once a second: what the machine and each task used since the last time, announced, and of some told to the leader. */
import type { EntranceCounts } from "#actors/drivers/entrance.ts"
import type { PortEndpoint } from "#actors/drivers/led.ts"
import type { MachineUse } from "#actors/drivers/machine/load.ts"
import type { Used } from "#actors/drivers/usage.ts"
import {
  type ConnectionFigures,
  type NodeFigures,
  nodeMetrics,
  type Row,
  usageMetrics
} from "#actors/meter/figures.ts"
import type { FromNode } from "#actors/node/protocol.ts"
import { connectionFigures, countOn, emptyTally, type Tally } from "#actors/node/stats/connections.ts"
import type { Reading, StatsAction, StatsMessage, Watched } from "#actors/node/stats/protocol.ts"
import { figuresOf, type Requests, requestsSince } from "#actors/node/stats/requests.ts"
import { type CommonAction, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

interface CountedAt {
  readonly at: number
  readonly counts: EntranceCounts
}

export interface StatsState {
  readonly session: string
  readonly tasks: ReadonlyArray<Watched>
  readonly before: ReadonlyMap<string, Reading>
  readonly machine?: { readonly at: number; readonly use: MachineUse }
  readonly routed: ReadonlySet<string>
  readonly hosted: ReadonlyArray<PortEndpoint>
  readonly entrance?: CountedAt
  readonly connections: Tally
  /** How many readings there have been since what was led was read, and that one. */
  readonly sinceLed: number
}

type StatsStep = Step<StatsState, StatsAction>
type Read = Extract<StatsMessage, { readonly _tag: "Read" }>
const stay = stayWith<StatsState, StatsAction>
/** The kernel's counters are had from a process, which takes ten times as long as all else that is read. */
const readingsPerLed = 5
const next = later("read", 1_000, { _tag: "ReadAgain" } satisfies StatsMessage)

export const start = (_props: undefined, _moment: Moment): StatsStep =>
  stay(
    {
      session: "",
      tasks: [],
      before: new Map(),
      routed: new Set(),
      hosted: [],
      connections: emptyTally,
      sinceLed: 0
    },
    next
  )

export function decide(state: StatsState, message: StatsMessage, moment: Moment): StatsStep {
  switch (message._tag) {
    case "Measure":
      return stay({
        ...state,
        session: message.session,
        tasks: message.tasks,
        routed: message.routed,
        hosted: message.hosted
      })
    case "ReadAgain":
      return stay(
        { ...state, sinceLed: (state.sinceLed + 1) % readingsPerLed },
        {
          _tag: "ReadNow",
          tasks: state.tasks,
          counting: state.routed.size > 0,
          leading: state.sinceLed === 0,
          hosted: state.hosted
        }
      )
    case "Read": {
      const { entrance: counted, ...rest } = state
      const { at, machine, readings, entrance: counts, led } = message
      const before = new Map(readings.map((reading) => [reading.id, reading]))
      const entrance = counts && { at, counts }
      const requests = entrance && counted && requestsSince(state.routed, entrance, counted)
      const connections = led === undefined ? state.connections : countOn(state.connections, led, at)
      return stay(
        { ...rest, before, machine: { at, use: machine }, ...(entrance && { entrance }), connections },
        ...announce(state, message, requests, connectionFigures(connections)),
        ...toLeader(state, readings, moment),
        ...(requests === undefined ? [] : ofEntrance(state, requests, moment)),
        next
      )
    }
  }
}

/** Without a reading before it there is no use in this one. */
function announce(
  { machine: before, before: tasks }: StatsState,
  read: Read,
  requests: Requests | undefined,
  connections: ConnectionFigures | undefined
): ReadonlyArray<StatsAction> {
  if (before === undefined) return []
  const rows: Record<string, Row> = {}
  for (const reading of read.readings) {
    const row = rowSince(reading, tasks.get(reading.id))
    if (row !== undefined) rows[reading.id] = row
  }
  const { machine } = read
  const common = rowSince({ ...machine, at: read.at }, { ...before.use, at: before.at })
  if (common === undefined) return []
  const node = [
    ...common,
    ...[machine.cores, machine.memoryTotal, machine.load, machine.diskFree, machine.diskTotal].map(rounded)
  ]
  const columns: NodeFigures["columns"] = { node: nodeMetrics, task: usageMetrics }
  const entrance = requests && figuresOf(requests)
  const figures = {
    at: read.at,
    columns,
    node,
    tasks: rows,
    ...(entrance && { entrance }),
    ...(connections && { connections })
  }
  return [{ _tag: "SayFigures", figures }]
}

type Timed = Used & { readonly at: number }

/**
 * In the order of `usageMetrics`. A first reading says nothing of now, and neither does one of a container that began
 * anew.
 */
function rowSince(now: Timed, before: Timed | undefined): Row | undefined {
  const cpu = coresSince(now, before)
  if (before === undefined || cpu === undefined) return undefined
  const perSecond = (key: Counter): number => rateSince(key, now, before)
  return [
    cpu,
    now.memoryBytes,
    perSecond("rxBytes"),
    perSecond("txBytes"),
    perSecond("readBytes"),
    perSecond("writtenBytes"),
    now.pids,
    perSecond("accepted")
  ].map(rounded)
}

type Counter = "rxBytes" | "txBytes" | "readBytes" | "writtenBytes" | "accepted"

const rateSince = (key: Counter, now: Timed, before: Timed): number =>
  (Math.max(0, now[key] - before[key]) * 1_000) / (now.at - before.at)

function coresSince(now: Timed, before: Timed | undefined): number | undefined {
  const elapsedMs = before === undefined ? 0 : now.at - before.at
  const nanos = now.cpuNanos - (before?.cpuNanos ?? 0)
  return elapsedMs <= 0 || nanos < 0 || Number.isNaN(nanos) ? undefined : nanos / 1e6 / elapsedMs
}

/** Nobody needs more than a ten-thousandth, and it travels once a second; JSON has no word for what is not known. */
const rounded = (value: number): number | null =>
  Number.isNaN(value) ? null : Math.round(value * 10_000) / 10_000

/** What tasks of services that follow their load use. */
function toLeader(
  state: StatsState,
  readings: ReadonlyArray<Reading>,
  { self }: Moment
): ReadonlyArray<CommonAction> {
  const scaled = new Set(state.tasks.filter((task) => task.scaled).map(({ id }) => id))
  const tasks = readings.flatMap((reading) => {
    if (!scaled.has(reading.id)) return []
    const before = state.before.get(reading.id)
    const cpu = coresSince(reading, before)
    if (before === undefined || cpu === undefined) return []
    const connections = rateSince("accepted", reading, before)
    const common = { id: reading.id, cpu, memory: reading.memoryBytes }
    return [Number.isNaN(connections) ? common : { ...common, connections }]
  })
  if (tasks.length === 0) return []
  const used: FromNode = { _tag: "Used", session: state.session, tasks }
  return [tell(address("leader", "node", self.home), used)]
}

/** What this node's entrance sees of services that it leads to. */
function ofEntrance(
  { session }: StatsState,
  { services }: Requests,
  { self }: Moment
): ReadonlyArray<CommonAction> {
  const told = [...services].map(([id, { rps, inflight, took }]) => ({ id, rps, inflight, took }))
  const message: FromNode = { _tag: "Requests", session, services: told }
  return told.length === 0 ? [] : [tell(address("leader", "node", self.home), message)]
}

export const summary = ({ tasks }: StatsState): string => `measures ${tasks.length} tasks`
