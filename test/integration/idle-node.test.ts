/** Nodes that begin without a cluster, and get one, lose it and get another by the docker CLI, in one process. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { onLoopback, startIdle } from "#test/support/idle-node.ts"

let nodes: ReadonlyArray<Cluster> = []
let first: Cluster
let second: Cluster

beforeAll(async () => {
  nodes = await Promise.all([startIdle("n1"), startIdle("n2")])
  ;[first, second] = nodes as [Cluster, Cluster]
}, 60_000)
afterAll(() => Promise.all(nodes.map((node) => node.cleanUp())), 60_000)

const said = async (node: Cluster, ...args: ReadonlyArray<string>): Promise<string> => {
  const { code, stderr } = await node.docker(...args)
  expect(code).not.toBe(0)
  return stderr.trim()
}
const swarmOf = async (node: Cluster) => (await node.get("/info")).Swarm
const joinAddress = async (node: Cluster): Promise<string> => (await swarmOf(node)).RemoteManagers[0].Addr
const tokenOf = (node: Cluster, role: string) => node.must("swarm", "join-token", "-q", role)

test("a node without a cluster answers as an Engine that is in no swarm", async () => {
  expect(await swarmOf(first)).toMatchObject({
    LocalNodeState: "inactive",
    ControlAvailable: false,
    NodeID: ""
  })
  expect(await said(first, "node", "ls")).toBe(
    'Error response from daemon: This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
  )
  expect(await said(first, "swarm", "leave")).toBe(
    "Error response from daemon: This node is not part of a swarm"
  )
  await expect(first.troupe("tree")).rejects.toThrow("This node is in no cluster: docker swarm init")
  const findings = await first.troupe("doctor")
  expect(findings).toContain("ok    node in no cluster runs (process ")
  expect(findings).not.toContain("over NATS")
})

test("what cannot be meant is refused by name, and nothing has begun", async () => {
  for (const [flags, text] of [
    [["--listen-addr", "nowhere0"], "listen address must be an IP address or network interface"],
    [["--advertise-addr", "0.0.0.0"], "advertise address must be a non-zero IP address or network interface"],
    [["--data-path-addr", "0.0.0.0"], "data path address must be a non-zero IP address or network interface"],
    [["--data-path-addr", "127.0.0.1:99"], "(without a port number), got 127.0.0.1:99"],
    [["--data-path-port", "80"], "Datapath port number (80) is not in valid range (1024-49151)"],
    [["--cert-expiry", "1m"], "minimum certificate expiry time is: 1h0m0s"],
    [
      ["--default-addr-pool", "10.0.0.0/24", "--default-addr-pool-mask-length", "16"],
      "SubnetSize 16: expected at least the /24 of pool 10.0.0.0/24"
    ]
  ] as const)
    expect(await said(first, "swarm", "init", ...flags)).toContain(text)
  const unavailable = { ListenAddr: "127.0.0.1:0", Availability: "asleep" }
  expect(await first.api("POST", "/swarm/init", unavailable)).toMatchObject({
    status: 400,
    body: { message: 'invalid Availability: "asleep"' }
  })
  expect(await said(first, "swarm", "join", "--token", "SWMTKN-1-x", "127.0.0.1:1")).toContain(
    "invalid join token"
  )
  expect(await swarmOf(first)).toMatchObject({ LocalNodeState: "inactive" })
})

test("where it cannot listen it says so, and is without a cluster again", async () => {
  const holder = createServer()
  const port = await new Promise<number>((resolve) =>
    holder.listen(0, "127.0.0.1", () => {
      const address = holder.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    })
  )
  expect(await said(first, "swarm", "init", "--listen-addr", `127.0.0.1:${port}`)).toContain(
    `Cannot listen for joining nodes at 127.0.0.1:${port}`
  )
  holder.close()
  expect(await swarmOf(first)).toMatchObject({ LocalNodeState: "inactive" })
}, 30_000)

test("docker swarm init founds a cluster as it was asked to, which outlives the process", async () => {
  const printed = await first.must(
    ...["swarm", "init", ...onLoopback, "--availability", "drain"],
    ...["--task-history-limit", "3", "--cert-expiry", "48h", "--dispatcher-heartbeat", "2s"],
    ...["--default-addr-pool", "10.77.0.0/16", "--default-addr-pool-mask-length", "26"]
  )
  expect(printed).toMatch(/^Swarm initialized: current node \(\w{25}\) is now a manager\./)
  const { Cluster, NodeID } = await swarmOf(first)
  expect(Cluster).toMatchObject({
    DefaultAddrPool: ["10.77.0.0/16"],
    SubnetSize: 26,
    Spec: {
      Orchestration: { TaskHistoryRetentionLimit: 3 },
      Dispatcher: { HeartbeatPeriod: 2e9 },
      CAConfig: { NodeCertExpiry: 48 * 3600e9 }
    }
  })
  expect(await said(first, "swarm", "init")).toContain("This node is already part of a swarm.")
  const before = await joinAddress(first)
  await first.restart()
  expect(await swarmOf(first)).toMatchObject({ LocalNodeState: "active", NodeID })
  expect(await joinAddress(first)).toBe(before)
  const [node] = await first.get("/nodes")
  expect(node.Spec.Availability).toBe("drain")
}, 60_000)

const joinAsWorker = async (): Promise<void> => {
  const token = await tokenOf(first, "worker")
  await second.must("swarm", "join", ...onLoopback, "--token", token, await joinAddress(first))
}
/** Runs on the second node: the first takes none. */
const sleeper = (): Promise<ProcessIdentity> => first.taskProcess("sleeper")
const knowsThatItWasRemoved = async (): Promise<void> => {
  await eventually(
    async () => (await swarmOf(second).catch(() => undefined))?.LocalNodeState === "error",
    "it knows that it was removed",
    30_000
  )
  expect(await swarmOf(second)).toMatchObject({
    ControlAvailable: false,
    Error: expect.stringMatching(/^This node was removed from the cluster, as its managers say\. /)
  })
}

