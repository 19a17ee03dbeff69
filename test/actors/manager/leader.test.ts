/** The leader's actors together, as the tree runs them. */
import { describe, expect, test } from "bun:test"
import type { ServiceSpec } from "#actors/model/spec.ts"
import type { TreeNode } from "#runtime/system.ts"
import { LeaderWorld } from "#test/support/leader.ts"

const fast = { RestartPolicy: { Delay: 0 } }

function create(world: LeaderWorld, id: string, replicas: number, spec: ServiceSpec = {}): void {
  world.write({
    type: "service.create",
    v: 1,
    service: {
      ID: id,
      SpecVersion: 1,
      Spec: { Name: id, Mode: { Replicated: { Replicas: replicas } }, TaskTemplate: fast, ...spec }
    }
  })
}

function world(...ids: ReadonlyArray<string>): LeaderWorld {
  const nodes = ids.length === 0 ? ["n1"] : ids
  const made = new LeaderWorld(nodes).lead()
  for (const id of nodes) made.join(id)
  return made
}

const allNodes = (node: TreeNode): ReadonlyArray<TreeNode> => [node, ...node.children.flatMap(allNodes)]

describe("from a service to running tasks", () => {
  test("thirty replicas run after a handful of entries, not one per task", () => {
    const cluster = world()
    cluster.proposals.clear()
    create(cluster, "web", 30)
    const took = cluster.until("all run", () => cluster.running("web") === 30)
    expect(took).toBeLessThanOrEqual(100)
    expect(cluster.proposals.get("service")).toBe(1)
    expect(cluster.proposals.get("allocator")).toBe(1)
    expect(cluster.proposals.get("scheduler")).toBe(1)
    expect(cluster.proposals.get("node")).toBeLessThanOrEqual(2)
    expect(cluster.crashes).toEqual([])
  })

  test("a container that ends is replaced within a few milliseconds when there is no delay", () => {
    const cluster = world()
    create(cluster, "web", 3)
    cluster.until("all run", () => cluster.running("web") === 3)
    const node = cluster.nodes.get("n1")
    const [victim] = [...(node?.tasks.keys() ?? [])]
    node?.end(victim ?? "", "failed")
    cluster.until("it is noticed", () => cluster.running("web") === 2)
    expect(cluster.until("it is replaced", () => cluster.running("web") === 3)).toBeLessThanOrEqual(50)
  })

  test("a removed service leaves nothing behind", () => {
    const cluster = world()
    create(cluster, "web", 3)
    cluster.until("all run", () => cluster.running("web") === 3)
    cluster.write({ type: "service.remove", v: 1, id: "web" })
    cluster.until("no task is left", () => cluster.ledger.count("task") === 0, 2_000)
    cluster.host.advance(50)
    expect(cluster.nodes.get("n1")?.tasks.size).toBe(0)
    const actors = cluster.system.trees().flatMap(allNodes)
    expect(actors.filter((one) => one.address?.kind === "service")).toHaveLength(0)
    expect(cluster.crashes).toEqual([])
  })

  test("scaling, updating and failing at once settles where the spec says", () => {
    const cluster = world("n1", "n2")
    create(cluster, "web", 4, { UpdateConfig: { Parallelism: 2, FailureAction: "continue" } })
    cluster.until("all run", () => cluster.running("web") === 4)
    const service = cluster.ledger.get("service", "web")
    cluster.write({
      type: "service.update",
      v: 1,
      id: "web",
      version: service?.Version.Index ?? 0,
      spec: {
        ...service?.Spec,
        Mode: { Replicated: { Replicas: 6 } },
        TaskTemplate: { ...fast, ForceUpdate: 1 }
      }
    })
    for (const node of cluster.nodes.values()) {
      const [victim] = [...node.tasks.keys()]
      if (victim !== undefined) node.end(victim, "failed")
    }
    cluster.until("six run", () => cluster.running("web") === 6)
    cluster.until("done", () => cluster.ledger.get("service", "web")?.UpdateStatus?.State === "completed")
    const versions = [...cluster.ledger.tasksOfService("web")]
      .filter((task) => task.DesiredState === "running")
      .map((task) => task.SpecVersion)
    expect(new Set(versions).size).toBe(1)
    expect(cluster.crashes).toEqual([])
  })

  test("TR-04 history is kept to five tasks per slot", () => {
    const cluster = world()
    create(cluster, "web", 1)
    cluster.until("it runs", () => cluster.running("web") === 1)
    const node = cluster.nodes.get("n1")
    for (let round = 0; round < 8; round++) {
      const [task] = [...cluster.ledger.tasksOfService("web")].filter((one) => one.Status.State === "running")
      node?.end(task?.ID ?? "", "failed")
      cluster.host.advance(20_000)
    }
    expect(cluster.ledger.count("task")).toBe(5)
    expect(node?.tasks.size).toBe(5)
  })
})

