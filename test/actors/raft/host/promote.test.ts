/** When a learner becomes a voter. */
import { expect, test } from "bun:test"
import type { CoreStatus } from "#actors/raft/core/protocol.ts"
import { type CatchUp, judgeLearners } from "#actors/raft/host/promote.ts"

const electionTicks = 10

/** A learner that has everything, silent for so many ticks at each tick in turn; when it is ready, if ever. */
function readyAt(silences: ReadonlyArray<number>): number | undefined {
  let rounds: ReadonlyMap<string, CatchUp> = new Map()
  for (const [now, silentTicks] of silences.entries()) {
    const peer = {
      id: "b",
      voter: false,
      match: 5,
      next: 6,
      state: "replicate",
      inFlight: 0,
      silentTicks
    } as const
    const status = { lastIndex: 5, peers: [peer] } as unknown as CoreStatus
    const judged = judgeLearners(status, rounds, now, electionTicks)
    rounds = judged.rounds
    if (judged.ready !== undefined) return now
  }
  return undefined
}

const steady = (ticks: number): ReadonlyArray<number> => Array.from({ length: ticks }, (_, at) => at % 2)

test("E5 a learner that has everything is promoted once it was heard steadily for an election timeout", () => {
  expect(readyAt(steady(30))).toBe(electionTicks)
})

test("E5 a learner that is held up, as a process that starts is, begins anew each time", () => {
  const heldUp = [1, 2, 3, 4, 5, 6]
  expect(readyAt([...steady(4), ...heldUp, ...steady(30)])).toBe(4 + 5 + electionTicks)
  expect(readyAt(Array.from({ length: 20 }, () => heldUp).flat())).toBeUndefined()
})
