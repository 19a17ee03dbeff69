/** Managers whose disks people lock, by the docker CLI: what a locked one says, does and keeps. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { existsSync, readFileSync, watch, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { onLoopback, startIdle } from "#test/support/idle-node.ts"

let nodes: ReadonlyArray<Cluster> = []
let first: Cluster
let second: Cluster

beforeAll(async () => {
  nodes = await Promise.all([startIdle("n1"), startIdle("n2")])
  ;[first, second] = nodes as [Cluster, Cluster]
}, 60_000)
afterAll(() => Promise.all(nodes.map((node) => node.cleanUp())), 60_000)

const stateOf = async (node: Cluster): Promise<string> => (await node.get("/info")).Swarm.LocalNodeState
const keyOf = (node: Cluster): Promise<string> => node.must("swarm", "unlock-key", "-q")
const unlock = (node: Cluster, key: string) =>
  node.cli(["swarm", "unlock"], { input: Buffer.from(`${key}\n`) })

/** Its log and its private key open with what people keep, and with nothing on the disk. */
const isSealed = ({ dataDir }: Cluster): boolean => {
  const { key, sealedKeys = [] } = JSON.parse(readFileSync(join(dataDir, "trust/member.json"), "utf8"))
  return key === "" && sealedKeys.length === 1 && !existsSync(join(dataDir, "node-key"))
}

const isWhole = async (node: Cluster, services: number): Promise<boolean> => {
  const { status, body } = await node.api("GET", "/services")
  return status === 200 && body.length === services
}

let key = ""

test("RF-28 docker swarm init --autolock prints the key, and seals the manager's disk and those of who joins", async () => {
  const printed = await first.must("swarm", "init", "--autolock", ...onLoopback)
  key = await keyOf(first)
  expect(printed).toContain(key)
  await first.must("service", "create", "-d", "--no-resolve-image", "--name", "calm", "host", "sleep", "1000")
  const address = (await first.get("/info")).Swarm.RemoteManagers[0].Addr
  const token = await first.must("swarm", "join-token", "-q", "manager")
  await second.must("swarm", "join", ...onLoopback, "--token", token, address)
  await eventually(() => isSealed(first) && isSealed(second), "both disks are sealed")
}, 60_000)

test("RF-28 CA-11 a manager that starts again waits locked, says so in Swarm's words, and opens with the key only", async () => {
  const pid = async () => (await first.get("/tasks"))[0].Status.ContainerStatus.PID
  await eventually(async () => {
    const { status, body } = await first.api("GET", "/tasks")
    return status === 200 && body[0]?.Status.State === "running"
  }, "its task runs")
  const [task] = await first.get("/tasks")
  const before = await pid()
  await first.kill9()
  await first.start()
  expect(await stateOf(first)).toBe("locked")
  const { stderr } = await first.docker("node", "ls")
  expect(stderr).toContain(
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
  )
  expect((await first.docker("swarm", "leave")).stderr).toContain(
    "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message."
  )
  const other = `SWMKEY-1-${"A".repeat(43)}`
  for (const wrong of [other, "SWMKEY-1-x", ""])
    expect(await first.api("POST", "/swarm/unlock", { UnlockKey: wrong })).toEqual({
      status: 401,
      body: { message: "swarm could not be unlocked: invalid key provided" }
    })
  expect((await unlock(first, key)).code).toBe(0)
  await eventually(() => isWhole(first, 1), "it is a manager again")
  expect(await pid()).toBe(before)
  expect((await first.get("/tasks"))[0].ID).toBe(task.ID)
  expect(await first.api("POST", "/swarm/unlock", { UnlockKey: key })).toEqual({
    status: 409,
    body: { message: "swarm is not locked" }
  })
}, 60_000)

test("CA-17 another key seals every manager anew: the former one opens nothing any more", async () => {
  const former = key
  const texts = () => nodes.map(({ dataDir }) => readFileSync(join(dataDir, "trust/member.json"), "utf8"))
  const before = texts()
  key = await first.must("swarm", "unlock-key", "--rotate", "-q")
  expect(key).not.toBe(former)
  await eventually(
    () => nodes.every(isSealed) && texts().every((text, at) => text !== before[at]),
    "both are sealed by the new key"
  )
  await Promise.all(nodes.map((node) => node.kill9()))
  await Promise.all(nodes.map((node) => node.start()))
  expect((await unlock(first, former)).code).not.toBe(0)
  // Their ledgers begin without knowing of the new key: nothing must be sealed by the former one again.
  const written = new Set<string>()
  const watches = nodes.map(({ dataDir }) =>
    watch(join(dataDir, "raft"), (_event, name) => void (name && written.add(name)))
  )
  const opened = await Promise.all(nodes.map((node) => unlock(node, key)))
  expect(opened.map(({ code }) => code)).toEqual([0, 0])
  await eventually(() => isWhole(second, 1), "the cluster is back")
  for (const one of watches) one.close()
  expect([...written].filter((name) => name.startsWith("keys"))).toEqual([])
}, 60_000)

test("a cluster that is begun anew on an unlocked manager keeps all it had, and its lock", async () => {
  await second.stop()
  expect((await first.docker("swarm", "init", "--force-new-cluster")).code).toBe(0)
  await eventually(() => isWhole(first, 1), "it has what it had")
  expect(await keyOf(first)).toBe(key)
  await first.kill9()
  await first.start()
  expect(await stateOf(first)).toBe("locked")
  expect((await unlock(first, key)).code).toBe(0)
  await eventually(() => isWhole(first, 1), "it has what it had")
}, 60_000)

test("what is on locked disks is recovered with the key, and stays locked", async () => {
  await first.kill9()
  const recover = (...more: ReadonlyArray<string>) =>
    first
      .troupeAnywhere("recover", first.dataDir, ...more)
      .catch(({ stdout, stderr }) => `${stdout}\nfailed: ${stderr}`)
  const keyFile = join(first.folder, "unlock-key")
  writeFileSync(keyFile, `SWMKEY-1-${"A".repeat(43)}\n`)
  for (const more of [[], ["--unlock-key-file", keyFile]]) {
    const said = await recover(...more)
    expect(said).toContain("it opens with the cluster's unlock key")
    expect(said).toContain("give it with --unlock-key-file")
  }
  writeFileSync(keyFile, "no key\n")
  expect(await recover("--unlock-key-file", keyFile)).toContain(
    `--unlock-key-file ${keyFile}: expected keys as docker swarm unlock-key prints them`
  )
  writeFileSync(keyFile, `SWMKEY-1-${"A".repeat(43)}\n${key}\n`)
  expect(await recover("--unlock-key-file", keyFile)).toContain("1 service")
  await expect(first.start(["--force-new-cluster"])).rejects.toThrow("start it without --force-new-cluster")
  expect(await recover("--unlock-key-file", keyFile, "--yes")).toContain("The cluster begins anew in")
  await first.start()
  expect(await stateOf(first)).toBe("locked")
  expect((await unlock(first, key)).code).toBe(0)
  await eventually(() => isWhole(first, 1), "it has what it had")
}, 60_000)

test("without autolock the disk opens by itself again", async () => {
  await first.must("swarm", "update", "--autolock=false")
  expect(await first.get("/swarm/unlockkey")).toEqual({ UnlockKey: "" })
  await eventually(() => existsSync(join(first.dataDir, "node-key")), "the key lies beside the log")
  await first.restart()
  expect(await stateOf(first)).toBe("active")
}, 60_000)
