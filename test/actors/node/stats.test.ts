/** What the machine and its tasks use, from what they had used by two moments. */
import { expect, test } from "bun:test"
import type { MachineUse } from "#actors/drivers/machine/load.ts"
import { nodeMetrics, usageMetrics } from "#actors/meter/figures.ts"
import { parseFigures } from "#actors/meter/parse-figures.ts"
import { decide, start } from "#actors/node/stats/decide.ts"
import type { Reading, StatsAction, StatsMessage } from "#actors/node/stats/protocol.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

const moment = { now: 0, fresh: Fresh.from(1), self: address("n", "stats", "main") }
const counted = {
  rxBytes: 0,
  txBytes: 0,
  readBytes: 0,
  writtenBytes: 0,
  pids: 3,
  memoryBytes: 5,
  accepted: 0
}
const machineAt = (cpuNanos: number): MachineUse => ({
  ...counted,
  cpuNanos,
  cores: 2,
  memoryTotal: 100,
  load: 0.5,
  diskFree: 7,
  diskTotal: 8
})
const reading = (at: number, cpuNanos: number, more: Partial<Reading> = {}): StatsMessage => ({
  _tag: "Read",
  at,
  machine: machineAt(cpuNanos * 2),
  readings: [{ id: "t1", at, cpuNanos, ...counted, ...more }]
})
const measure = (scaled: boolean): StatsMessage => ({
  _tag: "Measure",
  session: "s",
  tasks: [{ id: "t1", container: "c1", pid: 7, scaled }],
  routed: new Set()
})

function after(...messages: ReadonlyArray<StatsMessage>) {
  let step = start(undefined, moment)
  for (const message of messages) step = decide(step.state, message, moment)
  return step.actions
}
const announced = (actions: ReadonlyArray<{ readonly _tag: string }>) =>
  actions.flatMap((action) =>
    action._tag === "SayFigures" ? [(action as StatsAction & { _tag: "SayFigures" }).figures] : []
  )
const told = (actions: ReadonlyArray<{ readonly _tag: string }>) =>
  actions.filter(({ _tag }) => _tag === "Tell")

test("cores are what was used over the time between two readings, and go to the leader's actor of this node", () => {
  expect(told(after(measure(true), reading(1_000, 5e9), { _tag: "ReadAgain" }, reading(3_000, 6e9)))).toEqual(
    [
      {
        _tag: "Tell",
        to: address("leader", "node", "n"),
        message: { _tag: "Used", session: "s", tasks: [{ id: "t1", cpu: 0.5, memory: 5, connections: 0 }] }
      }
    ] as never
  )
})

test("what tasks use whose services ask for nothing is announced, and not told to the leader", () => {
  const more = { rxBytes: 4_000, writtenBytes: 100, accepted: 20 }
  const actions = after(measure(false), reading(1_000, 5e9), reading(3_000, 6e9, more))
  expect(told(actions)).toEqual([])
  expect(announced(actions)).toEqual([
    {
      at: 3_000,
      columns: { node: nodeMetrics, task: usageMetrics },
      node: [1, 5, 0, 0, 0, 0, 3, 0, 2, 100, 0.5, 7, 8],
      tasks: { t1: [0.5, 5, 2_000, 0, 0, 50, 3, 10] }
    }
  ])
})

test("a first reading says nothing, and neither does that of a container which began anew", () => {
  const tasks = (...readings: ReadonlyArray<StatsMessage>) =>
    announced(after(measure(true), ...readings)).map((figures) => figures.tasks)
  expect(tasks(reading(1_000, 5e9))).toEqual([])
  expect(told(after(measure(true), reading(1_000, 5e9), reading(2_000, 1e9)))).toEqual([])
})

test("what cannot be known is announced as nothing, and read as unknown", () => {
  const [figures] = announced(
    after(measure(true), reading(1_000, 5e9), reading(2_000, 6e9, { rxBytes: Number.NaN, pids: Number.NaN }))
  )
  expect(figures?.tasks.t1).toEqual([1, 5, null, 0, 0, 0, null, 0])
  expect(parseFigures(JSON.stringify(figures))?.tasks.get("t1")).toEqual([
    1,
    5,
    Number.NaN,
    0,
    0,
    0,
    Number.NaN,
    0
  ])
})

test("the machine is read every second, with or without tasks, one reading at a time", () => {
  expect(after()).toMatchObject([{ _tag: "Later", key: "read", message: { _tag: "ReadAgain" } }] as never)
  expect(after({ _tag: "ReadAgain" })).toEqual([{ _tag: "ReadNow", tasks: [], counting: false }])
  expect(after(measure(true), { _tag: "ReadAgain" })).toMatchObject([
    { _tag: "ReadNow", tasks: [{ id: "t1" }] }
  ] as never)
  expect(after(measure(true))).toEqual([])
  expect(after({ _tag: "ReadAgain" }, reading(1_000, 1)).map(({ _tag }) => _tag)).toEqual(["Later"])
})
