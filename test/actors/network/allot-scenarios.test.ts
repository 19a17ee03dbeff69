/** What Swarm's allocator is known by, network by network and port by port. */
import { expect, test } from "bun:test"
import type { PortConfig, ServiceSpec } from "#actors/model/spec.ts"
import { allot } from "#actors/network/allot.ts"
import { Book } from "#test/support/ledger.ts"

const net = (n: number): string => `net${String(n).padStart(22, "0")}`
const on = (...numbers: ReadonlyArray<number>): ServiceSpec => ({
  TaskTemplate: { Networks: numbers.map((n) => ({ Target: net(n) })) }
})
const publishing = (...Ports: ReadonlyArray<PortConfig>): ServiceSpec => ({ EndpointSpec: { Ports } })
const fresh = { Status: { Timestamp: "", State: "new" as const } }

class Cluster extends Book {
  /** A round of the allocator, as often as there is anything to give. */
  settle(rounds = 20): this {
    for (let round = 0; round < rounds; round++) {
      const commands = allot(this.tables)
      if (commands.length === 0) return this
      for (const command of commands) this.must(command)
    }
    return this
  }

  update(id: string, spec: ServiceSpec) {
    const version = this.tables.get("service", id)?.Version.Index ?? 0
    return this.write({ type: "service.update", v: 1, id, version, spec: { Name: id, ...spec } })
  }

  endpoint(id: string) {
    return this.tables.get("service", id)?.Endpoint
  }

  published(id: string) {
    return this.endpoint(id)?.Ports?.map(({ Protocol, PublishedPort }) => `${Protocol}/${PublishedPort}`)
  }

  vips(id: string) {
    return (this.endpoint(id)?.VirtualIPs ?? []).map(({ Addr }) => Addr)
  }
}

const withIngress = (): Cluster => {
  const book = new Cluster().cluster() as Cluster
  book.network(net(9), "ingress", { Ingress: true })
  return book.settle()
}

test("AL-02 a task on the node's own network gets no address there, and goes on", () => {
  const book = new Cluster().cluster() as Cluster
  book.service("web", { TaskTemplate: { Networks: [{ Target: "host" }] } })
  const [id = ""] = book.tasks("web", 1, fresh)
  book.settle()
  expect(book.tables.get("task", id)).toMatchObject({ Status: { State: "pending" } })
  expect(book.tables.get("task", id)?.Attachments).toBeUndefined()
})

test("AL-03 a task waits while its network has no addresses to give, and goes on when it has", () => {
  const config = (Subnet: string) => ({ IPAM: { Config: [{ Subnet }] } })
  const book = new Cluster().cluster().network(net(1), "one", config("10.9.0.0/16")) as Cluster
  book.settle()
  // It waits itself: its subnet is taken.
  book.network(net(2), "two", config("10.9.1.0/24"))
  book.service("web", on(2))
  const [id = ""] = book.tasks("web", 1, fresh)
  book.settle()
  expect(book.tables.get("task", id)?.Status.State).toBe("new")
  book.must({ type: "network.remove", v: 1, id: net(1) })
  book.settle()
  expect(book.tables.get("task", id)?.Status.State).toBe("pending")
})

test("AL-06 AL-13 a port that another service has is refused with its name, and free once it is gone", () => {
  const book = withIngress()
  book.service("one", publishing({ TargetPort: 80, PublishedPort: 8080 }))
  const spec = { Name: "two", ...publishing({ TargetPort: 80, PublishedPort: 8080 }) }
  const create = { type: "service.create", v: 1, service: { ID: "two", SpecVersion: 1, Spec: spec } } as const
  expect(book.settle().write(create)).toMatchObject({
    refusal: { message: expect.stringContaining("port '8080' is already in use by service 'one' (one)") }
  })
  book.must({ type: "service.remove", v: 1, id: "one" })
  book.must(create)
  expect(book.settle().published("two")).toEqual(["tcp/8080"])
})

