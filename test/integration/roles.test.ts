/** Nodes that join, are demoted, promoted and removed: daemons of their own on this machine, tasks as processes. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { mkdtemp, readdir } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import { Cluster, startCluster } from "#test/support/cluster.ts"
import { ConsoleClient, signInBy } from "#test/support/console-client.ts"
import { eventually } from "#test/support/engine.ts"
import { onLoopback, startIdle } from "#test/support/idle-node.ts"
import { changeRole, noEngine } from "#test/support/managers.ts"

setDefaultTimeout(60_000)

const local = ["--executor", "process", "--advertise-addr", "127.0.0.1", "--recorder", "off"]

let first: Cluster
let second: Cluster
let third: Cluster
const seen: Array<ProcessIdentity> = []

async function joined(name: string, role: "Worker" | "Manager"): Promise<Cluster> {
  const { JoinTokens } = await first.get("/swarm")
  const node = await first.get(`/nodes/${first.nodeId}`)
  const folder = await mkdtemp(join(tmpdir(), "troupe-cluster-"))
  const args = [...local, "--join", node.ManagerStatus.Addr, "--token", JoinTokens[role]]
  const cluster = new Cluster(folder, { name, dockerHost: noEngine, args })
  await cluster.start()
  return cluster
}

/** `name role reachability` of every node, as a manager shows them. */
async function shown(by: Cluster): Promise<ReadonlyArray<string>> {
  const { status, body } = await by.api("GET", "/nodes")
  if (status !== 200) return []
  return body
    .map(
      // biome-ignore lint/suspicious/noExplicitAny: whatever the API answers
      ({ Description, Spec, Status, ManagerStatus }: any) =>
        `${Description?.Hostname ?? "?"} ${Spec.Role} ${ManagerStatus?.Reachability ?? Status.State}`
    )
    .sort()
}

const becomes = (by: Cluster, ...nodes: ReadonlyArray<string>): Promise<void> =>
  eventually(
    async () => JSON.stringify(await shown(by)) === JSON.stringify(nodes),
    `the nodes are ${nodes.join(", ")}`,
    30_000
  )

const membership = async (node: Cluster): Promise<string> => {
  const { status, body } = await node.api("GET", "/info")
  return status === 200 ? `${body.Swarm.LocalNodeState} ${body.Swarm.ControlAvailable}` : "none"
}
const isWorker = (node: Cluster): Promise<void> =>
  eventually(
    async () => (await membership(node).catch(() => "none")) === "active false",
    "it is a worker",
    30_000
  )

beforeAll(async () => {
  first = await startCluster({ name: "first", dockerHost: noEngine, args: local })
  ;[second, third] = await Promise.all([joined("second", "Manager"), joined("third", "Worker")])
}, 120_000)
afterAll(async () => {
  for (const one of seen) if (isAlive(one)) process.kill(-one.pid, "SIGKILL")
  await Promise.all([third, second, first].map((one) => one?.cleanUp()))
}, 60_000)

