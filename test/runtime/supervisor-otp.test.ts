/**
 * What the manual of OTP's `supervisor` documents, rule by rule, in its order:
 * https://www.erlang.org/doc/apps/stdlib/supervisor.html
 *
 * Where we differ on purpose, a title says so; why is in the README beside the code.
 */
import { describe, expect, test } from "bun:test"
import { dismiss, spawn } from "#runtime/actions.ts"
import type { AnyActor } from "#runtime/actor.ts"
import {
  type ChildSpec,
  many,
  permanent,
  type Restart,
  subtree,
  supervisor,
  temporary,
  transient
} from "#runtime/supervisor.ts"
import type { TreeFailed } from "#runtime/system.ts"
import { band, doing, explode, finish, grow, hold } from "#test/runtime/grow.ts"
import { counter } from "#test/runtime/world.ts"

type Three = [AnyActor, AnyActor, AnyActor]
const three = (diary: string[] = []): Three => band(diary, "a", "b", "c") as Three
const make = { permanent, transient, temporary }
const strict = { crashes: 1, within: "1 minute" } as const
const lenient = { crashes: 100, within: "1 minute" } as const

describe("supervision principles: a supervisor starts, stops and watches its children", () => {
  test("children start in the order of their specs, from left to right", () => {
    const diary: string[] = []
    grow({ children: three(diary).map((each) => permanent(each)) })
    expect(diary).toEqual(["a", "b", "c"])
  })

  test("before it ends, it ends its children in reversed start order, one after the other", () => {
    const { handle, stage, after } = grow({
      children: three().map((each) => permanent(each, { props: hold, stopWithin: "1 second" }))
    })
    const left: string[] = []
    handle.stop()
    for (let second = 0; second < 3; second++) {
      after(1_000)
      left.push(stage.running.map(({ self }) => self.split("/")[1]).join(""))
    }
    expect(left).toEqual(["ab", "a", ""])
  })
})

describe("restart strategies", () => {
  const crashed = (strategy: "one-for-one" | "one-for-all" | "rest-for-one", kind: string) => {
    const diary: string[] = []
    const { tell, after } = grow({ strategy, children: three(diary).map((each) => permanent(each)) })
    diary.length = 0
    tell(kind, explode)
    after(1_000)
    return diary.join("")
  }

  test("one_for_one: only the child that ended is restarted", () => {
    expect(["a", "b", "c"].map((kind) => crashed("one-for-one", kind))).toEqual(["a", "b", "c"])
  })
  test("one_for_all: all others are stopped, and then all are restarted", () => {
    expect(["a", "b", "c"].map((kind) => crashed("one-for-all", kind))).toEqual(["abc", "abc", "abc"])
  })
  test("rest_for_one: those started after it are stopped, and then it and those are restarted", () => {
    expect(["a", "b", "c"].map((kind) => crashed("rest-for-one", kind))).toEqual(["abc", "bc", "c"])
  })
  test("the others are stopped at once, and only their restart waits", () => {
    const { tell, children } = grow({
      strategy: "rest-for-one",
      children: three().map((each) => permanent(each))
    })
    tell("b", explode)
    expect(children()).toEqual(["a/main running", "b/main restarting", "c/main restarting"])
  })
  test("one_for_all stops the others in reversed start order and within their deadlines", () => {
    const { tell, stage, after } = grow({
      strategy: "one-for-all",
      children: [
        ...three().map((each) => permanent(each, { props: hold, stopWithin: "1 second" })),
        permanent(counter("d"))
      ]
    })
    const left = (): string =>
      stage.running
        .filter(({ interrupted }) => !interrupted)
        .map(({ self }) => self.split("/")[1])
        .join("")
    tell("d", explode)
    const seen = [left()]
    for (let second = 0; second < 2; second++) {
      after(1_000)
      seen.push(left())
    }
    expect(seen).toEqual(["abc", "ab", "a"])
  })
  test("one_for_all also restarts a transient child that had ended normally", () => {
    const diary: string[] = []
    const [a, b] = three(diary)
    const { tell, after } = grow({ strategy: "one-for-all", children: [transient(a), permanent(b)] })
    tell("a", finish)
    diary.length = 0
    tell("b", explode)
    after(1_000)
    expect(diary).toEqual(["a", "b"])
  })
  test.each(["one-for-all", "rest-for-one"] as const)(
    "%s: a temporary child that goes down with a sibling is deleted, not restarted",
    (strategy) => {
      const diary: string[] = []
      const [a, b] = three(diary)
      const { tell, after, children } = grow({ strategy, children: [permanent(a), temporary(b)] })
      diary.length = 0
      tell("a", explode)
      after(1_000)
      expect(diary).toEqual(["a"])
      expect(children()).toEqual(["a/main running"])
    }
  )
})

