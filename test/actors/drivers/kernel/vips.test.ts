import { expect, test } from "bun:test"
import { vipRules } from "#actors/drivers/kernel/vips.ts"
import type { OverlayTable, ServiceRow } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const task = (at: number, serving = true) => ({
  taskId: `t${at}`,
  nodeId: "n1",
  name: `web.${at}.t${at}`,
  addresses: [`10.0.1.1${at}`, `fd00::1${at}`],
  serving
})
const service = (vips: ReadonlyArray<string>, tasks: ServiceRow["tasks"]): ServiceRow => ({
  serviceId: "web",
  name: "web",
  aliases: [],
  vips,
  ports: [],
  tasks
})
const network = (...services: ReadonlyArray<ServiceRow>): OverlayTable => overlayTable({ services })

test("a virtual address leads to the tasks that serve, by chance, and one that gets itself sees its node", () => {
  const rules = vipRules([network(service(["10.0.1.2"], [task(1), task(2, false), task(3)]))], "n1")
  expect(rules).toContain(
    "chain to_10_0_1_2 { dnat ip to numgen random mod 2 map { 0 : 10.0.1.11, 1 : 10.0.1.13 }; }"
  )
  expect(rules).toContain("add element inet troupe_vip_n1 services { 10.0.1.2 : goto to_10_0_1_2 }")
  expect(rules).toContain("elements = { 10.0.1.11 . 10.0.1.11, 10.0.1.13 . 10.0.1.13 }")
})

test("where no task serves, connections are refused, and no rule leads anywhere", () => {
  const rules = vipRules([network(service(["10.0.1.2"], [task(1, false)]))], "n1")
  expect(rules).toContain("set vips { type ipv4_addr; elements = { 10.0.1.2 }; }")
  expect(rules).toContain("ip daddr @vips meta l4proto tcp reject with tcp reset")
  expect(rules).not.toContain("dnat to")
})

test("where somebody is about to serve, whoever calls is not refused for a while; where nobody is, at once", () => {
  const rules = (tasks: ServiceRow["tasks"]) => vipRules([network(service(["10.0.1.2"], tasks))], "n1")
  const expected = "set expecting { type ipv4_addr; elements = { 10.0.1.2 }; }"
  expect(rules([task(1, false)])).toContain(expected)
  expect(rules([])).not.toContain(expected)
  expect(rules([task(1)])).not.toContain(expected)
})

test("without virtual addresses there is no table, and one that was there goes", () => {
  expect(vipRules([network(service([], [task(1)]))], "n1")).toBeUndefined()
  expect(vipRules([], "n1")).toBeUndefined()
})

test("a virtual address of IPv6 leads to the tasks' own of that family, and without one nothing of it is there", () => {
  const both =
    vipRules([network(service(["10.0.1.2", "fd00::2"], [task(1), task(2, false), task(3)]))], "n1") ?? ""
  expect(both).toContain(
    "chain to6_fd00__2 { dnat ip6 to numgen random mod 2 map { 0 : fd00::11, 1 : fd00::13 }; }"
  )
  expect(both).toContain("add element inet troupe_vip_n1 services6 { fd00::2 : goto to6_fd00__2 }")
  expect(both).toContain("ip6 daddr @vips6 meta l4proto tcp reject with tcp reset")
  const four = vipRules([network(service(["10.0.1.2"], [task(1)]))], "n1")
  expect(four).not.toContain("ip6")
  expect(vipRules([network(service(["fd00::2"], [task(1, false)]))], "n1")).toContain(
    "set expecting6 { type ipv6_addr; elements = { fd00::2 }; }"
  )
})
