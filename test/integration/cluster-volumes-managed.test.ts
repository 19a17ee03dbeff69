/** Cluster volumes by a plugin that the Engine manages: found by what it says it is, and mounted where the Engine passes it on. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { askedOf, installCsiPlugin } from "#test/support/csi-plugin.ts"
import { docker } from "#test/support/docker-cli.ts"
import { dockerHost, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

setDefaultTimeout(90_000)

const folder = mkdtempSync(join(tmpdir(), "troupe-csi-"))
const root = join(folder, "root")
const plugin = `troupe-csi-${process.pid}`
let cluster: Cluster

beforeAll(async () => {
  await ensureTestImage()
  await installCsiPlugin(dockerHost, plugin, join(folder, "plugin"), root)
  cluster = await startCluster({ args: ["--csi-plugins", join(folder, "none")] })
}, 90_000)
afterAll(async () => {
  await cluster?.cleanUp()
  await docker(dockerHost, ["plugin", "rm", "-f", plugin])
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

test("DI-16 a node says which plugins of its Engine it has, and what a task writes is where they keep it", async () => {
  // The first word of a node that founds a cluster is of its machine alone.
  const plugins = async () => (await cluster.get("/nodes"))[0].Description.CSIInfo
  await eventually(async () => (await plugins()) !== undefined, "the node says which plugins it has")
  expect(await plugins()).toEqual([{ PluginName: plugin, NodeID: "managed" }])
  const made = await cluster.api("POST", "/volumes/create", {
    Name: "data",
    Driver: plugin,
    ClusterVolumeSpec: { AccessMode: { MountVolume: {} } }
  })
  expect(made.status).toBe(201)
  const volume = async () => (await cluster.get("/volumes/data")).ClusterVolume
  await cluster.api("POST", "/services/create", {
    Name: "writer",
    TaskTemplate: {
      ContainerSpec: {
        Image: testImage,
        Command: ["sh", "-c", "echo kept > /data/file; sleep 1000"],
        StopGracePeriod: 0,
        Mounts: [{ Type: "cluster", Source: "data", Target: "/data" }]
      }
    }
  })
  const file = join(root, "data", "file")
  await eventually(() => {
    try {
      return readFileSync(file, "utf8") === "kept\n"
    } catch {
      return false
    }
  }, "it has written")
  expect((await volume()).PublishStatus).toMatchObject([{ State: "published" }])
  await cluster.api("DELETE", "/services/writer")
  await eventually(async () => (await volume()).PublishStatus === undefined, "it is taken back")
  await cluster.api("DELETE", "/volumes/data")
  await eventually(async () => (await cluster.api("GET", "/volumes/data")).status === 404, "it is deleted")
  expect(askedOf(root).map((line) => line.split(" ")[0])).toEqual([
    "CreateVolume",
    "ControllerPublishVolume",
    "NodeStageVolume",
    "NodePublishVolume",
    "NodeUnpublishVolume",
    "NodeUnstageVolume",
    "ControllerUnpublishVolume",
    "DeleteVolume"
  ])
})