describe("restart types", () => {
  const rows: ReadonlyArray<readonly [Restart, object, boolean]> = [
    ["permanent", explode, true],
    ["permanent", finish, true],
    ["transient", explode, true],
    ["transient", finish, false],
    ["temporary", explode, false],
    ["temporary", finish, false]
  ]
  test.each(rows)("a %s child after %p comes back: %p", (restart, message, comesBack) => {
    const diary: string[] = []
    const [a] = three(diary)
    const { tell, after } = grow({ children: [make[restart](a)] })
    tell("a", message)
    after(1_000)
    expect(diary.length).toBe(comesBack ? 2 : 1)
  })

  test("permanent is what a child is unless said otherwise, and transient what a member is", () => {
    expect(subtree(supervisor({ name: "s", children: [] }))).toMatchObject({ restart: "permanent" })
    expect(many(counter())).toMatchObject({ restart: "transient" })
  })

  test("a temporary child never counts towards the intensity, however it ends", () => {
    const temporaries = ["a", "b", "c"].map((kind) => temporary(counter(kind)))
    const { tell, ended } = grow({ tolerates: { crashes: 0, within: "1 minute" }, children: temporaries })
    for (const kind of ["a", "b", "c"]) tell(kind, explode)
    expect(ended()).toBe(false)
  })

  test("a permanent child that ends normally is restarted, and that counts", () => {
    const { tell, after, ended } = grow({ tolerates: strict, children: [permanent(counter())] })
    tell("counter", finish)
    after(1_000)
    expect(ended()).toBe(false)
    tell("counter", finish)
    expect(ended()).toBe(true)
  })
})

describe("maximum restart intensity", () => {
  const crashTimes = (crashes: number, withinMs: number, ...times: ReadonlyArray<number>) => {
    const { tell, after, ended, world } = grow({
      tolerates: { crashes, within: withinMs },
      children: times.map((_, i) => permanent(counter(`k${i}`)))
    })
    const began = world.host.now()
    const alive = times.map((time, i) => {
      after(time - (world.host.now() - began))
      tell(`k${i}`, explode)
      return !ended()
    })
    return alive
  }

  test("as many restarts as tolerated within the period are borne, and one more is not", () => {
    expect(crashTimes(2, 1_000, 0, 1, 2)).toEqual([true, true, false])
  })
  test("an intensity of 0 bears no restart at all", () => {
    expect(crashTimes(0, 1_000, 0)).toEqual([false])
  })
  test("restarts older than the period do not count; one that is exactly as old does", () => {
    expect(crashTimes(1, 1_000, 0, 1_001, 2_002)).toEqual([true, true, true])
    expect(crashTimes(1, 1_000, 0, 1_000)).toEqual([true, false])
  })
  test("the period slides: it is no row of fixed windows", () => {
    expect(crashTimes(2, 1_000, 0, 900, 1_100, 1_200)).toEqual([true, true, true, false])
  })
  test("a clock that is set counts neither as time that passed nor as time that did not", () => {
    const { world, tell, after, ended } = grow({
      tolerates: { crashes: 1, within: "1 second" },
      children: ["a", "b", "c"].map((kind) => permanent(counter(kind)))
    })
    tell("a", explode)
    world.simulation.skew("n1", -3_600_000)
    after(1_500)
    tell("b", explode)
    expect(ended()).toBe(false)
    world.simulation.skew("n1", 3_600_000)
    after(500)
    tell("c", explode)
    expect(ended()).toBe(true)
  })
  test("a member's crashes are counted by the time that passes, too, whatever clocks say", () => {
    const { world, tell, after, ended } = grow({
      tolerates: { crashes: 0, within: "1 minute" },
      children: [
        permanent(counter("owner")),
        many(counter("m"), { tolerates: { crashes: 1, within: "1 second" } })
      ]
    })
    tell("owner", doing(spawn("m", "x", {})))
    tell("m", explode, "x")
    world.simulation.skew("n1", -3_600_000)
    after(1_500)
    tell("m", explode, "x")
    expect(ended()).toBe(false)
    world.simulation.skew("n1", 3_600_000)
    after(500)
    tell("m", explode, "x")
    expect(ended()).toBe(true)
  })
  test("a restart of several children counts once", () => {
    const { tell, after, ended } = grow({
      strategy: "one-for-all",
      tolerates: strict,
      children: three().map((each) => permanent(each))
    })
    tell("a", explode)
    after(1_000)
    expect(ended()).toBe(false)
  })
  test("a start that fails counts each time it is tried", () => {
    const broken = counter("a", {
      onStart: () => {
        throw new Error("never")
      }
    })
    const { after, failure } = grow({
      tolerates: { crashes: 3, within: "1 minute" },
      children: [permanent(broken)]
    })
    after(100 * 1.5 + 200 * 1.5 + 1)
    expect(failure()).toBeUndefined()
    after(400 * 1.5 + 1)
    expect(failure()?.message).toStartWith("top gave up after 4 crashes")
  })
  test("beyond it all children are ended and then the supervisor, and its own decides what follows", () => {
    const diary: string[] = []
    const [a, b, c] = three(diary)
    const inner = supervisor({ name: "inner", tolerates: strict, children: [permanent(b), permanent(c)] })
    const { tell, after, children } = grow({ children: [permanent(a), subtree(inner)] })
    tell("b", explode)
    after(1_000)
    diary.length = 0
    tell("b", explode)
    expect(children("inner")).toEqual(["b/main stopped", "c/main stopped"])
    after(1_000)
    expect(diary).toEqual(["b", "c"])
  })
  test("a restarted supervisor starts with a clean record", () => {
    const inner = supervisor({ name: "inner", tolerates: strict, children: [permanent(counter())] })
    const { tell, after, ended } = grow({ tolerates: strict, children: [subtree(inner)] })
    for (let crash = 0; crash < 3; crash++) {
      tell("counter", explode)
      after(5_000)
    }
    expect(ended()).toBe(false)
    tell("counter", explode)
    expect(ended()).toBe(true)
  })
  test("the top that gives up names the whole chain of causes", () => {
    const broken = supervisor({
      name: "inner",
      tolerates: { crashes: 0, within: "1 minute" },
      children: [permanent(counter())]
    })
    const { tell, failure } = grow({
      tolerates: { crashes: 0, within: "1 minute" },
      children: [subtree(broken)]
    })
    tell("counter", explode)
    const chain: string[] = []
    for (let error: unknown = failure(); error instanceof Error; error = error.cause)
      chain.push(error.message)
    expect(chain).toEqual([
      "top gave up after 1 crashes of its children within 60000 ms, the last of inner",
      "inner gave up after 1 crashes of its children within 60000 ms, the last of counter/main",
      "boom"
    ])
  })
  test("unlike OTP, giving up is a crash to the supervisor above: a transient one is restarted", () => {
    const strictest = { crashes: 0, within: "1 minute" } as const
    const inner = supervisor({ name: "inner", tolerates: strictest, children: [permanent(counter())] })
    const { tell, after, sum } = grow({ children: [subtree(inner, { restart: "transient" })] })
    tell("counter", explode)
    after(1_000)
    expect(sum("counter")).toBe(0)
  })
})

