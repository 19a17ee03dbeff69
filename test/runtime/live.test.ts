/** The system in production's clothes: real time, real Effects, the caller's own services. */
import { describe, expect, test } from "bun:test"
import { Context, Data, Deferred, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { reply } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { type ReplyTo, stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem, systemLayer } from "#runtime/live.ts"
import { toPerformExit } from "#runtime/performer.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { System } from "#runtime/system.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { Transport } from "#runtime/transport.ts"
import { until } from "#test/support/nats-server.ts"

class Shop extends Context.Service<Shop, { readonly price: (of: string) => Effect.Effect<number, Closed> }>()(
  "test/Shop"
) {}
class Closed extends Data.TaggedError("Closed")<{ readonly message: string }> {}

const Message = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Price"), of: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Priced"), of: Schema.String, price: Schema.Number })
])
type Message = typeof Message.Type
interface Buy {
  readonly _tag: "Buy"
  readonly of: string
}

/** Asks the shop, which lies outside, and answers when it knows. */
const buyer = actor<undefined, ReadonlyMap<string, ReplyTo>, Message, Buy, Shop>({
  kind: "buyer",
  accepts: Message,
  start: () => stay(new Map()),
  decide: (waiting, message, { asker }) => {
    if (message._tag === "Price") {
      const buy: Buy = { _tag: "Buy", of: message.of }
      return stay(asker ? new Map(waiting).set(message.of, asker) : waiting, buy)
    }
    const to = waiting.get(message.of)
    return to ? stay(waiting, reply(to, message.price)) : stay(waiting)
  },
  perform: Effect.fnUntraced(function* (action) {
    const shop = yield* Shop
    return { _tag: "Priced" as const, of: action.of, price: yield* shop.price(action.of) }
  })
})

const to = address("n1", "buyer", "main")
const tolerates = { crashes: 0, within: "1 minute" } as const
const spec = supervisor({ name: "top", tolerates, children: [permanent(buyer)] })

const impatient = supervisor({ name: "top", children: [permanent(buyer, { stopWithin: "1 millis" })] })

const inShop = <A, E>(
  price: (of: string) => Effect.Effect<number, Closed>,
  effect: Effect.Effect<A, E, System | Shop>
): Promise<A> => {
  const bus = new MemoryBus(makeLiveHost())
  const transport = Layer.succeed(Transport, bus.connect("n1"))
  const system = systemLayer({ cluster: "blue", nodeId: "n1" }).pipe(Layer.provide(transport))
  return Effect.runPromise(effect.pipe(Effect.provide([system, Layer.succeed(Shop, Shop.of({ price }))])))
}

