/** Supervision: who starts, stops and comes back, in which order and after how long. */
import { describe, expect, test } from "bun:test"
import { cancel, dismiss, later, spawn, tell as tellTo } from "#runtime/actions.ts"
import type { AnyActor } from "#runtime/actor.ts"
import type { Performer } from "#runtime/performer.ts"
import { describeEvent } from "#runtime/slots.ts"
import {
  many,
  permanent,
  type SupervisorSpec,
  subtree,
  supervisor,
  temporary,
  transient
} from "#runtime/supervisor.ts"
import type { TreeFailed, TreeNode } from "#runtime/system.ts"
import { add, at, band, doing, explode, grow, hold } from "#test/runtime/grow.ts"
import { counter, World } from "#test/runtime/world.ts"

describe("starting and stopping", () => {
  test("children start from top to bottom and stop from bottom to top, one after the other", () => {
    const diary: string[] = []
    const [a, b, c] = band(diary, "a", "b", "c") as [AnyActor, AnyActor, AnyActor]
    const inner = supervisor({ name: "inner", children: [permanent(b, { props: hold })] })
    const { stage, handle, world } = grow({
      children: [permanent(a, { props: hold }), subtree(inner), permanent(c, { props: hold })]
    })
    expect(diary).toEqual(["a", "b", "c"])
    const running = (): ReadonlyArray<string> =>
      stage.running.map((each) => each.self.split("/")[1] as string)
    expect(running()).toEqual(["a", "b", "c"])

    let stopped = false
    handle.stop(() => {
      stopped = true
    })
    // Each has 5 seconds for the action that it holds on to; the one above waits for it.
    const steps: string[] = []
    for (let second = 0; second < 16 && !stopped; second++) {
      world.host.advance(1_000)
      if (steps.at(-1) !== running().join("")) steps.push(running().join(""))
    }
    expect(steps).toEqual(["abc", "ab", "a", ""])
    expect(stopped).toBe(true)
  })

  test("an action that ends in time is not interrupted, and what it yields is not handled any more", () => {
    const diary: string[] = []
    const [a] = band(diary, "a") as [AnyActor]
    const { stage, handle, world } = grow({
      children: [permanent(a, { props: hold, stopWithin: "3 seconds" })]
    })
    let stopped = false
    handle.stop(() => {
      stopped = true
    })
    world.host.advance(2_000)
    const [held] = stage.running
    held?.done({ messages: [explode] })
    world.host.settle()
    expect(held?.interrupted).toBe(false)
    expect(stopped).toBe(true)
  })

  test("an action that ignores its interruption is left behind rather than waited for", () => {
    const { stage, handle, world } = grow({
      children: [permanent(counter("a"), { props: hold, stopWithin: "1 second" })]
    })
    stage.stubborn = true
    let stopped = false
    handle.stop(() => {
      stopped = true
    })
    expect(world.host.runUntil(() => stopped, 10_000)).toBe(true)
    expect(stage.running[0]?.interrupted).toBe(true)
  })

  test("a child waits until the one above it has come up", () => {
    const diary: string[] = []
    let failures = 2
    const broken = counter("a", {
      onStart: () => {
        diary.push("a")
        if (failures-- > 0) throw new Error("not yet")
      }
    })
    const [b] = band(diary, "b") as [AnyActor]
    const { world } = grow({ children: [permanent(broken), permanent(b)] })
    expect(diary).toEqual(["a"])
    world.host.advance(1_000)
    expect(diary).toEqual(["a", "a", "a", "b"])
  })

  test("a stopped tree leaves no address behind, and can be started again", () => {
    const { system, handle, world, sum } = grow({ children: [permanent(counter())] })
    expect(sum("counter")).toBe(0)
    handle.stop()
    world.host.settle()
    expect(sum("counter")).toBe("NotHere")
    expect(system.trees()).toEqual([])
    system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n1")
    world.host.settle()
    expect(sum("counter")).toBe(0)
  })

  test("a tree whose address is still taken waits until it is free", () => {
    const { system, handle, world, sum } = grow({ children: [permanent(counter(), { props: { from: 1 } })] })
    const second = [permanent(counter(), { props: { from: 2 } })]
    system.startTree(supervisor({ name: "second", children: second }), "n1")
    world.host.settle()
    expect(sum("counter")).toBe(1)
    handle.stop()
    world.host.advance(1_000)
    expect(sum("counter")).toBe(2)
  })
})

