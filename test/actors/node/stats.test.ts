/** What tasks use, from what they had used by two moments. */
import { expect, test } from "bun:test"
import { decide, start } from "#actors/node/stats/decide.ts"
import type { Reading, StatsMessage } from "#actors/node/stats/protocol.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

const moment = { now: 0, fresh: Fresh.from(1), self: address("n", "stats", "main") }
const tasks = [{ id: "t1", container: "c1", pid: 7 }]
const reading = (at: number, cpuNanos: number): StatsMessage => ({
  _tag: "Read",
  readings: [{ id: "t1", at, cpuNanos, memoryBytes: 5 } satisfies Reading]
})

function after(...messages: ReadonlyArray<StatsMessage>) {
  let step = start(undefined, moment)
  for (const message of messages) step = decide(step.state, message, moment)
  return step.actions
}
const measure: StatsMessage = { _tag: "Measure", session: "s", tasks }

test("cores are what was used over the time between two readings, and go to the leader's actor of this node", () => {
  expect(after(measure, reading(1_000, 5e9), { _tag: "ReadAgain" }, reading(3_000, 6e9))[0]).toEqual({
    _tag: "Tell",
    to: address("leader", "node", "n"),
    message: { _tag: "Used", session: "s", tasks: [{ id: "t1", cpu: 0.5, memory: 5 }] }
  })
})

test("a first reading says nothing, and neither does that of a container which began anew", () => {
  const tells = (...readings: ReadonlyArray<StatsMessage>) =>
    after(measure, ...readings).filter(({ _tag }) => _tag === "Tell")
  expect(tells(reading(1_000, 5e9))).toEqual([])
  expect(tells(reading(1_000, 5e9), reading(2_000, 1e9))).toEqual([])
})

test("it reads as long as there is something to measure, one reading at a time", () => {
  expect(after(measure)).toEqual([{ _tag: "ReadNow", tasks }])
  expect(after(measure, measure)).toEqual([])
  const none: StatsMessage = { _tag: "Measure", session: "s", tasks: [] }
  expect(after(measure, none, reading(1_000, 1), { _tag: "ReadAgain" })).toEqual([])
  expect(after(measure, none, reading(1_000, 1), { _tag: "ReadAgain" }, measure)).toEqual([
    { _tag: "ReadNow", tasks }
  ])
})
