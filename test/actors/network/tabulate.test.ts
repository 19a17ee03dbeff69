import { expect, test } from "bun:test"
import type { Network } from "#actors/model/objects.ts"
import { rowHead, subnetsOf } from "#actors/network/tabulate.ts"
import { Book } from "#test/support/ledger.ts"

test("a node's address stands beside the subnet that holds it, of either family; a subnet without one is left out", () => {
  const Config = ["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "fd00::/64"].map((Subnet) => ({ Subnet }))
  const network = { IPAM: { Config } } as unknown as Network
  expect(subnetsOf(network, ["fd00::9", "10.0.2.9", "10.0.1.9"])).toEqual([
    { subnet: "10.0.1.0/24", gateway: "10.0.1.9" },
    { subnet: "10.0.2.0/24", gateway: "10.0.2.9" },
    { subnet: "fd00::/64", gateway: "fd00::9" }
  ])
})

test("whoever asks can wait for a task that is wanted, or that a caller begins; where neither is, for nothing", () => {
  const book = new Book().cluster().network("in", "ingress", { Ingress: true }).network("other")
  const awaits = (id: string, replicas: number | undefined, labels: Record<string, string>) => {
    const Mode = replicas === undefined ? { Global: {} } : { Replicated: { Replicas: replicas } }
    const Spec = { Name: id, Mode, Labels: labels, TaskTemplate: {} }
    book.must({ type: "service.create", v: 1, service: { ID: id, SpecVersion: 1, Spec } })
    expect(rowHead(book.tables, id, "other").awaits).toBeUndefined()
    return rowHead(book.tables, id, "in").awaits
  }
  const sleeps = { "troupe.autoscale.min": "0" }
  expect([
    awaits("a", 2, {}),
    awaits("b", undefined, {}),
    awaits("c", 0, {}),
    awaits("d", 0, sleeps),
    awaits("e", 1, sleeps)
  ]).toEqual(["task", "task", undefined, "caller", "task"])
})
