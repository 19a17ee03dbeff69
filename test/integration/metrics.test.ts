/** What a node and its containers use, from their cgroups through NATS to whoever asks a manager. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync, spawnSync } from "node:child_process"
import { networkInterfaces } from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { acmeEndsLabel, acmeHostLabel } from "#actors/network/certificates.ts"
import { usualSocketOf } from "#cli/places.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { freePort } from "#test/support/free-port.ts"
import { readOpenMetrics } from "#test/support/openmetrics.ts"

setDefaultTimeout(60_000)

let cluster: Cluster

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster()
  await cluster.must(
    ...["service", "create", "--name", "busy", "--limit-cpu", "0.2", "--stop-grace-period", "0s"],
    ...["--label", "troupe.autoscale.max=3", "--label", "troupe.autoscale.cpu=400%"],
    ...[testImage, "sh", "-c", "while :; do :; done & sleep 1000"]
  )
}, 90_000)
afterAll(() => cluster?.cleanUp(), 60_000)

/** What `path` answers once that is as wanted. */
// biome-ignore lint/suspicious/noExplicitAny: bodies are what the test is about
async function once(path: string, isWanted: (body: any) => boolean): Promise<any> {
  let body: unknown
  await eventually(async () => {
    body = await cluster.get(path)
    return isWanted(body)
  }, path)
  return body
}

test("every manager knows what nodes, services and tasks use, by seconds", async () => {
  const latest = await once("/metrics/latest", ({ Services }) => Services[0]?.cpu > 0.02)
  expect(latest.Nodes).toHaveLength(1)
  expect(latest.Nodes[0].cpu).toBeGreaterThan(0)
  expect(latest.Nodes[0].memoryTotal).toBeGreaterThan(latest.Nodes[0].memory)
  expect(latest.Nodes[0].diskFree).toBeGreaterThan(0)
  const [task] = latest.Tasks
  expect(task.Name).toStartWith("busy.1.")
  expect(task.memory).toBeGreaterThan(4_096)
  expect(task.pids).toBeGreaterThanOrEqual(2)
  expect(task.netRx).not.toBeNull()
  expect(task.blockRead).not.toBeNull()
  const course = await once(
    "/metrics/history?service=busy&metric=cpu,tasks&since=1m",
    ({ Metrics }) => Metrics.tasks.filter((tasks: number | null) => tasks === 1).length >= 3
  )
  expect(course.StepMs).toBe(1_000)
})

test("the leader's /metrics tell of the cluster, and the autoscaler of what it decided from", async () => {
  const families = readOpenMetrics((await cluster.api("GET", "/metrics")).body)
  const running = [...(families.get("troupe_service_running_tasks")?.samples ?? [])]
  expect(running.map(([, value]) => value)).toEqual([1])
  expect(families.get("troupe_task_cpu_cores")?.samples.size).toBe(1)
  expect(families.get("troupe_actors")?.samples.size).toBeGreaterThan(5)
  const scaled = await once("/autoscale/busy", ({ Now }) => Now?.Votes[0]?.Mean > 0)
  expect(scaled).toMatchObject({ Name: "busy", Replicas: 1, Min: 1, Max: 3, Changes: [] })
})

test("without a terminal, troupe top prints one table of what was asked for, and troupe why the decision", () => {
  const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url))
  const troupe = (...words: ReadonlyArray<string>): string =>
    execFileSync(process.execPath, [program, ...words, "--socket", cluster.socket], { encoding: "utf8" })
  expect(troupe("top", "--of", "services")).toMatch(/^SERVICE.*\nbusy +1 +\d+\.\d\d% /)
  expect(troupe("top", "--once", "--filter", "busy.1.")).toMatch(/^TASK.*\nbusy\.1\.\w+ /)
  expect(troupe("why", "busy")).toMatch(/^no task of busy waits\n\nbusy has 1 replicas, 1 run, 1 wanted/)
})

test("troupe asks the node that DOCKER_HOST leads to, and the usual one where that is an Engine", () => {
  const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url))
  const top = (socket: string) => {
    const { TROUPE_SOCKET: _, ...others } = process.env
    const env = { ...others, TROUPE_DATA_DIR: "/nowhere", DOCKER_HOST: `unix://${socket}` }
    return spawnSync(process.execPath, [program, "top", "--of", "services"], { encoding: "utf8", env })
  }
  expect(top(cluster.socket).stdout).toContain("\nbusy ")
  for (const socket of ["/var/run/docker.sock", "/nowhere"]) {
    const { stdout, stderr } = top(socket)
    expect(stdout + stderr).toContain(`Cannot reach a Troupe node at ${usualSocketOf("/nowhere")}: `)
  }
})