describe("back-off, which OTP has not", () => {
  test("each restart in a row waits twice as long as the one before, up to 30 s, and anew after 30 s of health", () => {
    const starts: number[] = []
    const watched = counter("a", { onStart: () => starts.push(0) })
    const { tell, after, world } = grow({ tolerates: lenient, children: [permanent(watched)] })
    const wait = (): number => {
      const [lives, from] = [starts.length, world.host.now()]
      tell("a", explode)
      world.host.runUntil(() => starts.length > lives, 60_000)
      return world.host.now() - from
    }
    const waits = Array.from({ length: 11 }, wait)
    for (const [i, ms] of waits.entries()) {
      const base = Math.min(30_000, 100 * 2 ** i)
      expect(ms).toBeGreaterThanOrEqual(base)
      expect(ms).toBeLessThanOrEqual(base * 1.5)
    }
    after(30_000)
    expect(wait()).toBeLessThanOrEqual(150)
  })
})

describe("shutdown of a child", () => {
  const stopping = (stopWithin: "infinity" | "kill" | number) => {
    const grown = grow({ children: [permanent(counter(), { props: hold, stopWithin })] })
    let stopped = false
    grown.handle.stop(() => {
      stopped = true
    })
    return { ...grown, stopped: () => stopped }
  }

  test("a time: it is asked to end, and killed when it has not by then", () => {
    const { after, stage, stopped } = stopping(2_000)
    after(1_999)
    expect([stage.running[0]?.interrupted, stopped()]).toEqual([false, false])
    after(1)
    expect([stage.running.length, stopped()]).toEqual([0, true])
  })
  test("a time: it ends sooner when it has nothing left to do", () => {
    const { world, stage, stopped } = stopping(2_000)
    stage.running[0]?.done({ messages: [] })
    world.host.settle()
    expect(stopped()).toBe(true)
  })
  test("brutal_kill: it is killed at once, and nothing is waited for", () => {
    const grown = grow({ children: [permanent(counter(), { props: hold, stopWithin: "kill" })] })
    grown.stage.stubborn = true
    let stopped = false
    grown.handle.stop(() => {
      stopped = true
    })
    grown.world.host.settle()
    expect([grown.stage.running[0]?.interrupted, stopped]).toEqual([true, true])
  })
  test("0 is not brutal_kill: what is interrupted at once may still release what it holds", () => {
    const grown = grow({ children: [permanent(counter(), { props: hold, stopWithin: 0 })] })
    grown.stage.stubborn = true
    let stopped = false
    grown.handle.stop(() => {
      stopped = true
    })
    grown.after(1_999)
    expect([grown.stage.running[0]?.interrupted, stopped]).toEqual([true, false])
    grown.after(1)
    expect(stopped).toBe(true)
  })
  test("infinity: it has all the time it wants", () => {
    const { after, stage, stopped } = stopping("infinity")
    after(86_400_000)
    expect([stage.running[0]?.interrupted, stopped()]).toEqual([false, false])
    stage.running[0]?.done({ messages: [] })
    after(0)
    expect(stopped()).toBe(true)
  })
  test("5 seconds is what a worker has unless said otherwise, and a supervisor has infinity", () => {
    expect(permanent(counter())).toMatchObject({ stopWithin: "5 seconds" })
    const slow = supervisor({
      name: "slow",
      children: ["a", "b"].map((kind) => permanent(counter(kind), { props: hold, stopWithin: "1 hour" }))
    })
    const { handle, after, stage } = grow({ children: [subtree(slow)] })
    handle.stop()
    after(3_600_000)
    expect(stage.running.map(({ self }) => self)).toEqual(["n1/a/main"])
  })
})

