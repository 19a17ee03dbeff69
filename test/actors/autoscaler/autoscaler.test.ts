/** The autoscaler in the leader's tree, on imitated time. */
import { expect, test } from "bun:test"
import { address } from "#runtime/address.ts"
import type { TreeNode } from "#runtime/system.ts"
import { LeaderWorld } from "#test/support/leader.ts"

const labels = (more: Record<string, string> = {}) => ({
  "troupe.autoscale.max": "6",
  "troupe.autoscale.cpu": "50%",
  "troupe.autoscale.stabilise": "30s",
  ...more
})

/** For a machine that others keep busy. */
const patience = 60_000

function scaled(asked: Readonly<Record<string, string>> = labels(), replicas = 2): LeaderWorld {
  const world = new LeaderWorld(["n1"])
  world.book.network("net", "ingress", { Ingress: true, IPAM: { Config: [{ Subnet: "10.0.0.0/24" }] } })
  world.lead()
  world.join("n1")
  world.write({
    type: "service.create",
    v: 1,
    service: {
      ID: "web",
      SpecVersion: 1,
      Spec: { Name: "web", Labels: asked, Mode: { Replicated: { Replicas: replicas } }, TaskTemplate: {} }
    }
  })
  world.until("its tasks run", () => world.running("web") === replicas)
  return world
}

/** Each second the node says that all tasks together use so much. */
function use(world: LeaderWorld, cores: number, seconds: number): void {
  const node = world.nodes.get("n1")
  for (let second = 0; second < seconds; second++) {
    const ids = [...(node?.tasks ?? [])].flatMap(([id, { state }]) => (state === "running" ? [id] : []))
    node?.say({
      _tag: "Used",
      session: node.session,
      tasks: ids.map((id) => ({ id, cpu: cores / ids.length, memory: 1 }))
    })
    world.host.advance(1_000)
  }
}

const replicas = (world: LeaderWorld) => world.ledger.get("service", "web")?.Spec.Mode?.Replicated?.Replicas
const update = (world: LeaderWorld, change: (spec: object) => object): void => {
  const service = world.ledger.get("service", "web")
  const spec = change(service?.Spec ?? {})
  world.write({ type: "service.update", v: 1, id: "web", version: service?.Version.Index ?? 0, spec })
}
const actorsOf = (world: LeaderWorld, kind: string): ReadonlyArray<TreeNode> => {
  const all = (node: TreeNode): ReadonlyArray<TreeNode> => [node, ...node.children.flatMap(all)]
  return world.system
    .trees()
    .flatMap(all)
    .filter(({ address: at }) => at?.kind === kind)
}
const autoscalers = (world: LeaderWorld): number => actorsOf(world, "autoscaler").length
const alerted = (world: LeaderWorld) => actorsOf(world, "alerts")[0]?.summary

test(
  "load is followed up within two seconds, and down when the stabilisation time has passed",
  () => {
    const world = scaled()
    use(world, 1, 5)
    expect(replicas(world)).toBe(2)
    use(world, 2.4, 2)
    expect(replicas(world)).toBeGreaterThan(2)
    use(world, 2.4, 5)
    expect(world.running("web")).toBe(5)
    use(world, 0.2, 25)
    expect(replicas(world)).toBe(5)
    use(world, 0.2, 60)
    expect(world.running("web")).toBe(1)
    expect(world.crashes).toEqual([])
  },
  patience
)

test(
  "each change is written with its reason, and shown with all that was known",
  () => {
    const world = scaled()
    use(world, 2.4, 8)
    let answer: unknown
    world.system.askThen(address("leader", "autoscaler", "web"), { _tag: "Explain" }, 1_000, (outcome) => {
      answer = outcome._tag === "Answer" ? outcome.value : outcome
    })
    world.host.advance(10)
    expect(answer).toMatchObject({
      _tag: "Explained",
      max: 6,
      now: { to: 5, votes: [{ target: "cpu", goal: 0.5, wants: 5 }] },
      changes: [{ from: 2, to: 5, why: "cpu 2.4 with 0.5 a task, rising fast" }]
    })
  },
  patience
)

