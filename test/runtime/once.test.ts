/** Questions that are asked again: handled at most once, whatever is lost, and never twice where it cannot be known. */
import { describe, expect, test } from "bun:test"
import { reply } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { type ReplyTo, stay } from "#runtime/behaviour.ts"
import { type Once, OnceWindow, readOnce, writeOnce } from "#runtime/once.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import type { Outcome } from "#runtime/wire.ts"
import { counter, type Process, World } from "#test/runtime/world.ts"

const answer = (text: string) => ({ headers: {}, body: new TextEncoder().encode(text) })
const once = (id: string, attempt = 1, ageMs = 0): Once => ({ id, attempt, ageMs, waitMs: 1_000 })

describe("what was answered", () => {
  const heard: string[] = []
  const hear = (_: unknown, body: Uint8Array): void => void heard.push(new TextDecoder().decode(body))

  test("is answered again from memory, to those who asked meanwhile and to those who ask later", () => {
    const window = new OnceWindow()
    heard.length = 0
    expect(window.judge(once("a"), 0, 5_000, hear)._tag).toBe("First")
    expect(window.judge(once("a", 2, 10), 0, 5_010, hear)._tag).toBe("Again")
    expect(heard).toEqual([])
    window.settle("a", answer("yes"))
    window.settle("a", answer("no"))
    expect(window.judge(once("a", 3, 20), 0, 5_020, hear)._tag).toBe("Again")
    expect(heard).toEqual(["yes", "yes"])
  })

  test("a first attempt that comes after the second is a repetition, too", () => {
    const window = new OnceWindow()
    expect(window.judge(once("a", 2, 10), 0, 5_000, hear)._tag).toBe("First")
    expect(window.judge(once("a", 1, 0), 0, 5_001, hear)._tag).toBe("Again")
  })

  test("a repetition of what was first asked before this process took its place is unknown, a first question is not", () => {
    const window = new OnceWindow()
    expect(window.judge(once("a", 2, 500), 4_000, 5_000, hear)._tag).toBe("Unknown")
    expect(window.judge(once("a", 2, 500), 3_499, 5_000, hear)._tag).toBe("First")
    expect(window.judge(once("b"), 4_999, 5_000, hear)._tag).toBe("First")
  })

  test("what was not taken may be taken at the next attempt", () => {
    const window = new OnceWindow()
    window.judge(once("a"), 0, 5_000, hear)
    window.release("a", answer("full"))
    expect(window.judge(once("a", 2, 10), 0, 5_010, hear)._tag).toBe("First")
  })

  test("those who asked again are let go when its time is up, and it stays what may have been handled", () => {
    const window = new OnceWindow()
    heard.length = 0
    window.judge(once("a"), 0, 5_000, hear)
    window.judge(once("a", 2, 10), 0, 5_010, hear)
    window.giveUp("a")
    expect(window.judge(once("a", 3, 20), 0, 5_020, hear)._tag).toBe("Again")
    window.settle("a", answer("late"))
    expect(heard).toEqual(["late"])
  })

  test("what had to be forgotten is unknown rather than new, by number, by bytes and by age", () => {
    const limits = { entries: 2, bytes: 1_000, keepMs: 60_000 }
    const byNumber = new OnceWindow(limits)
    for (const [i, id] of ["a", "b", "c"].entries()) byNumber.judge(once(id), 0, 5_000 + i, hear)
    expect(byNumber.judge(once("a", 2, 10), 0, 5_010, hear)._tag).toBe("Unknown")
    expect(byNumber.judge(once("d", 2, 10), 0, 8_000, hear)._tag).toBe("First")

    const byBytes = new OnceWindow(limits)
    byBytes.judge(once("a"), 0, 5_000, hear)
    byBytes.settle("a", answer("x".repeat(1_001)))
    expect(byBytes.size).toBe(0)
    expect(byBytes.judge(once("a", 2, 10), 0, 5_010, hear)._tag).toBe("Unknown")

    const byAge = new OnceWindow(limits)
    byAge.judge(once("a"), 0, 5_000, hear)
    byAge.judge(once("b"), 0, 65_000, hear)
    expect(byAge.size).toBe(1)
    expect(byAge.judge(once("a", 2, 60_010), 0, 65_010, hear)._tag).toBe("Unknown")
  })

  test("its header is read back as written, and nonsense counts as absent", () => {
    expect(readOnce("a", writeOnce(once("a", 3, 12.4)))).toEqual({ ...once("a", 3, 13) })
    for (const text of ["", "1", "1 2", "x 1 1", "1 2 3 4", "-1 2 3"])
      expect(readOnce("a", text)).toBeUndefined()
  })
})

