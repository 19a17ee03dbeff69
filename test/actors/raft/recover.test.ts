/** All managers are down and their disks are damaged: what they hold together is a cluster again. */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { configNames, Managers, mustWriteConfig, newManager, raftOf } from "#test/support/managers.ts"
import { lastIndexOf, rot } from "#test/support/rot.ts"

setDefaultTimeout(180_000)

let managers: Managers
let fresh: Cluster
const written: Array<string> = []

beforeAll(async () => {
  managers = await Managers.start(3)
  fresh = await newManager("fresh", [])
  for (let i = 0; i < 24; i++) {
    const name = `config-${String(i).padStart(2, "0")}`
    await mustWriteConfig(managers.all[i % 3] as Cluster, name)
    written.push(name)
  }
  await managers.agreed()
  for (const one of managers.all) await one.kill9()
}, 180_000)
afterAll(async () => {
  await fresh?.cleanUp()
  await managers?.cleanUp()
}, 180_000)

const directories = (): ReadonlyArray<string> => managers.all.map(({ dataDir }) => dataDir)

/** What `troupe recover` prints; its error where it fails. */
const recover = (...args: ReadonlyArray<string>): Promise<string> =>
  (managers.all[0] as Cluster)
    .troupeAnywhere("recover", ...args)
    .catch(({ stdout, stderr }) => `${stdout}\nfailed: ${stderr}`)

test("L5: what three whole disks have is said without changing any of them, and which is the best", async () => {
  const said = await recover(...directories())
  expect(said.match(/ whole$/gm)?.length).toBe(3)
  expect(said).toContain("best: ")
  expect(said).toContain(`${written.length} configs`)
  expect(said).toContain("now in incarnation 1; managers: m1, m2, m3")
  expect(said).toContain("Nothing was changed.")
  for (const dataDir of directories()) expect(existsSync(join(dataDir, "beginning"))).toBe(false)
})

test("a directory without a log is named, and left out", async () => {
  const said = await recover(fresh.folder)
  expect(said).toContain("left out: Cannot read")
  expect(said).toContain("a backup is what is left")
})

test("D9, L5: each of the three is damaged in another place: none is whole alone, together they lack nothing", async () => {
  const last = lastIndexOf(directories()[0] as string)
  // Entries that all three have, far apart.
  for (const [at, dataDir] of directories().entries()) rot(dataDir, last - 14 + 4 * at)

  const alone = await recover(directories()[0] as string)
  expect(alone).toContain("not whole alone")
  expect(alone).toContain("is in none of these logs")
  expect(await recover(directories()[0] as string, "--yes")).toContain("failed: ")

  const said = await recover(...directories())
  expect(said.match(/not whole alone/g)?.length).toBe(3)
  expect(said).toContain(`${written.length} configs`)
  expect(said).toContain("perhaps lost: What ")
  expect(said).toContain("the others fill in the rest")
  expect(said).toContain("Nothing was changed.")
})

test("into a fresh directory, the cluster begins anew as a new node", async () => {
  expect(await recover(...directories(), "--into", fresh.dataDir, "--yes")).toContain("in incarnation 2 (")
  await fresh.restart()
  expect([...(await configNames(fresh))].sort()).toEqual(written)
  expect(fresh.clusterId).toBe(managers.all[0]?.clusterId as string)
  await fresh.stop()
})

test("with --yes the best survivor goes on with all of it, keeps what it had, and the others are kept out", async () => {
  const said = await recover(...directories(), "--yes")
  const place = /begins anew in (\S+), in incarnation 2 \(/.exec(said)?.[1]
  const best = managers.all.find(({ dataDir }) => dataDir === place) as Cluster
  expect(best).toBeDefined()
  expect(readdirSync(best.dataDir)).toContain("raft.damaged-1")
  await best.restart()
  expect([...(await configNames(best))].sort()).toEqual(written)
  await mustWriteConfig(best, "after")

  for (const one of managers.others(best)) {
    await one.start()
    expect((await raftOf(one)).role).toBe("quarantined")
  }
  // While its node runs, a directory is not touched.
  expect(await recover(best.dataDir, "--yes")).toContain("has it open")

  // Whoever was left behind and whoever went on are two histories.
  const [left] = managers.others(best) as [Cluster]
  expect(await recover(best.dataDir, left.dataDir)).toContain("leave out what was left behind")
})

test("RF-14 a daemon that is down begins anew with --force-new-cluster, from a snapshot, where others left the group before", async () => {
  const node = managers.all.find(({ dataDir }) => existsSync(join(dataDir, "raft.damaged-1"))) as Cluster
  const snapshots = (): number => readdirSync(join(node.dataDir, "raft", "snap")).length
  const before = snapshots()
  await node.must("swarm", "update", "--snapshot-interval", "5")
  for (let i = 0; i < 12; i++) {
    await mustWriteConfig(node, `later-${i}`)
    written.push(`later-${i}`)
  }
  await eventually(() => snapshots() > before, "a snapshot is taken")
  await node.stop()
  await node.start(["--force-new-cluster"])
  expect([...(await configNames(node))].sort()).toEqual(["after", ...written].sort())
  expect((await raftOf(node)).term).toBeGreaterThan(2_000_000_000)
})
