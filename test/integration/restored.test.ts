/** A cluster restored on the machine that was its manager: the Engine still has what that one ran. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { execSync } from "node:child_process"
import { renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { identityOf, type ProcessIdentity, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { freePort } from "#test/support/free-port.ts"

let cluster: Cluster
let dataPlane: ProcessIdentity | undefined
let published = 0

beforeAll(async () => {
  await ensureTestImage()
  const [join_, nats, route, port] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  published = port
  const ports = ["--join-port", `${join_}`, "--nats-port", `${nats}`, "--route-port", `${route}`]
  cluster = await startCluster({ name: "only", ports })
}, 60_000)
afterAll(async () => {
  // What says whose it is went away with the first life's directory.
  if (dataPlane !== undefined) signalProcess(dataPlane, "SIGKILL")
  await cluster?.cleanUp()
}, 60_000)

const containersOf = (nodeId: string) =>
  engine().listContainers({
    all: true,
    filters: { label: [`com.docker.swarm.node.id=${nodeId}`, `io.troupe.cluster=${cluster.clusterId}`] }
  })
const networksOf = (nodeId: string) =>
  engine().listNetworks({ filters: { label: [`com.docker.swarm.node.id=${nodeId}`] } })
const counts = async (): Promise<string> =>
  (await cluster.must("service", "ls", "--format", "{{.Name}} {{.Replicas}}")).split("\n").sort().join(", ")

test("what the manager of before ran on the machine ends, its node goes, and all services run there again", async () => {
  const create = ["service", "create", "-d", "--no-resolve-image", "--network", "inner"]
  await cluster.must("network", "create", "-d", "overlay", "--opt", "encrypted", "inner")
  const web = ["--name", "web", "--replicas", "2", "-p", `${published}:80`, testImage, "httpd", "-f"]
  await cluster.must(...create, ...web)
  await cluster.must(
    ...create,
    "--name",
    "db",
    "--label",
    "troupe.exclusive=true",
    testImage,
    "sleep",
    "1000"
  )
  await eventually(async () => (await counts()) === "db 1/1, web 2/2", "all tasks run", 60_000)

  const words = join(cluster.folder, "passphrase")
  const file = join(cluster.folder, "backup")
  writeFileSync(words, "correct horse battery staple\n")
  const sealed = ["--passphrase-file", words]
  await cluster.troupeAnywhere("backup", "--socket", cluster.socket, "--out", file, ...sealed)
  const { nodeId: former } = cluster
  dataPlane = identityOf(cluster.dataPlanePid)
  await cluster.kill9()
  expect((await containersOf(former)).filter(({ State }) => State === "running").length).toBe(3)

  renameSync(cluster.dataDir, `${cluster.dataDir}.lost`)
  await cluster.troupe("restore", file, ...sealed)
  await cluster.restart()

  expect(cluster.nodeId).not.toBe(former)
  expect((await cluster.must("node", "ls", "-q")).split("\n")).toEqual([cluster.nodeId])
  expect([await containersOf(former), await networksOf(former)]).toEqual([[], []])
  for (const command of ["nft list tables", "iptables -S DOCKER-USER"])
    expect(execSync(command, { encoding: "utf8" })).not.toContain(former.slice(0, 10))
  await eventually(async () => (await counts()) === "db 1/1, web 2/2", "all tasks run again", 60_000)
  await eventually(
    () =>
      fetch(`http://127.0.0.1:${published}/`).then(
        ({ status }) => status === 404,
        () => false
      ),
    "its port answers"
  )
}, 180_000)
