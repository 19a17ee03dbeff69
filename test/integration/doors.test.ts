/** A node's doors: they take whoever comes, whatever the node is just becoming, and before it has come up. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { mkdtemp } from "node:fs/promises"
import http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Cluster } from "#test/support/cluster.ts"
import { followEvents } from "#test/support/docker-cli.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { onLoopback, startIdle } from "#test/support/idle-node.ts"
import { changeRole } from "#test/support/managers.ts"

setDefaultTimeout(120_000)

let first: Cluster
let second: Cluster

beforeAll(async () => {
  ;[first, second] = await Promise.all([startIdle("n1"), startIdle("n2")])
}, 60_000)
afterAll(() => Promise.all([second, first].map((node) => node?.cleanUp())), 60_000)

const swarmOf = async (node: Cluster) => (await node.get("/info")).Swarm
const joinAddress = async (node: Cluster): Promise<string> => (await swarmOf(node)).RemoteManagers[0].Addr
const joinAs = async (node: Cluster, role: "worker" | "manager"): Promise<void> => {
  const token = await first.must("swarm", "join-token", "-q", role)
  await node.must("swarm", "join", ...onLoopback, "--token", token, await joinAddress(first))
}

/** Asks again every few milliseconds, on the socket and over TCP; what is wrong with any answer is kept. */
function knocking(node: Cluster) {
  const wrong: Array<string> = []
  let asked = 0
  let isOver = false
  const ask = (where: http.RequestOptions, path: string, good: number): Promise<void> =>
    new Promise((resolve) => {
      const request = http.request({ ...where, path, agent: false }, (response) => {
        if (response.statusCode !== good) wrong.push(`${path}: ${response.statusCode}`)
        response.resume()
        response.on("error", (error) => wrong.push(`${path}: ${error.message}`))
        response.on("close", resolve)
      })
      request.on("error", (error) => {
        wrong.push(`${path}: ${error.message}`)
        resolve()
      })
      request.end()
    })
  const go = async (where: http.RequestOptions, path: string, good: number): Promise<void> => {
    while (!isOver) {
      asked += 1
      await ask(where, path, good)
      await Bun.sleep(3)
    }
  }
  const { hostname, port } = new URL(node.http)
  const going = [
    go({ socketPath: node.socket }, "/_ping", 200),
    go({ socketPath: node.socket }, "/info", 200),
    // Without the token, which another cluster's is not.
    go({ hostname, port }, "/_ping", 401)
  ]
  return async (): Promise<void> => {
    isOver = true
    await Promise.all(going)
    expect([...new Set(wrong)]).toEqual([])
    expect(asked).toBeGreaterThan(10)
  }
}

test("nobody is refused at a node's doors while it founds, joins, leaves, changes its role, is unlocked or begins anew", async () => {
  const stops = [knocking(first), knocking(second)]
  await first.must("swarm", "init", "--autolock", ...onLoopback)
  await joinAs(second, "worker")
  for (const word of ["promote", "demote"] as const) {
    await changeRole(first, word, "n2")
    await eventually(
      async () => (await swarmOf(second)).ControlAvailable === (word === "promote"),
      `it is told to ${word}`,
      30_000
    )
    // As it was told when it joined.
    await eventually(
      async () => (await swarmOf(second)).NodeAddr === "127.0.0.1",
      "it is reached where it was",
      30_000
    )
  }
  expect(await second.must("swarm", "leave")).toBe("Node left the swarm.")
  await joinAs(second, "manager")
  await second.must("swarm", "leave", "--force")
  await first.must("swarm", "init", "--force-new-cluster")
  for (const stop of stops) await stop()

  const { UnlockKey } = await first.get("/swarm/unlockkey")
  await first.stop()
  await first.start()
  const stop = knocking(first)
  expect((await swarmOf(first)).LocalNodeState).toBe("locked")
  expect((await first.api("POST", "/swarm/unlock", { UnlockKey })).status).toBe(200)
  expect((await swarmOf(first)).LocalNodeState).toBe("active")
  await first.must("swarm", "leave", "--force")
  await stop()
})