test("AL-09 a new leader leaves what is given, and gives the rest what is free beside it", () => {
  const half = new Cluster().cluster().network(net(1)).network(net(2)) as Cluster
  half.service("web", on(1, 2))
  half.tasks("web", 3, fresh)
  // The old leader's last word was the first network.
  const [first] = allot(half.tables)
  if (first?.type !== "network.allot") throw new Error("networks come first")
  half.must({ ...first, networks: first.networks.slice(0, 1) })
  const before = half.tables.get("network", net(1))?.IPAM.Config
  half.settle()
  expect(half.tables.get("network", net(1))?.IPAM.Config).toEqual(before as never)
  const subnets = [net(1), net(2)].map((id) => half.tables.get("network", id)?.IPAM.Config?.[0]?.Subnet)
  expect(subnets).toEqual(["10.0.0.0/24", "10.0.1.0/24"])
  const vnis = [net(1), net(2)].map((id) => half.tables.get("network", id)?.Vni)
  expect(vnis).toEqual([4097, 4098])
  const given = [...half.tables.tasksOfService("web")].flatMap(
    (task) => task.Attachments?.flatMap(({ Addresses }) => Addresses) ?? []
  )
  expect(new Set([...given, ...half.vips("web")]).size).toBe(8)
})

test("AL-14 a service that publishes nothing gives its address back, and gets the next one when it does again", () => {
  const book = withIngress()
  book.service("web", publishing({ TargetPort: 80 }))
  expect(book.settle().vips("web")).toHaveLength(1)
  book.update("web", {})
  expect(book.settle().vips("web")).toEqual([])
  book.service("other", publishing({ TargetPort: 80 }))
  book.settle().update("web", publishing({ TargetPort: 80 }))
  const [again] = book.settle().vips("web")
  expect(again).not.toBeUndefined()
  expect(book.vips("other")).not.toContain(again as string)
})

test("AL-15 a port that was chosen becomes the one that is named", () => {
  const book = withIngress()
  book.service("web", publishing({ TargetPort: 80 }))
  expect(book.settle().published("web")).toEqual(["tcp/30000"])
  book.update("web", publishing({ TargetPort: 80, PublishedPort: 8080 }))
  expect(book.settle().published("web")).toEqual(["tcp/8080"])
})

test("AL-17 a port of the range of chosen ones that is named twice is refused the second time", () => {
  const book = withIngress()
  book.service("one", publishing({ TargetPort: 80, PublishedPort: 30_005 }))
  const Spec = { Name: "two", ...publishing({ TargetPort: 81, PublishedPort: 30_005 }) }
  expect(
    book.write({ type: "service.create", v: 1, service: { ID: "two", SpecVersion: 1, Spec } })._tag
  ).toBe("Refused")
})

test("AL-18 ports in host mode are given no number, and two services may name the same one", () => {
  const book = withIngress()
  const host = { TargetPort: 80, PublishMode: "host" as const }
  book.service("one", publishing({ ...host, PublishedPort: 8080 }))
  book.service("two", publishing({ ...host, PublishedPort: 8080 }))
  book.service("any", publishing(host))
  book.settle()
  expect([book.published("one"), book.published("two")]).toEqual([["tcp/8080"], ["tcp/8080"]])
  expect(book.endpoint("any")?.Ports?.[0]?.PublishedPort ?? 0).toBe(0)
  expect(book.vips("one")).toEqual([])
})

test("AL-19 the order of ports does not matter, and TCP and UDP of one number are two", () => {
  const book = withIngress()
  const [tcp, udp] = [
    { TargetPort: 53, PublishedPort: 5353, Protocol: "tcp" as const },
    { TargetPort: 53, PublishedPort: 5353, Protocol: "udp" as const }
  ]
  book.service("dns", publishing(tcp, udp))
  expect(book.settle().published("dns")).toEqual(["tcp/5353", "udp/5353"])
  const vips = book.vips("dns")
  book.update("dns", publishing(udp, tcp))
  expect(book.settle().published("dns")?.sort()).toEqual(["tcp/5353", "udp/5353"])
  expect(book.vips("dns")).toEqual(vips)
})

test("AL-24 what a removed network had, its subnet and its VXLAN id, is given again", () => {
  const config = { IPAM: { Config: [{ Subnet: "10.9.0.0/24" }] } }
  const book = new Cluster().cluster().network(net(1), "one", config) as Cluster
  book.settle()
  const { Vni } = book.tables.get("network", net(1)) ?? {}
  book.must({ type: "network.remove", v: 1, id: net(1) })
  book.network(net(2), "two", config)
  book.settle()
  const after = book.tables.get("network", net(2))
  expect([after?.Vni, after?.IPAM.Config?.[0]?.Subnet]).toEqual([Vni, "10.9.0.0/24"])
})