describe("nodes", () => {
  test("DI-05 a silent node is down after three seconds and its tasks run elsewhere within four", () => {
    const cluster = world("n1", "n2")
    create(cluster, "web", 4)
    cluster.until("all run", () => cluster.running("web") === 4)
    cluster.nodes.get("n1")?.die()
    const elsewhere = () =>
      [...cluster.ledger.tasksOfNode("n2")].filter((task) => task.Status.State === "running").length === 4
    expect(cluster.until("all run on the other", elsewhere, 10_000)).toBeLessThanOrEqual(4_000)
    expect(cluster.ledger.get("node", "n1")?.Status).toMatchObject({
      State: "down",
      Message: "heartbeat failure"
    })
  })

  test("RS-12 a node that comes back stops what was replaced and adds nothing", () => {
    const cluster = world("n1", "n2")
    create(cluster, "web", 4)
    cluster.until("all run", () => cluster.running("web") === 4)
    const lost = cluster.nodes.get("n1")
    lost?.die()
    const elsewhere = () =>
      [...cluster.ledger.tasksOfNode("n2")].filter((task) => task.Status.State === "running").length === 4
    cluster.until("all run on the other", elsewhere)
    lost?.revive()
    cluster.until("ready", () => cluster.ledger.get("node", "n1")?.Status.State === "ready")
    cluster.host.advance(5_000)
    expect(cluster.running("web")).toBe(4)
    const states = [...(lost?.tasks.values() ?? [])].map(({ state }) => state)
    expect(new Set(states)).toEqual(new Set(["shutdown"]))
  })

  test("GO-02 a node that is added to the ledger and registers gets its global tasks", () => {
    const cluster = world("n1")
    cluster.write({
      type: "service.create",
      v: 1,
      service: { ID: "agent", SpecVersion: 1, Spec: { Name: "agent", Mode: { Global: {} } } }
    })
    cluster.until("one runs", () => cluster.running("agent") === 1)
    const known = cluster.ledger.get("node", "n1")
    cluster.write({
      type: "node.register",
      v: 1,
      node: {
        ID: "n2",
        Spec: known?.Spec ?? {},
        Status: { State: "unknown" },
        ...(known?.Description && { Description: known.Description })
      }
    })
    cluster.host.settle()
    cluster.join("n2")
    cluster.until("two run", () => cluster.running("agent") === 2, 5_000)
  })

  test("SC-05 tasks that found no node wait, say why, and run on the first that is ready", () => {
    const cluster = new LeaderWorld(["n1"]).lead()
    create(cluster, "web", 2)
    cluster.host.advance(1_000)
    for (const task of cluster.ledger.tasksOfService("web")) {
      expect(task.Status).toMatchObject({ State: "pending" })
      expect(task.Status.Err).toStartWith("no suitable node")
    }
    cluster.join("n1")
    cluster.until("all run", () => cluster.running("web") === 2, 2_000)
  })
})

