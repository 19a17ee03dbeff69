/** The supervisor's judgement: single verdicts, and laws that hold for hundreds of seeded histories. */
import { describe, expect, test } from "bun:test"
import { Fresh } from "#runtime/ids.ts"
import {
  backOffMs,
  cleanHistory,
  type Ending,
  firstBackOffMs,
  type History,
  healthyAfterMs,
  judge,
  longestBackOffMs,
  type Rules,
  type Verdict
} from "#runtime/judge.ts"
import type { Restart, Strategy } from "#runtime/supervisor.ts"

const rules = (strategy: Strategy, ...restarts: ReadonlyArray<Restart>): Rules => ({
  strategy,
  crashes: 3,
  withinMs: 1_000,
  restarts
})
const ending = (child: number, rest: Partial<Ending> = {}): Ending => ({
  child,
  crashed: true,
  now: 0,
  aliveMs: 0,
  chance: 0,
  ...rest
})
const verdict = (given: Rules, end: Ending, history: History = cleanHistory): Verdict =>
  judge(history, given, end)[0]

describe("which children come back", () => {
  const three = ["permanent", "permanent", "permanent"] as const

  test.each([
    ["one-for-one", [1]],
    ["one-for-all", [0, 1, 2]],
    ["rest-for-one", [1, 2]]
  ] as const)("%s restarts %p when the middle one crashes", (strategy, children) => {
    expect(verdict(rules(strategy, ...three), ending(1))).toEqual({
      _tag: "Restart",
      stops: [...children],
      starts: [...children],
      afterMs: firstBackOffMs
    })
  })

  test.each([
    ["permanent", true, "Restart"],
    ["permanent", false, "Restart"],
    ["transient", true, "Restart"],
    ["transient", false, "Leave"],
    ["temporary", true, "Leave"],
    ["temporary", false, "Leave"]
  ] as const)("%s, crashed %p: %s", (restart, crashed, tag) => {
    expect(verdict(rules("one-for-one", restart), ending(0, { crashed }))._tag).toBe(tag)
  })

  test("a temporary sibling goes down with the others and stays down", () => {
    expect(verdict(rules("one-for-all", "permanent", "temporary"), ending(0))).toMatchObject({
      stops: [0, 1],
      starts: [0]
    })
  })
})

describe("giving up", () => {
  const run = (times: ReadonlyArray<number>): ReadonlyArray<string> => {
    let history = cleanHistory
    return times.map((now) => {
      const [next, after] = judge(history, rules("one-for-one", "permanent"), ending(0, { now }))
      history = after
      return next._tag
    })
  }

  test("as many crashes as tolerated are borne, one more within the period is not", () => {
    expect(run([0, 10, 20, 30])).toEqual(["Restart", "Restart", "Restart", "Escalate"])
  })

  test("crashes that lie a period back do not count any more", () => {
    expect(run([0, 10, 20, 1_010, 1_020, 1_030])).toEqual(Array(6).fill("Restart"))
    expect(run([0, 10, 20, 999])).toEqual(["Restart", "Restart", "Restart", "Escalate"])
  })

  test("for 500 seeds: it gives up exactly when more ends than tolerated lie within the period", () => {
    for (let seed = 0; seed < 500; seed++) {
      const chance = Fresh.from(seed)
      const given: Rules = {
        strategy: "one-for-one",
        crashes: chance.below(5),
        withinMs: 100 + chance.below(900),
        restarts: ["permanent", "transient", "temporary"]
      }
      let history = cleanHistory
      const counted: number[] = []
      let now = 0
      for (let i = 0; i < 40; i++) {
        now += chance.below(300)
        const end = ending(chance.below(3), {
          now,
          crashed: chance.below(2) === 0,
          chance: chance.fraction()
        })
        const [got, after] = judge(history, given, end)
        history = after
        const counts = end.child === 0 || (end.child === 1 && end.crashed)
        if (counts) counted.push(now)
        const recent = counted.filter((at) => at >= now - given.withinMs).length
        expect(got._tag).toBe(!counts ? "Leave" : recent > given.crashes ? "Escalate" : "Restart")
      }
    }
  })
})

describe("waiting before a restart", () => {
  test("doubles from crash to crash up to a limit, and jitter only lengthens it", () => {
    expect([0, 1, 2, 3].map((before) => backOffMs(before, 0))).toEqual([100, 200, 400, 800])
    expect(backOffMs(60, 0)).toBe(longestBackOffMs)
    for (let seed = 0; seed < 300; seed++) {
      const chance = Fresh.from(seed)
      const before = chance.below(40)
      const wait = backOffMs(before, chance.fraction())
      expect(wait).toBeGreaterThanOrEqual(backOffMs(before, 0))
      expect(wait).toBeLessThanOrEqual(backOffMs(before, 0) * 1.5 + 1)
    }
  })

  test("begins anew after a healthy life, and not before", () => {
    const given = { ...rules("one-for-one", "permanent"), crashes: 1_000 }
    const [, once] = judge(cleanHistory, given, ending(0))
    const [, twice] = judge(once, given, ending(0))
    const unhealthy = verdict(given, ending(0, { aliveMs: healthyAfterMs - 1 }), twice)
    expect(unhealthy).toMatchObject({ afterMs: 4 * firstBackOffMs })
    expect(verdict(given, ending(0, { aliveMs: healthyAfterMs }), twice)).toMatchObject({
      afterMs: firstBackOffMs
    })
  })

  test("is counted for each child by itself", () => {
    const given = { ...rules("one-for-one", "permanent", "permanent"), crashes: 1_000 }
    const [, history] = judge(cleanHistory, given, ending(0))
    expect(verdict(given, ending(1), history)).toMatchObject({ afterMs: firstBackOffMs })
  })

  test("one child that crashes for ever at once does not use up the usual tolerance", () => {
    const given: Rules = { strategy: "one-for-one", crashes: 10, withinMs: 60_000, restarts: ["permanent"] }
    let history = cleanHistory
    let now = 0
    for (let i = 0; i < 200; i++) {
      const [got, after] = judge(history, given, ending(0, { now }))
      history = after
      expect(got._tag).toBe("Restart")
      now += got._tag === "Restart" ? got.afterMs : 0
    }
  })
})