describe("a crash", () => {
  const circle = new Error("round and round")
  circle.cause = new Error("it goes", { cause: circle })
  const mute = {
    get message(): string {
      throw new Error("not even that")
    }
  }
  const thrown: ReadonlyArray<readonly [string, unknown]> = [
    ["an error that is its own cause's cause", circle],
    ["an object that is no text", Object.create(null)],
    ["an object whose message cannot be read", mute],
    ["an error that is called no text", Object.assign(new Error("x"), { name: Symbol("y") })],
    ["a symbol", Symbol("s")],
    ["nothing", undefined]
  ]
  test.each(thrown)("is judged whatever was thrown: %s", (_, value) => {
    let lives = 0
    const odd = counter("odd", {
      onStart: () => {
        if (lives++ === 0) throw value
      }
    })
    const { after, children, sum, events } = grow({ children: [permanent(odd)] })
    after(1_000)
    expect(children()).toEqual(["odd/main running"])
    expect(sum("odd")).toBe(0)
    expect(events.map((event) => describeEvent(event).split(":", 1)[0])).toEqual(["n1/odd/main crashed"])
  })

  test("loses the message that caused it and the memory, and nothing else", () => {
    const { system, world, tell, sum, events } = grow({
      children: [permanent(counter()), permanent(counter("b"))]
    })
    tell("counter", add(1))
    tell("b", add(7))
    for (const message of [explode, add(20), add(300)]) system.tell(at("counter"), message)
    world.host.advance(1_000)
    expect(sum("counter")).toBe(320)
    expect(sum("b")).toBe(7)
    expect(events).toMatchObject([{ _tag: "Crashed", name: "n1/counter/main", error: { message: "boom" } }])
  })

  test("answers those whom the actor forgot, and keeps those who still wait in its inbox", () => {
    const { system, world } = grow({ children: [permanent(counter())] })
    const heard: string[] = []
    const ask = (name: string, message: object): void => {
      system.askThen(at("counter"), message, 10_000, (outcome) => heard.push(`${name} ${outcome._tag}`))
    }
    ask("forgotten", { _tag: "Keep" })
    ask("guilty", explode)
    ask("waiting", { _tag: "Get" })
    world.host.settle()
    expect(heard).toEqual(["forgotten Stopped", "guilty Stopped"])
    world.host.advance(1_000)
    expect(heard).toEqual(["forgotten Stopped", "guilty Stopped", "waiting Answer"])
  })

  test("loses what its own actions came to, as it loses those under way", () => {
    const { world, system, stage, sum, after, tell } = grow({ children: [permanent(counter("a"))] })
    tell("a", doing({ _tag: "Hold" }))
    system.tell(at("a"), explode)
    system.tell(at("a"), add(1))
    stage.running[0]?.done({ messages: [add(10)] })
    world.host.settle()
    after(1_000)
    expect(sum("a")).toBe(1)
  })

  test("loses what it was to hear of its tells", () => {
    const { world, system, sum, after } = grow({ children: [permanent(counter("a"))] })
    system.tell(at("a"), doing(tellTo(at("nobody"), add(1), add(10))))
    system.tell(at("a"), explode)
    world.host.settle()
    after(1_000)
    expect(sum("a")).toBe(0)
  })

  test("comes from an error that leaves an action as well, and interrupts the other actions", () => {
    const { stage, world, tell, sum } = grow({ children: [permanent(counter())] })
    tell("counter", add(5))
    tell("counter", doing({ _tag: "First" }))
    tell("counter", doing({ _tag: "Second" }))
    const [first, second] = stage.running
    first?.done({ error: new Error("disk full") })
    world.host.settle()
    expect(second?.interrupted).toBe(true)
    world.host.advance(1_000)
    expect(sum("counter")).toBe(0)
  })

  test("in the first of several actions keeps the others from being asked for", () => {
    const world = new World()
    const { system, stage } = world.process("n1")
    const perform = stage.perform
    const failing: Performer = {
      perform: (definition, action, self, done) => {
        if ((action as { _tag: string })._tag !== "Fail") return perform(definition, action, self, done)
        done({ error: new Error("at once") })
        return { interrupt: () => {} }
      }
    }
    const children = [permanent(counter(), { props: { actions: [{ _tag: "Fail" }, { _tag: "Next" }] } })]
    system.startTree(supervisor({ name: "top", children }), "n1", { performer: failing })
    world.host.settle()
    expect(stage.running).toEqual([])
  })

  test("waits for interrupted actions before the next life begins, but not for ever", () => {
    const diary: string[] = []
    const [a] = band(diary, "a") as [AnyActor]
    const { stage, world, tell } = grow({ children: [permanent(a, { props: hold })] })
    stage.stubborn = true
    tell("a", explode)
    world.host.advance(1_000)
    expect(diary).toEqual(["a"])
    world.host.advance(2_000)
    expect(diary).toEqual(["a", "a"])
  })

  test("results of an earlier life are not given to the next one", () => {
    const { stage, world, tell, sum } = grow({ children: [permanent(counter())] })
    stage.stubborn = true
    tell("counter", doing({ _tag: "Slow" }))
    const [slow] = stage.running
    tell("counter", explode)
    world.host.advance(5_000)
    slow?.done({ messages: [add(99)] })
    world.host.settle()
    expect(sum("counter")).toBe(0)
  })

  test("the wait before a restart grows from crash to crash and is short again after a healthy life", () => {
    const starts: number[] = []
    const world = new World()
    const { system } = world.process("n1")
    const watched = counter("a", { onStart: () => starts.push(world.host.now()) })
    system.startTree(supervisor({ name: "top", children: [permanent(watched)] }), "n1")
    const crash = (): number => {
      const before = world.host.now()
      const lives = starts.length
      system.tell(at("a"), explode)
      world.host.runUntil(() => starts.length > lives, 60_000)
      return (starts.at(-1) as number) - before
    }
    const waits = [crash(), crash(), crash()]
    world.host.advance(31_000)
    waits.push(crash())
    const within = (ms: number, base: number): boolean => ms >= base && ms <= base * 1.5
    expect(waits.map((ms, i) => within(ms, [100, 200, 400, 100][i] as number))).toEqual([
      true,
      true,
      true,
      true
    ])
  })
})