describe("a question asked until it is answered", () => {
  const to = { home: "n1", kind: "ledger", id: "main" }
  /** Counts what it handles, and answers with that number. */
  const serve = (process: Process, handled: string[], kept?: ReplyTo[]): void => {
    const ledger = actor<undefined, null, { readonly name: string }, never>({
      kind: "ledger",
      accepts: counter().accepts as never,
      start: () => stay(null),
      decide: (state, question, { asker }) => {
        if (asker) handled.push(JSON.stringify(question))
        if (kept && asker) kept.push(asker)
        if (asker) return kept ? stay(state) : stay(state, reply(asker, { n: handled.length }))
        return stay(state, ...(kept ?? []).map((each) => reply(each, "late")))
      }
    })
    process.system.startTree(
      supervisor({
        name: "top",
        strategy: "one-for-one",
        tolerates: { crashes: 5, within: "1 minute" },
        children: [permanent(ledger)]
      }),
      "n1"
    )
  }
  const message = { _tag: "Get" }
  const ask = (
    world: World,
    process: Process,
    withinMs = 20_000
  ): { outcome?: Outcome; readonly tookMs: () => number } => {
    const begun = world.host.now()
    let ended = begun
    const heard: { outcome?: Outcome; readonly tookMs: () => number } = { tookMs: () => ended - begun }
    process.system.askOnceThen(to, message, withinMs, (outcome) => {
      heard.outcome = outcome
      ended = world.host.now()
    })
    return heard
  }

  test("is handled once and answered, whatever is lost and doubled on the way", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const world = new World(seed, { loss: 0.5, doubling: 0.5, leastMs: 0, mostMs: 300 })
      const [near, far] = [world.process("n1"), world.process("n2")]
      const handled: string[] = []
      serve(near, handled)
      world.host.advance(30_000)
      const heard = ask(world, far, 60_000)
      world.host.advance(60_000)
      expect(handled.length).toBe(1)
      expect(heard.outcome).toEqual({ _tag: "Answer", value: { n: 1 } })
    }
  })

  test("waits for a receiver that comes later, and for a transport that is down", () => {
    const world = new World()
    const far = world.process("n2")
    const heard = ask(world, far)
    world.host.advance(3_000)
    const handled: string[] = []
    far.transport.disconnect()
    world.host.advance(3_000)
    serve(world.process("n1"), handled)
    far.transport.reconnect()
    world.host.advance(1_000)
    expect(handled.length).toBe(1)
    expect(heard.outcome).toEqual({ _tag: "Answer", value: { n: 1 } })
  })

  test("is Stopped when its receiver started again after the first attempt: never handled twice in silence", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    const handled: string[] = []
    serve(near, handled, [])
    world.host.advance(5_000)
    const heard = ask(world, far)
    world.host.advance(500)
    expect(handled.length).toBe(1)
    near.transport.close()
    const again: string[] = []
    serve(world.process("n1"), again)
    world.host.advance(5_000)
    expect(again.length).toBe(0)
    expect(heard.outcome).toMatchObject({ _tag: "Stopped" })
  })

  test("goes again as soon as the transport has found another way", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    const handled: string[] = []
    serve(near, handled)
    world.host.advance(5_000)
    far.transport.disconnect()
    const heard = ask(world, far)
    world.host.advance(110)
    far.transport.reconnect()
    world.host.settle()
    expect(heard.outcome).toEqual({ _tag: "Answer", value: { n: 1 } })
    expect(heard.tookMs()).toBeLessThan(120)
  })

  test("ends in time: TimedOut when it may have been handled, what was in the way when it was not", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    const nobody = ask(world, far, 3_000)
    world.host.advance(3_100)
    expect(nobody.outcome).toMatchObject({ _tag: "NotHere" })
    const handled: string[] = []
    serve(near, handled, [])
    world.host.advance(5_000)
    const unanswered = ask(world, far, 3_000)
    world.host.advance(3_100)
    expect(handled.length).toBe(1)
    expect(unanswered.outcome).toMatchObject({ _tag: "TimedOut", withinMs: 3_000 })
  })

  test("an answer that takes longer than one attempt waits is heard by a later one", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    const handled: string[] = []
    const kept: ReplyTo[] = []
    serve(near, handled, kept)
    world.host.advance(5_000)
    const heard = ask(world, far)
    world.host.advance(4_500)
    expect(heard.outcome).toBeUndefined()
    near.system.tell(to, message)
    world.host.settle()
    expect(heard.outcome).toEqual({ _tag: "Answer", value: "late" })
    expect(kept.length).toBe(1)
  })
})
