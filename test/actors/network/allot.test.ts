import { expect, test } from "bun:test"
import type { Command } from "#actors/ledger/commands.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { allot } from "#actors/network/allot.ts"
import { parseAddress, parseSubnet, showAddress, showSubnet } from "#actors/network/ip.ts"
import { Book } from "#test/support/ledger.ts"

const netId = (n: number): string => `net${String(n).padStart(22, "0")}`
/** Allots until nothing is left to give, as the actor does. */
const settle = (book: Book): number => {
  let rounds = 0
  for (;;) {
    const commands = allot(book.tables)
    if (commands.length === 0) return rounds
    rounds += 1
    for (const command of commands) book.must(command)
    if (rounds > 20) throw new Error(`never settles: ${JSON.stringify(commands).slice(0, 400)}`)
  }
}
const fresh = { Status: { Timestamp: "", State: "new" as const } }
const addressesOf = (book: Book, service: string): ReadonlyArray<string> =>
  [...book.tables.tasksOfService(service)].flatMap(
    (task) => task.Attachments?.flatMap((one) => one.Addresses) ?? []
  )

test("AL-01 a network gets subnet and gateway, a service its VIPs, tasks their addresses, and they move on", () => {
  const book = new Book().cluster().network(netId(1), "one")
  book.service("web", { TaskTemplate: { Networks: [{ Target: netId(1), Aliases: ["w"] }] } })
  book.tasks("web", 2, fresh)
  settle(book)
  const network = book.tables.get("network", netId(1))
  expect(network?.IPAM.Config).toEqual([{ Subnet: "10.0.0.0/24", Gateway: "10.0.0.1" }])
  expect(network?.Vni).toBe(4097)
  expect(book.tables.get("service", "web")?.Endpoint?.VirtualIPs).toEqual([
    { NetworkID: netId(1), Addr: "10.0.0.2/24" }
  ])
  expect(addressesOf(book, "web")).toEqual(["10.0.0.3/24", "10.0.0.4/24"])
  expect([...book.tables.tasksInState("pending")].length).toBe(2)
  expect([...book.tables.tasksOfService("web")][0]?.Attachments?.[0]?.Aliases).toEqual(["w"])
})

test("AL-04 a task without networks moves on at once", () => {
  const book = new Book().cluster()
  book.service("web")
  book.tasks("web", 1, fresh)
  expect(settle(book)).toBe(1)
  expect([...book.tables.tasksInState("pending")].length).toBe(1)
})

test("a job's task, wanted until it is complete, is given its share, and one on its way out is not", () => {
  const book = new Book().cluster()
  book.service("job", { Mode: { ReplicatedJob: {} } })
  book.tasks("job", 1, { ...fresh, DesiredState: "complete" })
  book.tasks("job", 1, { ...fresh, DesiredState: "shutdown" })
  settle(book)
  expect([...book.tables.tasksInState("pending")].map((task) => task.DesiredState)).toEqual(["complete"])
})

test("AL-05 a network whose subnet conflicts waits until the other is gone", () => {
  const config = (Subnet: string) => ({ IPAM: { Config: [{ Subnet }] } })
  const book = new Book().cluster().network(netId(1), "a", config("10.9.0.0/16"))
  settle(book)
  book.network(netId(2), "b", config("10.9.4.0/24"))
  settle(book)
  expect(book.tables.get("network", netId(2))?.Vni).toBeUndefined()
  book.must({ type: "network.remove", v: 1, id: netId(1) })
  settle(book)
  expect(book.tables.get("network", netId(2))?.IPAM.Config?.[0]?.Gateway).toBe("10.9.4.1")
})

test("AL-07 AL-25 sixty tasks get sixty addresses, and a freed one is used last", () => {
  const book = new Book().cluster().network(netId(1))
  book.service("web", { TaskTemplate: { Networks: [{ Target: netId(1) }] } })
  const ids = book.tasks("web", 60, fresh)
  settle(book)
  const given = addressesOf(book, "web")
  expect(new Set(given).size).toBe(60)
  const freed = book.tables.get("task", ids[59] ?? "")?.Attachments?.[0]?.Addresses[0]
  book.must({
    type: "tasks.change",
    v: 1,
    create: [],
    update: [{ id: ids[59] ?? "", Status: { Timestamp: "", State: "orphaned" } }],
    remove: []
  })
  book.time += 1000
  const [next = ""] = book.tasks("web", 1, fresh)
  settle(book)
  expect(book.tables.get("task", next)?.Attachments?.[0]?.Addresses[0]).not.toBe(freed)
})

test("AL-16 AL-17 chosen ports come from 30000, stay across updates, and keep away from explicit ones", () => {
  const book = new Book().cluster().network(netId(9), "ingress", { Ingress: true })
  settle(book)
  book.service("fixed", { EndpointSpec: { Ports: [{ TargetPort: 1, PublishedPort: 30000 }] } })
  book.service("web", { EndpointSpec: { Ports: [{ TargetPort: 80 }, { TargetPort: 81 }] } })
  settle(book)
  const ports = () => book.tables.get("service", "web")?.Endpoint?.Ports?.map((port) => port.PublishedPort)
  expect(ports()).toEqual([30001, 30002])
  book.must({
    type: "service.update",
    v: 1,
    id: "web",
    version: book.tables.get("service", "web")?.Version.Index ?? 0,
    spec: {
      Name: "web",
      EndpointSpec: { Ports: [{ TargetPort: 81 }, { TargetPort: 80 }, { TargetPort: 82 }] }
    }
  })
  settle(book)
  expect(ports()).toEqual([30002, 30001, 30003])
})