describe("strategies", () => {
  const crashB = (strategy: SupervisorSpec["strategy"]): ReadonlyArray<string> => {
    const diary: string[] = []
    const [a, b, c] = band(diary, "a", "b", "c") as [AnyActor, AnyActor, AnyActor]
    const { tell, world } = grow({ strategy, children: [permanent(a), permanent(b), permanent(c)] })
    diary.length = 0
    tell("b", explode)
    world.host.advance(1_000)
    return diary
  }

  test("one-for-one restarts the one that crashed", () => {
    expect(crashB("one-for-one")).toEqual(["b"])
  })
  test("one-for-all restarts all, from the top", () => {
    expect(crashB("one-for-all")).toEqual(["a", "b", "c"])
  })
  test("rest-for-one restarts it and those below it", () => {
    expect(crashB("rest-for-one")).toEqual(["b", "c"])
  })

  test("siblings that are restarted lose their memory and keep their messages", () => {
    const { world, tell, sum, system } = grow({
      strategy: "one-for-all",
      children: [permanent(counter("a")), permanent(counter("b"))]
    })
    tell("a", add(1))
    tell("b", explode)
    system.tell(at("a"), add(10))
    world.host.advance(1_000)
    expect(sum("a")).toBe(10)
  })

  test("a second crash while the first one waits takes everything below it along", () => {
    const diary: string[] = []
    const [a, b, c] = band(diary, "a", "b", "c") as [AnyActor, AnyActor, AnyActor]
    const { tell, world } = grow({
      strategy: "rest-for-one",
      children: [permanent(a), permanent(b), permanent(c)]
    })
    diary.length = 0
    tell("c", explode)
    world.host.advance(20)
    tell("a", explode)
    world.host.advance(2_000)
    expect(diary).toEqual(["a", "b", "c"])
  })

  test("a transient child that ended normally stays away, a permanent one comes back", () => {
    const diary: string[] = []
    const [a, b, c] = band(diary, "a", "b", "c") as [AnyActor, AnyActor, AnyActor]
    const { tell, world, sum } = grow({ children: [transient(a), permanent(b), temporary(c)] })
    for (const kind of ["a", "b"]) tell(kind, { _tag: "Finish" })
    tell("c", explode)
    world.host.advance(2_000)
    expect(diary).toEqual(["a", "b", "c", "b"])
    expect([sum("a"), sum("b"), sum("c")]).toEqual(["NotHere", 0, "NotHere"])
  })

  test("an actor that ends lets its running actions finish first", () => {
    const { stage, world, tell, sum } = grow({ children: [transient(counter())] })
    tell("counter", doing({ _tag: "Last" }))
    tell("counter", { _tag: "Finish" })
    world.host.advance(1_000)
    const [last] = stage.running
    expect(last?.interrupted).toBe(false)
    last?.done({ messages: [] })
    world.host.settle()
    expect(sum("counter")).toBe("NotHere")
  })
})

