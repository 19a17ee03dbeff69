/** `troupe up` and `plan` beside `docker stack deploy`, on a real cluster of one node. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

let cluster: Cluster
beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster({ name: "alpha" })
}, 90_000)
afterAll(() => cluster.cleanUp(), 60_000)

async function file(image: string): Promise<string> {
  const path = join(cluster.folder, "compose.yaml")
  const text = `version: "3.8"
services:
  web:
    image: ${image}
    command: ["sleep", "1000"]
    environment: {A: "1"}
    stop_grace_period: 0s
    secrets: [key]
    deploy: {replicas: 2, restart_policy: {condition: none}}
secrets:
  key: {file: ./compose.yaml}
configs:
  rules: {file: ./compose.yaml}
`
  await writeFile(path, text.replace("    secrets:", "    configs: [rules]\n    secrets:"))
  return path
}
/** Its output, or what the command said and ended with when it failed. */
const troupe = (...args: ReadonlyArray<string>) =>
  cluster.troupeAnywhere(...args, "--socket", cluster.socket).then(
    (stdout) => ({ code: 0, text: stdout }),
    (error) => ({ code: error.code as number, text: `${error.stdout}${error.stderr}` })
  )
const version = async (name: string): Promise<number> =>
  (await cluster.get(`/services/${name}`)).Version.Index

test("what docker stack deploy made is unchanged to troupe, and the other way round", async () => {
  const path = await file(testImage)
  await cluster.must("stack", "deploy", "-c", path, "one")
  await eventually(async () => {
    const { Endpoint } = await cluster.get("/services/one_web")
    return Endpoint?.VirtualIPs?.length === 1
  }, "it has its address")
  const before = await version("one_web")
  const planned = await troupe("plan", "-f", path, "-p", "one", "--detailed-exitcode")
  expect(planned).toEqual({ code: 0, text: "nothing to do; 4 unchanged\n" })
  expect(await troupe("up", "-f", path, "-p", "one", "--timeout", "0")).toMatchObject({ code: 0 })
  expect(await troupe("up", "-f", path, "-p", "one", "--timeout", "-1")).toMatchObject({
    code: 2,
    text: expect.stringContaining('--timeout: "-1". Expected: 0 or more')
  })
  expect(await version("one_web")).toBe(before)

  const made = await troupe("plan", "-f", path, "-p", "two", "--detailed-exitcode")
  expect(made.code).toBe(2)
  expect(made.text).toContain("two_web: 2 on alpha")
  expect(await troupe("up", "-f", path, "-p", "two")).toMatchObject({ code: 0 })
  const tasks = await cluster.must("stack", "ps", "-q", "two")
  await cluster.must("stack", "deploy", "-c", path, "two")
  expect(await cluster.must("stack", "ps", "-q", "two")).toBe(tasks)
  expect(await troupe("down", "two")).toMatchObject({ code: 0 })
  expect(await cluster.must("stack", "ls", "--format", "{{.Name}}")).toBe("one")
}, 60_000)

test("a service that was rolled back to what the file says is there", async () => {
  const path = await file(testImage)
  await cluster.must(
    "service",
    "update",
    "--detach=false",
    "--env-add",
    "B=2",
    "--update-monitor",
    "0s",
    "one_web"
  )
  await cluster.must("service", "rollback", "--detach=false", "one_web")
  // The CLI may have seen its tasks run a moment before.
  await eventually(
    async () => (await cluster.get("/services/one_web")).UpdateStatus.State === "rollback_completed",
    "the rollback is complete"
  )
  const { code, text } = await troupe("up", "-f", path, "-p", "one")
  expect(text).toContain("nothing to do; 4 unchanged")
  expect(code).toBe(0)
}, 90_000)

test("nothing is changed where the cluster would refuse one of the services", async () => {
  const path = join(cluster.folder, "refused.yaml")
  const service = `image: ${testImage}, command: [sleep, "1000"]`
  await writeFile(path, `services:\n  a: { ${service} }\n  b: { ${service}, labels: { troupe.gpus: all } }\n`)
  expect(await troupe("up", "-f", path, "-p", "never")).toEqual({
    code: 1,
    text: "service never_b: label troupe.gpus: this cluster does not allow it; `troupe allow gpus` lets every service have it\n"
  })
  expect(await cluster.must("network", "ls", "-q", "--filter", "name=never_")).toBe("")
  expect(await cluster.must("service", "ls", "-q", "--filter", "name=never_")).toBe("")
})

test("an image that is not there ends with 1 and the Engine's words", async () => {
  const path = await file("acceptance-no-such-image:1")
  const { code, text } = await troupe("up", "-f", path, "-p", "lost", "--timeout", "40")
  expect(code).toBe(1)
  expect(text).toMatch(/lost_web did not converge: 0 of 2 tasks\n +rejected: No such image/)
}, 60_000)

test("a task that keeps failing ends the wait once its attempts are used, with what it wrote last", async () => {
  const path = join(cluster.folder, "failing.yaml")
  const more = join(cluster.folder, "failing.more.yaml")
  await writeFile(
    path,
    `services:
  web:
    image: ${testImage}
    command: ["sh", "-c", "echo the disk is missing; exit 3"]
  other: {image: ${testImage}, profiles: [other]}
`
  )
  const policy = "{condition: any, delay: 0s, max_attempts: 1}"
  await writeFile(more, `services: {web: {deploy: {restart_policy: ${policy}}}}\n`)
  const { code, text } = await troupe("up", "-f", path, "-f", more, "-p", "failing")
  expect(code).toBe(1)
  expect(text).toContain("failing_web did not converge: 0 of 1 tasks")
  expect(text).toContain("    its restart policy begins no more tasks")
  expect(text).toContain("      the disk is missing")
  expect(text).not.toContain("failing_other")
  expect(await troupe("down", "failing")).toMatchObject({ code: 0 })
}, 60_000)
