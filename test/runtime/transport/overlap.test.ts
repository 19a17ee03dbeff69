/** Two connections at once: what both bring is one message. */
import { expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { type Arrival, Overlap } from "#runtime/transport/overlap.ts"

const arrival = (body: string, more: Partial<Arrival> = {}): Arrival => ({
  at: 0,
  subject: "s",
  reply: undefined,
  headers: {},
  body: Buffer.from(body),
  ...more
})
const id = (name: string) => ({ headers: { "troupe-id": name } })
const textsOf = (arrivals: ReadonlyArray<Arrival>): ReadonlyArray<string> =>
  arrivals.map(({ body }) => Buffer.from(body).toString())

test("what the old connection brought is not delivered again; the rest is, in the order of the new one", () => {
  const overlap = new Overlap()
  for (const name of ["1", "2", "3"]) overlap.saw(arrival(name, id(name)))
  for (const name of ["2", "3", "4", "5"]) overlap.hold(arrival(name, id(name)))
  expect(textsOf(overlap.rest())).toEqual(["4", "5"])
})

test("messages without a name are told apart by their question's inbox, else by what they say, and counted", () => {
  const overlap = new Overlap()
  overlap.saw(arrival("same"))
  overlap.saw(arrival("asked", { reply: "inbox.1" }))
  for (const each of [arrival("same"), arrival("same"), arrival("other")]) overlap.hold(each)
  for (const reply of ["inbox.1", "inbox.2"]) overlap.hold(arrival("asked", { reply }))
  expect(textsOf(overlap.rest())).toEqual(["same", "other", "asked"])
})

test("one message at two subscriptions, and two parts of one message, are each something of their own", () => {
  const overlap = new Overlap()
  const part = (n: number) => ({ headers: { "troupe-id": "m", "troupe-part": `m ${n} 2 9 0` } })
  overlap.saw(arrival("a", { ...id("m"), at: 1 }))
  overlap.saw(arrival("p0", part(0)))
  for (const each of [arrival("a", { ...id("m"), at: 2 }), arrival("p0", part(0)), arrival("p1", part(1))]) {
    overlap.hold(each)
  }
  expect(textsOf(overlap.rest())).toEqual(["a", "p1"])
})

test("so much and no more is held back", () => {
  const overlap = new Overlap()
  const large = Buffer.alloc(16 * 1024 * 1024)
  const held = Array.from({ length: 4 }, (_, i) =>
    overlap.hold({ ...arrival("", id(String(i))), body: large })
  )
  expect(held).toEqual([true, true, true, false])
})

test("what the new connection brings after the overlap is known for what the old one brought, once, if it has a name", () => {
  const overlap = new Overlap()
  for (const name of ["1", "2"]) overlap.saw(arrival(name, id(name)))
  overlap.saw(arrival("heartbeat"))
  overlap.saw(arrival("asked", { ...id("q"), reply: "inbox.1" }))
  overlap.hold(arrival("1", id("1")))
  expect(textsOf(overlap.rest())).toEqual([])
  const late = (each: Arrival) => overlap.isLate(each)
  expect(late(arrival("1", id("1")))).toBe(false)
  expect(late(arrival("2", id("2")))).toBe(true)
  expect(late(arrival("2", id("2")))).toBe(false)
  expect(late(arrival("heartbeat"))).toBe(false)
  expect(late(arrival("asked", { ...id("q"), reply: "inbox.2" }))).toBe(false)
  expect(late(arrival("asked", { ...id("q"), reply: "inbox.1" }))).toBe(true)
})
