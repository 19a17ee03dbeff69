/** Streams of facts over a bus that loses, doubles and reorders: each fact once and in order, or a fresh start. */
import { describe, expect, test } from "bun:test"
import { actor } from "#runtime/actor.ts"
import { stay } from "#runtime/behaviour.ts"
import { Fresh } from "#runtime/ids.ts"
import { follower, following, hear } from "#runtime/streams/follower.ts"
import { type ToConsumer, ToFollower } from "#runtime/streams/protocol.ts"
import { catchUp, publisher } from "#runtime/streams/publisher.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { type Process, World } from "#test/runtime/world.ts"

const { Facts, Snapshot, Newest } = ToFollower.cases
const at = (home: string, kind: string) => ({ home, kind, id: "main" })

const numbers = publisher<ReadonlyArray<number>, number>({
  kind: "numbers",
  fold: (all, next) => [...all, next],
  capacity: 20
})

const top = (...children: ReadonlyArray<ReturnType<typeof permanent>>) =>
  supervisor({
    name: "top",
    strategy: "one-for-one",
    tolerates: { crashes: 50, within: "1 minute" },
    children
  })

/** All numbers that a consumer knows of; throws at one that comes out of turn. */
class Consumer {
  known: number[] = []
  restated = 0
  readonly definition = actor<undefined, null, ToConsumer, never>({
    kind: "consumer",
    start: () => stay(null),
    decide: (state, message) => {
      if (message._tag === "Restated") {
        this.restated++
        this.known = [...(message.state as number[])]
      } else this.known.push(...(message.facts as number[]))
      return stay(state)
    }
  })
}

const publish = (process: Process): void => {
  process.system.startTree(top(permanent(numbers, { props: { state: [] } })), "n1")
}
const subscribe = (process: Process, home: string): Consumer => {
  const consumer = new Consumer()
  const props = { publisher: at("n1", "numbers"), consumer: at(home, "consumer") }
  process.system.startTree(
    top(permanent(consumer.definition), permanent(follower("reader"), { props })),
    home
  )
  return consumer
}
const say = (process: Process, ...facts: number[]): void =>
  process.system.tell(at("n1", "numbers"), { _tag: "Publish", facts })

describe("a stream", () => {
  test("brings each fact once and in order, whatever the way loses, doubles and delays", () => {
    for (let seed = 1; seed <= 15; seed++) {
      const fresh = Fresh.from(seed)
      const world = new World(seed, { loss: 0.3, doubling: 0.3, leastMs: 0, mostMs: 1_500 })
      const [near, far] = [world.process("n1"), world.process("n2")]
      publish(near)
      const consumer = subscribe(far, "n2")
      const said: number[] = []
      for (let n = 0; n < 150; n++) {
        said.push(n)
        say(near, n)
        world.host.advance(fresh.below(100))
        // At every moment it knows a beginning of what was said, nothing twice and nothing out of turn.
        expect(consumer.known).toEqual(said.slice(0, consumer.known.length))
      }
      world.simulation.network.weather = { loss: 0, doubling: 0, leastMs: 0, mostMs: 0 }
      world.host.advance(8_000)
      expect(consumer.known).toEqual(said)
    }
  }, 30_000)

  test("a small gap is closed with the facts themselves, a large one with what they come to", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    publish(near)
    const consumer = subscribe(far, "n2")
    world.host.advance(4_000)
    expect(consumer.restated).toBe(1)
    far.transport.disconnect()
    for (let n = 0; n < 15; n++) say(near, n)
    world.host.advance(2_000)
    far.transport.reconnect()
    world.host.advance(2_000)
    expect([consumer.known.length, consumer.restated]).toEqual([15, 1])
    far.transport.disconnect()
    for (let n = 15; n < 60; n++) say(near, n)
    world.host.advance(2_000)
    far.transport.reconnect()
    world.host.advance(2_000)
    expect([consumer.known.length, consumer.restated]).toEqual([60, 2])
  })

  test("the last fact is missed no longer than a beat, though nothing follows it", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    publish(near)
    const consumer = subscribe(far, "n2")
    world.host.advance(3_500)
    world.simulation.network.cut("n2")
    say(near, 1)
    world.host.settle()
    world.simulation.network.mend("n2")
    world.host.advance(1_100)
    expect(consumer.known).toEqual([1])
  })

  test("a publisher that begins anew, and a consumer's follower that does, lead to a fresh start", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    publish(near)
    const consumer = subscribe(far, "n2")
    world.host.advance(4_000)
    say(near, 1, 2)
    world.host.advance(100)
    expect(consumer.known).toEqual([1, 2])
    near.system.restart(at("n1", "numbers"))
    world.host.advance(5_000)
    expect([consumer.known, consumer.restated]).toEqual([[], 2])
    say(near, 7)
    world.host.advance(100)
    expect(consumer.known).toEqual([7])
    far.system.restart(at("n2", "reader"))
    world.host.advance(4_000)
    expect([consumer.known, consumer.restated]).toEqual([[7], 3])
  })

  test("a follower that is gone is told nothing more after its lease", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    publish(near)
    subscribe(far, "n2")
    world.host.advance(4_000)
    const summaryOf = (): string | undefined =>
      near.system.trees()[0]?.children.find(({ name }) => name.includes("numbers"))?.summary
    expect(summaryOf()).toBe("fact 0, 1 followers")
    far.transport.close()
    world.host.advance(11_000)
    expect(summaryOf()).toBe("fact 0, 0 followers")
  })
})

