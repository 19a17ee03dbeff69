/** What a manager shows of its actors: the tree and orders to it, metrics, causes of a message, decisions made again. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { TreeNode } from "#runtime/system.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { noEngine } from "#test/support/managers.ts"
import { readOpenMetrics } from "#test/support/openmetrics.ts"

setDefaultTimeout(90_000)

let cluster: Cluster
let service = ""

beforeAll(async () => {
  cluster = await startCluster({
    dockerHost: noEngine,
    args: ["--executor", "process"]
  })
  const brisk = ["--restart-delay", "0s", "--stop-grace-period", "1s", "--replicas", "2"]
  service = await cluster.must(
    "service",
    "create",
    "-d",
    "-q",
    "--name",
    "seen",
    ...brisk,
    "host",
    "sleep",
    "1000"
  )
  await eventually(
    async () => (await cluster.must("service", "ls", "--format", "{{.Replicas}}")) === "2/2",
    "both tasks run",
    60_000
  )
}, 120_000)
afterAll(async () => {
  await cluster.cli(["service", "rm", "seen"])
  await eventually(
    async () => (await cluster.get("/tasks")).length === 0,
    "the tasks are gone",
    30_000
  ).catch(() => {})
  await cluster.cleanUp()
}, 90_000)

const failure = async (...args: ReadonlyArray<string>): Promise<string> => {
  const error = await cluster.troupe(...args).then(
    () => undefined,
    (reason: { readonly stderr: string; readonly stdout: string }) => reason
  )
  if (!error) throw new Error(`troupe ${args.join(" ")} succeeded`)
  return error.stderr
}

const find = (nodes: ReadonlyArray<TreeNode>, name: string): TreeNode | undefined => {
  for (const node of nodes) {
    const found = node.name === name ? node : find(node.children, name)
    if (found) return found
  }
  return undefined
}

const actor = async (name: string): Promise<TreeNode | undefined> =>
  find(JSON.parse(await cluster.troupe("tree", "--json")).trees, name)

describe("troupe tree", () => {
  test("shows a part of the tree, down to a depth", async () => {
    const lines = (await cluster.troupe("tree", `leader/service/${service}`)).trim().split("\n")
    expect(lines).toEqual([expect.stringContaining(`service/${service}`)])
    const [top, below] = [
      await cluster.troupe("tree", "--depth", "0"),
      await cluster.troupe("tree", "--depth", "1")
    ]
    expect(top).not.toContain("─ ")
    expect(below).toContain("─ ")
    expect(below).not.toContain("service/")
    expect(await failure("tree", "--depth", "-1")).toContain('--depth: "-1". Expected: 0 or more')
    expect(await failure("tree", "leader/service/nobody")).toContain("leader/service/nobody")
  })

  test("stops, starts and restarts an actor by hand, and says why it cannot", async () => {
    const address = `leader/service/${service}`
    await cluster.troupe("tree", "restart", address)
    await eventually(async () => (await actor(`service/${service}`))?.restarts === 1, "it was restarted")
    expect(await cluster.troupe("tree", "stop", address)).toBe(`${address} stopped\n`)
    expect((await actor(`service/${service}`))?.state).toBe("stopped")
    expect(await cluster.troupe("tree", "start", address)).toBe(`${address} started\n`)
    expect((await actor(`service/${service}`))?.state).toBe("running")
    expect(await failure("tree", "stop", "service/nobody")).toContain(
      "Nothing called service/nobody runs there"
    )
    expect(await failure("tree", "start", address)).toContain(`Cannot start ${address}: it runs`)
  })

  test("refuses to watch without a terminal", async () => {
    expect(await failure("tree", "--watch")).toContain("--watch needs a terminal")
  })
})

describe("/metrics", () => {
  const ask = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${cluster.http}/metrics`, { headers })

  test("is the OpenMetrics text of the daemon's actors, behind the token", async () => {
    expect((await ask({})).status).toBe(401)
    const token = readFileSync(join(cluster.dataDir, "http-token"), "utf8").trim()
    const answer = await ask({ authorization: `Bearer ${token}` })
    expect(answer.headers.get("content-type")).toStartWith("application/openmetrics-text; version=1.0.0")
    const families = readOpenMetrics(await answer.text())
    const handled = families.get("troupe_actor_handled")?.samples
    expect(handled?.get('troupe_actor_handled_total{kind="task"}')).toBeGreaterThan(2)
    expect(families.get("troupe_actors")?.samples.get('troupe_actors{kind="task"}')).toBe(2)
  })
})

describe("troupe trace", () => {
  test("follows a message from the feed through the service's actor to what it wrote", async () => {
    const { entries } = await whys()
    const why = entries.find((text) => /\[message [^\]]+\]/.test(text)) ?? ""
    const id = /\[message ([^\]]+)\]/.exec(why)?.[1] ?? ""
    expect(id).not.toBe("")
    const lines = await cluster.troupe("trace", id)
    expect(lines).toMatch(/▶ .*handled in \d/)
    expect(lines).toContain(id)
    expect(lines).toContain(`[${cluster.nodeId}]`)
  })

  test("says so when nobody remembers a message", async () => {
    expect(await failure("trace", "nobody-1")).toContain("No node remembers message nobody-1")
  })
})

/** Ids that the trace of the service's newest messages shows. */
async function whys(): Promise<{ readonly entries: ReadonlyArray<string> }> {
  const path = (await cluster.troupe("recorder", "dump")).trim()
  const decided = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.includes('"_tag":"Decided"') && line.includes("leader/service/"))
    .map((line) => JSON.parse(line) as { readonly id?: string })
  return { entries: decided.flatMap(({ id }) => (id === undefined ? [] : [`[message ${id}]`])) }
}

describe("troupe replay", () => {
  const dump = async (): Promise<string> => (await cluster.troupe("recorder", "dump")).trim()

  // The command has no data directory of its own: the recording is all it needs.
  const replay = (path: string, ...args: ReadonlyArray<string>) =>
    cluster.troupeAnywhere("replay", path, ...args)

  test("makes the decisions of a service's actor again, to the same states", async () => {
    const path = await dump()
    expect(await replay(path)).toContain(`leader/service/${service}`)
    const text = await replay(path, "--actor", `leader/service/${service}`)
    expect(text).toMatch(/\d+ decisions came to the same states and actions\n$/)
    expect(text).toContain('"type":"tasks.change"')
  })

  test("makes those of the scheduler, the allocator, the dispatcher and the node's own actors again, too", async () => {
    const path = await dump()
    const node = cluster.nodeId
    for (const name of [
      "leader/scheduler/main",
      "leader/allocator/main",
      "leader/dispatcher/main",
      `${node}/session/main`
    ]) {
      expect(await replay(path, "--actor", name)).toContain("decisions came to the same states and actions")
    }
  })
})
