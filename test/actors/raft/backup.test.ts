/** The whole cluster in one file, taken while it runs, and a cluster from it when all managers are gone. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Buffer } from "node:buffer"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { ask, configNames, Managers, mustWriteConfig, newManager, raftOf } from "#test/support/managers.ts"

setDefaultTimeout(240_000)

const canary = "4711-nobody-may-read-this"

let managers: Managers
let restored: Cluster
let folder: string
let file: string
let passphrase: ReadonlyArray<string>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "troupe-backup-"))
  file = join(folder, "cluster.backup")
  const words = join(folder, "passphrase")
  writeFileSync(words, "correct horse battery staple\n")
  passphrase = ["--passphrase-file", words]
  managers = await Managers.start(2)
  restored = await newManager("restored", [])
}, 180_000)
afterAll(async () => {
  await restored?.cleanUp()
  await managers?.cleanUp()
  await rm(folder, { recursive: true, force: true })
}, 180_000)

const manager = (at: number): Cluster => managers.all[at] as Cluster
const follower = async (): Promise<Cluster> => managers.others(await managers.leader())[0] as Cluster

/** What `troupe restore` says; its error where it fails. */
const restore = (from: string, ...more: ReadonlyArray<string>): Promise<string> =>
  restored
    .troupeAnywhere("restore", from, "--data-dir", restored.dataDir, ...passphrase, ...more)
    .catch(({ stderr }) => String(stderr))

const runningTasks = async (by: Cluster): Promise<number> => {
  const tasks = await by.get(
    `/tasks?filters=${encodeURIComponent(JSON.stringify({ "desired-state": ["running"] }))}`
  )
  return tasks.filter((task: { Status: { State: string } }) => task.Status.State === "running").length
}

test("a backup is taken from any manager while it runs, read back, and replaces nothing", async () => {
  const [one] = managers.all as [Cluster]
  const created = await one.api("POST", "/services/create", {
    Name: "web",
    TaskTemplate: { ContainerSpec: { Image: "host", Command: ["sleep", "600"] } },
    Mode: { Replicated: { Replicas: 2 } }
  })
  expect(created.status).toBe(201)
  const secret = { Name: "pw", Data: Buffer.from(canary).toString("base64") }
  expect((await one.api("POST", "/secrets/create", secret)).status).toBe(201)
  await mustWriteConfig(one, "before")
  await eventually(async () => (await runningTasks(one)) === 2, "both tasks run", 30_000)

  const by = await follower()
  const said = await by.troupeAnywhere("backup", "--socket", by.socket, "--out", file, ...passphrase)
  expect(said).toContain(`cluster ${one.clusterId}, incarnation 1`)
  expect(said).toContain("2 nodes, 1 network, 1 secret, 1 config, 1 service")
  expect(said).toContain("read back and whole")
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const bytes = readFileSync(file)
  for (const word of [canary, secret.Data, "PRIVATE KEY", one.clusterId])
    expect(bytes.includes(word)).toBe(false)

  const again = by.troupeAnywhere("backup", "--socket", by.socket, "--out", file, ...passphrase)
  await expect(again).rejects.toThrow("is there already: a backup replaces nothing")
  expect(readFileSync(file).equals(bytes)).toBe(true)
})

describe("a backup that is not as it was written is refused by name, and nothing is begun from it", () => {
  const spoilt = async (change: (bytes: Buffer) => Buffer): Promise<string> => {
    const path = join(folder, "spoilt")
    writeFileSync(path, change(Buffer.from(readFileSync(file))))
    const said = await restore(path)
    expect(said).toContain(`Cannot use ${path}: `)
    expect(existsSync(restored.dataDir)).toBe(false)
    return said
  }

  test("cut off", async () => {
    expect(await spoilt((bytes) => bytes.subarray(0, bytes.length - 20))).toContain(
      "it is cut off after byte"
    )
  })

  test("with one bit changed", async () => {
    const said = await spoilt((bytes) => {
      bytes[bytes.length - 40] = (bytes[bytes.length - 40] as number) ^ 4
      return bytes
    })
    expect(said).toContain("it is damaged at byte")
  })

  test("with another passphrase", async () => {
    const wrong = join(folder, "wrong")
    writeFileSync(wrong, "correct horse battery stable\n")
    const said = restored.troupeAnywhere(
      "restore",
      file,
      "--data-dir",
      restored.dataDir,
      "--passphrase-file",
      wrong
    )
    await expect(said).rejects.toThrow(`Cannot use ${file}: the passphrase is wrong`)
    expect(existsSync(restored.dataDir)).toBe(false)
  })
})