describe("a change of leader", () => {
  test("leaves running tasks alone", () => {
    const cluster = world("n1", "n2")
    create(cluster, "web", 6)
    cluster.until("all run", () => cluster.running("web") === 6)
    const before = [...cluster.ledger.tasksOfService("web")].map(({ ID }) => ID).sort()
    cluster.stepDown().lead(2)
    cluster.host.advance(15_000)
    expect([...cluster.ledger.tasksOfService("web")].map(({ ID }) => ID).sort()).toEqual(before)
    expect(cluster.running("web")).toBe(6)
    expect(cluster.ledger.get("node", "n1")?.Status.State).toBe("ready")
  })

  test("a node that dies with the leader is missed no later than three seconds into the new one", () => {
    const cluster = world("n1", "n2")
    create(cluster, "web", 2)
    cluster.until("all run", () => cluster.running("web") === 2)
    cluster.nodes.get("n1")?.die()
    cluster.stepDown()
    cluster.host.advance(800)
    cluster.lead(2)
    const down = () => cluster.ledger.get("node", "n1")?.Status.State === "down"
    expect(cluster.until("down", down, 10_000)).toBeLessThanOrEqual(3_100)
  })

  test("what was written while nobody led is acted on", () => {
    const cluster = world("n1")
    cluster.stepDown()
    create(cluster, "web", 3)
    cluster.lead(2)
    cluster.until("all run", () => cluster.running("web") === 3, 10_000)
  })

  test("an actor that is told it does not lead decides nothing more", () => {
    const cluster = world("n1")
    cluster.answer = { _tag: "NotLeader" }
    create(cluster, "web", 3)
    cluster.host.advance(5_000)
    const asked = cluster.proposals.get("service")
    cluster.answer = undefined
    const service = cluster.ledger.get("service", "web")
    cluster.write({
      type: "service.update",
      v: 1,
      id: "web",
      version: service?.Version.Index ?? 0,
      spec: { ...service?.Spec, Mode: { Replicated: { Replicas: 5 } } }
    })
    cluster.host.advance(5_000)
    expect(asked).toBe(1)
    expect(cluster.proposals.get("service")).toBe(1)
  })
})

describe("when things go wrong", () => {
  test("a write that nobody answers for is looked at again, and nothing is done twice", () => {
    const cluster = world("n1")
    cluster.answer = { _tag: "Unknown", message: "no answer" }
    create(cluster, "web", 3)
    cluster.host.advance(500)
    expect(cluster.ledger.count("task")).toBe(0)
    cluster.answer = undefined
    cluster.until("all run", () => cluster.running("web") === 3, 10_000)
    expect(cluster.ledger.count("task")).toBe(3)
  })

  test("a refusal that stays does not make an actor spin", () => {
    const cluster = world("n1")
    cluster.answer = { _tag: "Refused", refusal: { code: "unavailable", message: "no" } }
    cluster.proposals.clear()
    create(cluster, "web", 3)
    cluster.host.advance(10_000)
    expect(cluster.proposals.get("service")).toBeLessThanOrEqual(15)
  })

  test("every actor of the tree can be restarted by hand without a task being touched", () => {
    const cluster = world("n1")
    create(cluster, "web", 3)
    cluster.until("all run", () => cluster.running("web") === 3)
    const before = [...cluster.ledger.tasksOfService("web")].map(({ ID }) => ID).sort()
    for (const node of cluster.system.trees().flatMap(allNodes)) {
      if (node.address?.home === "leader") cluster.system.restart(node.address)
    }
    cluster.host.advance(20_000)
    expect([...cluster.ledger.tasksOfService("web")].map(({ ID }) => ID).sort()).toEqual(before)
    create(cluster, "api", 2)
    cluster.until("new work is done", () => cluster.running("api") === 2, 10_000)
  })

  test("an assignment that is lost is told again", () => {
    const cluster = world("n1")
    const node = cluster.nodes.get("n1")
    if (node === undefined) throw new Error("no node")
    node.deaf = true
    create(cluster, "web", 1)
    cluster.host.advance(100)
    node.deaf = false
    cluster.until("it runs", () => cluster.running("web") === 1, 5_000)
  })
})
