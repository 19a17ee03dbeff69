/** Load: who hears that a mailbox is full, what a question takes along, and that nobody starves. */
import { describe, expect, test } from "bun:test"
import { readFile } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { Context, Effect, Fiber } from "effect"
import { later, reply, tell } from "#runtime/actions.ts"
import { type AnyActor, actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { AnswerBy, effectPerformer } from "#runtime/performer.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { until } from "#test/support/nats-server.ts"
import { counter, World } from "./world.ts"

const at = (home: string, kind = "counter") => address(home, kind, "main")
const get = { _tag: "Get" }
const add = (amount: number) => ({ _tag: "Add", amount })

describe("a full mailbox", () => {
  /** Says `count` things to somebody in one step and counts what comes back. */
  const speaker = (to: string, kind: string, count: number): AnyActor =>
    actor<undefined, number, { readonly _tag: "Refused" } | { readonly _tag: "Get" }, never>({
      kind: "speaker",
      start: () =>
        stay(0, ...Array.from({ length: count }, () => tell(at(to, kind), add(1), { _tag: "Refused" }))),
      decide: (refused, message, { asker }) => {
        if (message._tag === "Refused") return stay(refused + 1)
        return asker ? stay(refused, reply(asker, { refused })) : stay(refused)
      }
    })

  test("is told to the teller that names what it wants to hear, once for each message, and counted", () => {
    const world = new World()
    const { system } = world.process("n1")
    const small = counter("small", { mailbox: { capacity: 3 } })
    const children = [permanent(small), permanent(speaker("n1", "small", 5))]
    system.startTree(supervisor({ name: "top", children }), "n1")
    world.host.settle()
    expect(world.ask(system, at("n1", "speaker"), get)).toEqual({ _tag: "Answer", value: { refused: 2 } })
    expect(world.ask(system, at("n1", "small"), get)).toEqual({ _tag: "Answer", value: { sum: 3 } })
    expect(system.deadLetters()).toMatchObject({
      count: 2,
      byReason: { "its mailbox was full": 2 },
      byTag: { Add: 2 },
      byKind: { small: 2 }
    })
  })

  test("comes back, too, when nobody is there or the transport is down", () => {
    const world = new World()
    const { system, transport } = world.process("n1")
    const nobody = supervisor({ name: "top", children: [permanent(speaker("n1", "nobody", 2))] })
    const tree = system.startTree(nobody, "n1")
    world.host.settle()
    expect(world.ask(system, at("n1", "speaker"), get)).toEqual({ _tag: "Answer", value: { refused: 2 } })
    tree.stop()
    world.host.settle()
    transport.disconnect()
    system.startTree(supervisor({ name: "top", children: [permanent(speaker("n2", "far", 2))] }), "n1")
    world.host.settle()
    expect(world.ask(system, at("n1", "speaker"), get)).toEqual({ _tag: "Answer", value: { refused: 2 } })
  })

  test("takes an actor's own timer all the same, and the supervisor's order before everything", () => {
    const world = new World()
    const { system } = world.process("n1")
    const small = counter("small", { mailbox: { capacity: 1 } })
    system.startTree(supervisor({ name: "top", children: [permanent(small)] }), "n1")
    world.ask(system, at("n1", "small"), { _tag: "Do", action: later("t", 10, add(7)) })
    world.host.advance(20)
    expect(world.ask(system, at("n1", "small"), get)).toEqual({ _tag: "Answer", value: { sum: 7 } })
    system.tell(at("n1", "small"), add(1))
    system.restart(at("n1", "small"))
    world.host.advance(1_000)
    // The order came before the message, which the next life handled: its sum is that message alone.
    expect(world.ask(system, at("n1", "small"), get)).toEqual({ _tag: "Answer", value: { sum: 1 } })
  })
})

describe("a question", () => {
  test("that was taken back is skipped by a receiver that has not come to it", () => {
    const world = new World()
    const { system } = world.process("n1")
    system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n1")
    const takeBack = system.askThen(at("n1"), add(5), 1_000, () => {})
    takeBack()
    world.host.settle()
    expect(world.ask(system, at("n1"), get)).toEqual({ _tag: "Answer", value: { sum: 0 } })
    expect(system.deadLetters().count).toBe(0)
  })

  for (const where of ["n1", "n2"]) {
    test(`is answered once at most, asked from ${where === "n1" ? "here" : "another process"}`, () => {
      const world = new World()
      const near = world.process("n1")
      const far = world.process("n2")
      const twice = actor<undefined, null, { readonly _tag: "Get" }, never>({
        kind: "twice",
        // biome-ignore lint/suspicious/noExplicitAny: whatever comes is answered
        accepts: (counter() as any).accepts,
        start: () => stay(null),
        decide: (state, _message, { asker }) =>
          asker ? stay(state, reply(asker, { answer: 1 }), reply(asker, { answer: 2 })) : stay(state)
      })
      near.system.startTree(supervisor({ name: "top", children: [permanent(twice)] }), "n1")
      const heard: unknown[] = []
      const { system } = where === "n1" ? near : far
      system.askThen(at("n1", "twice"), get, 1_000, (outcome) => heard.push(outcome))
      world.host.advance(2_000)
      expect(heard).toEqual([{ _tag: "Answer", value: { answer: 1 } }])
    })
  }

  test("leaves what its answer needs no more time than it has itself, however long that would wait", async () => {
    const host = makeLiveHost()
    const system = makeSystem({
      cluster: "blue",
      nodeId: "n1",
      host,
      transport: new MemoryBus(host).connect("n1"),
      performer: effectPerformer(Context.empty())
    })
    const dueAt: number[] = []
    const heard: unknown[] = []
    const middle = actor<undefined, null, { readonly _tag: "Get" }, { readonly _tag: "AskOn" }>({
      kind: "middle",
      start: () => stay(null),
      decide: () => ({ state: null, actions: [{ _tag: "AskOn" }] }),
      perform: () =>
        Effect.gen(function* () {
          dueAt.push(yield* AnswerBy)
          heard.push(yield* Effect.flip(system.ask(at("n1", "silent"), get, 3_600_000)))
        }).pipe(Effect.orDie)
    })
    const silent = actor<undefined, null, { readonly _tag: "Get" }, never>({
      kind: "silent",
      start: () => stay(null),
      decide: () => stay(null)
    })
    const children = [permanent(silent), permanent(middle, { stopWithin: "0 millis" })]
    const tree = system.startTree(supervisor({ name: "top", children }), "n1")
    const before = host.now()
    // Long enough for its receiver to come to it in time on a busy machine.
    system.askThen(at("n1", "middle"), get, 1_000, () => {})
    await until(() => heard.length === 1)
    expect((dueAt[0] as number) - before).toBeLessThanOrEqual(1_000 + (host.now() - before))
    expect(Number.isFinite(dueAt[0])).toBe(true)
    expect(heard[0]).toMatchObject({ _tag: "TimedOut" })
    // What nobody asked for has all the time in the world.
    system.tell(at("n1", "middle"), get)
    await until(() => dueAt.length === 2)
    expect(dueAt[1]).toBe(Number.POSITIVE_INFINITY)
    await new Promise<void>((stopped) => tree.stop(stopped))
    system.close()
  })

  test("that an interrupted Effect asked is skipped, as one that was taken back", async () => {
    const world = new World()
    const { system } = world.process("n1")
    system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n1")
    const fiber = Effect.runFork(system.ask(at("n1"), add(5), 1_000))
    await Effect.runPromise(Fiber.interrupt(fiber))
    world.host.settle()
    expect(world.ask(system, at("n1"), get)).toEqual({ _tag: "Answer", value: { sum: 0 } })
  })
})

describe("actors that never stop talking", () => {
  /** Two that tell each other for ever, and one that tells itself a hundred things for each. */
  const chatter = actor<undefined, number, { readonly _tag: "Ball" }, never>({
    kind: "chatter",
    mailbox: { capacity: 100_000 },
    start: (_props, { self }) => stay(0, tell(self, { _tag: "Ball" })),
    decide: (heard, ball, { self }) =>
      stay(heard + 1, tell(address("n1", "chatter", self.id === "a" ? "b" : "a"), ball))
  })

  test("leave timers, sockets and files their turn", async () => {
    const host = makeLiveHost()
    const system = makeSystem({
      cluster: "blue",
      nodeId: "n1",
      host,
      transport: new MemoryBus(host).connect("n1")
    })
    const children = [permanent(chatter, { id: "a" }), permanent(chatter, { id: "b" })]
    const tree = system.startTree(supervisor({ name: "top", children }), "n1")
    const heard = (): number => tree.snapshot().children[0]?.handled ?? 0
    const server = createServer((socket) => socket.pipe(socket))
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
    const { port } = server.address() as { port: number }
    const socket = connect(port, "127.0.0.1")
    let echoes = 0
    socket.on("data", () => {
      echoes++
      socket.write("again")
    })
    socket.write("hello")
    let ticks = 0
    const tick = (): void => {
      ticks++
      host.after(1, tick)
    }
    tick()
    let reads = 0
    const read = async (): Promise<void> => {
      while (reads < 10) {
        await readFile(fileURLToPath(import.meta.url))
        reads++
      }
    }
    const before = heard()
    await Promise.all([read(), until(() => echoes >= 10 && ticks >= 10, 30_000)])
    // And they went on talking meanwhile.
    expect(heard()).toBeGreaterThan(before)
    socket.destroy()
    await new Promise((closed) => server.close(closed))
    await new Promise<void>((stopped) => tree.stop(stopped))
    system.close()
  }, 40_000)
})
