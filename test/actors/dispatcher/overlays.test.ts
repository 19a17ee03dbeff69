import { expect, test } from "bun:test"
import { type DispatcherState, decide, start } from "#actors/dispatcher/decide.ts"
import type { DispatcherMessage } from "#actors/dispatcher/protocol.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { allot } from "#actors/network/allot.ts"
import { merge } from "#actors/network/merge.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import type { FromLeader } from "#actors/node/protocol.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { Stage } from "#test/support/stage.ts"
import { tablesFor } from "#test/support/tables-for.ts"

type Assign = Extract<FromLeader, { _tag: "Assign" }>

/** Nodes that take what they are told, as a session does, and count it. */
class Listeners {
  readonly stage: Stage
  readonly held = new Map<string, Map<string, OverlayTable>>()
  readonly tasks = new Map<string, Set<string>>()
  rows = 0
  tasksTold = 0
  whole = 0
  #state: DispatcherState

  constructor(nodes: ReadonlyArray<string>) {
    this.stage = new Stage(nodes, new Book().cluster({ FeatureLevel: featureLevel }))
    this.#state = start({ ledger: this.stage.book.tables, nodeId: "manager" }, this.#moment()).state
    this.stage.book.changes()
    for (const nodeId of nodes) this.say({ _tag: "SessionOpened", nodeId, session: nodeId })
  }

  #moment() {
    return { now: this.stage.now, fresh: Fresh.from(1), self: address("leader", "dispatcher", "main") }
  }

  say(message: DispatcherMessage): this {
    const step = decide(this.#state, message, this.#moment())
    this.#state = step.state
    for (const action of step.actions) {
      if (action._tag === "Tell" && action.to.kind === "session")
        this.#take(action.to.home, action.message as Assign)
    }
    return this
  }

  hear(): this {
    const { changes } = this.stage.book.changes()
    return this.say({ _tag: "Changed", changes }).say({ _tag: "Flush" })
  }

  #take(nodeId: string, message: Assign): void {
    const tables = this.held.get(nodeId) ?? new Map<string, OverlayTable>()
    const tasks = this.tasks.get(nodeId) ?? new Set<string>()
    this.held.set(nodeId, tables)
    this.tasks.set(nodeId, tasks)
    if (message.complete) tables.clear()
    for (const { id } of message.tasks) tasks.add(id)
    for (const id of message.overlaysGone ?? []) tables.delete(id)
    for (const change of message.overlays ?? []) {
      const tasks = (change.tasks ?? []).flatMap((one) => [...one.tasks, ...one.gone])
      this.rows += change.services.length + change.peers.length
      this.tasksTold += tasks.length
      if (change.head !== undefined) this.whole += 1
      const table = merge(tables.get(change.networkId), change)
      if (table !== undefined) tables.set(change.networkId, table)
    }
  }

  tables(nodeId: string): ReadonlyArray<OverlayTable> {
    const held = [...(this.held.get(nodeId)?.values() ?? [])]
    return held.sort((a, b) => (a.networkId < b.networkId ? -1 : 1))
  }
}

const nodes = ["n1", "n2", "n3"]
const on = (target: string, replicas: number, more: ServiceSpec = {}): ServiceSpec => ({
  Mode: { Replicated: { Replicas: replicas } },
  TaskTemplate: { Networks: [{ Target: target, Aliases: ["also"] }] },
  ...more
})

test("a node is told of its overlays: itself, the others, and each service with its tasks", () => {
  const cluster = new Listeners(nodes)
  cluster.stage.book.network("front", "front", { Options: { encrypted: "" }, Internal: true })
  cluster.stage.create("web", on("front", 2))
  cluster.hear()
  const [task] = cluster.stage.running("web")
  const [table] = cluster.tables(task?.NodeID ?? "")
  expect(table).toMatchObject({
    networkId: "front",
    name: "front",
    vni: 4097,
    port: 4789,
    dataPath: "192.168.0.1",
    subnets: [{ subnet: "10.0.0.0/24" }],
    internal: true,
    encrypted: true,
    ingress: false,
    peers: [{ dataPath: "192.168.0.1" }],
    services: [{ serviceId: "web", name: "web", aliases: ["also"], vips: ["10.0.0.2"] }]
  })
  expect(table?.peers.map(({ nodeId }) => nodeId)).not.toContain(task?.NodeID ?? "")
  expect(table?.services[0]?.tasks.find(({ taskId }) => taskId === task?.ID)).toMatchObject({
    name: `web.1.${task?.ID}`,
    addresses: [task?.Attachments?.[0]?.Addresses[0]?.split("/")[0]],
    serving: true
  })
})

test("keys of the others on an encrypted network are told when they change, and on no other network", () => {
  const cluster = new Listeners(nodes)
  const { book } = cluster.stage
  book.network("safe", "safe", { Options: { encrypted: "" } }).network("open")
  const both = { Networks: [{ Target: "safe" }, { Target: "open" }] }
  cluster.stage.create("web", { Mode: { Global: {} }, TaskTemplate: both })
  const Description = book.tables.get("node", "n1")?.Description
  if (Description === undefined) throw new Error("n1 has said what it is")
  const keysOfN1 = (): ReadonlyArray<unknown> => {
    cluster.hear()
    return cluster
      .tables("n2")
      .map(({ name, peers }) => [name, peers.find(({ nodeId }) => nodeId === "n1")?.keys])
  }
  expect(keysOfN1()).toEqual([
    ["open", undefined],
    ["safe", undefined]
  ])
  for (const Epoch of [1, 2]) {
    const Keys = [{ Epoch, PublicKey: `k${Epoch}`, Port: 51820 }]
    book.must({
      type: "node.observe",
      v: 1,
      nodes: [{ id: "n1", description: { ...Description, WireGuard: { Keys } } }]
    })
    expect(keysOfN1()).toEqual([
      ["open", undefined],
      ["safe", Keys]
    ])
  }
})

