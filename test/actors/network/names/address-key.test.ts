import { expect, test } from "bun:test"
import { isWithin, keyOf, keyOfArpa } from "#actors/network/names/address-key.ts"

test("every spelling of an address has the same key", () => {
  expect(keyOf("10.0.1.255")).toBe("0a0001ff")
  expect(keyOf("::ffff:10.0.1.255")).toBe("0a0001ff")
  expect(keyOf("fd00::A:1")).toBe("fd0000000000000000000000000a0001")
  expect(keyOf("fd00:0:0:0:0:0:a:1")).toBe("fd0000000000000000000000000a0001")
  expect(keyOf("::")).toBe("0".repeat(32))
  expect(keyOf("fd00::")).toBe(`fd${"0".repeat(30)}`)
})

test("what is no address has none", () => {
  const wrong = [
    "",
    "10.0.1",
    "10.0.1.256",
    "10.0.1.x",
    "fd00",
    "fd00:1",
    "::1::2",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4::5:6:7:8",
    "fe80::1%eth0"
  ]
  for (const text of wrong) expect([text, keyOf(text)]).toEqual([text, undefined])
})

test("names under in-addr.arpa and ip6.arpa have the key of their address", () => {
  expect(keyOfArpa("255.1.0.10.in-addr.arpa")).toBe(keyOf("10.0.1.255"))
  expect(keyOfArpa("1.0.10.in-addr.arpa")).toBeUndefined()
  expect(keyOfArpa(`1.0.0.0.a.0.0.0.${"0.".repeat(20)}0.0.d.f.ip6.arpa`)).toBe(keyOf("fd00::a:1"))
  expect(keyOfArpa("0.0.d.f.ip6.arpa")).toBeUndefined()
  expect(keyOfArpa("web.arpa")).toBeUndefined()
})

test("an address is within a subnet by the bits of its prefix, of its own family only", () => {
  const within = (address: string, subnet: string) => isWithin(keyOf(address) ?? "", subnet)
  expect(within("10.0.1.255", "10.0.1.0/24")).toBe(true)
  expect(within("10.0.2.0", "10.0.1.0/24")).toBe(false)
  expect(within("10.0.1.63", "10.0.1.0/26")).toBe(true)
  expect(within("10.0.1.64", "10.0.1.0/26")).toBe(false)
  expect(within("10.0.1.1", "10.0.1.1/32")).toBe(true)
  expect(within("10.0.1.2", "10.0.1.1/32")).toBe(false)
  expect(within("fd00:1::2", "fd00:1::/64")).toBe(true)
  expect(within("fd00:2::2", "fd00:1::/64")).toBe(false)
  expect(within("fd00:2::2", "0.0.0.0/0")).toBe(false)
})