describe("automatic shutdown", () => {
  const significant = { significant: true } as const
  const grown = (
    autoShutdown: "never" | "any-significant" | "all-significant",
    ...children: ReadonlyArray<ChildSpec>
  ) => {
    const tree = grow({ autoShutdown, children })
    return { ...tree, down: () => tree.ended() && tree.failure() === undefined }
  }

  test("never: the supervisor stays, though all its children have ended", () => {
    const { tell, ended, children } = grown("never", transient(counter("a")), temporary(counter("b")))
    tell("a", finish)
    tell("b", finish)
    expect([ended(), children()]).toEqual([false, ["a/main stopped"]])
  })
  test("any_significant: it ends with the first significant child, the others ended in reversed start order", () => {
    const { tell, down, stage, after, ended } = grown(
      "any-significant",
      permanent(counter("a"), { props: hold, stopWithin: "1 second" }),
      transient(counter("b"), significant),
      permanent(counter("c"), { props: hold, stopWithin: "1 second" })
    )
    tell("b", finish)
    expect(ended()).toBe(false)
    after(1_000)
    expect(stage.running.map(({ self }) => self)).toEqual(["n1/a/main"])
    after(1_000)
    expect(down()).toBe(true)
  })
  test("all_significant: it ends with the last significant child, in whatever order they end", () => {
    for (const order of ["ab", "ba"]) {
      const { tell, down } = grown(
        "all-significant",
        transient(counter("a"), significant),
        temporary(counter("b"), significant),
        permanent(counter("c"))
      )
      tell(order[0] as string, finish)
      expect(down()).toBe(false)
      tell(order[1] as string, finish)
      expect(down()).toBe(true)
    }
  })
  test("a child that is not significant ends without any consequence", () => {
    const { tell, ended } = grown(
      "any-significant",
      transient(counter("a")),
      transient(counter("b"), significant)
    )
    tell("a", finish)
    expect(ended()).toBe(false)
  })
  test("a transient significant child that crashes is restarted instead, and counts as alive meanwhile", () => {
    const { tell, ended, after, sum } = grown(
      "all-significant",
      transient(counter("a"), significant),
      transient(counter("b"), significant)
    )
    tell("a", explode)
    tell("b", finish)
    expect(ended()).toBe(false)
    after(1_000)
    expect(sum("a")).toBe(0)
  })
  test("a temporary significant child ends it however it ends", () => {
    const { tell, down } = grown("any-significant", temporary(counter("a"), significant))
    tell("a", explode)
    expect(down()).toBe(true)
  })
  test("an end that the supervisor itself brought about triggers nothing: by hand, or with a sibling", () => {
    const { order, ended } = grown("any-significant", transient(counter("a"), significant))
    expect(order("stop", ["top", "a/main"])).toBe("done")
    expect(ended()).toBe(false)
    const all = grow({
      strategy: "one-for-all",
      autoShutdown: "any-significant",
      children: [permanent(counter("a")), temporary(counter("b"), significant)]
    })
    all.tell("a", explode)
    all.after(1_000)
    expect([all.ended(), all.children()]).toEqual([false, ["a/main running"]])
  })
  test("a significant child that was stopped by hand does not keep the supervisor alive", () => {
    const { order, tell, down } = grown(
      "all-significant",
      transient(counter("a"), significant),
      transient(counter("b"), significant)
    )
    order("stop", ["top", "a/main"])
    tell("b", finish)
    expect(down()).toBe(true)
  })
  test("to the supervisor above it is a normal end: permanent comes back, transient and temporary do not", () => {
    for (const restart of ["permanent", "transient", "temporary"] as const) {
      const diary: string[] = []
      const [a] = three(diary)
      const inner = supervisor({
        name: "inner",
        autoShutdown: "any-significant",
        children: [transient(a, significant)]
      })
      const { tell, after, ended } = grow({ children: [subtree(inner, { restart })] })
      tell("a", finish)
      after(1_000)
      expect([restart, diary.length, ended()]).toEqual([restart, restart === "permanent" ? 2 : 1, false])
    }
  })
  test("it goes on upward when the supervisor is itself a significant child", () => {
    const inner = supervisor({
      name: "inner",
      autoShutdown: "any-significant",
      children: [transient(counter("a"), significant)]
    })
    const { tell, down } = grown(
      "any-significant",
      subtree(inner, { restart: "transient", significant: true }),
      permanent(counter("b"))
    )
    tell("a", finish)
    expect(down()).toBe(true)
  })
})