test("a preview says what is inside and changes nothing", async () => {
  const said = await restore(file, "--preview")
  expect(said).toContain("1 secret, 1 config, 1 service")
  expect(said).toContain("managers: m1, m2")
  expect(said).not.toContain(canary)
  expect(existsSync(restored.dataDir)).toBe(false)
})

test("a directory that holds a ledger is left alone, and what to do is said", async () => {
  const { dataDir } = manager(0)
  const said = manager(0).troupeAnywhere("restore", file, "--data-dir", dataDir, ...passphrase)
  await expect(said).rejects.toThrow(
    `${dataDir} is in use: there is identity.json. Stop its node and move the directory away`
  )
})

test("without a leader a backup of what this manager has must be asked for, and troupe status shows what it knew last", async () => {
  const [one, two] = managers.all as [Cluster, Cluster]
  await mustWriteConfig(one, "after")
  await managers.agreed()
  await two.kill9()
  await eventually(async () => (await raftOf(one)).leader === undefined, "nobody leads", 20_000)
  const local = join(folder, "local.backup")
  const args = ["backup", "--socket", one.socket, "--out", local, ...passphrase]
  await expect(one.troupeAnywhere(...args)).rejects.toThrow("what it has alone is backed up with --local")
  expect(existsSync(local)).toBe(false)
  expect(await one.troupeAnywhere(...args, "--local")).toContain("2 configs")

  const { stdout, stderr } = await one.troupeAnywhere("status", "--socket", one.socket).then(
    (said) => ({ stdout: said, stderr: "it ended with 0" }),
    (failed) => failed
  )
  expect(stderr).toContain("The swarm does not have a leader")
  expect(stdout).toStartWith(
    "This manager hears of no leader: nothing can be changed, and this is what it knew last."
  )
  expect(stdout).toMatch(/^m2 +\S+ +active +manager/m)
  expect(stdout).toMatch(/^m1 \* +\S+ +active +manager/m)
  expect(stdout).toMatch(/^web +replicated/m)
})

test("L6: all managers are lost and their cluster is begun anew from a backup: services run, and who comes back is kept out", async () => {
  const [one, two] = managers.all as [Cluster, Cluster]
  await one.kill9()
  const said = await restore(file)
  expect(said).toContain("as incarnation 2 (")
  await restored.restart()
  expect(restored.clusterId).toBe(one.clusterId)
  // As of the backup, and nothing of what came later.
  expect(await configNames(restored)).toEqual(["before"])
  expect((await restored.get("/secrets")).map(({ Spec }: { Spec: { Name: string } }) => Spec.Name)).toEqual([
    "pw"
  ])
  await eventually(async () => (await runningTasks(restored)) === 2, "both tasks run again", 30_000)
  const nodes = await restored.get("/nodes")
  expect(nodes.filter((node: { Status: { State: string } }) => node.Status.State === "down").length).toBe(2)
  await mustWriteConfig(restored, "new")
  expect(await restore(file)).toContain("is in use")

  // In the place of one that they knew.
  const path = join(two.dataDir, "trust/member.json")
  const held = JSON.parse(readFileSync(path, "utf8"))
  const { ManagerStatus } = await restored.get(`/nodes/${restored.nodeId}`)
  for (const peer of held.membership.managers) {
    if (peer.nodeId === one.nodeId) peer.ports.join = Number(ManagerStatus.Addr.split(":").at(-1))
  }
  writeFileSync(path, JSON.stringify(held))
  await two.start()
  expect(await raftOf(two)).toMatchObject({
    role: "quarantined",
    problem: expect.stringContaining("was begun anew without it, in incarnation 2")
  })
  expect((await ask(two, "POST", "/configs/create", { Name: "old", Data: "eA==" })).status).toBe(503)
})