test("RF-26 a worker that is removed by force while it lives says so, ends its tasks in order, leaves, and joins again", async () => {
  await joinAsWorker()
  const service = await first.api("POST", "/services/create", {
    Name: "sleeper",
    TaskTemplate: {
      ContainerSpec: {
        Image: "host",
        Command: [
          "sh",
          "-c",
          `trap 'echo asked > ${join(second.folder, "asked")}; exit' TERM; touch ${join(second.folder, "listens")}; sleep 600 & wait`
        ]
      }
    },
    Mode: { Replicated: { Replicas: 1 } }
  })
  expect(service.status).toBe(201)
  const before = await sleeper()
  await eventually(() => existsSync(join(second.folder, "listens")), "it can be asked to end")
  await first.must("node", "rm", "--force", (await swarmOf(second)).NodeID)
  await knowsThatItWasRemoved()
  await eventually(() => !isAlive(before), "its task has ended", 30_000)
  expect(existsSync(join(second.folder, "asked"))).toBe(true)
  expect(await said(second, "node", "ls")).toContain("This node was removed from the cluster")
  expect(await second.must("swarm", "leave")).toBe("Node left the swarm.")
  expect(await swarmOf(second)).toMatchObject({ LocalNodeState: "inactive", Error: "" })
  await joinAsWorker()
  expect(isAlive(await sleeper())).toBe(true)
}, 90_000)

test("a worker that was removed while it was away says so when it comes back, and its tasks end", async () => {
  const before = await sleeper()
  const { NodeID } = await swarmOf(second)
  await second.stop()
  await first.must("node", "rm", "--force", NodeID)
  expect(isAlive(before)).toBe(true)
  const logsOf = (node: string): Promise<string> =>
    first
      .troupeAnywhere("logs", "--socket", first.socket, "--node", node, "sleeper")
      .catch((error: Error) => error.message)
  // What it was called is remembered.
  expect(await logsOf("n2")).not.toContain("no node is called so")
  expect(await logsOf("n3")).toContain("no node is called so")
  await second.start()
  await knowsThatItWasRemoved()
  await eventually(() => !isAlive(before), "its task has ended", 30_000)
  // The next process knows it, too.
  await second.stop()
  await second.start()
  await knowsThatItWasRemoved()
  expect(await second.must("swarm", "leave")).toBe("Node left the swarm.")
  expect(await swarmOf(second)).toMatchObject({ LocalNodeState: "inactive" })
  expect((await first.api("DELETE", "/services/sleeper")).status).toBe(200)
}, 90_000)

test("CA-01 CA-05 docker swarm join makes it a worker, docker swarm leave frees it, and it joins again as a manager", async () => {
  const address = await joinAddress(first)
  const foreign = (await tokenOf(first, "worker")).replace(/^SWMTKN-1-\w{50}/, `SWMTKN-1-${"0".repeat(50)}`)
  expect(await said(second, "swarm", "join", "--token", foreign, address)).toContain(
    "remote CA does not match fingerprint."
  )
  const joined = await second.must(
    "swarm",
    "join",
    ...onLoopback,
    "--token",
    await tokenOf(first, "worker"),
    address
  )
  expect(joined).toBe("This node joined a swarm as a worker.")
  expect(await said(second, "node", "ls")).toContain(
    "Worker nodes can't be used to view or modify cluster state."
  )
  await eventually(async () => {
    const { body } = await first.api("GET", "/nodes")
    return body.filter(({ Status }: { Status: { State: string } }) => Status.State === "ready").length === 2
  }, "both nodes are ready")
  const { NodeID, ...told } = await swarmOf(second)
  expect(told).toMatchObject({
    LocalNodeState: "active",
    ControlAvailable: false,
    NodeAddr: "127.0.0.1",
    RemoteManagers: [{ NodeID: (await swarmOf(first)).NodeID, Addr: address }]
  })
  expect(await second.must("swarm", "leave")).toBe("Node left the swarm.")
  expect(await swarmOf(second)).toMatchObject({ LocalNodeState: "inactive" })
  expect(existsSync(join(second.dataDir, "trust"))).toBe(false)
  await eventually(async () => {
    const { body } = await first.api("GET", `/nodes/${NodeID}`)
    return body.Status.State === "down"
  }, "the node is down")
  expect((await first.api("GET", `/nodes/${NodeID}`)).body.Status.Message).toBe("node left the swarm")
  const again = await second.must(
    "swarm",
    "join",
    ...onLoopback,
    "--token",
    await tokenOf(first, "manager"),
    address
  )
  expect(again).toBe("This node joined a swarm as a manager.")
  expect((await swarmOf(second)).NodeID).not.toBe(NodeID)
  await eventually(async () => {
    const { status, body } = await second.api("GET", "/nodes")
    return status === 200 && body.length === 3
  }, "the manager knows the cluster")
}, 60_000)

test("a manager leaves only by force, and a left node can found a cluster of its own", async () => {
  expect(await said(second, "swarm", "leave")).toContain(
    "You are attempting to leave the swarm on a node that is participating as a manager."
  )
  expect(await second.must("swarm", "leave", "--force")).toBe("Node left the swarm.")
  expect(await swarmOf(second)).toMatchObject({ LocalNodeState: "inactive" })
  await second.must("swarm", "init", ...onLoopback)
  expect(await second.get("/nodes")).toHaveLength(1)
  await second.must("swarm", "leave", "--force")
}, 60_000)