describe("a system in production", () => {
  test("performs actions with the services of whoever runs the tree, and their results come back as messages", async () => {
    const program = Effect.gen(function* () {
      const system = yield* System
      yield* system.run(spec, "n1")
      return yield* system.ask<number>(to, { _tag: "Price", of: "tea" }, 5_000)
    })
    const price = (of: string) => Effect.succeed(of.length).pipe(Effect.delay("2 millis"))
    expect(await inShop(price, Effect.scoped(program))).toBe(3)
  })

  test("takes nothing but an object for a message: an Effect typed void may carry something all the same", () => {
    const messagesOf = (value: unknown) => toPerformExit(Exit.succeed(value))
    for (const value of [undefined, null, false, true, 0, ""])
      expect(messagesOf(value)).toEqual({ messages: [] })
    const message = { _tag: "Price", of: "tea" }
    expect(messagesOf(message)).toEqual({ messages: [message] })
    expect(messagesOf([message, message])).toEqual({ messages: [message, message] })
  })

  test("closing the scope interrupts what still runs and releases it before the scope is closed", async () => {
    const diary: string[] = []
    const price = () =>
      Effect.never.pipe(
        Effect.onInterrupt(() =>
          Effect.delay(
            Effect.sync(() => diary.push("released")),
            "5 millis"
          )
        )
      )
    const program = Effect.gen(function* () {
      const system = yield* System
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* system.run(impatient, "n1")
          system.tell(to, { _tag: "Price", of: "tea" })
          yield* Effect.promise(() => until(() => system.trees()[0]?.children[0]?.performing === 1))
        })
      )
      diary.push("closed")
      return yield* Effect.flip(system.ask(to, { _tag: "Price", of: "tea" }, 5_000))
    })
    expect((await inShop(price, program))._tag).toBe("NotHere")
    expect(diary).toEqual(["released", "closed"])
  })

  test("a tree whose top gives up fails with the error that left the action as its last cause", async () => {
    const program = Effect.gen(function* () {
      const system = yield* System
      const running = yield* system.run(spec, "n1")
      system.tell(to, { _tag: "Price", of: "tea" })
      return yield* Effect.flip(running.ended)
    })
    const failure = await inShop(
      () => Effect.fail(new Closed({ message: "closed on Sundays" })),
      Effect.scoped(program)
    )
    expect(failure.name).toBe("TreeFailed")
    expect(failure.message).toContain("top gave up after 1 crashes")
    expect(failure.cause).toMatchObject({ _tag: "Closed", message: "closed on Sundays" })
  })

  test("an actor comes back also when whoever is told of crashes throws", async () => {
    const errors: unknown[] = []
    const host = makeLiveHost((error) => errors.push(error))
    const unheard = new Error("the log is full")
    const system = makeSystem({
      cluster: "blue",
      nodeId: "n1",
      host,
      transport: new MemoryBus(host).connect("n1"),
      report: () => {
        throw unheard
      }
    })
    const tree = system.startTree(supervisor({ name: "top", children: [permanent(buyer)] }), "n1")
    system.tell(to, { _tag: "Price", of: "tea" })
    await until(() => errors.length > 0)
    expect(errors).toEqual([unheard])
    await until(() => tree.snapshot().children[0]?.state === "running")
    expect(tree.snapshot().children[0]).toMatchObject({ restarts: 1, handled: 1 })
    tree.stop()
    system.close()
  })

  test("interrupting an ask takes the question back", async () => {
    const asked = Deferred.makeUnsafe<void>()
    const price = () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
    const program = Effect.gen(function* () {
      const system = yield* System
      yield* system.run(impatient, "n1")
      const asking = yield* Effect.forkChild(system.ask(to, { _tag: "Price", of: "tea" }, 60_000))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(asking)
      return Exit.isFailure(yield* Fiber.await(asking))
    })
    expect(await inShop(price, Effect.scoped(program))).toBe(true)
  })
})

describe("the real host", () => {
  test("takes turns in the order in which they were asked for, and goes on after one that throws", async () => {
    const errors: unknown[] = []
    const host = makeLiveHost((error) => errors.push(error))
    const order: number[] = []
    for (let i = 0; i < 2_000; i++) {
      host.defer(() => {
        order.push(i)
        if (i === 700) throw new Error("one bad turn")
      })
    }
    expect(order).toEqual([])
    await until(() => order.length === 2_000)
    expect(order).toEqual(Array.from({ length: 2_000 }, (_, i) => i))
    expect(errors).toMatchObject([{ message: "one bad turn" }])
  })

  test("lets timers and sockets speak while turns keep coming", async () => {
    const host = makeLiveHost()
    let fired = false
    let turns = 0
    host.after(5, () => {
      fired = true
    })
    const again = (): void => {
      turns++
      if (!fired) host.defer(again)
    }
    host.defer(again)
    await until(() => fired)
    expect(turns).toBeGreaterThan(1)
  })

  test("a timer that was taken back does not fire", async () => {
    const host = makeLiveHost()
    const fired: string[] = []
    host.after(1, () => fired.push("kept"))
    host.after(1, () => fired.push("taken back"))()
    let later = false
    host.after(10, () => {
      later = true
    })
    await until(() => later && fired.length > 0)
    expect(fired).toEqual(["kept"])
  })
})