describe("specs that make no sense are refused when they are made, by the name of the field", () => {
  const a = counter("a")
  const refusals: ReadonlyArray<readonly [string, () => unknown, string]> = [
    [
      "a permanent child that is significant",
      () => permanent(a, { significant: true }),
      "Cannot supervise a/main: significant is not for permanent children: they always come back"
    ],
    [
      "a permanent supervisor that is significant",
      () => subtree(supervisor({ name: "s", children: [] }), { significant: true }),
      "Cannot supervise s: significant is not for permanent children: they always come back"
    ],
    [
      "a significant child under a supervisor that never shuts down by itself",
      () =>
        supervisor({ name: "s", children: [permanent(counter("b")), transient(a, { significant: true })] }),
      `Cannot supervise s: children[1].significant of a/main means nothing while autoShutdown is "never"`
    ],
    [
      "two children of one name",
      () => supervisor({ name: "s", children: [permanent(a), temporary(a)] }),
      "Cannot supervise s: children[1] is a second a/main"
    ],
    [
      "two groups of one kind",
      () => supervisor({ name: "s", children: [many(a), many(a)] }),
      "Cannot supervise s: children[1] is a second many a"
    ],
    [
      "a negative intensity",
      () => supervisor({ name: "s", tolerates: { crashes: -1, within: 1 }, children: [] }),
      "Cannot supervise s: tolerates.crashes is -1: it is a whole number from 0 up"
    ],
    [
      "half a crash",
      () => many(a, { tolerates: { crashes: 0.5, within: 1 } }),
      "Cannot supervise many a: tolerates.crashes is 0.5: it is a whole number from 0 up"
    ],
    [
      "a period of nothing",
      () => supervisor({ name: "s", tolerates: { crashes: 1, within: 0 }, children: [] }),
      "Cannot supervise s: tolerates.within is no duration longer than nothing"
    ],
    [
      "a period that never ends",
      () => supervisor({ name: "s", tolerates: { crashes: 1, within: "Infinity" }, children: [] }),
      "Cannot supervise s: tolerates.within is no duration longer than nothing"
    ],
    [
      "an unknown strategy",
      () => supervisor({ name: "s", strategy: "one_for_one" as never, children: [] }),
      `Cannot supervise s: strategy is "one_for_one": it is one of one-for-one, one-for-all, rest-for-one`
    ],
    [
      "an unknown automatic shutdown",
      () => supervisor({ name: "s", autoShutdown: "always" as never, children: [] }),
      `Cannot supervise s: autoShutdown is "always": it is one of never, any-significant, all-significant`
    ],
    [
      "an unknown restart type",
      () => many(a, { restart: "sometimes" as never }),
      `Cannot supervise many a: restart is "sometimes": it is one of permanent, transient, temporary`
    ],
    [
      "a shutdown that is no time",
      () => permanent(a, { stopWithin: "soon" as never }),
      `Cannot supervise a/main: stopWithin is no duration, "infinity" or "kill"`
    ],
    [
      "an id that no subject can carry",
      () => permanent(a, { id: "a.b" }),
      "Cannot supervise a/a.b: id cannot stand in a subject"
    ],
    [
      "a supervisor without a name",
      () => supervisor({ name: "", children: [] }),
      "Cannot supervise a supervisor: name is empty"
    ]
  ]
  test.each(refusals)("%s", (_, spec, words) => {
    expect(spec).toThrow(words)
  })
})

describe("starting a supervisor", () => {
  const failing = (times: number, diary: string[]): AnyActor =>
    counter("b", {
      onStart: () => {
        diary.push("b")
        if (times-- > 0) throw new Error("cannot start")
      }
    })

  test("with an intensity of 0, a start that fails ends those already started in reversed order, and the supervisor", () => {
    const diary: string[] = []
    const [a, , c] = three(diary)
    const { failure, after, stage } = grow({
      tolerates: { crashes: 0, within: "1 minute" },
      children: [permanent(a, { props: hold }), permanent(failing(9, diary)), permanent(c)]
    })
    after(5_000)
    expect([diary, stage.running]).toEqual([["a", "b"], []])
    expect((failure() as TreeFailed).cause).toMatchObject({ message: "cannot start" })
  })
  test("unlike OTP, a start that fails is otherwise tried again after a while, and those below wait for it", () => {
    const diary: string[] = []
    const [a, , c] = three(diary)
    const { after, children } = grow({
      children: [permanent(a), permanent(failing(2, diary)), permanent(c)]
    })
    expect(children()).toEqual(["a/main running", "b/main restarting", "c/main stopped"])
    after(1_000)
    expect(diary).toEqual(["a", "b", "b", "b", "c"])
  })
  test("unlike OTP, a temporary child that cannot start is left out, and the others start without it", () => {
    const diary: string[] = []
    const [a, , c] = three(diary)
    grow({ children: [permanent(a), temporary(failing(9, diary)), permanent(c)] })
    expect(diary).toEqual(["a", "b", "c"])
  })
  test("a temporary child that has not lived yet still gets its life after one above it failed to start", () => {
    const diary: string[] = []
    const [, , c] = three(diary)
    const { after } = grow({
      strategy: "one-for-all",
      children: [permanent(failing(2, diary)), temporary(c)]
    })
    after(1_000)
    expect(diary).toEqual(["b", "b", "b", "c"])
  })
  test("a supervisor is up only when all its children are", () => {
    const diary: string[] = []
    const [, , c] = three(diary)
    const inner = supervisor({ name: "inner", children: [permanent(failing(2, diary))] })
    const { after, children } = grow({ children: [subtree(inner), permanent(c)] })
    expect(children()).toEqual(["inner starting", "c/main stopped"])
    after(1_000)
    expect(children()).toEqual(["inner running", "c/main running"])
  })
})