test(
  "without news of what tasks use nothing goes down",
  () => {
    const world = scaled(labels(), 4)
    use(world, 0.2, 5)
    world.host.advance(120_000)
    expect(replicas(world)).toBe(4)
  },
  patience
)

test(
  "a label that was spoilt behind our back changes nothing; labels that are gone end it, and come back with it",
  () => {
    const world = scaled()
    use(world, 1, 2)
    update(world, (spec) => ({ ...spec, Labels: labels({ "troupe.autoscale.max": "many" }) }))
    use(world, 2.4, 8)
    expect(replicas(world)).toBe(5)
    update(world, (spec) => ({ ...spec, Labels: {} }))
    world.host.advance(3_000)
    expect(autoscalers(world)).toBe(0)
    update(world, (spec) => ({ ...spec, Labels: labels({ "troupe.autoscale.min": "6" }) }))
    world.host.advance(3_000)
    expect(world.running("web")).toBe(6)
  },
  patience
)

test(
  "the next leader goes on, and watches before it takes anything away",
  () => {
    const world = scaled(labels(), 4)
    use(world, 0.2, 20)
    world.stepDown().lead(2)
    world.host.advance(1_000)
    expect(autoscalers(world)).toBe(1)
    use(world, 0.2, 25)
    expect(replicas(world)).toBe(4)
    use(world, 0.2, 15)
    expect(replicas(world)).toBe(1)
  },
  patience
)

test(
  "new connections are added up over the tasks, unless of one they cannot be counted",
  () => {
    const asked = { "troupe.autoscale.max": "6", "troupe.autoscale.connections": "10" }
    const world = scaled(asked)
    const say = (connections: number | undefined, seconds: number): void => {
      const node = world.nodes.get("n1")
      for (let second = 0; second < seconds; second++) {
        const ids = [...(node?.tasks ?? [])].flatMap(([id, { state }]) => (state === "running" ? [id] : []))
        const tasks = ids.map((id, index) => ({
          id,
          cpu: 0,
          memory: 1,
          ...(connections !== undefined || index > 0 ? { connections: (connections ?? 99) / ids.length } : {})
        }))
        node?.say({ _tag: "Used", session: node.session, tasks })
        world.host.advance(1_000)
      }
    }
    say(undefined, 3)
    expect(replicas(world)).toBe(2)
    say(48, 3)
    expect(replicas(world)).toBe(5)
  },
  patience
)

test(
  "a number that another system publishes begins the first task, and is forgotten when it is not repeated",
  () => {
    const subject = "orders.waiting"
    const asked = {
      "troupe.autoscale.min": "0",
      "troupe.autoscale.max": "6",
      "troupe.autoscale.stabilise": "1s",
      [`troupe.autoscale.nats:${subject}`]: "25"
    }
    const world = scaled(asked)
    const publish = (value: number, seconds: number): void => {
      for (let second = 0; second < seconds; second++) {
        world.system.tell(address("leader", "autoscaler", "web"), { _tag: "Published", subject, value })
        world.host.advance(1_000)
      }
    }
    publish(100, 5)
    expect(world.running("web")).toBe(4)
    publish(0, 2)
    expect(alerted(world)).toBe("nothing is wrong")
    world.host.advance(90_000)
    expect(replicas(world)).toBeGreaterThan(0)
    expect(alerted(world)).toContain("nothing is known of nats:orders.waiting")
    publish(0, 90)
    expect(alerted(world)).toBe("nothing is wrong")
    expect(replicas(world)).toBe(0)
    publish(25, 5)
    expect(world.running("web")).toBe(1)
  },
  patience
)

