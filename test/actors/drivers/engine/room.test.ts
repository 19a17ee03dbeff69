import { expect, test } from "bun:test"
import { Deferred, Effect, Fiber } from "effect"
import { Room } from "#actors/drivers/engine/room.ts"

const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))

test("never holds more than it has places, and in the end everyone", async () => {
  const room = new Room(3)
  let [inside, most, done] = [0, 0, 0]
  const work = Effect.gen(function* () {
    inside++
    most = Math.max(most, inside)
    yield* settle
    inside--
    done++
  })
  await Effect.runPromise(
    Effect.forEach(
      Array.from({ length: 50 }, (_, index) => index),
      (index) => room.hold(index % 2 === 0 ? "finish" : "begin")(work),
      { concurrency: "unbounded", discard: true }
    )
  )
  expect(most).toBe(3)
  expect(done).toBe(50)
})

test("lets what finishes something go before what begins something", async () => {
  const order: Array<string> = []
  await Effect.runPromise(
    Effect.gen(function* () {
      const room = new Room(1)
      const gate = yield* Deferred.make<void>()
      const note = (name: string) => Effect.sync(() => order.push(name))
      const fibers = [yield* Effect.forkChild(room.hold("begin")(Deferred.await(gate)))]
      yield* settle
      for (const name of ["b1", "b2"])
        fibers.push(yield* Effect.forkChild(Effect.asVoid(room.hold("begin")(note(name)))))
      for (const name of ["f1", "f2"])
        fibers.push(yield* Effect.forkChild(Effect.asVoid(room.hold("finish")(note(name)))))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(fibers)
    })
  )
  expect(order).toEqual(["f1", "f2", "b1", "b2"])
})

test("loses no place to those who give up, waiting or inside", async () => {
  await Effect.runPromise(
    Effect.gen(function* () {
      const room = new Room(2)
      for (let round = 0; round < 50; round++) {
        const fibers: Array<Fiber.Fiber<unknown>> = []
        for (let index = 0; index < 6; index++) {
          fibers.push(yield* Effect.forkChild(room.hold(index % 3 === 0 ? "finish" : "begin")(Effect.never)))
        }
        if (round % 2 === 0) yield* settle
        // From the end: those who wait give up while others are inside. Then all of them at once.
        const [some, others] = [fibers.splice(3), fibers]
        for (const fiber of some.reverse()) yield* Fiber.interrupt(fiber)
        yield* Effect.forEach(others, (fiber) => Fiber.interrupt(fiber), { concurrency: "unbounded" })
      }
      const both = yield* Deferred.make<void>()
      let inside = 0
      yield* Effect.all(
        [1, 2].map(() =>
          room.hold("begin")(
            Effect.suspend(() => (++inside === 2 ? Deferred.succeed(both, undefined) : Deferred.await(both)))
          )
        ),
        { concurrency: 2 }
      )
    })
  )
})
