/** A worker whose data directory is lost and that joins again: the Engine still has what its former life ran. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { execSync } from "node:child_process"
import { rmSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { identityOf, type ProcessIdentity, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { Cluster, startCluster } from "#test/support/cluster.ts"
import { engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { invitation } from "#test/support/managers.ts"

const local = ["--advertise-addr", "127.0.0.1", "--recorder", "off"]
let manager: Cluster
let lost: Cluster
let other: Cluster
let dataPlane: ProcessIdentity | undefined

async function worker(name: string): Promise<Cluster> {
  const { address } = await invitation(manager)
  const { JoinTokens } = await manager.get("/swarm")
  const folder = await mkdtemp(join(tmpdir(), "troupe-cluster-"))
  const args = [...local, "--join", address, "--token", JoinTokens.Worker]
  const cluster = new Cluster(folder, { name, args })
  await cluster.start()
  return cluster
}

beforeAll(async () => {
  await ensureTestImage()
  manager = await startCluster({ name: "boss", args: local })
  lost = await worker("lost")
  other = await worker("other")
}, 120_000)
afterAll(async () => {
  // What says whose it is went away with the first life's directory.
  if (dataPlane !== undefined) signalProcess(dataPlane, "SIGKILL")
  for (const one of [other, lost, manager]) await one?.cleanUp()
}, 60_000)

const containersOf = async (nodeId: string) => {
  const label = [`com.docker.swarm.node.id=${nodeId}`, `io.troupe.cluster=${manager.clusterId}`]
  const found = await engine().listContainers({ all: true, filters: { label } })
  return found.map(({ Id, State }) => `${Id.slice(0, 12)} ${State}`).sort()
}
const networksOf = (nodeId: string) =>
  engine().listNetworks({ filters: { label: [`com.docker.swarm.node.id=${nodeId}`] } })
const doctor = (): Promise<string> => manager.troupe("doctor").catch((error) => error.stdout as string)
const running = async (): Promise<string> =>
  (await manager.must("service", "ls", "--format", "{{.Name}} {{.Replicas}}")).split("\n").sort().join(", ")

test("what its former life runs ends before the machine is a node again; other nodes' tasks on the Engine go on", async () => {
  await manager.must("network", "create", "-d", "overlay", "inner")
  const create = async (name: string, node: string, ...more: ReadonlyArray<string>) => {
    const placed = ["--constraint", `node.hostname==${node}`, "--restart-delay", "0s", ...more]
    await manager.must(
      "service",
      "create",
      "-d",
      "--no-resolve-image",
      "--name",
      name,
      ...placed,
      testImage,
      "sleep",
      "1000"
    )
  }
  await create("db", "lost", "--network", "inner")
  await create("here", "boss")
  await create("there", "other")
  const all = "db 1/1, here 1/1, there 1/1"
  await eventually(async () => (await running()) === all, "all tasks run", 60_000)
  const { nodeId: former } = lost
  const bystanders = [await containersOf(manager.nodeId), await containersOf(other.nodeId)]

  dataPlane = identityOf(lost.dataPlanePid)
  await other.kill9()
  await lost.kill9()
  rmSync(lost.dataDir, { recursive: true })
  await lost.start()
  expect(lost.nodeId).not.toBe(former)
  const ready = async (): Promise<string> =>
    (await manager.must("node", "ls", "--format", "{{.ID}} {{.Status}}")).split("\n").sort().join(", ")
  const wanted = [
    `${manager.nodeId} Ready`,
    `${lost.nodeId} Ready`,
    `${former} Down`,
    `${other.nodeId} Down`
  ].sort()
  await eventually(
    async () => {
      const now = await ready()
      if (now.includes(`${lost.nodeId} Ready`)) expect(await containersOf(former)).toEqual([])
      return now === wanted.join(", ")
    },
    "the machine is a node again, and its former life down",
    60_000
  )
  expect(await networksOf(former)).toEqual([])
  for (const command of ["nft list tables", "iptables -S"])
    expect(execSync(command, { encoding: "utf8" })).not.toContain(former.slice(0, 10))
  await eventually(async () => (await running()).includes("db 1/1"), "its task runs again", 60_000)
  expect((await containersOf(lost.nodeId)).length).toBe(1)
  expect([await containersOf(manager.nodeId), await containersOf(other.nodeId)]).toEqual(bystanders)

  const said = await doctor()
  expect(said).toContain(
    `node ${former} (lost) is down, and ${lost.nodeId} is ready under the same name and address`
  )
  expect(said).toContain(`docker node rm ${former}`)
  expect(said).not.toContain(`docker node rm ${other.nodeId}`)
}, 180_000)

test("a node that leaves gives up the slots of exclusive services at once; one that is silent keeps them, as is said", async () => {
  const create = ["service", "create", "-d", "--no-resolve-image", "--label", "troupe.exclusive=true"]
  const placed = ["--constraint", "node.role==worker"]
  // It may have been killed by the test before.
  await other.stop()
  await other.start()
  const nodeOf = async (name: string) =>
    (
      await manager.must(
        "service",
        "ps",
        name,
        "-f",
        "desired-state=running",
        "--format",
        "{{.Node}} {{.CurrentState}}"
      )
    ).replace(/ (Running|Starting|Preparing) .*/, " $1")
  await manager.must(...create, "--name", "single", ...placed, testImage, "sleep", "1000")
  await eventually(async () => (await nodeOf("single")).endsWith(" Running"), "single runs", 60_000)
  const isOnLost = (await nodeOf("single")).startsWith("lost")
  const [leaves, stays] = isOnLost ? [lost, other] : [other, lost]
  const { nodeId: gone } = leaves
  await leaves.must("swarm", "leave")
  await eventually(
    async () => (await nodeOf("single")) === `${isOnLost ? "other" : "lost"} Running`,
    "single runs again",
    60_000
  )
  await manager.must("node", "rm", gone)

  await stays.kill9()
  const state = () => manager.must("node", "inspect", stays.nodeId, "--format", "{{.Status.State}}")
  await eventually(async () => (await state()) === "down", "it is down", 60_000)
  const shown = await manager.must("service", "ps", "single", "--no-trunc", "--format", "{{.Error}}")
  expect(shown).toContain(`docker node rm --force ${stays.nodeId}`)
  expect(await doctor()).toContain(`docker node rm --force ${stays.nodeId}`)
  expect(await manager.must("service", "ls", "-f", "name=single", "--format", "{{.Replicas}}")).toBe("0/1")
}, 120_000)