describe("terminate_child: stopChild", () => {
  test("stops a child within its deadline, and answers when it is down; it is not restarted", () => {
    const { order, system, world, after, children } = grow({
      children: [permanent(counter("a"), { props: hold, stopWithin: "1 second" }), permanent(counter("b"))]
    })
    let heard: string | undefined
    system.order(["top", "a/main"], "stop", (outcome) => {
      heard = outcome
    })
    after(999)
    expect([heard, children()]).toEqual([undefined, ["a/main stopping", "b/main running"]])
    after(1)
    expect(heard).toBe("done")
    world.host.advance(60_000)
    expect(children()).toEqual(["a/main stopped", "b/main running"])
    expect(order("stop", ["top", "a/main"])).toBe("done")
  })
  test("its address is free, and whoever watches it is told", () => {
    const { order, system, world, sum } = grow({ children: [permanent(counter())] })
    let told: string | undefined
    system.watch({ home: "n1", kind: "counter", id: "main" }, (reason) => {
      told = reason
    })
    order("stop", { home: "n1", kind: "counter", id: "main" })
    world.host.settle()
    expect([told, sum("counter")]).toEqual(["it was stopped by hand", "NotHere"])
  })
  test("a temporary child is deleted by it", () => {
    const { order, children } = grow({ children: [temporary(counter())] })
    expect(order("stop", ["top", "counter/main"])).toBe("done")
    expect(children()).toEqual([])
    expect(order("start", ["top", "counter/main"])).toBe("not-found")
  })
  test("an unknown child, and the top of a tree, are not found", () => {
    const { order } = grow({ children: [permanent(counter())] })
    expect(["top", "nobody"].map((name) => order("stop", name === "top" ? ["top"] : ["top", name]))).toEqual([
      "not-found",
      "not-found"
    ])
  })
  test("ends the wait of a child between two lives for good", () => {
    const { order, tell, after, children } = grow({ children: [permanent(counter())] })
    tell("counter", explode)
    order("stop", ["top", "counter/main"])
    after(60_000)
    expect(children()).toEqual(["counter/main stopped"])
  })
  test("a later restart of all brings it back", () => {
    const diary: string[] = []
    const [a, b] = three(diary)
    const { order, tell, after } = grow({ strategy: "one-for-all", children: [permanent(a), permanent(b)] })
    order("stop", ["top", "a/main"])
    diary.length = 0
    tell("b", explode)
    after(1_000)
    expect(diary).toEqual(["a", "b"])
  })
  test("a whole supervisor is stopped with its children, last first, and a group with its members", () => {
    const inner = supervisor({ name: "inner", children: [permanent(counter("a")), many(counter("worker"))] })
    const { order, tell, sum, children } = grow({ children: [permanent(counter("boss")), subtree(inner)] })
    tell("boss", explode)
    expect(order("stop", ["top", "inner"])).toBe("done")
    expect([sum("a"), children("inner")]).toEqual(["NotHere", ["a/main stopped", "many worker stopped"]])
    expect(order("stop", ["top", "inner", "a/main"])).toBe("supervisor-down")
    expect(order("start", ["top", "inner"])).toBe("done")
    expect([sum("a"), children("inner")]).toEqual([0, ["a/main running", "many worker running"]])
  })
})

describe("restart_child: startChild", () => {
  test("starts a child that was stopped, or that ended by itself, from its spec", () => {
    const { order, tell, sum } = grow({
      children: [permanent(counter("a"), { props: { from: 3 } }), transient(counter("b"))]
    })
    order("stop", ["top", "a/main"])
    tell("b", finish)
    expect([sum("a"), sum("b")]).toEqual(["NotHere", "NotHere"])
    expect([order("start", ["top", "a/main"]), order("start", ["top", "b/main"])]).toEqual(["done", "done"])
    expect([sum("a"), sum("b")]).toEqual([3, 0])
  })
  test("refuses while the child runs or is being restarted, or is not known", () => {
    const { order, tell } = grow({ children: [permanent(counter())] })
    expect(order("start", ["top", "counter/main"])).toBe("running")
    tell("counter", explode)
    expect(order("start", ["top", "counter/main"])).toBe("restarting")
    expect(order("start", ["top", "nobody/main"])).toBe("not-found")
  })
  test("a start by hand that fails is judged like any other", () => {
    let broken = false
    const fragile = counter("a", {
      onStart: () => {
        if (broken) throw new Error("not now")
      }
    })
    const { order, after, children } = grow({ children: [permanent(fragile)] })
    order("stop", ["top", "a/main"])
    broken = true
    expect(order("start", ["top", "a/main"])).toBe("done")
    expect(children()).toEqual(["a/main restarting"])
    broken = false
    after(1_000)
    expect(children()).toEqual(["a/main running"])
  })
})

