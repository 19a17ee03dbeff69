import { describe, expect, test } from "bun:test"
import { featureLevel } from "#actors/ledger/features.ts"
import { allot } from "#actors/network/allot.ts"
import { attachedAddresses, keepsAttached } from "#actors/network/allot-attached.ts"
import { reach } from "#actors/network/reach.ts"
import { Book } from "#test/support/ledger.ts"
import { tablesFor } from "#test/support/tables-for.ts"

const net = (n: number): string => `net${String(n).padStart(22, "0")}`

function cluster(extra: Record<string, unknown> = { Attachable: true }): Book {
  const book = new Book().cluster({ FeatureLevel: featureLevel }).node("n1").node("n2")
  book.network(net(1), "front", extra)
  return settle(book)
}
function settle(book: Book): Book {
  for (let round = 0; round < 5; round++) for (const command of allot(book.tables)) book.must(command)
  return book
}
const network = (book: Book) =>
  book.tables.get("network", net(1)) as NonNullable<ReturnType<typeof book.tables.get<"network">>>
const ask = (book: Book, ipv4?: string) => attachedAddresses(book.tables, network(book), ipv4)
const attach = (book: Book, node: string, ID: string, ...Addresses: ReadonlyArray<string>) =>
  book.write({
    type: "node.attach",
    v: 1,
    id: node,
    attached: { ID, NetworkID: net(1), Name: `c-${ID}`, Addresses }
  })

describe("a container that people attach to a network", () => {
  test("gets an address that no task gets and nobody has, or the one that it asks for", () => {
    const book = cluster()
    expect(ask(book)).toEqual(["10.0.0.192"])
    attach(book, "n1", "a", "10.0.0.192")
    expect(ask(book)).toEqual(["10.0.0.193"])
    expect(ask(book, "10.0.0.200")).toEqual(["10.0.0.200"])
    expect(ask(book, "10.0.0.192")).toMatchObject({ code: "forbidden", message: "Address already in use" })
    expect(ask(book, "10.0.0.9")).toMatchObject({ code: "invalidArgument" })
    expect(ask(book, "banana")).toMatchObject({ code: "invalidArgument" })
  })

  test("is refused where the network is not for it, or has nothing left", () => {
    expect(ask(cluster({}))).toMatchObject({
      code: "forbidden",
      message:
        "Could not attach to network front: rpc error: code = PermissionDenied desc = network front not manually attachable"
    })
    const tiny = cluster({ Attachable: true, IPAM: { Config: [{ Subnet: "10.5.0.0/29" }] } })
    expect(ask(tiny)).toEqual(["10.5.0.6"])
    attach(tiny, "n1", "a", "10.5.0.6")
    expect(ask(tiny)).toMatchObject({
      code: "unavailable",
      message: "Could not attach to network front: no address left in 10.5.0.6/31"
    })
  })

  test("is kept with its node, once, and two never have one address", () => {
    const book = cluster()
    attach(book, "n1", "a", "10.0.0.192")
    attach(book, "n1", "a", "10.0.0.192")
    expect(book.tables.get("node", "n1")?.Attached).toHaveLength(1)
    expect(attach(book, "n2", "b", "10.0.0.192")).toMatchObject({
      refusal: { message: expect.stringContaining("address 10.0.0.192 is in use") }
    })
    book.must({ type: "node.detach", v: 1, id: "n1", attached: ["a"] })
    expect(book.tables.get("node", "n1")?.Attached).toBeUndefined()
    expect(attach(book, "n2", "b", "10.0.0.192")._tag).toBe("Applied")
  })

  test("makes its node take part, and the others find it like a service of one", () => {
    const book = cluster()
    book.tables.view(reach)
    attach(book, "n1", "a", "10.0.0.192")
    attach(book, "n2", "b", "10.0.0.193")
    settle(book)
    const [table] = tablesFor(book.tables, "n2")
    expect(table?.peers.map(({ nodeId }) => nodeId)).toEqual(["n1"])
    expect(table?.services.map(({ name, tasks }) => [name, tasks[0]?.nodeId, tasks[0]?.addresses])).toEqual([
      ["c-a", "n1", ["10.0.0.192"]],
      ["c-b", "n2", ["10.0.0.193"]]
    ])
    book.must({ type: "node.detach", v: 1, id: "n1", attached: ["a"] })
    settle(book)
    expect(tablesFor(book.tables, "n1")).toEqual([])
    expect(book.tables.view(reach).of(net(1))).toEqual(reach(book.tables).of(net(1)))
  })

  test("holds its network", () => {
    const book = cluster()
    attach(book, "n1", "a", "10.0.0.192")
    expect(book.write({ type: "network.remove", v: 1, id: net(1) })._tag).toBe("Refused")
  })

  test("is kept only once all managers know how", () => {
    expect(keepsAttached(cluster().tables)).toBe(true)
    expect(keepsAttached(new Book().cluster({ FeatureLevel: 6 }).tables)).toBe(false)
  })
})