describe("giving up", () => {
  const strict = { crashes: 1, within: "1 minute" } as const

  test("a supervisor whose children crash too often is restarted by its own, with all of its children", () => {
    const diary: string[] = []
    const [a, b, c] = band(diary, "a", "b", "c") as [AnyActor, AnyActor, AnyActor]
    const inner = supervisor({ name: "inner", tolerates: strict, children: [permanent(b), permanent(c)] })
    const { tell, world, failure, events } = grow({ children: [permanent(a), subtree(inner)] })
    diary.length = 0
    for (let i = 0; i < 2; i++) {
      tell("c", explode)
      world.host.advance(2_000)
    }
    expect(diary).toEqual(["c", "b", "c"])
    expect(failure()).toBeUndefined()
    expect(events.map((event) => event._tag)).toEqual(["Crashed", "Crashed", "GaveUp"])
  })

  test("the top gives up with the whole chain of causes, and everything is stopped", () => {
    const inner = supervisor({ name: "inner", tolerates: strict, children: [permanent(counter())] })
    const { tell, world, failure, system, sum } = grow({ tolerates: strict, children: [subtree(inner)] })
    for (let i = 0; i < 4; i++) {
      tell("counter", explode)
      world.host.advance(5_000)
    }
    const error = failure() as TreeFailed
    expect(error.message).toBe(
      "top gave up after 2 crashes of its children within 60000 ms, the last of inner"
    )
    const cause = error.cause as TreeFailed
    expect(cause.message).toBe(
      "inner gave up after 2 crashes of its children within 60000 ms, the last of counter/main"
    )
    expect((cause.cause as Error).message).toBe("boom")
    expect(sum("counter")).toBe("NotHere")
    expect(system.trees()).toEqual([])
  })

  test("a supervisor that gives up stops its other children first", () => {
    const { tell, world, stage, failure } = grow({
      tolerates: { crashes: 0, within: "1 minute" },
      children: [permanent(counter("a"), { props: hold }), permanent(counter("b"))]
    })
    tell("b", explode)
    expect(failure()).toBeUndefined()
    world.host.advance(5_000)
    expect(stage.running).toEqual([])
    expect(failure()).toBeDefined()
  })
})

