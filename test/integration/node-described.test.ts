/** What a node says of its machine, by the docker CLI: read from its Engine, and read again when that comes back another. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { PrivateEngine } from "#test/support/dockerd.ts"
import { eventually } from "#test/support/engine.ts"

let engine: PrivateEngine
let cluster: Cluster

beforeAll(async () => {
  engine = await PrivateEngine.open({ labels: ["disk=hdd", "zone=a"], genericResources: ["gpu=2"] })
  cluster = await startCluster({ name: "n1", dockerHost: engine.dockerHost })
}, 120_000)
afterAll(async () => {
  await cluster?.cleanUp()
  await engine?.close()
}, 120_000)

const listed = (...filters: ReadonlyArray<string>): Promise<string> =>
  cluster.must("node", "ls", "-q", ...filters.flatMap((filter) => ["--filter", filter]))

test("docker node inspect tells of resources, platform, plugins and labels as the Engine does", async () => {
  const { Description } = JSON.parse(await cluster.must("node", "inspect", "self"))[0]
  const info = await engine.docker.info()
  expect(Description).toMatchObject({
    Hostname: "n1",
    Platform: { Architecture: info.Architecture, OS: "linux" },
    Resources: {
      NanoCPUs: info.NCPU * 1e9,
      MemoryBytes: info.MemTotal,
      GenericResources: [{ DiscreteResourceSpec: { Kind: "gpu", Value: 2 } }]
    },
    Engine: { EngineVersion: info.ServerVersion, Labels: { disk: "hdd", zone: "a" } }
  })
  const plugins: ReadonlyArray<{ Type: string; Name: string }> = Description.Engine.Plugins
  const named = (type: string) => plugins.filter(({ Type }) => Type === type).map(({ Name }) => Name)
  expect(named("Log")).toEqual(expect.arrayContaining(info.Plugins.Log))
  expect(named("Network")).toEqual(expect.arrayContaining(info.Plugins.Network))
  expect(named("Volume")).toEqual(info.Plugins.Volume)
  expect(await listed("label=disk=hdd", "label=zone")).toBe(cluster.nodeId)
})

test("what the Engine offers after another start is what the cluster knows", async () => {
  await engine.stop()
  await engine.start({ labels: ["disk=ssd"], genericResources: ["gpu=4", "fpga=1"] })
  await eventually(
    async () => (await listed("label=disk=ssd")) === cluster.nodeId,
    "the label is known",
    60_000
  )
  expect(await listed("label=zone")).toBe("")
  const { Description } = JSON.parse(await cluster.must("node", "inspect", "self"))[0]
  expect(Description.Engine.Labels).toEqual({ disk: "ssd" })
  // In the order that the Engine keeps them in, which is none.
  const { GenericResources } = Description.Resources
  expect(GenericResources).toHaveLength(2)
  expect(GenericResources).toContainEqual({ DiscreteResourceSpec: { Kind: "gpu", Value: 4 } })
  expect(GenericResources).toContainEqual({ DiscreteResourceSpec: { Kind: "fpga", Value: 1 } })
}, 120_000)
