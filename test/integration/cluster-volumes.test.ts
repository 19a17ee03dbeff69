/** Cluster volumes from creation to removal: a daemon, a CSI plugin that really mounts, and containers that write. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import type { ChildProcess } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { askedOf, publishedAt, startCsiPlugin } from "#test/support/csi-plugin.ts"
import { docker, isCliBefore } from "#test/support/docker-cli.ts"
import { dockerHost, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { type LiftedEngine, liftEngine } from "#test/support/lifted-engine.ts"

setDefaultTimeout(90_000)

const folder = mkdtempSync(join(tmpdir(), "troupe-csi-"))
const root = join(folder, "root")
const sockets = join(folder, "sockets")
let plugin: ChildProcess
let lifted: LiftedEngine
let cluster: Cluster

beforeAll(async () => {
  await ensureTestImage()
  plugin = await startCsiPlugin(join(sockets, "folders.sock"), root, "here")
  // Docker's CLI has no word for cluster volumes before API 1.42.
  const { text: own } = await docker(dockerHost, ["version", "--format", "{{.Server.APIVersion}}"])
  lifted = await liftEngine(join(folder, "engine.sock"), dockerHost.replace("unix://", ""), own, "1.44")
  cluster = await startCluster({ args: ["--csi-plugins", sockets], dockerHost: lifted.host })
}, 90_000)
afterAll(async () => {
  await cluster?.cleanUp()
  lifted?.close()
  plugin?.stdin?.end()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

const create = (Name: string, ClusterVolumeSpec: object = {}, more: object = {}) =>
  cluster.api("POST", "/volumes/create", {
    Name,
    Driver: "folders",
    ClusterVolumeSpec: {
      AccessMode: { Scope: "single", Sharing: "all", MountVolume: {} },
      ...ClusterVolumeSpec
    },
    ...more
  })
const volume = async (name: string) => (await cluster.get(`/volumes/${name}`)).ClusterVolume
const isMade = (name: string) =>
  eventually(async () => (await volume(name)).Info?.VolumeID === name, `${name} is made`)
const serve = (name: string, command: string, mount: object, replicas = 1) =>
  cluster.api("POST", "/services/create", {
    Name: name,
    Mode: { Replicated: { Replicas: replicas } },
    TaskTemplate: {
      ContainerSpec: {
        Image: testImage,
        Command: ["sh", "-c", command],
        StopGracePeriod: 0,
        Mounts: [{ Type: "cluster", Source: "troupe-data", Target: "/data", ...mount }]
      }
    }
  })
const tasksOf = (name: string) =>
  cluster.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [name] }))}`)
const availability = async (name: string, Availability: string) => {
  await eventually(async () => {
    const { Spec, Version } = await volume(name)
    const { status, body } = await cluster.api("PUT", `/volumes/${name}?version=${Version.Index}`, {
      Spec: { ...Spec, Availability }
    })
    // Its node may have said something of it meanwhile.
    if (status !== 200 && !body.message.includes("out of sequence")) throw new Error(body.message)
    return status === 200
  }, `${name} is ${Availability}`)
}

test("DI-16 a volume is made, published and mounted for the task that uses it, and taken back after", async () => {
  expect((await create("troupe-data", { CapacityRange: { RequiredBytes: 1024 } })).status).toBe(201)
  await isMade("troupe-data")
  expect((await volume("troupe-data")).Info).toMatchObject({
    CapacityBytes: 1024,
    VolumeContext: { made: "here" }
  })
  expect((await serve("writer", "echo kept > /data/file; sleep 1000", {})).status).toBe(201)
  await eventually(async () => (await tasksOf("writer"))[0]?.Status.State === "running", "the writer runs")
  const file = join(root, "troupe-data", "file")
  await eventually(() => existsSync(file) && readFileSync(file, "utf8") === "kept\n", "it has written")
  const [task] = await tasksOf("writer")
  const { ID, PublishStatus } = await volume("troupe-data")
  expect(task.Volumes).toEqual([{ ID, Source: "troupe-data", Target: "/data" }])
  expect(PublishStatus).toEqual([
    { NodeID: cluster.nodeId, State: "published", PublishContext: { device: "troupe-data at here" } }
  ])
  expect(askedOf(root)).toEqual([
    "CreateVolume troupe-data",
    "ControllerPublishVolume troupe-data",
    "NodeStageVolume troupe-data",
    "NodePublishVolume troupe-data"
  ])
  expect((await cluster.api("DELETE", "/volumes/troupe-data")).body.message).toContain(
    "volume is still in use"
  )
  expect((await cluster.api("DELETE", "/services/writer")).status).toBe(200)
  await eventually(async () => (await volume("troupe-data")).PublishStatus === undefined, "it is taken back")
  expect(askedOf(root).slice(4)).toEqual([
    "NodeUnpublishVolume troupe-data",
    "NodeUnstageVolume troupe-data",
    "ControllerUnpublishVolume troupe-data"
  ])
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(ID)
})

test("CE-09 a drained volume's task ends and finds no other; active again, it comes back to what it wrote", async () => {
  await serve("reader", "grep -q kept /data/file && sleep 1000", { ReadOnly: true })
  await eventually(async () => (await tasksOf("reader"))[0]?.Status.State === "running", "the reader runs")
  await availability("troupe-data", "drain")
  await eventually(async () => {
    const tasks: ReadonlyArray<{ Status: { State: string; Err?: string } }> = await tasksOf("reader")
    const waits = tasks.some(({ Status }) => Status.State === "pending" && Status.Err?.includes("CSI volume"))
    return waits && tasks.some(({ Status }) => Status.State === "rejected")
  }, "its task is rejected, and the next one waits")
  await eventually(
    async () => (await volume("troupe-data")).PublishStatus === undefined,
    "the volume is free"
  )
  expect(publishedAt(root, "troupe-data")).toEqual([])
  await availability("troupe-data", "active")
  await eventually(
    async () =>
      (await tasksOf("reader")).some(
        (task: { Status: { State: string } }) => task.Status.State === "running"
      ),
    "it runs again"
  )
})

test("what is mounted outlives the daemon, and a volume in use is taken back by the next one", async () => {
  const before = askedOf(root).length
  await cluster.restart()
  await eventually(
    async () => (await volume("troupe-data")).PublishStatus?.[0]?.State === "published",
    "it is published"
  )
  expect((await cluster.api("DELETE", "/services/reader")).status).toBe(200)
  await eventually(async () => (await volume("troupe-data")).PublishStatus === undefined, "it is taken back")
  expect(askedOf(root).slice(before).at(-1)).toBe("ControllerUnpublishVolume troupe-data")
})

const isOld = isCliBefore(23, "docker volume create --type")

test.skipIf(isOld)(
  "CT-22 the docker CLI makes, lists, pauses, drains and removes volumes, and services use a group of them",
  async () => {
    const flags = [
      "--driver",
      "folders",
      "--type",
      "mount",
      "--scope",
      "multi",
      "--sharing",
      "all",
      "--group",
      "fast"
    ]
    for (const name of ["f1", "f2"]) {
      expect(await cluster.must("volume", "create", ...flags, "--required-bytes", "1024", name)).toBe(name)
      await isMade(name)
    }
    const listed = () => cluster.must("volume", "ls", "--cluster")
    expect(await listed()).toMatch(/f1 +fast +folders +active +created/)
    await cluster.must("volume", "update", "--availability", "pause", "f1")
    const mount = "type=cluster,source=group:fast,target=/data"
    await cluster.must(
      ...["service", "create", "-d", "--name", "grouped", "--mount", mount, "--no-resolve-image"],
      ...[testImage, "sleep", "1000"]
    )
    await eventually(
      async () => /f2 +fast +folders +active +in use \(1 node\)/.test(await listed()),
      "f2 is in use"
    )
    expect(await listed()).toMatch(/f1 +fast +folders +pause +created/)
    expect((await cluster.docker("volume", "rm", "f2")).code).not.toBe(0)
    expect(JSON.parse(await cluster.must("volume", "inspect", "f2"))[0]).toMatchObject({
      ClusterVolume: { Spec: { Group: "fast" }, PublishStatus: [{ State: "published" }] },
      Scope: "global"
    })
    await cluster.must("service", "rm", "grouped")
    await eventually(async () => (await volume("f2")).PublishStatus === undefined, "f2 is free")
    await cluster.must("volume", "update", "--availability", "drain", "f2")
    await cluster.must("volume", "rm", "f1", "f2")
    await eventually(async () => !/f[12]/.test(await listed()), "both are gone")
  }
)

test("a plugin is given secrets by their keys, and a volume that it cannot make waits and says why", async () => {
  const { body } = await cluster.api("POST", "/secrets/create", {
    Name: "wrong",
    Data: Buffer.from("guess").toString("base64")
  })
  const Secrets = [{ Key: "password", Secret: "wrong" }]
  expect((await create("locked", { Secrets }, { DriverOpts: { password: "open" } })).status).toBe(201)
  await eventually(async () => (await cluster.log()).includes("wrong password"), "the plugin refuses")
  expect((await volume("locked")).Spec.Secrets).toEqual([{ Key: "password", Secret: body.ID }])
  expect((await cluster.api("DELETE", `/secrets/${body.ID}`)).body.message).toContain(
    "in use by the following volume"
  )
  expect((await create("open", { Secrets }, { DriverOpts: { password: "guess" } })).status).toBe(201)
  await isMade("open")
  expect((await cluster.api("DELETE", "/volumes/open")).status).toBe(204)
  await eventually(async () => (await cluster.api("GET", "/volumes/open")).status === 404, "it is deleted")
  expect(askedOf(root).at(-1)).toBe("DeleteVolume open")
})

test("the Engine's own volumes are listed beside the cluster's, and are the Engine's business", async () => {
  const own = `troupe-own-${process.pid}`
  await cluster.must("volume", "create", own)
  try {
    const { Volumes } = await cluster.get("/volumes")
    const names = Volumes.map(({ Name }: { Name: string }) => Name)
    expect(names).toContain(own)
    expect(names).toContain("troupe-data")
    const found = await cluster.get("/volumes?filters=%7B%22driver%22%3A%5B%22folders%22%5D%7D")
    expect(found.Volumes.map(({ Name }: { Name: string }) => Name).sort()).toEqual(["locked", "troupe-data"])
  } finally {
    await cluster.must("volume", "rm", own)
  }
  expect((await cluster.api("GET", `/volumes/${own}`)).status).toBe(404)
})

test("a node that leaves has its plugin let go of what is mounted, and what tasks wrote stays", async () => {
  await create("stays")
  await isMade("stays")
  const mount = { Source: "stays" }
  await serve("keeper", "echo dear > /data/file; sleep 1000", mount)
  const file = join(root, "stays", "file")
  await eventually(() => existsSync(file) && readFileSync(file, "utf8") === "dear\n", "it has written")
  const { ID } = await volume("stays")
  expect(readFileSync("/proc/self/mounts", "utf8")).toContain(ID)
  const before = askedOf(root).length
  await cluster.must("swarm", "leave", "--force")
  await eventually(() => !existsSync(cluster.dataDir), "it has left", 30_000)
  expect(readFileSync(file, "utf8")).toBe("dear\n")
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(ID)
  expect(askedOf(root).slice(before)).toEqual(["NodeUnpublishVolume stays", "NodeUnstageVolume stays"])
})
