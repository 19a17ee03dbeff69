/** When a thread counts as stuck, and how it says what it is about. */
import { describe, expect, test } from "bun:test"
import { address } from "#runtime/address.ts"
import { Blackboard } from "#runtime/blackboard.ts"
import { lookoutOn } from "#runtime/lookout.ts"
import { look, type Watch } from "#runtime/stuck.ts"

const limits = { stuckMs: 5_000, tickMs: 500 }

/** How many ticks it takes until the thread counts as stuck; undefined when it never does. */
function ticksUntilStuck(tick: {
  tookMs: number
  cpuMs: number
  beats?: (tick: number) => number
}): number | undefined {
  let watch: Watch = { beats: 0, silentMs: 0, cpuMs: 0 }
  for (let n = 1; n <= 200; n++) {
    const beats = tick.beats?.(n) ?? 0
    const seen = look(watch, { beats, tookMs: tick.tookMs, cpuMs: n * tick.cpuMs }, limits)
    if (seen.stuck) return n
    watch = seen.watch
  }
  return undefined
}

describe("a thread is stuck", () => {
  test("when no heartbeat came for the time allowed while the process computed", () => {
    expect(ticksUntilStuck({ tookMs: 500, cpuMs: 500 })).toBe(10)
  })
  test("not while heartbeats come, however late", () => {
    expect(ticksUntilStuck({ tookMs: 500, cpuMs: 500, beats: (n) => Math.floor(n / 9) })).toBeUndefined()
  })
  test("not while the process computes next to nothing: it waits, or sits in a debugger", () => {
    expect(ticksUntilStuck({ tookMs: 500, cpuMs: 1 })).toBeUndefined()
  })
  test("later on a busy machine: once it has computed for half of the time allowed", () => {
    expect(ticksUntilStuck({ tookMs: 500, cpuMs: 50 })).toBe(50)
  })
  test("not because the machine slept: a long tick counts as two", () => {
    const watch: Watch = { beats: 0, silentMs: 0, cpuMs: 0 }
    const after = look(watch, { beats: 0, tookMs: 3_600_000, cpuMs: 10_000 }, limits)
    expect(after).toMatchObject({ stuck: false, watch: { silentMs: 1_000 } })
  })
})

describe("what the thread is about", () => {
  const actorOf = (id: string) => ({ self: address("n1", "worker", id), mark: 0 })

  test("is the actor and the message of the present turn, and nothing between turns", () => {
    const board = new Blackboard()
    const { enter, about, leave } = lookoutOn(board)
    const before = enter(actorOf("w1"))
    about({ _tag: "Pursue" })
    expect(new Blackboard(board.memory).read()).toEqual({ actor: "n1/worker/w1", tag: "Pursue" })
    leave(before)
    expect(board.read()).toEqual({ actor: undefined, tag: undefined })
  })
  test("is the outer actor again after a start inside its turn", () => {
    const board = new Blackboard()
    const { enter, leave } = lookoutOn(board)
    enter(actorOf("outer"))
    leave(enter(actorOf("inner")))
    expect(board.read().actor).toBe("n1/worker/outer")
  })
  test("is right for more actors and messages than there is room for at one time", () => {
    const board = new Blackboard()
    const { enter, about, leave } = lookoutOn(board)
    const actors = Array.from({ length: 3_000 }, (_, i) => actorOf(`w${i}`))
    for (let round = 0; round < 2; round++) {
      for (const [i, each] of actors.entries()) {
        const before = enter(each)
        about({ _tag: `Tag${i % 700}` })
        expect(board.read()).toEqual({ actor: `n1/worker/w${i}`, tag: `Tag${i % 700}` })
        leave(before)
      }
    }
  })
  test("is cut where it is too long, and messages without a tag keep the one before", () => {
    const board = new Blackboard()
    const { enter, about } = lookoutOn(board)
    enter(actorOf("w1"))
    about({ _tag: "é".repeat(100) })
    expect(board.read().tag).toBe("?".repeat(64))
    about(undefined)
    about({})
    expect(board.read().tag).toBe("?".repeat(64))
  })
})
