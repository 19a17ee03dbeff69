import { expect, test } from "bun:test"
import { recall } from "#cli/dashboard/page/recall.ts"
import type { Decision } from "#cli/print/autoscale.ts"

const decision = (second: number, from: number, to: number, recent?: number): Decision => ({
  At: new Date(second * 1000).toISOString(),
  From: from,
  To: to,
  Running: from,
  Wanted: to,
  Why: "",
  Votes: [
    {
      Target: "rps",
      Goal: 100,
      Panics: false,
      Wants: to,
      Mean: 1,
      ...(recent !== undefined && { Recent: recent })
    }
  ]
})

test("changes are told newest first, and drawn in the order of time with what was seen since", () => {
  const changes = [decision(20, 3, 5, 480), decision(10, 1, 3, 290)]
  const seen = recall([], { Changes: changes, Now: decision(30, 5, 5, 470) })
  const later = recall(seen, { Changes: changes, Now: decision(32, 5, 5) })
  expect(later.map(({ at, replicas, figures }) => [at, replicas, figures.rps])).toEqual([
    [10, 3, 290],
    [20, 5, 480],
    [30, 5, 470],
    [32, 5, 1]
  ])
})

test("a moment is kept once, and the oldest are forgotten", () => {
  let seen = recall([], { Changes: [decision(1, 1, 2)] })
  for (let second = 1; second <= 1_000; second++)
    seen = recall(seen, { Changes: [], Now: decision(second, 2, 2) })
  expect([seen.length, seen[0]?.at, seen.at(-1)?.at]).toEqual([900, 101, 1_000])
})
