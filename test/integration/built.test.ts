/** The built daemon, which is what `bun run node` runs: all that it starts beside itself is built, too. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "#test/support/built.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { noEngine } from "#test/support/managers.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

let withEngine: Cluster
let withProcesses: Cluster

beforeAll(async () => {
  await ensureTestImage()
  const program = build()
  withEngine = await startCluster({ program })
  withProcesses = await startCluster({ program, dockerHost: noEngine, args: ["--executor", "process"] })
}, 120_000)
afterAll(() => Promise.all([withEngine?.cleanUp(), withProcesses?.cleanUp()]), 60_000)

test("every program that the source names is built", () => {
  const named = ["runtime", "actors", "cli"]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
    .flatMap((code) => [...code.matchAll(/ownProgram\("([^"]+)"\)/g)].map(([, path = ""]) => path))
  expect(named.length).toBeGreaterThan(0)
  for (const path of named) {
    expect([path, existsSync(join(root, path))]).toEqual([path, true])
    const built = `${basename(path, ".ts")}.js`
    expect([built, existsSync(join(root, "dist", built))]).toEqual([built, true])
  }
})

const startService = (cluster: Cluster, image: string, command: string): Promise<string> => {
  const brisk = ["--detach=false", "--stop-grace-period", "0s", "--restart-delay", "0s"]
  return cluster.must("service", "create", "--name", "smoke", ...brisk, image, "sh", "-c", command)
}

const logOf = (cluster: Cluster, words: string): Promise<void> =>
  eventually(
    async () => (await cluster.must("service", "logs", "--raw", "smoke")).includes(words),
    "its log is read"
  )

test("it runs containers, and a data plane that is built", async () => {
  expect(await startService(withEngine, testImage, "echo hello; exec sleep 1000")).toContain(
    "1 out of 1 tasks"
  )
  await logOf(withEngine, "hello")
  const dataPlane = readFileSync(`/proc/${withEngine.dataPlanePid}/cmdline`, "latin1")
  expect(dataPlane).toContain(join(root, "dist/data-plane.js"))
}, 60_000)

test("it runs processes, behind shims that are built", async () => {
  expect(await startService(withProcesses, "host", "echo hello; exec sleep 1000")).toContain(
    "1 out of 1 tasks"
  )
  await logOf(withProcesses, "hello")
}, 60_000)

test("killed and begun again, it has what it wrote, takes up its tasks, and tells its history", async () => {
  const before = await withEngine.must("ps", "-q", "--filter", "label=com.docker.swarm.service.name=smoke")
  await withEngine.kill9()
  await withEngine.restart()
  await eventually(
    async () => (await withEngine.must("service", "ls", "--format", "{{.Replicas}}")) === "1/1",
    "its task runs"
  )
  expect(await withEngine.must("ps", "-q", "--filter", "label=com.docker.swarm.service.name=smoke")).toBe(
    before
  )
  await eventually(
    async () =>
      (await withEngine.troupeAnywhere("history", "smoke", "--socket", withEngine.socket)).includes(
        "created"
      ),
    "its history is told"
  )
  expect(await withEngine.log()).not.toContain("cannot be told")
  expect(await withEngine.log()).not.toContain("watches no more")
  expect(await withEngine.crashes()).toEqual([])
}, 60_000)
