/** The same daemon under Deno: it serves the docker CLI, runs containers, and ends in order. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readlinkSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { ConsoleClient, signInBy } from "#test/support/console-client.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

const deno = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url))

let cluster: Cluster

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster({ runtime: [deno, "run", "-A"] })
}, 120_000)
afterAll(() => cluster.cleanUp(), 60_000)

const containers = async (): Promise<ReadonlyArray<string>> => {
  const ids = await cluster.must("ps", "-aq", "--filter", "label=com.docker.swarm.service.name=smoke")
  return ids.split("\n").filter((id) => id !== "")
}

test("a manager under Deno creates, shows, scales and removes a service", async () => {
  expect(readlinkSync(`/proc/${cluster.pid}/exe`)).toMatch(/deno/)
  expect(
    await cluster.must("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}")
  ).toBe("active true")
  const brisk = ["--stop-grace-period", "0s", "--restart-delay", "0s"]
  const options = ["--name", "smoke", "--replicas", "2", ...brisk, "--env", "A=b"]
  const created = await cluster.must(
    ...["service", "create", ...options, testImage],
    ...["sh", "-c", "echo hello from $A; exec sleep 1000"]
  )
  expect(created).toContain("overall progress: 2 out of 2 tasks")
  expect(await cluster.must("service", "ls", "--format", "{{.Name}} {{.Replicas}}")).toBe("smoke 2/2")
  expect(await containers()).toHaveLength(2)
  await eventually(
    async () => (await cluster.must("service", "logs", "--raw", "smoke")).includes("hello from b"),
    "its log is read"
  )
  const [first = ""] = await containers()
  expect(await cluster.must("exec", first, "echo", "inside")).toBe("inside")
  const { body } = await cluster.api("POST", "/dashboard/links", { role: "operator" })
  const [task] = await cluster.get(`/tasks?filters=${encodeURIComponent('{"desired-state":["running"]}')}`)
  const shell = new ConsoleClient(await signInBy(body.url), task.ID)
  shell.type("echo $((6 * 7)); exit 3\n")
  expect(await shell.ended()).toBe(1000)
  expect([shell.text.includes("42"), shell.words]).toEqual([true, { ended: { exitCode: 3 } }])
  await cluster.must("service", "scale", "smoke=1")
  await eventually(async () => (await containers()).length === 1, "one of them is gone")
}, 90_000)

test("a container that was killed is replaced", async () => {
  const [killed = ""] = await containers()
  await cluster.must("kill", killed)
  await eventually(async () => {
    const [running] = (
      await cluster.must("ps", "-q", "--filter", "label=com.docker.swarm.service.name=smoke")
    ).split("\n")
    return running !== undefined && running !== "" && running !== killed
  }, "another container runs")
}, 60_000)

test("it ends in order, its containers go on, and it takes them up again", async () => {
  const before = await cluster.must("ps", "-q", "--filter", "label=com.docker.swarm.service.name=smoke")
  expect(await cluster.stop()).toBe(0)
  await cluster.restart()
  expect(await cluster.must("ps", "-q", "--filter", "label=com.docker.swarm.service.name=smoke")).toBe(before)
  await cluster.must("service", "rm", "smoke")
  await eventually(async () => (await containers()).length === 0, "nothing of the service is left")
  expect(await cluster.stop()).toBe(0)
  expect(await cluster.crashes()).toEqual([])
}, 120_000)