const ofRequests = (more: Record<string, string> = {}) => ({
  "troupe.http.host": "shop",
  "troupe.autoscale.max": "6",
  "troupe.autoscale.rps": "10",
  "troupe.autoscale.stabilise": "10s",
  "troupe.autoscale.window": "5s",
  ...more
})
/** Each second the node says that its entrance was asked so much. */
function ask(world: LeaderWorld, rps: number, inflight: number, seconds: number): void {
  const node = world.nodes.get("n1")
  for (let second = 0; second < seconds; second++) {
    node?.say({
      _tag: "Requests",
      session: node.session,
      services: [{ id: "web", rps, inflight, took: [rps] }]
    })
    world.host.advance(1_000)
  }
}

test(
  "requests are followed, whichever node they come in at, and nothing is known once no node speaks of them",
  () => {
    const world = scaled(ofRequests(), 1)
    ask(world, 45, 2, 8)
    expect(replicas(world)).toBe(5)
    world.host.advance(30_000)
    expect(replicas(world)).toBe(5)
    expect(JSON.stringify(world.system.trees())).toContain("nothing is known of rps")
  },
  patience
)

test(
  "another schedule counts at once, however long the one before would have held",
  () => {
    const yearly = (tasks: number) => ({
      "troupe.autoscale.max": "6",
      "troupe.autoscale.stabilise": "0s",
      "troupe.autoscale.schedule": `0 0 1 1 * => ${tasks}`
    })
    const world = scaled(yearly(3), 1)
    world.until("the schedule's tasks run", () => world.running("web") === 3)
    update(world, (spec) => ({ ...spec, Labels: yearly(5) }))
    world.host.advance(3_000)
    expect(replicas(world)).toBe(5)
    update(world, (spec) => ({ ...spec, Labels: yearly(2) }))
    world.host.advance(3_000)
    expect(replicas(world)).toBe(2)
  },
  patience
)

test(
  "a rollback brings back what an update changed, with as many tasks as the load asks for by then",
  () => {
    const world = scaled()
    const image = () => world.ledger.get("service", "web")?.Spec.TaskTemplate?.ContainerSpec?.Image
    use(world, 1, 5)
    for (const Image of ["a", "b"]) {
      update(world, (spec) => ({ ...spec, TaskTemplate: { ContainerSpec: { Image } } }))
      world.until("it is updated", () => {
        use(world, 1, 1)
        return world.ledger.get("service", "web")?.UpdateStatus?.State === "completed"
      })
    }
    use(world, 2.4, 8)
    expect([image(), replicas(world)]).toEqual(["b", 5])
    const { Version, Spec = {} } = world.ledger.get("service", "web") ?? {}
    const version = Version?.Index ?? 0
    world.write({ type: "service.update", v: 1, id: "web", version, spec: Spec, rollback: "previous" })
    expect([image(), replicas(world)]).toEqual(["a", 5])
  },
  patience
)

test(
  "without requests a service that may have no task loses its last one, and whoever asks begins it again at once",
  () => {
    const world = scaled(ofRequests({ "troupe.autoscale.min": "0" }), 1)
    ask(world, 0, 1, 40)
    expect(replicas(world)).toBe(1)
    ask(world, 0, 0, 40)
    expect(replicas(world)).toBe(0)
    const node = world.nodes.get("n1")
    node?.say({ _tag: "Waiting", session: node.session, services: ["web"] })
    world.host.advance(200)
    expect(replicas(world)).toBe(1)
  },
  patience
)

test(
  "who waits begins nothing where somebody else scaled to 0, nor what does not scale",
  () => {
    const world = scaled(ofRequests(), 1)
    update(world, (spec) => ({ ...spec, Mode: { Replicated: { Replicas: 0 } } }))
    const node = world.nodes.get("n1")
    node?.say({ _tag: "Waiting", session: node.session, services: ["web", "nobody"] })
    ask(world, 0, 3, 5)
    expect(replicas(world)).toBe(0)
  },
  patience
)
