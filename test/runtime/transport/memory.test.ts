/** The bus in memory keeps the contract of every transport, and does to messages what a test asks for. */
import { describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { makeLiveHost } from "#runtime/host-live.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { type Link, MemoryBus, type MemoryTransport, matches } from "#runtime/transport/memory.ts"
import { transportContract } from "#test/contract/transport.ts"

const open: MemoryTransport[] = []
const bus = new MemoryBus(makeLiveHost(() => {}))
let count = 0
transportContract("in memory", () => ({
  connect: async (name) => {
    const transport = bus.connect(`${name}${count++}`)
    open.push(transport)
    return transport
  },
  breakLinks: async () => {
    for (const transport of open) transport.disconnect()
  },
  mendLinks: async () => {
    for (const transport of open) transport.reconnect()
  }
}))

describe("links of the bus", () => {
  const arrivals = (link: Link): ReadonlyArray<string> => {
    const host = new VirtualHost(1)
    const imitated = new MemoryBus(host, { link })
    const seen: string[] = []
    const began = host.now()
    imitated.connect("b").subscribe("s", {}, (delivery) => {
      seen.push(`${Buffer.from(delivery.body)} after ${host.now() - began}`)
    })
    const sender = imitated.connect("a")
    for (const words of ["1", "2"]) sender.publish("s", {}, Buffer.from(words))
    host.advance(100)
    return seen
  }

  test("a perfect link delivers at once and once", () => {
    expect(arrivals(() => [0])).toEqual(["1 after 0", "2 after 0"])
  })

  test("a link may lose, double, delay and so reorder", () => {
    expect(arrivals(() => [])).toEqual([])
    expect(arrivals(() => [0, 5])).toEqual(["1 after 0", "2 after 0", "1 after 5", "2 after 5"])
    let delay = 20
    expect(
      arrivals(() => {
        delay -= 10
        return [delay]
      })
    ).toEqual(["2 after 0", "1 after 10"])
  })

  test("what is still on its way when its receiver unsubscribes does not arrive", () => {
    const host = new VirtualHost(1)
    const transport = new MemoryBus(host).connect("a")
    let seen = 0
    const subscription = transport.subscribe("s", {}, () => seen++)
    transport.publish("s", {}, Buffer.from(""))
    subscription.unsubscribe()
    host.settle()
    expect(seen).toBe(0)
  })

  test("a process that is gone is nobody, and its queue group goes on without it", () => {
    const host = new VirtualHost(1)
    const imitated = new MemoryBus(host)
    const [one, two, asker] = [imitated.connect("1"), imitated.connect("2"), imitated.connect("3")]
    const seen: string[] = []
    one.subscribe("s", { queue: "q" }, () => seen.push("one"))
    two.subscribe("s", { queue: "q" }, () => seen.push("two"))
    one.close()
    for (let i = 0; i < 5; i++) asker.publish("s", {}, Buffer.from(""))
    host.settle()
    expect(seen).toEqual(["two", "two", "two", "two", "two"])
    two.close()
    const outcomes: unknown[] = []
    asker.call("s", {}, Buffer.from(""), 1_000, (outcome) => outcomes.push(outcome))
    host.settle()
    expect(outcomes).toMatchObject([{ _tag: "NotHere" }])
  })

  test.each([
    ["a.*.c", "a.b.c", true],
    ["a.*.c", "a.b.d", false],
    ["a.*", "a.b.c", false],
    ["a.>", "a.b.c", true],
    ["a.>", "a", false],
    ["a.b", "a", false]
  ])("%s covers %s: %p", (pattern, subject, covered) => {
    expect(matches(pattern.split("."), subject.split("."))).toBe(covered)
  })
})