describe("roles of running nodes", () => {
  test("a token says what a node joins as; a worker says that it is none of the managers", async () => {
    await becomes(first, "first manager reachable", "second manager reachable", "third worker ready")
    expect(await membership(third)).toBe("active false")
    const { status, body } = await third.api("GET", "/nodes")
    expect(status).toBe(503)
    expect(body.message).toStartWith("This node is not a swarm manager. Worker nodes can't be used")
  })

  test("a worker runs what it is given", async () => {
    const created = await first.api("POST", "/services/create", {
      Name: "sleeper",
      TaskTemplate: {
        ContainerSpec: { Image: "host", Command: ["sleep", "300"] },
        Placement: { Constraints: ["node.hostname==third"] }
      },
      Mode: { Replicated: { Replicas: 1 } }
    })
    expect(created.status).toBe(201)
    seen.push(await sleeper())
  })

  test("a manager asks a worker for a console, and is answered by it", async () => {
    const filters = encodeURIComponent('{"desired-state":["running"]}')
    const [task] = await first.get(`/tasks?filters=${filters}`)
    const { body } = await first.api("POST", "/dashboard/links", { role: "operator" })
    const console = new ConsoleClient(await signInBy(body.url), task.ID)
    await console.ended()
    expect(console.words).toEqual({ problem: "consoles are not possible on a node that runs processes" })
  })

  test("RF-25, CA-12 promoted and demoted again and again, a node is counted as what it is, and its task stays", async () => {
    const before = await sleeper()
    for (let round = 0; round < 2; round++) {
      await changeRole(first, "promote", "third")
      await becomes(first, "first manager reachable", "second manager reachable", "third manager reachable")
      await becomes(third, "first manager reachable", "second manager reachable", "third manager reachable")
      await changeRole(first, "demote", "third")
      await becomes(first, "first manager reachable", "second manager reachable", "third worker ready")
      await isWorker(third)
    }
    expect((await readdir(third.dataDir)).filter((name) => name === "raft")).toEqual([])
    expect(isAlive(before)).toBe(true)
    expect((await sleeper()).pid).toBe(before.pid)
  })

  test("a demotion that is taken back before it happened leaves a manager", async () => {
    await changeRole(first, "demote", "second")
    await changeRole(first, "promote", "second")
    await becomes(first, "first manager reachable", "second manager reachable", "third worker ready")
  })

  test("RF-08 a leader that is demoted hands over and becomes a worker; nothing is lost", async () => {
    await changeRole(first, "promote", "third")
    await becomes(second, "first manager reachable", "second manager reachable", "third manager reachable")
    await changeRole(second, "demote", "first")
    await becomes(second, "first worker ready", "second manager reachable", "third manager reachable")
    await isWorker(first)
    expect((await second.get("/services")).length).toBe(1)
    await changeRole(second, "promote", "first")
    await becomes(second, "first manager reachable", "second manager reachable", "third manager reachable")
  })

  test("a manager that was away while it was demoted is a worker when it comes back, and disturbs nobody", async () => {
    await third.stop()
    await becomes(first, "first manager reachable", "second manager reachable", "third manager unreachable")
    await changeRole(first, "demote", "third")
    await becomes(first, "first manager reachable", "second manager reachable", "third worker down")
    await third.start()
    await isWorker(third)
    await becomes(first, "first manager reachable", "second manager reachable", "third worker ready")
  })

  test("RF-26 a manager that was away while it was demoted and removed says so when it comes back, and leaves", async () => {
    await changeRole(first, "promote", "third")
    await becomes(first, "first manager reachable", "second manager reachable", "third manager reachable")
    await third.stop()
    await changeRole(first, "demote", "third")
    await eventually(
      async () => {
        const { code, stderr } = await first.docker("node", "rm", "--force", "third")
        if (code !== 0 && !/is a member of the raft cluster|does not have a leader/.test(stderr))
          throw new Error(stderr)
        return code === 0
      },
      "it is removed",
      30_000
    )
    await third.start()
    await eventually(
      async () => (await membership(third).catch(() => "none")) === "error false",
      "it knows that it was removed",
      30_000
    )
    expect((await third.get("/info")).Swarm.Error).toStartWith("This node was removed from the cluster")
    expect((await third.docker("swarm", "leave", "--force")).code).toBe(0)
  })

  test("RF-24 the last manager is not demoted", async () => {
    await changeRole(first, "demote", "second")
    await becomes(first, "first manager reachable", "second worker ready")
    const { code, stderr } = await first.docker("node", "demote", "first")
    expect(code).toBe(1)
    expect(stderr).toContain("attempting to demote the last manager of the swarm")
  })
})

const sleeper = (): Promise<ProcessIdentity> => first.taskProcess("sleeper")

test("a worker goes along when the only manager makes another one and is demoted at once", async () => {
  const nodes = await Promise.all([startIdle("n1"), startIdle("n2"), startIdle("w")])
  const [one, two, worker] = nodes
  try {
    await one.must("swarm", "init", ...onLoopback)
    const token = await one.must("swarm", "join-token", "-q", "worker")
    const { RemoteManagers } = (await one.get("/info")).Swarm
    for (const node of [two, worker])
      await node.must("swarm", "join", ...onLoopback, "--token", token, RemoteManagers[0].Addr)
    await changeRole(one, "promote", "n2")
    await eventually(
      // As long as the other one does not count, the cluster would be lost.
      async () => (await two.docker("node", "demote", "n1")).code === 0,
      "it is demoted",
      30_000
    )
    await becomes(two, "n1 worker ready", "n2 manager reachable", "w worker ready")
    const there = ["--name", "there", "--constraint", "node.hostname==w", "host", "sleep", "300"]
    await two.must("service", "create", "-d", "--no-resolve-image", ...there)
    await two.taskProcess("there")
  } finally {
    await Promise.all(nodes.map((node) => node.cleanUp()))
  }
})