describe("delete_child: deleteChild", () => {
  test("forgets a child that is down, and refuses one that is not", () => {
    const { order, tell, children } = grow({ children: [permanent(counter("a")), permanent(counter("b"))] })
    expect(order("delete", ["top", "a/main"])).toBe("running")
    tell("a", explode)
    expect(order("delete", ["top", "a/main"])).toBe("restarting")
    order("stop", ["top", "a/main"])
    expect(order("delete", ["top", "a/main"])).toBe("done")
    expect(children()).toEqual(["b/main running"])
    expect(order("start", ["top", "a/main"])).toBe("not-found")
  })
  test("what is deleted stays out of a restart of all, and comes back with a restart of the supervisor itself", () => {
    const diary: string[] = []
    const [a, b] = three(diary)
    const inner = supervisor({
      name: "inner",
      strategy: "one-for-all",
      children: [permanent(a), permanent(b)]
    })
    const { order, tell, after } = grow({ children: [subtree(inner)] })
    order("stop", ["top", "inner", "a/main"])
    order("delete", ["top", "inner", "a/main"])
    diary.length = 0
    tell("b", explode)
    after(1_000)
    expect(diary).toEqual(["b"])
    order("restart", ["top", "inner"])
    after(1_000)
    expect(diary).toEqual(["b", "a", "b"])
  })
})

describe("restart by hand, which OTP does by exit(Pid, kill)", () => {
  test("is a crash to the supervisor: of an actor, a group and a supervisor", () => {
    const diary: string[] = []
    const [a, b] = three(diary)
    const inner = supervisor({ name: "inner", children: [permanent(b)] })
    const { system, after, events } = grow({
      strategy: "rest-for-one",
      children: [permanent(a), many(counter("worker")), subtree(inner)]
    })
    diary.length = 0
    for (const path of [["a/main"], ["many worker"], ["inner"], ["inner", "b/main"]]) {
      expect(system.restart(["top", ...path])).toBe(true)
      after(1_000)
    }
    expect(diary.join("")).toBe("abbbb")
    expect(events.map((event) => event.name)).toEqual([
      "n1/a/main",
      "n1/many worker",
      "n1/inner",
      "n1/b/main"
    ])
  })
  test("the top has nobody to judge it: it is stopped and starts again from its spec", () => {
    const diary: string[] = []
    const { system, world, ended } = grow({ children: three(diary).map((each) => permanent(each)) })
    diary.length = 0
    expect(system.restart(["top"])).toBe(true)
    world.host.settle()
    expect([diary.join(""), ended()]).toEqual(["abc", false])
  })
})

describe("which_children, count_children and get_childspec: the tree at a glance", () => {
  test("every child with its kind and whether it runs, is being restarted, or is down; nothing of what is deleted", () => {
    const inner = supervisor({ name: "inner", strategy: "rest-for-one", children: [permanent(counter("d"))] })
    const { system, tell, order } = grow({
      children: [
        ...three().map((each) => permanent(each)),
        temporary(counter("e")),
        subtree(inner),
        many(counter("worker"))
      ]
    })
    tell("b", explode)
    tell("e", finish)
    order("stop", ["top", "c/main"])
    const top = system.inspectChild(["top"])
    expect(top?.children.map(({ name, kind, state }) => [name, kind, state])).toEqual([
      ["a/main", "actor", "running"],
      ["b/main", "actor", "restarting"],
      ["c/main", "actor", "stopped"],
      ["inner", "supervisor", "running"],
      ["many worker", "supervisor", "running"]
    ])
    const count = (holds: (state: string, kind: string) => boolean): number =>
      top?.children.filter(({ state, kind }) => holds(state, kind)).length ?? 0
    expect({
      specs: count(() => true),
      active: count((state) => state === "running"),
      supervisors: count((_, kind) => kind === "supervisor"),
      workers: count((_, kind) => kind === "actor")
    }).toEqual({ specs: 5, active: 3, supervisors: 2, workers: 3 })
  })
  test("one child by its path or, for an actor, by its address", () => {
    const { system } = grow({ children: [permanent(counter(), { props: { from: 7 } })] })
    const byPath = system.inspectChild(["top", "counter/main"])
    expect(byPath).toMatchObject({ state: "running", summary: "sum 7" })
    expect(system.inspectChild({ home: "n1", kind: "counter", id: "main" })).toEqual(byPath)
    expect(system.inspectChild(["top", "nobody"])).toBeUndefined()
    expect(system.inspectChild(["tip", "counter/main"])).toBeUndefined()
  })
})