test("troupe doctor looks at the node of a data directory or a socket, and at the Engine where DOCKER_HOST leads to that node", () => {
  const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url))
  const doctor = (words: ReadonlyArray<string>, more: Readonly<Record<string, string>> = {}): string => {
    const env = { ...process.env, DOCKER_HOST: `unix://${cluster.socket}`, ...more }
    return spawnSync(process.execPath, [program, "doctor", ...words], { encoding: "utf8", env }).stdout
  }
  const [byFolder, bySocket] = [
    ["--data-dir", cluster.dataDir],
    ["--socket", cluster.socket]
  ]
  const engine = /^ok {4}Docker Engine \S+ answers at unix:\/\/\/var\/run\/docker\.sock$/m
  const answers = `ok    its API answers at ${cluster.socket}`
  const actors = /^\S+ +(every actor is well|\S+ was restarted)/m
  const elsewhere = "/ has this --socket: its disk and its actors were not looked at"
  for (const words of [byFolder, bySocket, [...byFolder, ...bySocket], []]) {
    const said = doctor(words)
    expect(said).toMatch(engine)
    expect(said).toContain(`ok    node ${cluster.nodeId} runs (process ${cluster.pid})`)
    expect(said).toContain(answers)
    expect(said).toMatch(actors)
    expect(said).toContain(` free for ${cluster.dataDir}\n`)
  }
  for (const said of [
    doctor(["--data-dir", "/", ...bySocket]),
    doctor(["--data-dir", "/"], { TROUPE_SOCKET: cluster.socket })
  ]) {
    expect(said).toMatch(engine)
    expect(said).toContain(elsewhere)
    expect(said).toContain(answers)
    expect(said).not.toContain(" free for ")
  }
  const other = doctor([...byFolder, "--socket", "/nowhere"])
  expect(other).toContain(`no node with --data-dir ${cluster.dataDir} has this --socket`)
  expect(other).toContain("BAD   its API does not answer at /nowhere")
  expect(other).not.toMatch(actors)
})

test("a service whose tasks fail again and again is told of, until it is gone", async () => {
  const command = [
    "service",
    "create",
    "--detach",
    "--name",
    "broken",
    "--restart-delay",
    "100ms",
    testImage,
    "false"
  ]
  await cluster.must(...command)
  const [alert] = await once("/alerts", (alerts) => alerts.length > 0)
  expect(alert).toMatchObject({ Condition: "crash-loop", Object: { Kind: "service", Name: "broken" } })
  const troupe = (...words: ReadonlyArray<string>) =>
    cluster.troupeAnywhere(...words, "--socket", cluster.socket)
  const status = (): Promise<string> => troupe("status")
  expect(await status()).toMatch(/\nALERT +SINCE +WHAT\ncrash-loop +\S+ +\d+ tasks of service broken failed/)
  expect(JSON.parse(await troupe("alerts", "--json"))).toMatchObject([{ Condition: "crash-loop" }])
  expect(JSON.parse(await troupe("status", "--json"))).toMatchObject({
    Cluster: cluster.clusterId,
    State: "active",
    Nodes: [{ ID: cluster.nodeId, Self: true, Leader: true, State: "ready" }],
    Services: expect.arrayContaining([expect.objectContaining({ Name: "broken", DesiredTasks: 1 })]),
    Alerts: [{ Condition: "crash-loop" }]
  })
  await cluster.must("service", "rm", "broken")
  await once("/alerts", (alerts) => alerts.length === 0)
  expect(await status()).not.toContain("ALERT")
  expect(JSON.parse(await troupe("alerts", "--json"))).toEqual([])
})

test("certificates that came by ACME are listed for people and for programs", async () => {
  const troupe = (...words: ReadonlyArray<string>) =>
    cluster.troupeAnywhere("acme", "ls", ...words, "--socket", cluster.socket)
  expect(JSON.parse(await troupe("--json"))).toEqual([])
  const Labels = { [acmeHostLabel]: "shop.example.com", [acmeEndsLabel]: "2027-01-01T00:00:00Z" }
  const { status } = await cluster.api("POST", "/secrets/create", { Name: "shown", Labels, Data: "eA==" })
  expect(status).toBe(201)
  expect(JSON.parse(await troupe("--json"))).toEqual([
    { Host: "shop.example.com", Secret: "shown", Ends: "2027-01-01T00:00:00Z" }
  ])
  expect(await troupe()).toMatch(/^HOST +SECRET +ENDS\nshop\.example\.com +shown +2027-01-01T00:00:00Z\n$/)
  await cluster.must("secret", "rm", "shown")
})

test("connections to a port in host mode are counted as those of the service on its node, by the kernel", async () => {
  const port = await freePort("0.0.0.0")
  await cluster.must(
    ...["service", "create", "--name", "open", "--stop-grace-period", "0s"],
    ...["--publish", `mode=host,published=${port},target=80`, testImage, "httpd", "-f", "-p", "80"]
  )
  const own = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === "IPv4" && !one.internal)?.address
  const labels = `mode="host",protocol="tcp",port="${port}"`
  const counted = async (): Promise<number> => {
    const { body } = await cluster.api("GET", "/metrics")
    const line = new RegExp(
      `^troupe_service_port_connections_total\\{service="open",.*${labels}\\} (\\d+)`,
      "m"
    )
    return Number(line.exec(body)?.[1] ?? 0)
  }
  // Those before the node knows of the port are nobody's: it is asked until some are counted.
  await eventually(
    async () => {
      await fetch(`http://${own}:${port}/`, { keepalive: false })
      return (await counted()) > 0
    },
    "connections are counted",
    30_000
  )
  await cluster.must("service", "rm", "open")
})
