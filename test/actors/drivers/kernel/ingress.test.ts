import { expect, test } from "bun:test"
import { doorsOf, ingressRules, reachable, targetsOf } from "#actors/drivers/kernel/ingress.ts"
import type { OverlayTable, ServiceRow, TaskRow } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const task = (at: number, part: Partial<TaskRow> = {}): TaskRow => ({
  taskId: `t${at}`,
  nodeId: at === 1 ? "n1" : "n2",
  name: `web.${at}.t${at}`,
  addresses: [`10.0.1.1${at}`],
  serving: true,
  ...part
})
const port = { protocol: "tcp", targetPort: 80, publishedPort: 8080 } as const
const service = (part: Partial<ServiceRow> = {}): ServiceRow => ({
  serviceId: "web",
  name: "web",
  aliases: [],
  vips: [],
  ports: [port],
  tasks: [task(1), task(2)],
  ...part
})
const network = (row: ServiceRow, part: Partial<OverlayTable> = {}): OverlayTable =>
  overlayTable({ ingress: true, services: [row], ...part })
const ways = { ip: true, ip6: true, udp: true, isStrict: false }
const rulesOf = (tables: ReadonlyArray<OverlayTable>, open = ["tcp/8080"], more = {}): string => {
  const own = { ...ways, ...more }
  return ingressRules(tables, doorsOf(tables, open, own), own, "n1") ?? "none"
}

test("a published port leads to the tasks that serve, and only those of other nodes see this node as their client", () => {
  const rules = rulesOf([network(service({ tasks: [task(1), task(2), task(3, { serving: false })] }))])
  expect(rules).toContain("dnat ip to numgen random mod 2 map { 0 : 10.0.1.11, 1 : 10.0.1.12 }:80;")
  expect(rules).toContain("doors4 { tcp . 8080 : goto to4_tcp_8080 }")
  expect(rules).toContain("set here4 { type ipv4_addr; elements = { 10.0.1.11 }; }")
  expect(rules).toContain('oifname "br-tnet1" ip daddr != @here4 snat ip to 10.0.1.3')
  expect(rules).not.toContain("ip6")
})

test("what is not this node's port, is served by nobody or on no ingress network, is left to the data plane", () => {
  expect(rulesOf([network(service())], [])).toBe("none")
  expect(rulesOf([network(service({ tasks: [task(1, { serving: false })] }))])).toBe("none")
  expect(rulesOf([network(service(), { ingress: false })])).toBe("none")
  expect(rulesOf([network(service({ ports: [{ protocol: "tcp", targetPort: 80 }] }))])).toBe("none")
  expect(rulesOf([])).toBe("none")
})

test("the kernel carries what it passes on, UDP where flows can be forgotten", () => {
  const both = network(service({ tasks: [task(1, { addresses: ["fd00::11", "10.0.1.11"] })] }), {
    subnets: [
      { subnet: "10.0.1.0/24", gateway: "10.0.1.3" },
      { subnet: "fd00::/64", gateway: "fd00::3" }
    ]
  })
  const rules = rulesOf([both])
  expect(rules).toContain("dnat ip6 to numgen random mod 1 map { 0 : fd00::11 }:80;")
  expect(rules).toContain("ip6 daddr != @here6 snat ip6 to fd00::3")
  expect(rulesOf([both], ["tcp/8080"], { ip6: false })).not.toContain("dnat ip6")
  expect(rulesOf([both], ["tcp/8080"], { ip: false, ip6: false })).toBe("none")
  const talk = network(service({ ports: [{ ...port, protocol: "udp" }] }))
  expect(rulesOf([talk], ["udp/8080"])).toContain("udp . 8080 : goto to4_udp_8080")
  expect(rulesOf([talk], ["tcp/8080"])).toBe("none")
  expect(rulesOf([talk], ["udp/8080"], { udp: false })).toBe("none")
})

test("where packets count only from where they would be answered, a task on two networks sees its node as its client", () => {
  const tables = [network(service()), overlayTable({ networkId: "net2", services: [service()] })]
  const own = "set here4 { type ipv4_addr; elements = { 10.0.1.11 }; }"
  expect(rulesOf(tables)).toContain(own)
  expect(rulesOf(tables, ["tcp/8080"], { isStrict: true })).not.toContain(own)
  expect(rulesOf([network(service())], ["tcp/8080"], { isStrict: true })).toContain(own)
})

test("nobody is led to a task that takes no connections yet; of UDP that cannot be known", () => {
  const tables = [network(service({ ports: [port, { ...port, protocol: "udp", publishedPort: 53 }] }))]
  const doors = doorsOf(tables, ["tcp/8080", "udp/53"], ways)
  expect(targetsOf(doors)).toEqual([
    { address: "10.0.1.11", port: 80 },
    { address: "10.0.1.12", port: 80 }
  ])
  const some = reachable(doors, new Set(["10.0.1.12 80"])).ip
  expect(some.map(({ protocol, backends }) => [protocol, backends])).toEqual([
    ["tcp", ["10.0.1.12"]],
    ["udp", ["10.0.1.11", "10.0.1.12"]]
  ])
  expect(reachable(doors, new Set()).ip.map(({ protocol }) => protocol)).toEqual(["udp"])
})