describe("many of a kind", () => {
  const asks = (diary: string[] = []) => {
    const worker = counter("worker", { onStart: (props) => diary.push(`worker ${props?.from}`) })
    return { worker, diary }
  }

  test("are started by Spawn with their props, once, and ended by Dismiss", () => {
    const { worker, diary } = asks()
    const { tell, sum, world } = grow({ children: [permanent(counter("boss")), many(worker)] })
    tell("boss", doing(spawn("worker", "w1", { from: 5 })))
    tell("boss", doing(spawn("worker", "w1", { from: 6 })))
    tell("boss", doing(spawn("worker", "w2", { from: 7 })))
    expect([sum("worker", "w1"), sum("worker", "w2")]).toEqual([5, 7])
    tell("boss", doing(dismiss("worker", "w1")))
    world.host.settle()
    expect([sum("worker", "w1"), sum("worker", "w2")]).toEqual(["NotHere", 7])
    expect(diary).toEqual(["worker 5", "worker 7"])
  })

  test("a second Spawn only matters for the next life", () => {
    const { worker } = asks()
    const { tell, sum, world } = grow({ children: [permanent(counter("boss")), many(worker)] })
    tell("boss", doing(spawn("worker", "w1", { from: 5 })))
    tell("boss", doing(spawn("worker", "w1", { from: 6 })))
    expect(sum("worker", "w1")).toBe(5)
    tell("worker", explode, "w1")
    world.host.advance(1_000)
    expect(sum("worker", "w1")).toBe(6)
  })

  test("one that is spawned while it is being dismissed starts anew once it is gone", () => {
    const { worker } = asks()
    const { tell, sum, world } = grow({
      children: [permanent(counter("boss")), many(worker, { stopWithin: "2 seconds" })]
    })
    tell("boss", doing(spawn("worker", "w1", { from: 5, ...hold })))
    tell("boss", doing(dismiss("worker", "w1")))
    tell("boss", doing(spawn("worker", "w1", { from: 9 })))
    world.host.advance(1_000)
    expect(sum("worker", "w1")).toBeUndefined()
    world.host.advance(1_000)
    expect(sum("worker", "w1")).toBe(9)
  })

  test("are judged each by itself, and started again with their supervisor", () => {
    const { worker, diary } = asks()
    const { tell, world } = grow({
      strategy: "rest-for-one",
      children: [permanent(counter("boss")), many(worker)]
    })
    for (const from of [1, 2]) tell("boss", doing(spawn("worker", `w${from}`, { from })))
    diary.length = 0
    tell("worker", explode, "w2")
    world.host.advance(1_000)
    expect(diary).toEqual(["worker 2"])
    diary.length = 0
    tell("boss", explode)
    world.host.advance(1_000)
    expect(diary).toEqual(["worker 1", "worker 2"])
  })

  test("one that crashes more often than tolerated brings its group down, which comes back", () => {
    const { worker, diary } = asks()
    const strict = { crashes: 1, within: "1 minute" } as const
    const { tell, world, events } = grow({
      children: [permanent(counter("boss")), many(worker, { tolerates: strict })]
    })
    for (const from of [1, 2]) tell("boss", doing(spawn("worker", `w${from}`, { from })))
    for (let i = 0; i < 2; i++) {
      tell("worker", explode, "w2")
      world.host.advance(1_000)
    }
    expect(diary).toEqual(["worker 1", "worker 2", "worker 2", "worker 1", "worker 2"])
    expect(events.at(-1)).toMatchObject({ _tag: "Crashed", name: "n1/many worker" })
    diary.length = 0
    tell("worker", explode, "w2")
    world.host.advance(1_000)
    expect(diary).toEqual(["worker 2"])
  })

  test("Spawn finds the nearest group: beside the actor first, then above it", () => {
    const near = counter("worker", { onStart: () => places.push("near") })
    const far = counter("worker", { onStart: () => places.push("far") })
    const places: string[] = []
    const left = supervisor({ name: "left", children: [permanent(counter("a")), many(near)] })
    const right = supervisor({ name: "right", children: [permanent(counter("b"))] })
    const { tell } = grow({ children: [many(far), subtree(left), subtree(right)] })
    tell("a", doing(spawn("worker", "w1", {})))
    tell("b", doing(spawn("worker", "w2", {})))
    expect(places).toEqual(["near", "far"])
  })

  test("a group below the actor that spawns into it keeps the wish until it starts", () => {
    const { worker } = asks()
    const boss = permanent(counter("boss"), { props: { actions: [spawn("worker", "w1", { from: 3 })] } })
    const { sum } = grow({ children: [boss, many(worker)] })
    expect(sum("worker", "w1")).toBe(3)
  })

  test("Spawn of a kind that has no group, or of an id that no subject can carry, is a defect of the actor", () => {
    const { tell, events } = grow({ children: [permanent(counter("boss")), many(counter("worker"))] })
    tell("boss", doing(spawn("nobody", "w1", {})))
    expect(events).toMatchObject([{ error: { name: "BrokenInvariant" } }])
  })

  test("one that ends is forgotten, and may be spawned again", () => {
    const { worker } = asks()
    const { tell, sum, world } = grow({ children: [permanent(counter("boss")), many(worker)] })
    tell("boss", doing(spawn("worker", "w1", { from: 1 })))
    tell("worker", { _tag: "Finish" }, "w1")
    world.host.settle()
    expect(sum("worker", "w1")).toBe("NotHere")
    tell("boss", doing(spawn("worker", "w1", { from: 2 })))
    expect(sum("worker", "w1")).toBe(2)
  })
})

describe("timers", () => {
  test("fire after their time, are replaced under the same key, and can be taken back", () => {
    const { tell, world, sum } = grow({ children: [permanent(counter())] })
    tell("counter", doing(later("t", 100, add(1))))
    tell("counter", doing(later("t", 200, add(10))))
    tell("counter", doing(later("u", 150, add(100))))
    tell("counter", doing(later("v", 150, add(1_000))))
    tell("counter", doing(cancel("v")))
    world.host.advance(149)
    expect(sum("counter")).toBe(0)
    world.host.advance(1)
    expect(sum("counter")).toBe(100)
    world.host.advance(50)
    expect(sum("counter")).toBe(110)
  })

  test("are part of the memory that a crash loses", () => {
    const { tell, world, sum } = grow({ children: [permanent(counter())] })
    tell("counter", doing(later("t", 5_000, add(1))))
    tell("counter", explode)
    world.host.advance(20_000)
    expect(sum("counter")).toBe(0)
  })
})

