/** A node whose thread is stuck in one actor's decision: it ends itself, says where, and converges when it is back. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { noEngine } from "#test/support/managers.ts"

setDefaultTimeout(150_000)

const preload = fileURLToPath(new URL("../support/stuck-task.ts", import.meta.url))
const deno = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "troupe-stuck-"))
const trigger = join(folder, "trigger")
process.env.STUCK_TRIGGER = trigger
afterAll(() => {
  delete process.env.STUCK_TRIGGER
  rmSync(folder, { recursive: true, force: true })
})

async function getStuck(cluster: Cluster): Promise<void> {
  const service = ["--detach", "--name", "loop", "--stop-grace-period", "1s"]
  await cluster.must("service", "create", ...service, "host", "sh", "-c", "exec sleep 1000")
  const replicas = (wanted: string): Promise<unknown> =>
    eventually(
      async () => (await cluster.must("service", "ls", "--format", "{{.Replicas}}")) === wanted,
      `${wanted} replicas run`,
      30_000
    )
  await replicas("1/1")
  writeFileSync(trigger, "")
  // The CLI may or may not get its answer; the wish is in the log all the same once the daemon has heard it.
  await cluster.must("service", "scale", "--detach", "loop=2").catch(() => {})
  await eventually(
    async () => (await cluster.log()).includes('"_tag":"Stuck"'),
    "it says that it is stuck",
    60_000
  )
  expect(await cluster.stop()).toBe(70)
  const line = (await cluster.log()).split("\n").find((each) => each.includes('"_tag":"Stuck"')) ?? ""
  expect(JSON.parse(line)).toMatchObject({
    actor: expect.stringMatching(/^[a-z0-9]+\/task\/[a-z0-9]+$/),
    message: expect.stringMatching(/^[A-Z][A-Za-z]+$/)
  })
  await cluster.restart()
  await replicas("2/2")
  await cluster.must("service", "rm", "loop")
  await eventually(async () => (await cluster.get("/tasks")).length === 0, "its tasks are gone", 30_000)
}

describe.each([
  ["bun", [process.execPath, "--preload", preload]],
  ["deno", [deno, "run", "--allow-all", "--quiet", "--preload", preload]]
] as const)("under %s", (_, runtime) => {
  test.skipIf(!existsSync(runtime[0]))(
    "ends with code 70 naming the actor and its message, and has what was wished for after its restart",
    async () => {
      const cluster = await startCluster({
        runtime,
        dockerHost: noEngine,
        args: ["--executor", "process", "--stuck-after", "2"]
      })
      try {
        await getStuck(cluster)
      } finally {
        await cluster.cleanUp()
      }
    }
  )
})