test("AL-23 a dnsrr service gets no VIP, and AL-22 a service that moves gives its old VIP back", () => {
  const book = new Book().cluster().network(netId(1)).network(netId(2))
  book.service("rr", { EndpointSpec: { Mode: "dnsrr" }, TaskTemplate: { Networks: [{ Target: netId(1) }] } })
  book.service("web", { TaskTemplate: { Networks: [{ Target: netId(1) }] } })
  settle(book)
  expect(book.tables.get("service", "rr")?.Endpoint?.VirtualIPs).toBeUndefined()
  book.must({
    type: "service.update",
    v: 1,
    id: "web",
    version: book.tables.get("service", "web")?.Version.Index ?? 0,
    spec: { Name: "web", TaskTemplate: { Networks: [{ Target: netId(2) }] } }
  })
  settle(book)
  expect(book.tables.get("service", "web")?.Endpoint?.VirtualIPs?.map((vip) => vip.NetworkID)).toEqual([
    netId(2)
  ])
})

test("an exhausted network is told on the task, once", () => {
  const book = new Book()
    .cluster()
    .network(netId(1), "tiny", { IPAM: { Config: [{ Subnet: "10.1.0.0/29" }] } })
  book.service("web", { TaskTemplate: { Networks: [{ Target: netId(1) }] } })
  book.tasks("web", 7, fresh)
  settle(book)
  const waiting = [...book.tables.tasksInState("new")]
  expect(waiting.length).toBe(3)
  expect(waiting[0]?.Status.Err).toBe("no address left in network tiny (10.1.0.0/29)")
})

test("what ended tasks had is given again; what tasks have that have yet to stop is not, also once their service is gone", () => {
  const book = new Book()
    .cluster()
    .network(netId(1), "tiny", { IPAM: { Config: [{ Subnet: "10.1.0.0/29" }] } })
  const spec = {
    TaskTemplate: { Networks: [{ Target: netId(1) }] },
    EndpointSpec: { Mode: "dnsrr" as const }
  }
  book.service("old", spec)
  const [ended = ""] = book.tasks("old", 2, fresh)
  settle(book)
  const [free = "", held = ""] = addressesOf(book, "old")
  const change = { type: "tasks.change", v: 1, create: [], remove: [] } as const
  book.must({ ...change, update: [{ id: ended, Status: { Timestamp: "", State: "orphaned" } }] })
  book.must({ type: "service.remove", v: 1, id: "old" })
  book.service("new", spec)
  book.tasks("new", 7, fresh)
  settle(book)
  expect(addressesOf(book, "new")).toContain(free)
  expect(addressesOf(book, "new")).not.toContain(held)
  expect(addressesOf(book, "new")).toHaveLength(4)
})

test("AL-08 a new leader gives nothing twice: what is allotted stays as it is", () => {
  const book = new Book().cluster().network(netId(1)).network(netId(9), "ingress", { Ingress: true })
  book.service("web", {
    TaskTemplate: { Networks: [{ Target: netId(1) }] },
    EndpointSpec: { Ports: [{ TargetPort: 80 }] }
  })
  book.tasks("web", 3, fresh)
  settle(book)
  expect(allot(book.tables) as ReadonlyArray<Command>).toEqual([])
})

test("an IPv6 network has a subnet of each family", () => {
  const book = new Book().cluster().network(netId(1), "six", { EnableIPv6: true })
  book.service("web", { TaskTemplate: { Networks: [{ Target: netId(1) }] } })
  book.tasks("web", 1, fresh)
  settle(book)
  expect(addressesOf(book, "web").length).toBe(2)
  // 10.0.0.0 is 0a00:0000, added to fd00:7470:6500.
  expect(addressesOf(book, "web")[1]).toMatch(/^fd00:7470:6f00::.*\/64$/)
})

test("a service on an IPv6 network has a virtual address of each family, once every manager gives both, and keeps what it has", () => {
  const level = levelOf["service.allot with IPv6"]
  const vips = (book: Book) =>
    book.tables.get("service", "web")?.Endpoint?.VirtualIPs?.map(({ Addr }) => Addr)
  const book = new Book().cluster({ FeatureLevel: level - 1 }).network(netId(1), "six", { EnableIPv6: true })
  book.network(netId(2), "four")
  book.service("web", { TaskTemplate: { Networks: [{ Target: netId(1) }, { Target: netId(2) }] } })
  settle(book)
  expect(vips(book)).toEqual(["10.0.0.2/24", "10.0.1.2/24"])
  book.node("manager", { Description: { FeatureLevel: level } as never })
  book.must({ type: "cluster.raise", v: 1, level })
  settle(book)
  expect(vips(book)).toEqual(["10.0.0.2/24", expect.stringMatching(/^fd00:.*\/64$/), "10.0.1.2/24"])
  const both = vips(book)
  expect(settle(book)).toBe(0)
  expect(vips(book)).toEqual(both as Array<string>)
})

test("addresses and subnets read back as they are shown", () => {
  for (const text of ["0.0.0.0", "10.0.255.1", "255.255.255.255", "::1", "fd00:7470:6500::1"]) {
    const address = parseAddress(text)
    expect(address === undefined ? "" : showAddress(address.family, address.value)).toBe(text)
  }
  const subnet = parseSubnet("10.1.2.3/16")
  expect(subnet === undefined ? "" : showSubnet(subnet)).toBe("10.1.0.0/16")
  for (const bad of ["", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"])
    expect(parseSubnet(bad)).toBeUndefined()
})
