/** Three managers, each with its data directory on a small disk of its own, in memory, that is filled up while they run; needs root. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync } from "node:fs"
import process from "node:process"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually, uniqueName } from "#test/support/engine.ts"
import { configNames, Managers, raftOf, writeConfig } from "#test/support/managers.ts"
import { emptyDisk, fillDisk } from "#test/support/small-disk.ts"

setDefaultTimeout(60_000)

const isRoot = process.getuid?.() === 0
// Twice what the log wants to be free, and what it takes.
const diskBytes = 200 * 1024 ** 2

let managers: Managers

beforeAll(async () => {
  if (!isRoot) return
  managers = await Managers.start(3, {
    prepare: ({ dataDir }) => {
      mkdirSync(dataDir)
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskBytes}`, "tmpfs", dataDir])
    }
  })
}, 60_000)
afterAll(async () => {
  await managers?.cleanUp()
}, 60_000)

const fill = ({ dataDir }: Cluster): void => fillDisk(dataDir)
const empty = ({ dataDir }: Cluster): void => emptyDisk(dataDir)

const filesOf = ({ dataDir }: Cluster): ReadonlyArray<string> =>
  readdirSync(dataDir, { recursive: true, encoding: "utf8" }).sort()

const problemOf = async (one: Cluster): Promise<string | undefined> =>
  (await raftOf(one).catch(() => undefined))?.problem

const noted = (one: Cluster, words: RegExp): Promise<void> =>
  eventually(async () => words.test(await one.log()), `${one.nodeId} notes ${words}`)

/** Every write that was acknowledged so far. */
const written: Array<string> = []

async function expectNothingLost(): Promise<void> {
  await managers.agreed()
  for (const one of managers.all) {
    const names = new Set(await configNames(one))
    expect(written.filter((name) => !names.has(name))).toEqual([])
  }
}

test.skipIf(!isRoot)(
  "C14: the leader's disk is full: another manager leads, writes go on at each of them, and it takes part again when there is room",
  async () => {
    const { pid } = await managers.leader()
    const leader = managers.all.find((one) => one.pid === pid) as Cluster
    let isOver = false
    const writing = managers.all.map(async (one) => {
      while (!isOver) {
        const name = uniqueName("written")
        const { status } = await writeConfig(one, name).catch(() => ({ status: 0 }))
        if (status === 201) written.push(name)
        await Bun.sleep(5)
      }
    })
    fill(leader)
    const next = await managers.leader(managers.others(leader))
    expect(await problemOf(leader)).toContain("too little disk space")
    await noted(leader, new RegExp(`are left on the disk of ${leader.dataDir}, and the log wants 80 MiB`))
    const before = written.length
    await eventually(() => written.length > before + 30, "writes go on")
    expect((await managers.leader()).nodeId).toBe(next.nodeId)

    empty(leader)
    await eventually(async () => (await problemOf(leader)) === undefined, "there is room again")
    await noted(leader, /there is room again for new entries/)
    isOver = true
    await Promise.all(writing)
    expect(leader.pid).toBe(pid)
    await expectNothingLost()
  }
)

test.skipIf(!isRoot)(
  "C14: all disks are full: people read on, and are told why they cannot write; they can when there is room",
  async () => {
    for (const one of managers.all) fill(one)
    for (const one of managers.all)
      await eventually(async () => (await problemOf(one)) !== undefined, "it knows that its disk is full")
    const [one] = managers.all as [Cluster]
    // What comes in the moment in which a leader learns it may still be taken.
    await eventually(async () => {
      const { stderr } = await one.docker("network", "create", "-d", "overlay", uniqueName("net"))
      return (
        stderr.includes("disk has too little room left") ||
        stderr.includes("disk of the manager that leads has too little room left")
      )
    }, "the docker CLI is told why")
    for (const each of managers.all) expect(await each.must("service", "ls")).toContain("REPLICAS")
    for (const each of managers.all) empty(each)
    await eventually(async () => {
      const name = uniqueName("after")
      const { status } = await writeConfig(one, name)
      if (status === 201) written.push(name)
      return status === 201
    }, "it can be written again")
    await expectNothingLost()
  }
)

test.skipIf(!isRoot)(
  "C14: a manager that is started on a full disk waits, with a word of it and without leaving anything there, and takes part once there is room",
  async () => {
    const leader = await managers.leader()
    const [killed] = managers.others(leader) as [Cluster, Cluster]
    await killed.kill9()
    fill(killed)
    const files = filesOf(killed)
    const started = killed.begin()
    await noted(killed, /0 B are left on the disk of .*: the node starts as soon as there is room/)
    expect(filesOf(killed)).toEqual(files)
    const name = uniqueName("meanwhile")
    expect((await writeConfig(leader, name)).status).toBe(201)
    written.push(name)
    empty(killed)
    await started
    await managers.settled()
    await expectNothingLost()
  }
)
