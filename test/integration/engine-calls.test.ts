/** What a deploy asks of the Engine: as little as there is to ask, and no more for being large. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { type CountingProxy, countingProxy } from "#test/support/counting-proxy.ts"
import { dockerHost, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

const replicas = 12
const log = "GET /containers/{id}/logs"

let folder: string
let proxy: CountingProxy
let cluster: Cluster

beforeAll(async () => {
  await ensureTestImage()
  folder = mkdtempSync(join(tmpdir(), "troupe-calls-"))
  proxy = await countingProxy(join(folder, "engine.sock"), dockerHost.replace("unix://", ""))
  cluster = await startCluster({ dockerHost: proxy.host })
  // The first one lets it learn what it needs to know once.
  await cluster.must("service", "create", "--name", "first", "--detach", testImage, "sleep", "1000")
  await running("first", 1)
  await eventually(() => proxy.counts().get(log) === 1, "its log is followed")
}, 90_000)
afterAll(async () => {
  await cluster?.cleanUp()
  proxy?.close()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

const running = (service: string, count: number): Promise<void> => {
  const filters = encodeURIComponent(JSON.stringify({ service: [service] }))
  return eventually(async () => {
    const tasks: ReadonlyArray<{ Status: { State: string } }> = await cluster.get(`/tasks?filters=${filters}`)
    return tasks.filter(({ Status }) => Status.State === "running").length === count
  }, `${count} tasks of ${service} run`)
}

test("a task costs a create, a start and a look after each, and its log; a list or a look at its image costs a deploy", async () => {
  proxy.reset()
  const spec = {
    Name: "twelve",
    TaskTemplate: { ContainerSpec: { Image: testImage, Args: ["sleep", "1000"], StopGracePeriod: 0 } },
    Mode: { Replicated: { Replicas: replicas } }
  }
  expect((await cluster.api("POST", "/services/create", spec)).status).toBe(201)
  await running("twelve", replicas)
  await eventually(() => proxy.counts().get(log) === replicas, "every log is followed")
  // That the Engine answers at all is asked by the clock.
  const {
    "GET /images/{id}/json": looks = 0,
    "GET /_ping": _pings,
    ...counts
  } = Object.fromEntries(proxy.counts())
  // One attempt at the registry, unless it was tried a moment ago; a look before it, and one more when it failed.
  const { "POST /images/create": pulls = 0, ...each } = counts
  expect(each).toEqual({
    "POST /containers/create": replicas,
    "POST /containers/{id}/start": replicas,
    // Once more before its log is read: only that says whether it has a terminal.
    "GET /containers/{id}/json": 3 * replicas,
    [log]: replicas
  })
  expect(pulls).toBeLessThanOrEqual(1)
  expect(looks).toBeLessThanOrEqual(3)
}, 60_000)
