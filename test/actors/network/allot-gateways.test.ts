import { describe, expect, test } from "bun:test"
import type { Command } from "#actors/ledger/commands.ts"
import { featureLevel, levelOf } from "#actors/ledger/features.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { allot } from "#actors/network/allot.ts"
import { reach } from "#actors/network/reach.ts"
import { Book } from "#test/support/ledger.ts"

const net = (n: number): string => `net${String(n).padStart(22, "0")}`
const on = (n: number): ServiceSpec => ({ TaskTemplate: { Networks: [{ Target: net(n) }] } })
const fresh = { Status: { Timestamp: "", State: "new" as const } }
const ports = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } }

class Cluster extends Book {
  constructor(level: number = featureLevel) {
    super()
    this.cluster({ FeatureLevel: level })
    this.tables.takeChanges()
  }

  /** Everything is given that can be given; views hear of it, as they do on a manager. */
  settle(): this {
    for (let round = 0; round < 20; round++) {
      const commands = allot(this.tables)
      if (commands.length === 0) return this
      for (const command of commands) this.must(command)
    }
    throw new Error("never settles")
  }

  tasksAre(ids: ReadonlyArray<string>, state: "assigned" | "running" | "shutdown", node?: string): this {
    const Status = { Timestamp: "", State: state }
    const update = ids.map((id) => ({ id, Status, ...(node === undefined ? {} : { NodeID: node }) }))
    const command: Command = { type: "tasks.change", v: 1, create: [], update, remove: [] }
    this.must(command)
    return this.settle()
  }

  gateways(node: string): Record<string, ReadonlyArray<string>> {
    const found = this.tables.get("node", node)?.Gateways ?? []
    return Object.fromEntries(found.map(({ NetworkID, Addresses }) => [NetworkID, Addresses]))
  }
}

