/** Members of two lives of one group on one NATS: who is heard, and who is told. */
import { beforeEach, expect, test } from "bun:test"
import type { Message } from "#actors/raft/host/message.ts"
import {
  firstIncarnation,
  groupName,
  type Incarnation,
  incarnationOf,
  nextIncarnation,
  numberOfTerm,
  supersedes,
  termBefore
} from "#actors/raft/incarnation.ts"
import { type NatsWire, openNatsWire } from "#actors/raft/wire/nats.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"

const second = nextIncarnation(firstIncarnation, "a")
const otherSecond = nextIncarnation(firstIncarnation, "b")

let host: VirtualHost
let bus: MemoryBus
beforeEach(() => {
  host = new VirtualHost(0)
  bus = new MemoryBus(host)
})

/** A member's wire, and what it came to know. */
function member(raftId: string, incarnation: Incarnation) {
  const heard: Array<Message["_tag"]> = []
  const met: Array<string> = []
  const transport = bus.connect(raftId)
  const wire: NatsWire = openNatsWire({
    clusterId: "blue",
    raftId,
    incarnation,
    main: transport,
    bulk: transport,
    met: ({ number, id }, from) => met.push(`${from} of ${number}${id}`)
  })
  wire.listen({ received: ({ _tag }) => heard.push(_tag), unreachable: () => {}, gone: () => {} })
  return { wire, heard, met }
}

const say = (from: { readonly wire: NatsWire }, name: string, to: string): void => {
  from.wire.send({ _tag: "PreVote", from: name, to, term: 5, lastIndex: 1, lastTerm: 1 })
  host.advance(10)
}

test("E16, E17: a member that was left behind is not heard, and hears from whoever went on that it was", () => {
  const old = member("m1", firstIncarnation)
  const now = member("m2", second)
  say(old, "m1", "m2")
  expect(now.heard).toEqual([])
  expect(now.wire.counters().refused).toBe(1)
  expect(now.met).toEqual(["m1 of 1"])
  expect(old.heard).toEqual([])
  expect(old.met).toEqual(["m2 of 2a"])
})

test("E16: whoever went on does not listen to those left behind, however often they speak, and tells them now and then", () => {
  const old = member("m1", firstIncarnation)
  const now = member("m2", second)
  for (let i = 0; i < 100; i++) say(old, "m1", "m2")
  expect(now.heard).toEqual([])
  expect(now.wire.counters().refused).toBe(100)
  expect(now.wire.counters().sent).toBeLessThan(10)
})

test("E16: two that were begun anew from one group do not hear each other, and neither yields", () => {
  const one = member("m1", second)
  const two = member("m2", otherSecond)
  say(one, "m1", "m2")
  expect(two.heard).toEqual([])
  expect(two.met).toEqual(["m1 of 2a"])
  expect(one.met).toEqual([])
})

test("members of one incarnation hear each other", () => {
  const one = member("m1", second)
  const two = member("m2", second)
  say(one, "m1", "m2")
  expect(two.heard).toEqual(["PreVote"])
})

test("the name of a group says its incarnation, and that of another cluster says none", () => {
  for (const incarnation of [firstIncarnation, second, { number: 1_234, id: "x9" }]) {
    expect(incarnationOf("blue", groupName("blue", incarnation))).toEqual(incarnation)
    expect(incarnationOf("green", groupName("blue", incarnation))).toBeUndefined()
  }
  // As releases say it that know of no incarnations.
  expect(groupName("blue", firstIncarnation)).toBe("blue")
  expect(incarnationOf("blue", "blue/x/y")).toBeUndefined()
})

test("a later incarnation supersedes an earlier one, and of two with one number neither does", () => {
  expect(supersedes(second, firstIncarnation)).toBe(true)
  expect(supersedes(firstIncarnation, second)).toBe(false)
  expect(supersedes(second, otherSecond) || supersedes(otherSecond, second)).toBe(false)
})

test("every term of an incarnation is above every term of those before it, and tells its number", () => {
  for (const number of [1, 2, 3, 1_000]) {
    const incarnation = { number, id: "x" }
    expect(numberOfTerm(termBefore(incarnation) + 1)).toBe(number)
    expect(numberOfTerm(termBefore({ number: number + 1, id: "y" }))).toBe(number)
  }
  expect(numberOfTerm(0)).toBe(1)
})
