/** One process, or two on one bus, on imitated time: what actors are promised by the runtime around them. */
import { describe, expect, test } from "bun:test"
import { Schema } from "effect"
import { announce, cancel, dismiss, later, reply, spawn, tell } from "#runtime/actions.ts"
import { type AnyActor, actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { end, type ReplyTo, stay } from "#runtime/behaviour.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { makeSystem } from "#runtime/live.ts"
import type { PerformExit, Performer } from "#runtime/performer.ts"
import { many, permanent, supervisor, temporary, transient } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import type { Outcome } from "#runtime/wire.ts"

const Message = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Add"), amount: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Get") }),
  Schema.Struct({ _tag: Schema.Literal("Explode") }),
  Schema.Struct({ _tag: Schema.Literal("Keep") })
])
type Message = typeof Message.Type

/** Sums what it is told; `Keep` leaves the asker without an answer; `Explode` is a bug. */
const counter = actor<undefined, { sum: number; kept: ReadonlyArray<ReplyTo> }, Message, never>({
  kind: "counter",
  accepts: Message,
  start: () => stay({ sum: 0, kept: [] }),
  decide: (state, message, moment) => {
    switch (message._tag) {
      case "Add":
        return stay({ ...state, sum: state.sum + message.amount })
      case "Get":
        return stay(state, ...(moment.asker ? [reply(moment.asker, { sum: state.sum })] : []))
      case "Keep":
        return stay({ ...state, kept: moment.asker ? [...state.kept, moment.asker] : state.kept })
      case "Explode":
        throw new Error("boom")
    }
  },
  summary: (state) => `sum ${state.sum}`
})

function world(seed = 1) {
  const host = new VirtualHost(seed)
  const bus = new MemoryBus(host)
  const process = (nodeId: string, performer?: Performer) =>
    makeSystem({
      cluster: "blue",
      nodeId,
      host,
      transport: bus.connect(nodeId),
      ...(performer && { performer }),
      deciding: (self, message, now) =>
        host.note(`${now} ${self.home}/${self.kind}/${self.id} ${JSON.stringify(message)}`)
    })
  return { host, bus, process }
}

const tree = (...children: ReadonlyArray<ReturnType<typeof permanent>>) =>
  supervisor({ name: "top", children })

describe("telling and asking", () => {
  test("messages to a local actor are handled in order and are not copied", () => {
    const { host, process } = world()
    const system = process("n1")
    const seen: unknown[] = []
    const listener = actor<undefined, null, object, never>({
      kind: "listener",
      start: () => stay(null),
      decide: (state, message) => {
        seen.push(message)
        return stay(state)
      }
    })
    system.startTree(tree(permanent(listener)), "n1")
    const messages = [{ a: 1 }, { b: 2 }, { c: 3 }]
    for (const message of messages) system.tell(address("n1", "listener", "main"), message)
    host.settle()
    expect(seen).toEqual(messages)
    expect(seen[0]).toBe(messages[0])
  })

  test("an ask is answered, here and across processes alike", () => {
    const { host, process } = world()
    const [n1, n2] = [process("n1"), process("n2")]
    n1.startTree(tree(permanent(counter)), "n1")
    const to = address("n1", "counter", "main")
    n2.tell(to, { _tag: "Add", amount: 2 })
    n1.tell(to, { _tag: "Add", amount: 3 })
    const answers: Outcome[] = []
    host.settle()
    for (const system of [n1, n2])
      system.askThen(to, { _tag: "Get" }, 1_000, (outcome) => answers.push(outcome))
    host.settle()
    expect(answers).toEqual([
      { _tag: "Answer", value: { sum: 5 } },
      { _tag: "Answer", value: { sum: 5 } }
    ])
  })
})
