import { expect, test } from "bun:test"
import type { Network } from "#actors/model/objects.ts"
import { subnetsOf } from "#actors/network/tabulate.ts"

test("a node's address stands beside the subnet that holds it, of either family; a subnet without one is left out", () => {
  const Config = ["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "fd00::/64"].map((Subnet) => ({ Subnet }))
  const network = { IPAM: { Config } } as unknown as Network
  expect(subnetsOf(network, ["fd00::9", "10.0.2.9", "10.0.1.9"])).toEqual([
    { subnet: "10.0.1.0/24", gateway: "10.0.1.9" },
    { subnet: "10.0.2.0/24", gateway: "10.0.2.9" },
    { subnet: "fd00::/64", gateway: "fd00::9" }
  ])
})