describe("an actor's own messages", () => {
  test("reach it however full its mailbox is", () => {
    const small = counter("counter", { mailbox: { capacity: 1 } })
    const { system, stage, world, tell, sum } = grow({ children: [permanent(small)] })
    tell("counter", doing({ _tag: "Work" }))
    system.tell(at("counter"), add(1))
    stage.running[0]?.done({ messages: [add(10), add(100)] })
    world.host.settle()
    expect(sum("counter")).toBe(111)
  })

  test("go with its memory when it is stopped, and are nobody's dead letters", () => {
    const { system, stage, world, tell, handle } = grow({ children: [permanent(counter())] })
    tell("counter", doing({ _tag: "Work" }))
    stage.running[0]?.done({ messages: [add(10)] })
    system.tell(at("counter"), add(1))
    handle.stop()
    world.host.settle()
    expect(system.deadLetters()).toMatchObject({ count: 1, byReason: { "its tree was stopped": 1 } })
  })
})

describe("by hand", () => {
  test("an actor is restarted before its next message, whatever waits in its inbox", () => {
    const { system, world, sum, events } = grow({ children: [permanent(counter())] })
    system.tell(at("counter"), add(1))
    expect(system.restart(at("counter"))).toBe(true)
    system.tell(at("counter"), add(10))
    world.host.advance(1_000)
    expect(sum("counter")).toBe(11)
    expect(events).toMatchObject([{ error: { message: "restarted by hand" } }])
    expect(system.restart(at("nobody"))).toBe(false)
  })

  test("a restart ends the wait between two lives", () => {
    const { system, world, tell, sum } = grow({ children: [permanent(counter()), many(counter("worker"))] })
    tell("counter", doing(spawn("worker", "w1", {})))
    for (const [kind, id] of [["counter", "main"] as const, ["worker", "w1"] as const]) {
      for (let crash = 0; crash < 6; crash++) {
        tell(kind, explode, id)
        system.restart(at(kind, id))
        world.host.settle()
        expect(sum(kind, id)).toBe(0)
      }
    }
  })
})

describe("the tree at a glance", () => {
  const find = (nodes: ReadonlyArray<TreeNode>, name: string): TreeNode | undefined => {
    for (const node of nodes) {
      const found = node.name === name ? node : find(node.children, name)
      if (found) return found
    }
    return undefined
  }

  test("shows every supervisor, group and actor with what it is doing", () => {
    const inner = supervisor({ name: "inner", strategy: "rest-for-one", children: [many(counter("worker"))] })
    const { system, tell } = grow({
      children: [
        permanent(counter("boss"), { props: { actions: [spawn("deputy", "d1", { from: 4 })] } }),
        many(counter("deputy")),
        subtree(inner)
      ]
    })
    tell("boss", add(3))
    tell("boss", doing({ _tag: "Work" }))
    const [top] = system.trees()
    expect(top).toMatchObject({
      name: "top",
      kind: "supervisor",
      state: "running",
      summary: "one-for-one",
      children: [
        {
          name: "boss/main",
          kind: "actor",
          address: at("boss"),
          state: "running",
          summary: "sum 3",
          depth: 0,
          handled: 2,
          performing: 1,
          restarts: 0
        },
        { name: "many deputy", kind: "supervisor", children: [{ name: "deputy/d1", summary: "sum 4" }] },
        { name: "inner", summary: "rest-for-one", children: [{ name: "many worker", children: [] }] }
      ]
    })
  })

  test("shows what waits, what went wrong last, and who is between two lives", () => {
    const { system, tell, world } = grow({ children: [permanent(counter())] })
    tell("counter", explode)
    system.tell(at("counter"), add(1))
    world.host.advance(50)
    expect(find(system.trees(), "counter/main")).toMatchObject({
      state: "restarting",
      depth: 1,
      oldestMs: 50,
      restarts: 1,
      lastError: "boom"
    })
    world.host.advance(1_000)
    expect(find(system.trees(), "counter/main")).toMatchObject({
      state: "running",
      restarts: 1,
      lastError: "boom"
    })
  })
})