describe("a follower", () => {
  const facts = (after: number, ...rest: number[]) => Facts.make({ epoch: "e", after, facts: rest })

  test("keeps what comes before its turn, skips what it has, and asks for what is missing", () => {
    const state = following()
    expect(hear(state, facts(0, 1))).toEqual({ told: [], asks: true })
    expect(hear(state, Snapshot.make({ epoch: "e", seq: 2, state: "s" }))).toEqual({
      told: [{ _tag: "Restated", state: "s" }],
      asks: false
    })
    expect(hear(state, facts(3, 4, 5))).toEqual({ told: [], asks: true })
    expect(hear(state, facts(1, 2, 3))).toEqual({ told: [{ _tag: "Told", facts: [3, 4, 5] }], asks: false })
    expect(hear(state, facts(1, 2, 3))).toEqual({ told: [], asks: false })
    expect(hear(state, Newest.make({ epoch: "e", seq: 5 })).asks).toBe(false)
    expect(hear(state, Newest.make({ epoch: "e", seq: 6 })).asks).toBe(true)
    expect(hear(state, { _tag: "Renew" }).asks).toBe(true)
  })

  test("is not led back by what still comes of a life that is over", () => {
    const state = following()
    hear(state, Snapshot.make({ epoch: "old", seq: 9, state: "a" }))
    hear(state, Snapshot.make({ epoch: "new", seq: 0, state: "b" }))
    for (const late of [
      Snapshot.make({ epoch: "old", seq: 10, state: "c" }),
      Facts.make({ epoch: "old", after: 9, facts: [10] }),
      Newest.make({ epoch: "old", seq: 10 })
    ]) {
      expect(hear(state, late)).toEqual({ told: [], asks: false })
    }
    expect(state.place).toEqual({ epoch: "new", seq: 0 })
  })
})

test("what a publisher says to a follower never leaves a gap: facts it still has, else a snapshot", () => {
  const stream = { epoch: "e", state: "s", seq: 600, kept: Array.from({ length: 500 }, (_, i) => 101 + i) }
  const told = catchUp(stream, { epoch: "e", seq: 100 })
  expect(told.map((each) => each._tag)).toEqual(["Facts", "Facts"])
  expect(told.flatMap((each) => (each._tag === "Facts" ? each.facts : []))).toEqual(stream.kept)
  expect(catchUp(stream, { epoch: "e", seq: 600 })).toEqual([])
  for (const place of [
    undefined,
    { epoch: "e", seq: 99 },
    { epoch: "x", seq: 600 },
    { epoch: "e", seq: 601 }
  ]) {
    expect(catchUp(stream, place)).toEqual([Snapshot.make({ epoch: "e", seq: 600, state: "s" })])
  }
})