describe("simple_one_for_one: many", () => {
  const grown = (options: Parameters<typeof many>[1] = {}, ...ids: ReadonlyArray<string>) => {
    const diary: string[] = []
    const worker = counter("worker", { onStart: () => diary.push("w") })
    const tree = grow({ children: [permanent(counter("boss")), many(worker, options)] })
    for (const id of ids) tree.tell("boss", doing(spawn("worker", id, hold)))
    return { ...tree, diary }
  }
  const path = (id: string): ReadonlyArray<string> => ["top", "many worker", `worker/${id}`]

  test("starts with no child; each is started on demand from the one spec", () => {
    const { children, tell } = grown()
    expect(children("many worker")).toEqual([])
    tell("boss", doing(spawn("worker", "w1", {})))
    tell("boss", doing(spawn("worker", "w2", {})))
    expect(children("many worker")).toEqual(["worker/w1 running", "worker/w2 running"])
  })
  test("its children are stopped all at once and in no order, each within its own deadline", () => {
    const { handle, stage, after } = grown({ stopWithin: "2 seconds" }, "w1", "w2", "w3")
    handle.stop()
    after(1_999)
    expect(stage.running.length).toBe(3)
    after(1)
    expect(stage.running.length).toBe(0)
  })
  test("one_for_one among them: only the one that crashed is restarted", () => {
    const { tell, after, diary } = grown({}, "w1", "w2", "w3")
    diary.length = 0
    tell("worker", explode, "w2")
    after(1_000)
    expect(diary.length).toBe(1)
  })
  test("a transient child that ends normally is deleted, and a temporary one however it ends", () => {
    const { tell, after, children } = grown({}, "w1", "w2")
    tell("worker", finish, "w1")
    // It lets what it holds end first, within its deadline.
    after(5_000)
    expect(children("many worker")).toEqual(["worker/w2 running"])
    const fleeting = grown({ restart: "temporary" }, "w1", "w2")
    fleeting.tell("worker", explode, "w1")
    fleeting.world.host.settle()
    expect(fleeting.children("many worker")).toEqual(["worker/w2 running"])
  })
  test("terminate_child ends one of them; unlike OTP it is remembered, and can be started again or deleted", () => {
    const { order, children } = grown({ stopWithin: 0 }, "w1", "w2")
    expect(order("stop", path("w1"))).toBe("done")
    expect(children("many worker")).toEqual(["worker/w1 stopped", "worker/w2 running"])
    expect(order("start", path("w2"))).toBe("running")
    expect(order("start", path("w1"))).toBe("done")
    expect(children("many worker")).toEqual(["worker/w1 running", "worker/w2 running"])
    order("stop", path("w1"))
    expect(order("delete", path("w2"))).toBe("running")
    expect(order("delete", path("w1"))).toBe("done")
    expect(order("start", path("w1"))).toBe("not-found")
    expect(children("many worker")).toEqual(["worker/w2 running"])
  })
  test("a temporary one is deleted by terminate_child", () => {
    const { order, children } = grown({ restart: "temporary", stopWithin: 0 }, "w1")
    expect(order("stop", path("w1"))).toBe("done")
    expect(children("many worker")).toEqual([])
  })
  test("a Spawn does not undo what was stopped by hand; a Dismiss forgets it", () => {
    const { order, tell, children } = grown({ stopWithin: 0 }, "w1")
    order("stop", path("w1"))
    tell("boss", doing(spawn("worker", "w1", {})))
    expect(children("many worker")).toEqual(["worker/w1 stopped"])
    tell("boss", doing(dismiss("worker", "w1")))
    expect(children("many worker")).toEqual([])
  })
  test("unlike OTP, a group that restarts starts the same actors again, and judges each of them by itself", () => {
    const { tell, after, children, diary } = grown({ stopWithin: 0, tolerates: strict }, "w1", "w2", "w3")
    for (const id of ["w1", "w2", "w3"]) tell("worker", explode, id)
    after(1_000)
    expect(diary.length).toBe(6)
    tell("worker", explode, "w1")
    after(1_000)
    expect(diary.length).toBe(9)
    expect(children("many worker")).toEqual(["worker/w1 running", "worker/w2 running", "worker/w3 running"])
  })
  test("a group that gives up waits until the last of its actors is down", () => {
    const { tell, after, children, stage } = grown(
      { stopWithin: "1 second", tolerates: { crashes: 0, within: "1 minute" } },
      "w1",
      "w2",
      "w3"
    )
    tell("worker", explode, "w1")
    after(500)
    expect([stage.running.length, children()[1]]).toEqual([2, "many worker stopping"])
    after(500)
    expect(children()[1]).toBe("many worker restarting")
  })
  test("a group that is stopped by hand and started again has its actors again", () => {
    const { order, children, diary } = grown({ stopWithin: 0 }, "w1", "w2")
    order("stop", ["top", "many worker"])
    expect(children("many worker")).toEqual(["worker/w1 stopped", "worker/w2 stopped"])
    expect(order("start", path("w1"))).toBe("supervisor-down")
    order("start", ["top", "many worker"])
    expect(children("many worker")).toEqual(["worker/w1 running", "worker/w2 running"])
    expect(diary.length).toBe(4)
  })
})
