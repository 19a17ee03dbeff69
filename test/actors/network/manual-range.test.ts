import { expect, test } from "bun:test"
import { allot } from "#actors/network/allot.ts"
import { holds, parseAddress, parseSubnet, type Subnet, showSubnet } from "#actors/network/ip.ts"
import { manualRange } from "#actors/network/manual-range.ts"
import { Book } from "#test/support/ledger.ts"

const rangeOf = (text: string): string | undefined => {
  const range = manualRange(parseSubnet(text) as Subnet)
  return range === undefined ? undefined : showSubnet(range)
}

test("the last quarter of a subnet is for containers attached by hand", () => {
  expect(rangeOf("10.0.1.0/24")).toBe("10.0.1.192/26")
  expect(rangeOf("10.0.0.0/16")).toBe("10.0.192.0/18")
  expect(rangeOf("fd00::/64")).toBe("fd00::c000:0:0:0/66")
})

test("a subnet that is too small is not divided", () => {
  expect(rangeOf("10.0.1.0/29")).toBe("10.0.1.6/31")
  expect(rangeOf("10.0.1.0/30")).toBeUndefined()
})

test("no task of an attachable network ever gets an address of that quarter", () => {
  const book = new Book().cluster().network("net", "net", { Attachable: true })
  for (const command of allot(book.tables)) book.must(command)
  book.service("web", { TaskTemplate: { Networks: [{ Target: "net" }] } })
  for (const command of allot(book.tables)) book.must(command)
  const ids = book.tasks("web", 300, {
    Status: { Timestamp: "", State: "new" }
  })
  for (const command of allot(book.tables)) book.must(command)
  const manual = manualRange(
    parseSubnet(book.tables.get("network", "net")?.IPAM.Config?.[0]?.Subnet ?? "") as Subnet
  )
  const given = ids.flatMap((id) => book.tables.get("task", id)?.Attachments?.[0]?.Addresses ?? [])
  // 256 less the quarter, the network's own address, the gateway and the service's virtual address.
  expect(given).toHaveLength(192 - 3)
  for (const cidr of given) {
    const taken = parseAddress(cidr.split("/")[0] ?? "")
    expect(manual !== undefined && taken !== undefined && holds(manual, taken)).toBe(false)
  }
})