test("docker events go on whatever the node becomes, with the cluster's own as long as it is a manager", async () => {
  await first.must("swarm", "init", ...onLoopback)
  const { child, lines } = followEvents(second.host, "--filter", "type=secret")
  const made = async (name: string): Promise<string> => {
    expect((await first.api("POST", "/secrets/create", { Name: name, Data: "eA==" })).status).toBe(201)
    return `secret create ${name}`
  }
  try {
    const old = await made("before")
    await joinAs(second, "worker")
    const unheard = await made("as-worker")
    for (const time of ["once", "again"]) {
      await changeRole(first, "promote", "n2")
      await eventually(async () => (await swarmOf(second)).ControlAvailable, "it is a manager", 30_000)
      const heard = await made(time)
      await eventually(() => lines().includes(heard), `it is heard of ${time}`, 30_000)
      await changeRole(first, "demote", "n2")
      await eventually(async () => !(await swarmOf(second)).ControlAvailable, "it is a worker", 30_000)
    }
    await second.must("swarm", "leave")
    expect(lines()).not.toContainAnyValues([old, unheard])
    expect(child.exitCode).toBeNull()
  } finally {
    child.kill("SIGKILL")
    await first.must("swarm", "leave", "--force")
  }
})

/** With the Engine that tests share; a worker of `first`, which is a manager. */
let worker: Cluster | undefined
afterEach(async () => {
  await worker?.cleanUp()
  worker = undefined
}, 60_000)

test("a worker that starts while no manager is there answers for its Engine and says that it is pending, and is a worker once one is", async () => {
  await first.must("swarm", "init", ...onLoopback)
  await ensureTestImage()
  const one = new Cluster(await mkdtemp(join(tmpdir(), "troupe-doors-")), { name: "w1", role: "none" })
  worker = one
  await one.start()
  await joinAs(one, "worker")
  const { NodeID, RemoteManagers } = await swarmOf(one)
  await one.stop()
  await first.stop()

  await one.begin()
  const stop = knocking(one)
  expect(await one.must("ps", "--all", "--filter", "name=nobody", "--quiet")).toBe("")
  expect(await one.must("run", "--rm", "--network", "none", testImage, "echo", "here")).toBe("here")
  expect(await swarmOf(one)).toEqual({
    NodeID,
    NodeAddr: "127.0.0.1",
    LocalNodeState: "pending",
    ControlAvailable: false,
    Error: "",
    RemoteManagers
  })
  expect((await one.docker("info")).text).toContain("Swarm: pending")
  expect((await one.docker("node", "ls")).stderr).toContain("Worker nodes can't be used to view or modify")
  expect((await one.docker("swarm", "init")).stderr).toContain("This node is already part of a swarm.")

  await first.start()
  await eventually(async () => (await swarmOf(one)).LocalNodeState === "active", "it is a worker", 30_000)
  await eventually(
    async () => {
      const { body } = await first.api("GET", `/nodes/${NodeID}`)
      return body.Status?.State === "ready"
    },
    "its manager says so, too",
    30_000
  )
  await stop()

  await one.stop()
  await first.stop()
  await one.begin()
  const parting = knocking(one)
  expect(await one.must("swarm", "leave")).toBe("Node left the swarm.")
  expect((await swarmOf(one)).LocalNodeState).toBe("inactive")
  await parting()
  await first.start()
  await first.must("swarm", "leave", "--force")
})

test("a join that cannot end is answered in Swarm's words, goes on, and can be left again", async () => {
  await first.must("swarm", "init", ...onLoopback)
  const address = await joinAddress(first)
  const token = await first.must("swarm", "join-token", "-q", "worker")
  // The manager takes whoever asks to join; its nats-server, and each that follows it, hears nobody.
  const table = `troupe_test_${process.pid}`
  const deaf = `table inet ${table} { chain in { type filter hook input priority 0; tcp dport ${new URL(first.natsUrl).port} drop; }; }`
  execFileSync("nft", ["-f", "-"], { input: deaf })
  try {
    const { code, stderr } = await second.docker("swarm", "join", ...onLoopback, "--token", token, address)
    expect(code).toBe(1)
    expect(stderr.trim()).toBe(
      'Error response from daemon: Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the "docker info" command to see the current swarm status of your node.'
    )
    expect((await swarmOf(second)).LocalNodeState).toBe("pending")
    expect(await second.must("swarm", "leave")).toBe("Node left the swarm.")
    expect((await swarmOf(second)).LocalNodeState).toBe("inactive")
  } finally {
    execFileSync("nft", ["delete", "table", "inet", table])
  }
})
