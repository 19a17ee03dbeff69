import { describe, expect, test } from "bun:test"
import type { LayReport } from "#actors/drivers/kernel.ts"
import type { NamesReport } from "#actors/drivers/names.ts"
import { decide, idle, type Networks } from "#actors/network/decide.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"
import type { NetworkAction, NetworkMessage } from "#actors/network/protocol.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { Fresh } from "#runtime/ids.ts"
import { aMoment } from "#test/actors/task/build.ts"

class Subject {
  state: Networks = idle
  asked: ReadonlyArray<NetworkAction | CommonAction> = []
  readonly #fresh = Fresh.from(2)

  tell(message: NetworkMessage): this {
    const self = { home: "n1", kind: "network", id: "main" }
    const step = decide(this.state, message, aMoment(1_000, this.#fresh, self))
    this.state = step.state
    this.asked = step.actions
    return this
  }

  get tags(): ReadonlyArray<string> {
    return this.asked.map(({ _tag }) => _tag)
  }
}

const plan = (id: string, labels: Record<string, string> = {}): NetworkPlan => ({
  id,
  name: id,
  subnets: [],
  internal: false,
  attachable: false,
  ipv6: false,
  labels,
  options: {}
})
const need = (taskId: string, ...ids: ReadonlyArray<string>): NetworkMessage => ({
  _tag: "Need",
  taskId,
  plans: ids.map((id) => plan(id))
})
const tellTask = (id: string, message: object) => ({
  _tag: "Tell",
  to: { home: "n1", kind: "task", id },
  message
})

describe("a network that tasks need", () => {
  test("is made once, however many ask at the same time", () => {
    const network = new Subject().tell(need("t1", "a"))
    expect(network.tags).toEqual(["EnsureNetwork"])
    expect(network.tell(need("t2", "a")).asked).toEqual([])
    expect(network.tell({ _tag: "Ensured", id: "a", bridge: "e-a" }).asked as unknown).toEqual([
      tellTask("t1", { _tag: "Networked", bridges: { a: "e-a" } }),
      tellTask("t2", { _tag: "Networked", bridges: { a: "e-a" } })
    ])
  })

  test("is looked for again by the next who asks, because somebody may have removed it", () => {
    const network = new Subject().tell(need("t1", "a")).tell({ _tag: "Ensured", id: "a", bridge: "e-a" })
    expect(network.tell(need("t2", "a")).tags).toEqual(["EnsureNetwork"])
  })

  test("is told together with the others the task needs", () => {
    const network = new Subject().tell(need("t1", "a", "b"))
    expect(network.tell({ _tag: "Ensured", id: "b", bridge: "e-b" }).asked).toEqual([])
    expect(network.tell({ _tag: "Ensured", id: "a", bridge: "e-a" }).asked as unknown).toEqual([
      tellTask("t1", { _tag: "Networked", bridges: { a: "e-a", b: "e-b" } })
    ])
  })

  test("that cannot be made is told with the Engine's words", () => {
    const network = new Subject().tell(need("t1", "a", "b"))
    const refusal = { id: "a", message: "Pool overlaps", temporary: false }
    expect(network.tell({ _tag: "NotEnsured", ...refusal }).asked as unknown).toEqual([
      tellTask("t1", { _tag: "Unnetworked", message: "Pool overlaps", temporary: false })
    ])
    expect(network.tell({ _tag: "Ensured", id: "b", bridge: "e-b" }).asked).toEqual([])
  })
})

describe("a network that nobody needs", () => {
  test("is removed, and tried again later while its last containers go", () => {
    const network = new Subject().tell({ _tag: "Want", plans: [plan("a")] })
    network.tell({ _tag: "Ensured", id: "a", bridge: "e-a" })
    expect(network.tell({ _tag: "Drop", networks: ["a"] }).tags).toEqual(["RemoveNetwork"])
    expect(network.tell({ _tag: "NetworkKept", id: "a", message: "has active endpoints" }).tags).toEqual([
      "Later"
    ])
    expect(network.tell({ _tag: "RemoveAgain", id: "a" }).tags).toEqual(["RemoveNetwork"])
    expect(network.tell({ _tag: "NetworkGone", id: "a" }).state.dropped.size).toBe(0)
  })

  test("stays when a task asks for it before it is gone", () => {
    const network = new Subject().tell({ _tag: "Drop", networks: ["a"] })
    expect(network.tell(need("t1", "a")).asked).toEqual([])
    expect(network.tell({ _tag: "NetworkGone", id: "a" }).tags).toEqual(["EnsureNetwork"])
    expect(network.tell({ _tag: "RemoveAgain", id: "a" }).asked).toEqual([])
  })

  test("goes after it was made, when it was dropped meanwhile", () => {
    const network = new Subject().tell({ _tag: "Want", plans: [plan("a")] })
    expect(network.tell({ _tag: "Drop", networks: ["a"] }).asked).toEqual([])
    expect(network.tell({ _tag: "Ensured", id: "a", bridge: "e-a" }).tags).toEqual(["RemoveNetwork"])
  })

  test("and was left by an earlier life is found and removed", () => {
    const network = new Subject().tell({ _tag: "Keep", plans: [plan("a")] })
    expect(network.tags).toEqual(["EnsureNetwork", "ListNetworks"])
    expect(network.tell({ _tag: "Listed", networks: ["a", "old"] }).asked).toEqual([
      { _tag: "RemoveNetwork", id: "old" }
    ])
  })
})

describe("published ports", () => {
  const publish = (publishedPort: number): NetworkMessage => ({
    _tag: "Publish",
    ports: [
      { serviceId: "s", serviceName: "web", protocol: "tcp", publishedPort, targetPort: 80, backends: [] }
    ]
  })
  const inUse = [{ protocol: "tcp", publishedPort: 80, message: "address already in use" }]

  test("are set one table at a time, the newest last", () => {
    const network = new Subject().tell(publish(80))
    expect(network.tags).toEqual(["PublishPorts"])
    expect(network.tell(publish(81)).asked).toEqual([])
    expect(network.tell(publish(82)).asked).toEqual([])
    expect(network.tell({ _tag: "Published", problems: [], open: [] }).asked).toMatchObject([
      { _tag: "PublishPorts", ports: [{ publishedPort: 82 }] }
    ])
    expect(network.tell({ _tag: "Published", problems: [], open: [] }).asked).toEqual([])
  })

  test("that somebody else holds are complained about once and tried again", () => {
    const network = new Subject().tell(publish(80))
    expect(network.tell({ _tag: "Published", problems: inUse, open: [] }).tags).toEqual(["Complain", "Later"])
    expect(network.tell({ _tag: "PublishAgain" }).tags).toEqual(["PublishPorts"])
    expect(network.tell({ _tag: "Published", problems: inUse, open: [] }).tags).toEqual(["Later"])
    network.tell({ _tag: "PublishAgain" }).tell({ _tag: "Published", problems: [], open: [] })
    expect([network.tags, network.state.problems]).toEqual([[], []])
  })

  test("are set again when the data plane did not answer", () => {
    const network = new Subject()
      .tell({ _tag: "Publish", ports: [] })
      .tell({ _tag: "NotPublished", message: "gone" })
    expect(network.tags).toEqual(["Complain", "Later"])
    expect(network.tell({ _tag: "PublishAgain" }).tags).toEqual(["PublishPorts"])
  })
})

describe("overlays over several nodes", () => {
  const table = (networkId: string) => ({ networkId }) as OverlayTable
  const laid = (
    round: number,
    more: Partial<LayReport> = {},
    names: NamesReport = { problems: [] }
  ): NetworkMessage => ({
    _tag: "Laid",
    round,
    report: { bridgeless: [], changed: 0, problems: [], ...more },
    names
  })
  const networked = tellTask("t1", { _tag: "Networked", bridges: { a: "e-a" } })
  const made: NetworkMessage = { _tag: "Ensured", id: "a", bridge: "e-a" }

  test("a task is told of its bridge once the kernel knows the way to the others", () => {
    const network = new Subject().tell({ _tag: "Tables", tables: [table("a")] })
    expect(network.asked).toEqual([{ _tag: "Lay", round: 1, tables: [table("a")] }])
    expect(network.tell(need("t1", "a")).tags).toEqual(["EnsureNetwork"])
    // The round under way began without the bridge.
    expect(network.tell(made).asked).toEqual([])
    expect(network.tell(laid(1, { bridgeless: ["a"] })).tags).toEqual(["Lay"])
    expect(network.tell(laid(2)).asked[1] as unknown).toEqual(networked)
    // From then on the way is there.
    expect(network.tell(need("t1", "a")).tell(made).asked as unknown).toEqual([networked])
  })

  test("a task is told whom to ask for names, where this node answers them", () => {
    const subnets = [
      { subnet: "fd00::/64", gateway: "fd00::9" },
      { subnet: "10.0.1.0/24", gateway: "10.0.1.9" }
    ]
    const host = { nameservers: [], search: ["example.test"], options: [] }
    const network = new Subject().tell({ _tag: "Tables", tables: [{ ...table("a"), subnets }] })
    network.tell(laid(1, {}, { host, problems: [] })).tell(need("t1", "a"))
    const asked = network.tell(made).asked as unknown
    const resolver = { nameserver: "10.0.1.9", host }
    expect(asked).toEqual([tellTask("t1", { _tag: "Networked", bridges: { a: "e-a" }, resolver })])
  })

  test("certificates go to the entrance with the tables that they came with", () => {
    const certificates = [{ id: "c", name: "cert", data: "eA==" }]
    const network = new Subject().tell({ _tag: "Tables", tables: [table("a")], certificates })
    expect(network.asked).toMatchObject([{ _tag: "Lay", round: 1, certificates }])
    network.tell(laid(1)).tell({ _tag: "Tables", tables: [table("a")] })
    expect(network.asked).toEqual([{ _tag: "Lay", round: 2, tables: [table("a")] }])
  })

  test("what is told while the kernel is made is made right after, as it is by then", () => {
    const network = new Subject().tell({ _tag: "Tables", tables: [table("a")] })
    network.tell({ _tag: "Tables", tables: [table("b")] }).tell({ _tag: "Tables", tables: [table("c")] })
    expect(network.asked).toEqual([])
    expect(network.tell(laid(1)).asked).toEqual([{ _tag: "Lay", round: 3, tables: [table("c")] }])
  })

  test("a round begins with taking away who serves no more, as the kernel was left by the round before", () => {
    const rows = (...serving: ReadonlyArray<string>): OverlayTable["services"] => [
      {
        ...{ serviceId: "web", name: "web", aliases: [], vips: [], ports: [] },
        tasks: serving.map((id) => ({ taskId: id, nodeId: "n1", name: id, addresses: [], serving: true }))
      }
    ]
    const of = (...serving: ReadonlyArray<string>) => ({ ...table("a"), services: rows(...serving) })
    const network = new Subject().tell({ _tag: "Tables", tables: [of("t1", "t2")] })
    expect(network.asked).toEqual([{ _tag: "Lay", round: 1, tables: [of("t1", "t2")] }])
    // What was never laid need not be taken away.
    network.tell({ _tag: "Tables", tables: [of("t1", "t2", "t3")] })
    network.tell({ _tag: "Tables", tables: [of("t2", "t4")] })
    expect(network.tell(laid(1)).asked).toEqual([
      { _tag: "Lay", round: 3, tables: [of("t2", "t4")], withdrawn: [of("t2")] }
    ])
    expect(network.tell(laid(3)).tell({ _tag: "LookAgain" }).asked).toEqual([
      { _tag: "Lay", round: 4, tables: [of("t2", "t4")], isLook: true }
    ])
  })

  test("the kernel carries the published ports that are this node's own, once that is known", () => {
    const network = new Subject()
      .tell({ _tag: "Publish", ports: [] })
      .tell({ _tag: "Tables", tables: [table("a")] })
    expect(network.asked).toEqual([{ _tag: "Lay", round: 1, tables: [table("a")] }])
    network.tell(laid(1)).tell({ _tag: "Published", problems: [], open: ["tcp/80"] })
    const led = { _tag: "Lay", round: 2, tables: [table("a")], open: ["tcp/80"] }
    expect(network.asked as unknown).toEqual([led])
    network.tell(laid(2))
    expect(network.tell({ _tag: "Published", problems: [], open: ["tcp/80"] }).asked).toEqual([])
    expect(network.tell({ _tag: "Published", problems: [], open: [] }).asked).toMatchObject([{ open: [] }])
  })

  test("while a task takes no connections yet, the kernel is looked at sooner, and ever later", () => {
    const network = new Subject().tell({ _tag: "Tables", tables: [table("a")] })
    const waits = [1, 2, 3, 4, 5, 6, 7].map((round) => {
      network.tell(laid(round, { isWaiting: round < 7 }))
      const [{ afterMs } = {}] = network.asked as ReadonlyArray<{ readonly afterMs?: number }>
      network.tell({ _tag: "LookAgain" })
      return afterMs
    })
    expect(waits).toEqual([100, 200, 400, 800, 1600, 2000, 2000])
  })

  test("the kernel is looked at again and again, and what differed is counted as repaired", () => {
    const network = new Subject().tell({ _tag: "Tables", tables: [table("a")] }).tell(laid(1, { changed: 9 }))
    expect(network.asked).toMatchObject([{ _tag: "Later", afterMs: 2_000, message: { _tag: "LookAgain" } }])
    expect(network.state.overlays.repairs).toBe(0)
    expect(network.tell({ _tag: "LookAgain" }).asked).toMatchObject([{ _tag: "Lay", isLook: true }])
    expect(network.tell(laid(2, { changed: 3 })).state.overlays.repairs).toBe(3)
    network.tell({ _tag: "Tables", tables: [] })
    expect(network.tell(laid(3)).asked).toEqual([])
  })

  test("something new does not wait for a look: it is asked once to end, and the kernel is made right after", () => {
    const network = new Subject().tell({ _tag: "Tables", tables: [table("a")] }).tell(laid(1))
    network.tell({ _tag: "LookAgain" })
    expect(network.tell({ _tag: "Tables", tables: [table("b")] }).tags).toEqual(["GiveWay"])
    expect(network.tell({ _tag: "Tables", tables: [table("c")] }).asked).toEqual([])
    expect(network.tell({ _tag: "GaveWay" }).asked).toEqual([{ _tag: "Lay", round: 4, tables: [table("c")] }])
    // Nor did it come about: whoever waited for the look waits for this.
    expect(network.state.overlays.done).toBe(1)
    expect(network.tell({ _tag: "Tables", tables: [table("d")] }).asked).toEqual([])
    network.tell(laid(4)).tell(laid(5)).tell({ _tag: "LookAgain" })
    expect(network.tell({ _tag: "Tables", tables: [table("e")] }).tags).toEqual(["GiveWay"])
    // It was too late to be asked.
    expect(network.tell(laid(6)).asked).toEqual([{ _tag: "Lay", round: 7, tables: [table("e")] }])
  })

  test("a bridge that is not there is asked for again, and a problem is told once", () => {
    const network = new Subject().tell({ _tag: "Want", plans: [plan("a")] })
    network.tell({ _tag: "NotEnsured", id: "a", message: "no", temporary: true })
    network.tell({ _tag: "Tables", tables: [table("a")] })
    const poor = { bridgeless: ["a"], problems: ["no vxlan"] }
    expect(network.tell(laid(1, poor)).tags).toEqual(["Warn", "Later"])
    expect(network.tell({ _tag: "LookAgain" }).tags).toEqual(["Lay", "EnsureNetwork"])
    expect(network.tell(laid(2, poor)).tags).toEqual(["Later"])
  })
})

test("where traffic goes is confirmed once both the kernel and the published ports are as they were told by then", () => {
  const routed = (network: Subject) => network.asked.filter(({ _tag }) => _tag === "Tell")
  const laid = (round: number): NetworkMessage => ({
    _tag: "Laid",
    round,
    report: { bridgeless: [], changed: 0, problems: [] },
    names: { problems: [] }
  })
  const published: NetworkMessage = { _tag: "Published", problems: [], open: [] }
  const tables: NetworkMessage = { _tag: "Tables", tables: [{ networkId: "a" } as OverlayTable] }
  const publish: NetworkMessage = { _tag: "Publish", ports: [] }
  const confirm = (seq: number): NetworkMessage => ({ _tag: "Confirm", session: "s", seq })
  const network = new Subject().tell(tables).tell(publish)
  // These are already under way: what is told now comes after.
  network.tell(tables).tell(publish).tell(confirm(7))
  expect(routed(network.tell(laid(1)))).toEqual([])
  expect(routed(network.tell(published))).toEqual([])
  expect(routed(network.tell(laid(2)))).toEqual([])
  const answer = (seq: number) => ({
    _tag: "Tell",
    to: { home: "n1", kind: "session", id: "main" },
    message: { _tag: "Routed", session: "s", seq }
  })
  expect(routed(network.tell(published)) as unknown).toEqual([answer(7)])
  expect(routed(network.tell(confirm(8))) as unknown).toEqual([answer(8)])
  // A data plane that does not answer leads nobody astray.
  network.tell(publish).tell(confirm(9))
  expect(routed(network.tell({ _tag: "NotPublished", message: "gone" })) as unknown).toEqual([answer(9)])
})

test("whoever asks is shown what is known of overlays, and how the kernel was found", () => {
  const report = { bridgeless: [], changed: 2, tunnels: { n2: "wg1-tn1" }, problems: ["no vxlan"] }
  const table = { networkId: "a" } as OverlayTable
  const network = new Subject()
    .tell({ _tag: "Tables", tables: [table] })
    .tell({ _tag: "Laid", round: 1, report, names: { problems: ["no names"] } })
  const asker = { to: "somebody" } as never
  expect(
    decide(network.state, { _tag: "Show" }, { ...aMoment(1_000, Fresh.from(2)), asker }).actions
  ).toEqual([
    {
      _tag: "Reply",
      to: asker,
      message: {
        tables: [table],
        rounds: 1,
        repairs: 0,
        tunnels: { n2: "wg1-tn1" },
        problems: ["no vxlan", "no names"],
        isLaying: false,
        bridgeless: []
      }
    }
  ])
})

describe("keys for encrypted overlays", () => {
  const session = (message: object) => ({
    _tag: "Tell",
    to: { home: "n1", kind: "session", id: "main" },
    message
  })
  const wireGuard = { Keys: [{ Epoch: 2, PublicKey: "k", Port: 51820 }] }

  test("are made when the leader wants them, told to it, and gone by at once", () => {
    const network = new Subject().tell({ _tag: "MakeKey", epoch: 2 })
    expect(network.asked).toEqual([{ _tag: "MakeKey", epoch: 2 }])
    expect(network.tell({ _tag: "Keyed", wireGuard }).asked as unknown).toEqual([
      session({ _tag: "Keyed", wireGuard })
    ])
    network.tell({ _tag: "Tables", tables: [{ networkId: "a" } as OverlayTable] }).tell({
      _tag: "Laid",
      round: 1,
      report: { bridgeless: [], changed: 0, problems: [] },
      names: { problems: [] }
    })
    expect(network.tell({ _tag: "Keyed", wireGuard }).tags).toEqual(["Lay", "Tell"])
  })

  test("that cannot be made are tried again: somebody may install what is missing", () => {
    const without = { Keys: [], Refusal: "there is no wg here" }
    const [told, again] = new Subject().tell({ _tag: "Keyed", wireGuard: without }).asked
    expect(told as unknown).toEqual(session({ _tag: "Keyed", wireGuard: without }))
    expect(again).toMatchObject({ _tag: "Later", message: { _tag: "MakeKey" } })
  })
})