describe("AL-10 a node's own addresses", () => {
  test("it has one on an overlay while a task of its is there, whatever their number", () => {
    const book = new Cluster().node("n1").node("n2").network(net(1)) as Cluster
    book.service("web", on(1))
    const ids = book.tasks("web", 3, fresh)
    book.settle()
    expect(book.gateways("n1")).toEqual({})
    book.tasksAre(ids, "assigned", "n1")
    const own = book.gateways("n1")
    expect(own).toEqual({ [net(1)]: ["10.0.0.254"] })
    expect(book.gateways("n2")).toEqual({})
    book.tasksAre(ids.slice(1), "shutdown")
    expect(book.gateways("n1")).toEqual(own)
    book.tasksAre(ids, "shutdown")
    expect(book.gateways("n1")).toEqual({})
  })

  test("one that it let go of is not the next task's, because its bridge may have it yet; the node gets it again", () => {
    const book = new Cluster().node("n1").network(net(1)) as Cluster
    book.service("web", on(1))
    const first = book.tasks("web", 1, fresh)
    book.settle().tasksAre(first, "assigned", "n1")
    const own = book.gateways("n1")
    book.tasksAre(first, "shutdown")
    const [second = ""] = book.tasks("web", 1, fresh)
    book.settle()
    const theirs = book.tables.get("task", second)?.Attachments?.flatMap(({ Addresses }) => Addresses)
    expect(theirs).toEqual(["10.0.0.4/24"])
    expect(own).not.toEqual({ [net(1)]: ["10.0.0.4"] })
    expect(book.tasksAre([second], "assigned", "n1").gateways("n1")).toEqual(own)
  })

  test("of IPv6 they are the last that every Engine takes for a bridge", () => {
    const Config = [{ Subnet: "10.7.0.0/24" }, { Subnet: "fd00:7::/64" }]
    const book = new Cluster().node("n1").node("n2") as Cluster
    book.network(net(1), "six", { EnableIPv6: true, IPAM: { Config } }).service("web", on(1))
    const [one = "", two = ""] = book.tasks("web", 2, fresh)
    book.settle().tasksAre([one], "assigned", "n1").tasksAre([two], "assigned", "n2")
    expect(book.gateways("n1")).toEqual({ [net(1)]: ["10.7.0.254", "fd00:7::ffff"] })
    expect(book.gateways("n2")).toEqual({ [net(1)]: ["10.7.0.253", "fd00:7::fffe"] })
  })

  test("every node has one on the ingress network once anything is published, but for those without an Engine", () => {
    const book = new Cluster().node("n1").node("n2") as Cluster
    const description = book.tables.get("node", "n1")?.Description
    book.node("p1", { ...(description && { Description: { ...description, Executor: "process" } }) })
    book.network(net(9), "ingress", { Ingress: true })
    book.settle()
    expect(book.gateways("n1")).toEqual({})
    book.service("web", ports)
    book.settle()
    const given = ["n1", "n2", "p1"].map((id) => book.gateways(id)[net(9)])
    expect(given).toEqual([[expect.any(String)], [expect.any(String)], undefined])
    expect(new Set(given.flat()).size).toBe(3)
    // Also one that comes later.
    book.node("n3")
    book.settle()
    expect(book.gateways("n3")[net(9)]).toHaveLength(1)
  })

  test("AL-11 a node that the last leader gave only some is given the rest, and keeps what it has", () => {
    const book = new Cluster().node("n1").network(net(1)).network(net(2), "two") as Cluster
    book.service("web", { TaskTemplate: { Networks: [{ Target: net(1) }, { Target: net(2) }] } })
    const ids = book.tasks("web", 1, fresh)
    book.settle().tasksAre(ids, "assigned", "n1")
    const all = book.gateways("n1")
    expect(Object.keys(all).sort()).toEqual([net(1), net(2)])
    const half = [{ NetworkID: net(2), Addresses: all[net(2)] ?? [] }]
    book.must({ type: "node.gateways", v: 1, nodes: [{ id: "n1", gateways: half }] })
    expect(Object.keys(book.gateways("n1"))).toEqual([net(2)])
    expect(book.settle().gateways("n1")).toEqual(all)
  })

  test("they are never a task's or a service's, and AL-21 there is one on each of two subnets", () => {
    const Config = [{ Subnet: "10.7.0.0/29" }, { Subnet: "10.8.0.0/29" }]
    const book = new Cluster().node("n1").network(net(1), "two", { IPAM: { Config } }) as Cluster
    book.service("web", on(1))
    const ids = book.tasks("web", 2, fresh)
    book.settle()
    expect(book.tables.get("network", net(1))?.IPAM.Config).toMatchObject([
      { Gateway: "10.7.0.1" },
      { Gateway: "10.8.0.1" }
    ])
    book.tasksAre(ids, "assigned", "n1")
    const own = book.gateways("n1")[net(1)] ?? []
    expect(own).toHaveLength(2)
    const theirs = [...book.tables.tasksOfService("web")].flatMap(
      (task) => task.Attachments?.[0]?.Addresses ?? []
    )
    expect(theirs).toHaveLength(4)
    for (const address of own) expect(theirs).not.toContain(`${address}/29`)
  })

  test("AL-20 where a subnet is too small for one, the task that waits for it says so, once", () => {
    const Config = [{ Subnet: "10.7.0.0/29" }]
    const book = new Cluster().node("n1").network(net(1), "small", { IPAM: { Config } }) as Cluster
    book.service("web", on(1))
    // Six addresses: the network's gateway, the VIP, four tasks.
    const ids = book.tasks("web", 4, fresh)
    book.settle().tasksAre(ids, "assigned", "n1")
    expect(book.gateways("n1")).toEqual({})
    expect(book.tables.get("task", ids[0] ?? "")?.Status).toMatchObject({
      State: "assigned",
      Err: "no address left in network small for node n1"
    })
    expect(allot(book.tables)).toEqual([])
  })

  test("AL-20 so does one that is on other networks as well, and none that is on others alone", () => {
    const Config = [{ Subnet: "10.7.0.0/29" }]
    const book = new Cluster()
      .node("n1")
      .network(net(1), "small", { IPAM: { Config } })
      .network(net(2), "two")
    book.service("both", { TaskTemplate: { Networks: [{ Target: net(1) }, { Target: net(2) }] } })
    book.service("other", on(2))
    const cluster = book as Cluster
    const [ids, others] = [cluster.tasks("both", 4, fresh), cluster.tasks("other", 1, fresh)]
    cluster.settle().tasksAre([...ids, ...others], "assigned", "n1")
    const problemOf = (id = "") => cluster.tables.get("task", id)?.Status.Err
    expect(problemOf(ids[0])).toBe("no address left in network small for node n1")
    expect(problemOf(others[0])).toBeUndefined()
  })

  test("nothing of it is written that an older manager does not understand", () => {
    const book = new Cluster(levelOf["node.gateways"] - 1).node("n1").network(net(1)) as Cluster
    book.service("web", on(1))
    book.settle()
    const ids = book.tasks("web", 1, fresh)
    book.settle().tasksAre(ids, "assigned", "n1")
    expect(book.gateways("n1")).toEqual({})
  })

  test("people who change the node meanwhile are not in its way", () => {
    const book = new Cluster().node("n1") as Cluster
    const before = book.tables.get("node", "n1")
    book.must({
      type: "node.gateways",
      v: 1,
      nodes: [{ id: "n1", gateways: [{ NetworkID: "x", Addresses: ["10.0.0.2"] }] }]
    })
    expect(book.tables.get("node", "n1")?.Version).toEqual(before?.Version as never)
    book.node("n1")
    expect(book.gateways("n1")).toEqual({ x: ["10.0.0.2"] })
  })
})

test("who is where is counted along with every change as it is counted from nothing", () => {
  const book = new Cluster().node("n1").node("n2").network(net(1)).network(net(2)) as Cluster
  const view = book.tables.view(reach)
  book.service("web", on(1))
  book.service("db", on(2))
  const web = book.tasks("web", 3, fresh)
  const db = book.tasks("db", 2, fresh)
  book.settle()
  const steps: ReadonlyArray<() => unknown> = [
    () => book.tasksAre(web, "assigned", "n1"),
    () => book.tasksAre(db, "running", "n2"),
    () => book.tasksAre(web.slice(1), "shutdown"),
    () => book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [...db] }),
    () => book.must({ type: "node.remove", id: "n1", v: 1, force: true })
  ]
  for (const step of steps) {
    step()
    const anew = reach(book.tables)
    for (const id of [net(1), net(2)]) expect(view.of(id)).toEqual(anew.of(id))
  }
  expect(view.of(net(1)).size + view.of(net(2)).size).toBe(0)
})
