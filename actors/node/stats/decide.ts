/** Once a second: what the machine and each task used since the last time, announced, and of some told to the leader. */
import type { MachineUse } from "#actors/drivers/machine/load.ts"
import type { Used } from "#actors/drivers/usage.ts"
import { type NodeFigures, nodeMetrics, type Row, taskMetrics } from "#actors/meter/figures.ts"
import type { FromNode } from "#actors/node/protocol.ts"
import type { Reading, StatsAction, StatsMessage, Watched } from "#actors/node/stats/protocol.ts"
import { type CommonAction, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface StatsState {
  readonly session: string
  readonly tasks: ReadonlyArray<Watched>
  readonly before: ReadonlyMap<string, Reading>
  readonly machine?: { readonly at: number; readonly use: MachineUse }
}

type StatsStep = Step<StatsState, StatsAction>
type Read = Extract<StatsMessage, { readonly _tag: "Read" }>
const stay = stayWith<StatsState, StatsAction>
const next = later("read", 1_000, { _tag: "ReadAgain" } satisfies StatsMessage)

export const start = (_props: undefined, _moment: Moment): StatsStep =>
  stay({ session: "", tasks: [], before: new Map() }, next)

export function decide(state: StatsState, message: StatsMessage, moment: Moment): StatsStep {
  switch (message._tag) {
    case "Measure":
      return stay({ ...state, session: message.session, tasks: message.tasks })
    case "ReadAgain":
      return stay(state, { _tag: "ReadNow", tasks: state.tasks })
    case "Read": {
      const { at, machine, readings } = message
      const before = new Map(readings.map((reading) => [reading.id, reading]))
      return stay(
        { ...state, before, machine: { at, use: machine } },
        ...announce(state, message),
        ...toLeader(state, readings, moment),
        next
      )
    }
  }
}

/** Without a reading before it there is no use in this one. */
function announce({ machine: before, before: tasks }: StatsState, read: Read): ReadonlyArray<StatsAction> {
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
  const columns: NodeFigures["columns"] = { node: nodeMetrics, task: taskMetrics }
  return [{ _tag: "SayFigures", figures: { at: read.at, columns, node, tasks: rows } }]
}

type Timed = Used & { readonly at: number }

/**
 * In the order of `taskMetrics`. A first reading says nothing of now, and neither does one of a container that began
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

export const summary = ({ tasks }: StatsState): string => `measures ${tasks.length} tasks`
