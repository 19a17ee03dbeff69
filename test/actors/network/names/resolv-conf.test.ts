import { expect, test } from "bun:test"
import { parseResolvConf, writeResolvConf } from "#actors/network/names/resolv-conf.ts"
import { chooseResolver } from "#actors/network/names/resolver.ts"
import type { OverlayTable } from "#actors/network/table.ts"

const host = parseResolvConf(
  "# by hand\nnameserver 127.0.0.53 # stub\nnameserver fe80::1%eth0\ndomain old.test\n" +
    "search a.test b.test ; both\noptions edns0\noptions trust-ad\nsortlist 10.0.0.0\n"
)

test("a resolv.conf is read with its comments left out, and the last search list holds", () => {
  expect(host).toEqual({
    nameservers: ["127.0.0.53", "fe80::1%eth0"],
    search: ["a.test", "b.test"],
    options: ["edns0", "trust-ad"]
  })
  expect(parseResolvConf("")).toEqual({ nameservers: [], search: [], options: [] })
})

test("a task's asks the node alone, with the machine's search list and options, and ndots:0 as Docker has it", () => {
  expect(writeResolvConf("10.0.1.9", {}, host)).toBe(
    "nameserver 10.0.1.9\nsearch a.test b.test\noptions edns0 trust-ad ndots:0\n"
  )
  expect(writeResolvConf("10.0.1.9", { Search: [], Options: [] }, parseResolvConf(""))).toBe(
    "nameserver 10.0.1.9\noptions ndots:0\n"
  )
})

test("what the service says of search list and options replaces the machine's; a dot asks for no search list", () => {
  expect(writeResolvConf("10.0.1.9", { Search: ["shop.test"], Options: ["ndots:5", "rotate"] }, host)).toBe(
    "nameserver 10.0.1.9\nsearch shop.test\noptions ndots:5 rotate\n"
  )
  expect(writeResolvConf("10.0.1.9", { Search: ["."] }, host)).toBe(
    "nameserver 10.0.1.9\noptions edns0 trust-ad ndots:0\n"
  )
})

test("a task asks at an IPv4 address of the node, on the ingress network only if it is on no other", () => {
  const table = (networkId: string, ingress: boolean, ...gateways: ReadonlyArray<string>) =>
    ({
      networkId,
      ingress,
      subnets: gateways.map((gateway) => ({ subnet: "", gateway }))
    }) as unknown as OverlayTable
  const tables = [
    table("i", true, "10.0.0.9"),
    table("f", false, "fd00::9", "10.0.1.9"),
    table("b", false, "10.0.2.9")
  ]
  const chosen = (...ids: ReadonlyArray<string>) => chooseResolver(tables, new Set(ids), host)?.nameserver
  expect(chosen("i", "b")).toBe("10.0.2.9")
  expect(chosen("b", "f")).toBe("10.0.1.9")
  expect(chosen("i")).toBe("10.0.0.9")
  expect(chosen("local")).toBeUndefined()
  expect(chooseResolver(tables, new Set(["f"]), undefined)).toBeUndefined()
})
