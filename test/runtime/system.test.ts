/** Telling, asking and watching, within one process and between several, on imitated time. */
import { describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { Effect, Schema } from "effect"
import { announce, later, reply, spawn, tell } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { type Address, address } from "#runtime/address.ts"
import { type Moment, type ReplyTo, stay } from "#runtime/behaviour.ts"
import { inspector } from "#runtime/inspect.ts"
import { many, permanent, supervisor, temporary } from "#runtime/supervisor.ts"
import type { TransportService } from "#runtime/transport.ts"
import { counter, type Process, World } from "#test/runtime/world.ts"

const at = (home: string, kind = "counter", id = "main"): Address => address(home, kind, id)
const get = { _tag: "Get" }
const add = (amount: number): object => ({ _tag: "Add", amount })
const doing = (action: object): object => ({ _tag: "Do", action })
const only = (...children: ReadonlyArray<ReturnType<typeof permanent>>) =>
  supervisor({ name: "top", children })
const bytes = (message: unknown): Uint8Array => Buffer.from(JSON.stringify(message))

/** Two processes on one bus; the first runs a counter. */
function pair() {
  const world = new World()
  const [near, far] = [world.process("n1"), world.process("n2")]
  near.system.startTree(only(permanent(counter())), "n1")
  world.host.settle()
  return { world, near, far }
}

/** What an actor of kind `listener` was told, with what surrounded it. */
function listener() {
  const heard: Array<{ message: unknown; moment: Moment }> = []
  const definition = actor<undefined, null, object, never>({
    kind: "listener",
    start: () => stay(null),
    decide: (state, message, moment) => {
      heard.push({ message, moment })
      return stay(state)
    }
  })
  return { definition, heard }
}

describe("telling", () => {
  test("hands a message over as it is, in order, to an actor of the same process", () => {
    const { world, near } = pair()
    const { definition, heard } = listener()
    near.system.startTree(only(permanent(definition)), "n1")
    const messages = [{ a: 1 }, { b: 2 }, { c: 3 }]
    for (const message of messages) near.system.tell(at("n1", "listener"), message)
    world.host.settle()
    expect(heard.map((each) => each.message)).toEqual(messages)
    expect(heard[0]?.message).toBe(messages[0])
  })

  test("reaches an actor of another process just the same, and says who spoke", () => {
    const { world, near, far } = pair()
    near.system.startTree(only(permanent(counter("speaker"))), "n1")
    far.system.startTree(only(permanent(counter())), "n2")
    near.system.tell(at("n1", "speaker"), doing(tell(at("n2"), doing({ _tag: "Work" }))))
    near.system.tell(at("n1", "speaker"), doing(tell(at("n2"), add(3))))
    world.host.settle()
    expect(world.ask(near.system, at("n2"), get)).toEqual({ _tag: "Answer", value: { sum: 3 } })
    expect(far.stage.running.map((each) => each.action)).toEqual([{ _tag: "Work" }])
  })

  test("names the sender in the moment, here and from elsewhere", () => {
    const { world, near, far } = pair()
    const { definition, heard } = listener()
    const open = { ...definition, accepts: counter().accepts } as typeof definition
    near.system.startTree(only(permanent(open)), "n1")
    far.system.startTree(only(permanent(counter())), "n2")
    for (const [process, home] of [[near, "n1"] as const, [far, "n2"] as const]) {
      process.system.tell(at(home), doing(tell(at("n1", "listener"), get)))
    }
    world.host.settle()
    expect(heard.map((each) => each.moment.from)).toEqual([at("n1"), at("n2")])
  })

  test("what nobody takes is counted and sampled, without its contents", () => {
    const { world, near, far } = pair()
    near.system.tell(at("n1", "nobody"), { _tag: "Password", text: "hunter2" })
    far.system.tell(at("n1", "nobody"), { _tag: "Password", text: "hunter2" })
    far.system.tell(at("n1"), { _tag: "Gibberish", text: "hunter2" })
    world.host.settle()
    const report = near.system.deadLetters()
    expect(report.count).toBe(3)
    expect(report.samples[0]).toBe("n1/nobody/main: Password: nobody was there")
    expect(report.samples[1]).toContain("NotHere")
    expect(report.samples[2]).toContain("NotUnderstood")
    expect(JSON.stringify(report)).not.toContain("hunter2")
  })

  test("while the transport is down a message is a dead letter at its sender", () => {
    const { world, far } = pair()
    far.transport.disconnect()
    far.system.tell(at("n1"), add(1))
    world.host.settle()
    expect(far.system.deadLetters().samples).toEqual(["n1/counter/main: Add: the transport was down"])
  })

  test("what cannot be carried is a dead letter that says so", () => {
    const { world, far } = pair()
    far.system.tell(at("n1"), { _tag: "Add", text: "x".repeat(17_000_000) })
    world.host.settle()
    expect(far.system.deadLetters().samples[0]).toContain("more than the 16777216 that a message carries")
  })
})

describe("asking", () => {
  test("is answered, here and from elsewhere", () => {
    const { world, near, far } = pair()
    near.system.tell(at("n1"), add(5))
    for (const { system } of [near, far]) {
      expect(world.ask(system, at("n1"), get)).toEqual({ _tag: "Answer", value: { sum: 5 } })
    }
  })

  test("nobody is NotHere at once: in this process, in another one, and where no process is", () => {
    const { world, near, far } = pair()
    expect(world.ask(near.system, at("n1", "nobody"), get)).toMatchObject({
      _tag: "NotHere",
      address: "n1/nobody/main"
    })
    expect(world.ask(far.system, at("n1", "nobody"), get)).toMatchObject({
      _tag: "NotHere",
      address: "n1/nobody/main"
    })
    expect(world.ask(far.system, at("n9"), get)).toMatchObject({ _tag: "NotHere" })
  })

  test("without an answer it is TimedOut once the time is up, and not before", () => {
    const { world, near, far } = pair()
    for (const { system } of [near, far]) {
      let heard: unknown
      system.askThen(at("n1"), { _tag: "Keep" }, 500, (outcome) => {
        heard = outcome
      })
      world.host.advance(499)
      expect(heard).toBeUndefined()
      // Deadlines share timers, which may be one slice of 16 ms late.
      world.host.advance(17)
      expect(heard).toMatchObject({ _tag: "TimedOut", withinMs: 500 })
    }
  })

  test("a full mailbox refuses, and says how much it holds, here and from elsewhere", () => {
    const world = new World()
    const [near, far] = [world.process("n1"), world.process("n2")]
    near.system.startTree(only(permanent(counter("counter", { mailbox: { capacity: 2 } }))), "n1")
    world.host.settle()
    const heard: unknown[] = []
    for (let i = 0; i < 3; i++) near.system.askThen(at("n1"), get, 1_000, (outcome) => heard.push(outcome))
    world.host.settle()
    expect(heard).toMatchObject([
      { _tag: "Answer" },
      { _tag: "Answer" },
      { _tag: "MailboxFull", capacity: 2 }
    ])
    heard.length = 0
    for (let i = 0; i < 3; i++) far.system.askThen(at("n1"), get, 1_000, (outcome) => heard.push(outcome))
    world.host.settle()
    expect(heard.filter((outcome) => (outcome as { _tag: string })._tag === "MailboxFull")).toMatchObject([
      { address: "n1/counter/main", capacity: 2 }
    ])
  })

  test("a message that its receiver has no meaning for is NotUnderstood, and says why", () => {
    const { world, far } = pair()
    expect(world.ask(far.system, at("n1"), { _tag: "Sing" })).toMatchObject({ _tag: "NotUnderstood" })
    const wrong = world.ask(far.system, at("n1"), { _tag: "Add", amount: "much" })
    expect(wrong).toMatchObject({ _tag: "NotUnderstood" })
    expect((wrong as { message: string }).message).toContain("amount")
  })

  test("an actor without a schema is closed to other processes", () => {
    const { world, near, far } = pair()
    const { definition, heard } = listener()
    near.system.startTree(only(permanent(definition)), "n1")
    expect(world.ask(far.system, at("n1", "listener"), get)).toMatchObject({ _tag: "NotUnderstood" })
    expect(heard).toEqual([])
  })

  test("fields that the receiver does not know are ignored", () => {
    const { world, far } = pair()
    expect(world.ask(far.system, at("n1"), { _tag: "Get", since: "v9" })).toMatchObject({ _tag: "Answer" })
  })

  test("an actor that is stopped tells those who wait for it", () => {
    const { world, near, far } = pair()
    const { definition } = listener()
    const handle = near.system.startTree(only(permanent({ ...definition, kind: "keeper" })), "n1")
    const heard: unknown[] = []
    for (const message of [{ a: 1 }, { b: 2 }]) {
      near.system.askThen(at("n1", "keeper"), message, 60_000, (outcome) => heard.push(outcome))
    }
    far.system.askThen(at("n1"), { _tag: "Keep" }, 60_000, (outcome) => heard.push(outcome))
    world.host.settle()
    handle.stop()
    world.host.settle()
    expect(heard).toMatchObject([{ _tag: "Stopped" }, { _tag: "Stopped" }])
  })

  test("a question whose time is up is not decided about any more", () => {
    const { world, near } = pair()
    near.system.tell(at("n1"), { _tag: "Explode" })
    near.system.askThen(at("n1"), add(1), 50, () => {})
    // The crash keeps the question waiting for longer than its asker does.
    world.host.advance(5_000)
    expect(world.ask(near.system, at("n1"), get)).toEqual({ _tag: "Answer", value: { sum: 0 } })
    expect(near.system.deadLetters().samples).toEqual(["n1/counter/main: Add: its deadline had passed"])
  })

  test("an answer may come in a later turn, and from another actor", () => {
    const { world, near, far } = pair()
    const answering = actor<undefined, null, { readonly to: ReplyTo }, never>({
      kind: "answering",
      start: () => stay(null),
      decide: (state, message) => stay(state, reply(message.to, "from the other one"))
    })
    const passing = actor<undefined, ReplyTo | undefined, { readonly _tag: string }, never>({
      kind: "passing",
      accepts: counter().accepts as never,
      start: () => stay(undefined),
      decide: (kept, message, moment) =>
        message._tag === "Get"
          ? stay(moment.asker, later("think", 100, { _tag: "Now" }))
          : stay(kept, tell(at("n1", "answering"), { to: kept }))
    })
    near.system.startTree(only(permanent(answering), permanent(passing)), "n1")
    const heard: unknown[] = []
    far.system.askThen(at("n1", "passing"), get, 1_000, (outcome) => heard.push(outcome))
    world.host.advance(99)
    expect(heard).toEqual([])
    world.host.advance(1)
    expect(heard).toEqual([{ _tag: "Answer", value: "from the other one" }])
  })

  test("an answer too large to be carried is told as such rather than lost", () => {
    const { world, near, far } = pair()
    const verbose = actor<undefined, null, object, never>({
      kind: "verbose",
      accepts: counter().accepts as never,
      start: () => stay(null),
      decide: (state, _, { asker }) =>
        asker ? stay(state, reply(asker, "x".repeat(17_000_000))) : stay(state)
    })
    near.system.startTree(only(permanent(verbose)), "n1")
    const outcome = world.ask(far.system, at("n1", "verbose"), get)
    expect(outcome).toMatchObject({ _tag: "Unreachable" })
    expect((outcome as { message: string }).message).toContain("a message carries")
  })

  test("as an Effect it fails with the absence, and interrupting it takes the question back", async () => {
    const { world, near } = pair()
    const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => {
      const result = Effect.runPromise(effect)
      world.host.settle()
      return result
    }
    expect(await run(near.system.ask<{ sum: number }>(at("n1"), get, 1_000))).toEqual({ sum: 0 })
    expect((await run(Effect.flip(near.system.ask(at("n1", "nobody"), get, 1_000))))._tag).toBe("NotHere")
  })
})

describe("answers from elsewhere", () => {
  test("are decoded where they enter, and refused when they are not what was expected", async () => {
    const { world, far } = pair()
    const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => {
      const result = Effect.runPromise(effect)
      world.host.settle()
      return result
    }
    const Sum = Schema.Struct({ sum: Schema.Int })
    expect(await run(far.system.ask(at("n1"), get, 1_000, Sum))).toEqual({ sum: 0 })
    const Other = Schema.Struct({ total: Schema.Int })
    const refused = await run(Effect.flip(far.system.ask(at("n1"), get, 1_000, Other)))
    expect(refused._tag).toBe("NotUnderstood")
    expect(refused.message).toContain("total")
  })
})

describe("homes", () => {
  test("whoever claims the leader's home gets what is said to the leader, until it lets go", () => {
    const { world, near, far } = pair()
    expect(world.ask(far.system, at("leader"), get)).toMatchObject({ _tag: "NotHere" })
    const claim = near.system.claim("leader", { term: 1 })
    const handle = near.system.startTree(only(permanent(counter())), "leader")
    expect(world.ask(far.system, at("leader"), get)).toMatchObject({ _tag: "Answer" })
    handle.stop()
    claim.release()
    expect(world.ask(far.system, at("leader"), get)).toMatchObject({ _tag: "NotHere" })
  })

  test("a home that is claimed twice is let go when both have let go", () => {
    const { world, near, far } = pair()
    const claims = [near.system.claim("leader"), near.system.claim("leader")]
    near.system.startTree(only(permanent(counter())), "leader")
    claims[0]?.release()
    claims[0]?.release()
    expect(world.ask(far.system, at("leader"), get)).toMatchObject({ _tag: "Answer" })
    claims[1]?.release()
    expect(world.ask(far.system, at("leader"), get)).toMatchObject({ _tag: "NotHere" })
  })

  test("one of the managers answers what is said to the managers, and each of them sometimes", () => {
    const world = new World()
    const managers = ["m1", "m2"].map((name) => {
      const process = world.process(name)
      process.system.claim("manager")
      process.system.startTree(only(permanent(counter())), "manager")
      return process
    })
    const asker = world.process("w1")
    for (let i = 0; i < 40; i++) asker.system.tell(at("manager"), add(1))
    world.host.settle()
    const sums = managers.map(({ system }) => {
      const outcome = world.ask(system, at("manager"), get)
      return outcome?._tag === "Answer" ? (outcome.value as { sum: number }).sum : 0
    })
    expect(sums.reduce((a, b) => a + b, 0)).toBe(40)
    expect(Math.min(...sums)).toBeGreaterThan(0)
  })

  test("H9: what an older leader says is dropped and counted once a newer one has spoken", () => {
    const world = new World()
    const [old, young, worker] = [world.process("m1"), world.process("m2"), world.process("w1")]
    worker.system.startTree(only(permanent(counter())), "w1")
    const lead = (process: Process, term: number): void => {
      process.system.claim("leader", { term })
      process.system.startTree(only(permanent(counter("ruler"))), "leader")
    }
    const rule = (process: Process, amount: number): void => {
      process.system.tell(at("leader", "ruler"), doing(tell(at("w1"), add(amount))))
      world.host.settle()
    }
    lead(old, 4)
    rule(old, 1)
    lead(young, 5)
    rule(young, 10)
    rule(old, 100)
    expect(world.ask(worker.system, at("w1"), get)).toEqual({ _tag: "Answer", value: { sum: 11 } })
    expect(worker.system.deadLetters().samples).toEqual([
      expect.stringMatching(
        /^w1\/counter\/main: undefined: from an older leader \(term 4\) \[message m\d-.+\]$/
      )
    ])
  })

  test("H9: an answer of an older leader counts for nothing", () => {
    const world = new World()
    const [old, young, worker] = [world.process("m1"), world.process("m2"), world.process("w1")]
    worker.system.startTree(only(permanent(counter())), "w1")
    old.system.claim("leader", { term: 4 })
    old.system.startTree(only(permanent(counter())), "leader")
    expect(world.ask(worker.system, at("leader"), get)).toMatchObject({ _tag: "Answer" })
    const claim = young.system.claim("leader", { term: 5 })
    young.system.startTree(only(permanent(counter("ruler"))), "leader")
    young.system.tell(at("leader", "ruler"), doing(tell(at("w1"), add(1))))
    world.host.settle()
    claim.release()
    expect(world.ask(worker.system, at("leader"), get)).toMatchObject({ _tag: "NotHere" })
  })
})

describe("whoever may not lead", () => {
  /** A leader of term 4, and a node that says it has heard of a later one. */
  const ruled = () => {
    const world = new World()
    const [manager, worker] = [world.process("m1"), world.process("w1")]
    manager.system.claim("leader", { term: 4 })
    manager.system.startTree(only(permanent(counter()), permanent(counter("ruler"))), "leader")
    worker.system.startTree(only(permanent(counter())), "w1")
    const rule = (): unknown => {
      manager.system.tell(at("leader", "ruler"), doing(tell(at("w1"), add(1))))
      world.host.settle()
      return world.ask(worker.system, at("w1"), get)
    }
    return { world, manager, worker, rule }
  }

  test("deposes no leader by a term in what it tells the leader", () => {
    const { world, worker, rule } = ruled()
    worker.transport.publish("troupe.v1.blue.leader.counter.main.in", { "troupe-term": "999" }, bytes(add(1)))
    world.host.settle()
    expect(rule()).toEqual({ _tag: "Answer", value: { sum: 1 } })
    expect(world.ask(worker.system, at("leader"), get)).toEqual({ _tag: "Answer", value: { sum: 1 } })
  })

  test("deposes no leader by a term in what it answers", () => {
    const { world, manager, worker, rule } = ruled()
    worker.transport.subscribe("troupe.v1.blue.w2.liar.main.in", {}, ({ respond }) =>
      respond?.({ "troupe-term": "999" }, bytes("yes"))
    )
    expect(world.ask(manager.system, at("w2", "liar"), get)).toEqual({ _tag: "Answer", value: "yes" })
    expect(rule()).toEqual({ _tag: "Answer", value: { sum: 1 } })
  })
})

test("a node that gives its messages the names of another's keeps none of those from the leader", () => {
  const world = new World()
  const [manager, worker, other] = ["m1", "w1", "w2"].map((name) => world.process(name)) as [
    Process,
    Process,
    Process
  ]
  manager.system.claim("leader", { term: 1 })
  const ids = ["w1", "w2"].map((id) => permanent(counter(), { id }))
  manager.system.startTree(only(...ids), "leader")
  let name = ""
  worker.transport.subscribe("troupe.v1.blue.leader.counter.w2.in", {}, ({ headers }) => {
    name = headers["troupe-id"] ?? ""
  })
  other.system.tell(at("leader", "counter", "w2"), add(1))
  world.host.settle()
  const [, begin = ""] = /^(.+-)[0-9a-z]+$/.exec(name) ?? []
  for (let number = 1_000_000; number < 1_020_000; number++) {
    const headers = { "troupe-id": `${begin}${number.toString(36)}` }
    worker.transport.publish("troupe.v1.blue.leader.counter.w1.in", headers, bytes(add(1)))
    if (number % 1_000 === 0) world.host.settle()
  }
  other.system.tell(at("leader", "counter", "w2"), add(10))
  world.host.settle()
  expect(world.ask(manager.system, at("leader", "counter", "w2"), get)).toEqual({
    _tag: "Answer",
    value: { sum: 11 }
  })
})

describe("on the wire", () => {
  const tap = (transport: TransportService, pattern: string) => {
    const seen: Array<{ subject: string; headers: Record<string, string>; body: unknown }> = []
    transport.subscribe(pattern, {}, ({ subject, headers, body }) => {
      seen.push({ subject, headers: { ...headers }, body: JSON.parse(Buffer.from(body).toString()) })
    })
    return seen
  }

  test("an announcement goes out on the actor's own subject, as JSON", () => {
    const { world, near, far } = pair()
    const seen = tap(far.transport, "troupe.v1.blue.*.counter.*.out")
    near.system.tell(at("n1"), doing(announce({ _tag: "Counted", sum: 3 })))
    world.host.settle()
    expect(seen).toMatchObject([
      { subject: "troupe.v1.blue.n1.counter.main.out", body: { _tag: "Counted", sum: 3 } }
    ])
    expect(seen[0]?.headers["troupe-from"]).toBe("n1/counter/main")
  })

  test("what follows from a message names it as its cause, and is a span of its own in its trace", () => {
    const { world, near, far } = pair()
    const seen = tap(far.transport, "troupe.v1.blue.n9.>")
    near.system.startTree(only(permanent(counter("b"))), "n1")
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    const headers = { "troupe-id": "first", traceparent: `00-${trace}-00f067aa0ba902b7-01` }
    const chain = doing(tell(at("n1", "b"), doing(tell(at("n9"), get))))
    far.transport.publish("troupe.v1.blue.n1.counter.main.in", headers, bytes(chain))
    world.host.settle()
    expect(seen[0]?.headers).toMatchObject({
      "troupe-from": "n1/b/main",
      "troupe-cause": "first"
    })
    expect(seen[0]?.headers.traceparent).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`))
    expect(seen[0]?.headers.traceparent).not.toContain("00f067aa0ba902b7")
    expect(seen[0]?.headers["troupe-id"]).not.toBe("first")
  })

  test("a question carries how long it is waited for, and its receiver keeps to that", () => {
    const { world, near, far } = pair()
    const { definition, heard } = listener()
    near.system.startTree(only(permanent({ ...definition, accepts: counter().accepts as never })), "n1")
    far.system.askThen(at("n1", "listener"), get, 700, () => {})
    world.host.settle()
    expect(heard[0]?.moment.asker?.deadline).toBe(world.host.now() + 700)
  })

  test("noise on our subjects disturbs nobody", () => {
    const { world, near, far } = pair()
    const subject = "troupe.v1.blue.n1.counter.main"
    for (const body of ["", "{", "null", "[]", '"x"', '{"_tag":1}']) {
      for (const lane of ["in", "sys"]) {
        far.transport.publish(`${subject}.${lane}`, { "troupe-deadline": "soon" }, Buffer.from(body))
      }
    }
    world.host.settle()
    expect(world.ask(near.system, at("n1"), get)).toEqual({ _tag: "Answer", value: { sum: 0 } })
    expect(near.system.deadLetters().count).toBe(12)
  })
})

describe("watching", () => {
  const watched = () => {
    const { world, near, far } = pair()
    const boss = permanent(counter("boss"))
    const handle = near.system.startTree(only(boss, many(counter("worker"))), "n1")
    near.system.tell(at("n1", "boss"), doing(spawn("worker", "w1", {})))
    world.host.settle()
    const told: string[] = []
    const watches = [near, far].map(({ system }, i) =>
      system.watch(at("n1", "worker", "w1"), (reason) => told.push(`${i}: ${reason}`))
    )
    world.host.settle()
    return { world, near, far, told, watches, handle }
  }

  test("tells once when the actor ends, here and elsewhere, and not when it is restarted", () => {
    const { world, near, told } = watched()
    near.system.tell(at("n1", "worker", "w1"), { _tag: "Explode" })
    world.host.advance(5_000)
    expect(told).toEqual([])
    near.system.tell(at("n1", "worker", "w1"), { _tag: "Finish" })
    world.host.advance(30_000)
    expect(told.toSorted()).toEqual(["0: it ended", "1: it ended"])
  })

  test("tells at once that nobody is there", () => {
    const { world, near, far } = pair()
    const told: string[] = []
    near.system.watch(at("n1", "nobody"), (reason) => told.push(reason))
    far.system.watch(at("n1", "nobody"), (reason) => told.push(reason))
    far.system.watch(at("n9"), (reason) => told.push(reason))
    expect(told).toEqual([])
    world.host.settle()
    expect(told.toSorted()).toEqual([
      "n1/nobody/main is not there",
      "n1/nobody/main is not there",
      "n9/counter/main is not there"
    ])
  })

  test("tells when the node is gone, once, and not for a short break", () => {
    const { world, near, told } = watched()
    near.transport.disconnect()
    world.host.advance(2_000)
    near.transport.reconnect()
    world.host.advance(20_000)
    expect(told).toEqual([])
    near.transport.close()
    world.host.advance(60_000)
    expect(told).toEqual(["1: the node of n1/worker/w1 does not answer"])
  })

  test("tells nothing after it was taken back", () => {
    const { world, told, watches, handle } = watched()
    for (const watch of watches) watch.unwatch()
    handle.stop()
    world.host.advance(60_000)
    expect(told).toEqual([])
  })

  test("tells when the whole tree is stopped, and works through many rounds of renewal", () => {
    const { world, told, handle } = watched()
    world.host.advance(60_000)
    expect(told).toEqual([])
    handle.stop()
    world.host.settle()
    expect(told.length).toBe(2)
  })
})

describe("looking in from outside", () => {
  const outside = () => {
    const { world, near, far } = pair()
    const eye = inspector(far.transport, "blue")
    const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => {
      const result = Effect.runPromise(effect)
      world.host.settle()
      return result
    }
    return { world, near, far, eye, run }
  }

  test("a node shows its trees, its dead letters, and restarts an actor on demand", async () => {
    const { world, near, eye, run } = outside()
    near.system.tell(at("n1"), add(7))
    near.system.tell(at("n1", "nobody"), get)
    world.host.settle()
    const seen = await run(eye.tree("n1"))
    expect(seen).toMatchObject({
      nodeId: "n1",
      omitted: 0,
      trees: [{ name: "top", children: [{ name: "counter/main", summary: "sum 7" }] }]
    })
    expect(await run(eye.deadLetters("n1"))).toMatchObject({ count: 1, byReason: { "nobody was there": 1 } })
    expect(await run(eye.restart("n1", at("n1", "nobody")))).toBe(false)
    expect(await run(eye.restart("n1", at("n1")))).toBe(true)
    world.host.advance(1_000)
    expect(world.ask(near.system, at("n1"), get)).toEqual({ _tag: "Answer", value: { sum: 0 } })
  })

  test("a node that is not there is NotHere", async () => {
    const { eye, run } = outside()
    expect((await run(Effect.flip(eye.tree("n9"))))._tag).toBe("NotHere")
  })

  test("a tree too large for one message is shortened, and says by how many", async () => {
    const { world, near, eye, run } = outside()
    near.system.startTree(
      supervisor({ name: "big", children: [permanent(counter("boss")), many(counter("worker"))] }),
      "n1"
    )
    for (let i = 0; i < 6_000; i++) near.system.tell(at("n1", "boss"), doing(spawn("worker", `w${i}`, {})))
    world.host.settle()
    const seen = await run(eye.tree("n1"))
    expect(seen.omitted).toBeGreaterThan(0)
    const shown = seen.trees[1]?.children[1]
    expect(shown?.summary).toBe("6000")
    expect((shown?.children.length ?? 0) + seen.omitted).toBe(6_000)
  })
})

describe("one seed, one run", () => {
  /** A busy, lossy minute: actors that crash, spawn, ask and lose messages. */
  const run = (seed: number): string => {
    const world = new World(seed, { loss: 0.1, doubling: 0.1, leastMs: 0, mostMs: 20 })
    const processes = ["n1", "n2", "n3"].map((name) => world.process(name))
    for (const { system } of processes) {
      const children = [permanent(counter()), many(counter("worker")), temporary(counter("c"))]
      system.startTree(supervisor({ name: "top", strategy: "rest-for-one", children }), system.nodeId)
    }
    for (let second = 0; second < 60; second++) {
      for (const { system } of processes) {
        const to = at(`n${1 + Math.floor(world.host.random() * 3)}`)
        system.tell(to, add(second))
        system.tell(to, doing(spawn("worker", `w${second % 7}`, { from: second })))
        if (world.host.random() < 0.1) system.tell(to, { _tag: "Explode" })
        system.askThen(to, get, 500, (outcome) => world.host.note(JSON.stringify(outcome)))
        system.watch(at(to.home, "worker", "w1"), (reason) => world.host.note(reason))
      }
      world.host.advance(1_000)
    }
    for (const { system } of processes) world.host.note(JSON.stringify(system.trees()))
    return world.host.traceHash()
  }

  test("the same seed gives the same trace, another seed another one", () => {
    const traces = [1, 2, 3].map(run)
    expect([1, 2, 3].map(run)).toEqual(traces)
    expect(new Set(traces).size).toBe(3)
    expect(Number(traces[0]?.split("-")[1])).toBeGreaterThan(500)
  }, 120_000)
})