test("a task is sent only once its node has an address of its own on each of its networks", () => {
  const cluster = new Listeners(["n1"])
  const { book } = cluster.stage
  const give = (): void => {
    for (let round = 0; round < 4; round++) for (const command of allot(book.tables)) book.must(command)
  }
  book.network("front").service("web", on("front", 1))
  const [id = ""] = book.tasks("web", 1, { Status: { Timestamp: "", State: "new" } })
  give()
  const update = [{ id, NodeID: "n1", Status: { Timestamp: "", State: "assigned" as const } }]
  book.must({ type: "tasks.change", v: 1, create: [], update, remove: [] })
  cluster.hear()
  expect([cluster.tasks.get("n1"), cluster.tables("n1")]).toEqual([new Set(), []])
  give()
  cluster.hear()
  expect(cluster.tasks.get("n1")).toEqual(new Set([id]))
  expect(cluster.tables("n1")[0]?.services[0]?.tasks).toMatchObject([{ taskId: id, serving: false }])
})

test("a change of a task is that task to each node on the network, and nothing to the others", () => {
  const cluster = new Listeners(nodes)
  cluster.stage.book.network("front").network("back")
  for (let n = 0; n < 20; n++) cluster.stage.create(`s${n}`, on("front", 3))
  cluster.stage.create("db", on("back", 1))
  cluster.hear()
  cluster.rows = 0
  cluster.tasksTold = 0
  cluster.whole = 0
  cluster.stage.scale("s3", 2).converge()
  cluster.hear()
  expect([cluster.tasksTold, cluster.rows, cluster.whole]).toEqual([3, 0, 0])
  cluster.rows = 0
  cluster.stage.update("db", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 } }))
  cluster.stage.converge()
  cluster.hear()
  expect(cluster.rows).toBeLessThanOrEqual(2)
  cluster.rows = 0
  cluster.stage.update("s4", (spec) => ({ ...spec, Labels: { seen: "by nobody here" } })).converge()
  cluster.hear()
  expect(cluster.rows).toBe(0)
})

test("a task serves from the moment that it runs until it is no longer wanted", () => {
  const cluster = new Listeners(["n1"])
  cluster.stage.book.network("front")
  cluster.stage.create("web", on("front", 1)).update("web", (spec) => ({ ...spec, Labels: { a: "b" } }))
  const [id = ""] = cluster.stage.running("web").map(({ ID }) => ID)
  cluster.hear()
  const serving = () => cluster.tables("n1")[0]?.services[0]?.tasks.map((task) => task.serving)
  expect(serving()).toEqual([true])
  const shut = [{ id, DesiredState: "shutdown" as const }]
  cluster.stage.book.must({ type: "tasks.change", v: 1, create: [], update: shut, remove: [] })
  cluster.hear()
  expect(serving()).toEqual([false])
  cluster.stage.report(id, "shutdown")
  cluster.hear()
  expect(serving()).toEqual([])
})

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`whatever happens, what nodes hold is what the ledger says of their overlays (seed ${seed})`, () => {
    const cluster = new Listeners(nodes)
    const { stage } = cluster
    const chance = Fresh.from(seed)
    const pick = (count: number): number => Math.floor(chance.fraction() * count)
    stage.book
      .network("ingress-id", "ingress", { Ingress: true })
      .network("front")
      .network("back", "back", { EnableIPv6: true })
    for (let turn = 0; turn < 40; turn++) {
      const id = `s${pick(5)}`
      const service = stage.book.tables.get("service", id)
      const what = pick(6)
      if (service === undefined) {
        const EndpointSpec = pick(2) === 0 ? { Ports: [{ TargetPort: 80 }] } : { Mode: "dnsrr" as const }
        stage.create(
          id,
          on(pick(2) === 0 ? "front" : "back", 1 + pick(4), { Name: `the-${id}`, EndpointSpec })
        )
      } else if (what === 0) stage.book.must({ type: "service.remove", v: 1, id })
      else if (what === 1) stage.scale(id, pick(5))
      else if (what === 2)
        stage.node(nodes[pick(3)] ?? "", { availability: pick(2) === 0 ? "drain" : "active" })
      else if (what === 3) {
        const Target = pick(2) === 0 ? "front" : "back"
        stage.update(id, (spec) => ({ ...spec, TaskTemplate: { Networks: [{ Target }] } }))
      } else if (what === 4) {
        const nodeId = nodes[pick(3)] ?? ""
        const Addr = `192.168.0.${1 + pick(9)}`
        stage.book.must({
          type: "node.observe",
          v: 1,
          nodes: [{ id: nodeId, status: { State: "ready", Addr } }]
        })
      } else if (what === 5 && pick(2) === 0) {
        const nodeId = nodes[pick(3)] ?? ""
        const [held] = stage.book.tables.get("node", nodeId)?.Attached ?? []
        const attached = { ID: `c${turn}`, NetworkID: "front", Name: "tool", Addresses: [`10.9.9.${turn}`] }
        if (held === undefined) stage.book.must({ type: "node.attach", v: 1, id: nodeId, attached })
        else stage.book.must({ type: "node.detach", v: 1, id: nodeId, attached: [held.ID] })
      } else cluster.say({ _tag: "SessionOpened", nodeId: nodes[pick(3)] ?? "", session: `again-${turn}` })
      if (pick(3) > 0) stage.converge()
      cluster.hear()
      for (const nodeId of nodes)
        expect(cluster.tables(nodeId)).toEqual([...tablesFor(stage.book.tables, nodeId)])
    }
    expect(cluster.rows).toBeGreaterThan(10)
  })
}
