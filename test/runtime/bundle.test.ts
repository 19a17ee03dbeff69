/** What one actor tells another elsewhere in one turn is one publish, and is handled as if it were many. */
import { describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { Schema } from "effect"
import { announce, type CommonAction, reply, tell } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { World } from "#test/runtime/world.ts"

const at = (home: string, kind: string) => address(home, kind, "main")
const add = (amount: number) => ({ _tag: "Add", amount })
const get = { _tag: "Get" }
const refused = { _tag: "Refused" }

/** Asks for all of it in one decision, and counts what it is told was refused. */
type Said = CommonAction | { readonly _tag: "Cut" }
const speaker = actor<undefined, number, { _tag: string; say?: ReadonlyArray<Said> }, { _tag: "Cut" }>({
  kind: "speaker",
  start: () => stay(0),
  decide: (count, message, { asker }) => {
    if (message._tag === "Refused") return stay(count + 1)
    return stay(count, ...(asker ? [reply(asker, count)] : (message.say ?? [])))
  },
  perform: () => {
    throw new Error("the stage performs")
  }
})

/** Keeps whatever it is told, in order. */
function witness(capacity = 100) {
  const heard: unknown[] = []
  const definition = actor<undefined, null, unknown, never>({
    kind: "witness",
    accepts: Schema.Union([
      Schema.Struct({ _tag: Schema.Literal("Add"), amount: Schema.Int }),
      Schema.Struct({ _tag: Schema.Literal("Get") })
    ]),
    mailbox: { capacity },
    start: () => stay(null),
    decide: (state, message, { asker }) => {
      heard.push(message)
      return asker ? stay(state, reply(asker, heard.length)) : stay(state)
    }
  })
  return { definition, heard }
}

/** A speaker on n1, a witness on n2, and whatever goes over the wire to n2. */
function pair(capacity?: number) {
  const world = new World()
  const [near, far] = [world.process("n1", { trace: {} }), world.process("n2", { trace: {} })]
  const { definition, heard } = witness(capacity)
  near.system.startTree(supervisor({ name: "top", children: [permanent(speaker)] }), "n1")
  far.system.startTree(supervisor({ name: "top", children: [permanent(definition)] }), "n2")
  const wire: Array<{ subject: string; headers: Readonly<Record<string, string>>; text: string }> = []
  world.bus.connect("tap").subscribe("troupe.v1.blue.*.*.*.*", {}, ({ subject, headers, body }) => {
    wire.push({ subject, headers, text: Buffer.from(body).toString() })
  })
  world.host.settle()
  const says = (...say: ReadonlyArray<Said>): void => {
    near.system.tell(at("n1", "speaker"), { _tag: "Say", say })
  }
  return { world, near, far, heard, wire, says }
}

const to = at("n2", "witness")

describe("what is told in one turn", () => {
  test("goes out as one array, and is handled one by one in its order", () => {
    const { world, heard, wire, says } = pair()
    says(tell(to, add(1)), tell(to, add(2)), tell(to, add(3)))
    world.host.settle()
    expect(wire.map(({ text }) => text)).toEqual([
      '[{"_tag":"Add","amount":1},{"_tag":"Add","amount":2},{"_tag":"Add","amount":3}]'
    ])
    expect(wire[0]?.headers).toMatchObject({ "troupe-many": "3", "troupe-from": "n1/speaker/main" })
    expect(heard).toEqual([add(1), add(2), add(3)])
  })

  test("goes out as it always did when it is alone", () => {
    const { world, wire, says } = pair()
    says(tell(to, add(1)))
    world.host.settle()
    says(tell(to, add(2)))
    world.host.settle()
    expect(wire.map(({ text }) => text)).toEqual(['{"_tag":"Add","amount":1}', '{"_tag":"Add","amount":2}'])
    expect(wire.some(({ headers }) => "troupe-many" in headers)).toBe(false)
  })

  test("keeps its place among questions and announcements", () => {
    const { world, near, heard, wire } = pair()
    near.system.tell(to, add(1))
    near.system.tell(to, add(2))
    near.system.askThen(to, get, 1_000, () => {})
    near.system.tell(to, add(3))
    world.host.settle()
    expect(heard).toEqual([add(1), add(2), get, add(3)])
    wire.length = 0
    near.system.tell(at("n1", "speaker"), {
      _tag: "Say",
      say: [tell(to, add(4)), announce({ _tag: "Said" }), tell(to, add(5)), tell(to, add(6))]
    })
    world.host.settle()
    expect(wire.map(({ text }) => JSON.parse(text))).toEqual([add(4), { _tag: "Said" }, [add(5), add(6)]])
  })

  test("is shared by no two senders, no two receivers, and none of the messages to the managers", () => {
    const { world, near, wire, says } = pair()
    says(tell(to, add(1)), tell(at("n2", "other"), add(2)), tell(to, add(3)))
    near.system.tell(to, add(4))
    says(tell(at("manager", "any"), add(5)), tell(at("manager", "any"), add(6)))
    world.host.settle()
    expect(wire.map(({ text }) => JSON.parse(text).amount)).toEqual([4, 1, 2, 3, 5, 6])
  })

  test("is not so much at once that a server would not take it in one piece", () => {
    const { world, near, heard, wire } = pair(20_000)
    for (let i = 0; i < 5_000; i++) near.system.tell(to, add(i))
    world.host.settle()
    expect(heard).toEqual(Array.from({ length: 5_000 }, (_, i) => add(i)))
    expect(Math.max(...wire.map(({ text }) => text.length))).toBeLessThan(17 * 1024)
    expect(wire.length).toBeLessThan(12)
  })

  test("cannot be changed any more once it was told", () => {
    const { world, near, heard } = pair()
    const message = add(1)
    near.system.tell(to, message)
    message.amount = 2
    near.system.tell(to, message)
    world.host.settle()
    expect(heard).toEqual([add(1), add(2)])
  })
})

describe("each message of a bundle", () => {
  test("is judged by itself: taken, not understood, refused by a full mailbox", () => {
    const { world, far, heard, says } = pair(2)
    says(
      tell(to, add(1)),
      tell(to, { _tag: "Gibberish" }),
      tell(to, add(2)),
      tell(to, add(3)),
      tell(to, add(4))
    )
    world.host.settle()
    expect(heard).toEqual([add(1), add(2)])
    expect(far.system.deadLetters()).toMatchObject({
      byReason: { NotUnderstood: 1, "its mailbox was full": 2 }
    })
  })

  test("is a dead letter of its own when nobody is there", () => {
    const { world, far, says } = pair()
    says(tell(at("n2", "nobody"), add(1)), tell(at("n2", "nobody"), add(2)))
    world.host.settle()
    expect(far.system.deadLetters()).toMatchObject({ byReason: { NotHere: 2 } })
  })

  test("is told back to its teller when the connection is gone by the end of the turn", () => {
    const { world, near, heard, says } = pair()
    near.stage.perform = () => {
      near.transport.disconnect()
      return { interrupt: () => {} }
    }
    says(tell(to, add(1), refused), tell(to, add(2)), { _tag: "Cut" }, tell(to, add(3), refused))
    world.host.settle()
    expect(heard).toEqual([])
    expect(near.system.deadLetters()).toMatchObject({ byReason: { "the transport was down": 3 } })
    expect(world.ask(near.system, at("n1", "speaker"), get)).toEqual({ _tag: "Answer", value: 2 })
  })

  test("has an id and a cause of its own, by which it is found on both sides", () => {
    const { world, near, far, wire, says } = pair()
    says(tell(to, add(1)), tell(to, add(2)))
    says(tell(to, add(3)))
    world.host.settle()
    expect(wire.length).toBe(1)
    const causes = near.system.traced(at("n1", "speaker"), 10).map(({ id }) => id)
    const [first, second] = causes
    const sent = near.system.traced(to, 10)
    const received = far.system.traced(to, 10)
    expect(new Set(sent.map(({ id }) => id)).size).toBe(3)
    expect(received.map(({ id }) => id)).toEqual(sent.map(({ id }) => id))
    expect(received.map(({ cause }) => cause)).toEqual([first, first, second] as string[])
    expect(received.map(({ outcome }) => outcome)).toEqual(["handled", "handled", "handled"])
  })
})

describe("what only looks like a bundle", () => {
  test("is one message that nobody understands", () => {
    const { world, far, heard } = pair()
    const stranger = world.bus.connect("stranger")
    for (const body of ["{", "{}", ""]) {
      stranger.publish("troupe.v1.blue.n2.witness.main.in", { "troupe-many": "3" }, Buffer.from(body))
    }
    stranger.publish("troupe.v1.blue.n2.witness.main.in", { "troupe-many": "3" }, Buffer.from("[]"))
    world.host.settle()
    expect(heard).toEqual([])
    expect(far.system.deadLetters()).toMatchObject({ byReason: { NotUnderstood: 3 } })
  })

  test("is refused as a question", () => {
    const { world } = pair()
    let answer: unknown
    const headers = { "troupe-many": "1" }
    const body = Buffer.from(JSON.stringify([get]))
    world.bus
      .connect("stranger")
      .call("troupe.v1.blue.n2.witness.main.in", headers, body, 1_000, (outcome) => {
        answer = "_tag" in outcome ? outcome._tag : outcome.headers["troupe-error"]
      })
    world.host.settle()
    expect(answer).toBe("NotUnderstood")
  })
})
