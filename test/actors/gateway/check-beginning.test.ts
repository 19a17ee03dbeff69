import { expect, test } from "bun:test"
import { checkInit, checkJoin, managerAt, placeOf } from "#actors/gateway/validate/check-beginning.ts"

const machine = {
  interfaces: new Map([["eth1", "192.168.1.7"]]),
  usualAddr: "10.0.0.7",
  usualJoinPort: 2377
}

test("a node listens everywhere and tells its usual address, unless it is told another", () => {
  expect(placeOf({}, machine)).toEqual({ listenAddr: "0.0.0.0", joinPort: 2377, advertiseAddr: "10.0.0.7" })
  expect(placeOf({ ListenAddr: "eth1:4000" }, machine)).toEqual({
    listenAddr: "192.168.1.7",
    joinPort: 4000,
    advertiseAddr: "192.168.1.7"
  })
  expect(placeOf({ AdvertiseAddr: "[fd00::1]", DataPathAddr: "eth1" }, machine)).toMatchObject({
    advertiseAddr: "fd00::1",
    dataPathAddr: "192.168.1.7"
  })
})

test.each([
  [{ Availability: "away" }, 'invalid Availability: "away"'],
  [{ Spec: { CAConfig: { NodeCertExpiry: 1 } } }, "minimum certificate expiry time is: 1h0m0s"],
  [{ DefaultAddrPool: ["fd00::/8"] }, "DefaultAddrPool fd00::/8: expected an IPv4 subnet"],
  [{ DefaultAddrPool: ["10.0.0.0/25"], SubnetSize: 24 }, "SubnetSize 24: expected at least the /25"],
  [{ DefaultAddrPool: ["10.0.0.0/8"], SubnetSize: 30 }, "at most 29"],
  [{ DataPathPort: 1023 }, "Datapath port number (1023)"],
  [{ DataPathPort: 49_152 }, "Datapath port number (49152)"]
])("no cluster begins with %o", (asked, text) => {
  expect(checkInit(asked)?.message).toContain(text)
})

test.each([
  [{}],
  [{ Availability: "drain", DataPathPort: 1024, Spec: { CAConfig: { NodeCertExpiry: 3_600_000_000_000 } } }],
  [{ DefaultAddrPool: ["10.0.0.0/29"], SubnetSize: 29, DataPathPort: 49_151, AutoLockManagers: true }]
])("a cluster begins with %o", (asked) => {
  expect(checkInit(asked)).toBeUndefined()
})

test("a node joins at some address, with an availability that there is", () => {
  expect(checkJoin({})?.message).toBe("at least 1 RemoteAddr is required to join")
  expect(checkJoin({ RemoteAddrs: ["10.0.0.1"], Availability: "away" })?.message).toContain(
    "invalid Availability"
  )
  expect(checkJoin({ RemoteAddrs: ["10.0.0.1"], Availability: "pause" })).toBeUndefined()
})

test("a manager is joined at the port that it usually listens at where none is given, as in Swarm", () => {
  for (const [given, meant] of [
    ["10.0.0.1", "10.0.0.1:2377"],
    ["10.0.0.1:", "10.0.0.1:2377"],
    ["m1.example", "m1.example:2377"],
    ["[fd00::1]", "[fd00::1]:2377"],
    ["10.0.0.1:2378", "10.0.0.1:2378"],
    ["[fd00::1]:2378", "[fd00::1]:2378"]
  ] as const)
    expect(managerAt(given)).toBe(meant)
})
