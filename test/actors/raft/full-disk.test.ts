/** A real file system of a few MiB that fills up, and a real disk that answers with errors; needs root. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import process from "node:process"
import { Effect, Logger } from "effect"
import type { ProposeOutcome } from "#actors/raft/protocol.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { diskStorage } from "#actors/raft/storage/disk.ts"
import { type OpenedLog, openLog } from "#actors/raft/storage/open.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { eventually } from "#test/support/engine.ts"
import { Journal } from "#test/support/journal.ts"
import { newDirectory, openGroup, propose } from "#test/support/raft-directory.ts"

setDefaultTimeout(120_000)

const isRoot = process.getuid?.() === 0
const root = new URL("../../../", import.meta.url).pathname
const cleanUps: Array<() => void> = []
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp()
})

/** An ext4 of 12 MiB in a file where loop devices are to be had, else memory of that size. */
function smallFileSystem(): string {
  const home = newDirectory()
  cleanUps.push(home.remove)
  const at = `${home.path}/disk`
  mkdirSync(at)
  try {
    writeFileSync(`${home.path}/image`, new Uint8Array(12 * 1024 * 1024))
    execFileSync("mkfs.ext4", ["-q", "-O", "^has_journal", `${home.path}/image`], { stdio: "ignore" })
    execFileSync("mount", ["-o", "loop", `${home.path}/image`, at], { stdio: "ignore" })
  } catch {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", at])
  }
  cleanUps.push(() => execFileSync("umount", ["-l", at]))
  return at
}

const disk = { segmentBytes: 256 * 1024, reserveBytes: 2 * 1024 * 1024, zeroBytes: 64 * 1024 }

function recovered(directory: string): OpenedLog {
  const owner = { clusterId: "blue", nodeId: "n1" }
  const found = openLog({ vfs: nodeVfs, cipher: nodeCipher, directory, owner, limits: disk, nowMs: 1 })
  if (found._tag !== "Recovered") throw new Error(found.reason)
  return found
}

/** Takes all the room there is. */
function fill(path: string): void {
  const block = new Uint8Array(256 * 1024)
  for (let i = 0; ; i++) {
    try {
      writeFileSync(`${path}/ballast-${i}`, block)
    } catch {
      return
    }
  }
}

const empty = (path: string): void => {
  for (let i = 0; existsSync(`${path}/ballast-${i}`); i++) rmSync(`${path}/ballast-${i}`)
}

test.skipIf(!isRoot)(
  "C14: on a real file system that is full, entries are refused as overloaded, and taken again when there is room",
  async () => {
    const path = smallFileSystem()
    const machine = new Journal()
    const halted: Array<string> = []
    const group = await openGroup(path, machine, { disk, halted: (error) => halted.push(error.message) })
    try {
      const outcomes: Array<ProposeOutcome["_tag"]> = []
      outcomes.push((await propose(group.raft, "before"))._tag)
      fill(path)
      await eventually(
        async () => (await propose(group.raft, "while full"))._tag === "Overloaded",
        "a full disk refuses entries"
      )
      expect(group.raft.status().problem).toBe("There is too little disk space for new entries")
      empty(path)
      await eventually(
        async () => (await propose(group.raft, "after"))._tag === "Applied",
        "entries are taken again"
      )
      expect(outcomes).toEqual(["Applied"])
      expect(halted).toEqual([])
      expect(machine.texts).toContain("after")
    } finally {
      await group.close()
    }
    const again = new Journal()
    await (await openGroup(path, again, { disk })).close()
    expect(again.texts).toEqual(machine.texts)
  }
)

test.skipIf(!isRoot)("C14: terms and votes are written on a file system without a byte left", async () => {
  const path = smallFileSystem()
  const found = recovered(path)
  const failures: Array<string> = []
  const storage = diskStorage(found, (error) => failures.push(error.message))
  const vote = (term: number): Promise<void> =>
    new Promise((resolve) =>
      storage.persist(
        { token: term, entries: [], commitHint: 0, hardState: { term, vote: `n${term}` } },
        () => resolve()
      )
    )
  await vote(1)
  // Zeroed ahead in a quiet moment.
  await eventually(() => existsSync(`${path}/raft/wal/spare.tmp`), "the next segment is begun")
  fill(path)
  await eventually(() => storage.status().low, "the disk is known to be full")
  for (let term = 2; term <= 50; term++) await vote(term)
  expect(failures).toEqual([])
  await new Promise<void>((resolve) => storage.close(resolve))
  empty(path)
  const again = recovered(path)
  expect(again.recovered.hardState).toEqual({ term: 50, vote: "n50" })
})

test.skipIf(!isRoot)(
  "C14: where a snapshot finds no room, the disk counts as full until there is some, and no longer",
  async () => {
    const path = smallFileSystem()
    const found = recovered(path)
    const failures: Array<string> = []
    const storage = diskStorage(found, (error) => failures.push(error.message))
    await new Promise<void>((resolve) =>
      storage.persist({ token: 1, entries: [], commitHint: 0, hardState: { term: 1, vote: "n1" } }, () =>
        resolve()
      )
    )
    await eventually(() => existsSync(`${path}/raft/wal/spare.tmp`), "the next segment is begun")
    fill(path)
    // Before the room is measured again, which is once a second.
    const chunks = Array.from({ length: 16 }, () => new Uint8Array(64 * 1024).fill(7))
    const meta = { index: 1, term: 1, config: new Uint8Array(0) }
    const isSaved = await new Promise<boolean>((resolve) =>
      storage.saveSnapshot(meta, chunks[Symbol.iterator](), resolve)
    )
    expect(isSaved).toBe(false)
    expect(storage.status().low).toBe(true)
    empty(path)
    await eventually(() => !storage.status().low, "there is room again")
    expect(failures).toEqual([])
    await new Promise<void>((resolve) => storage.close(resolve))
  }
)

test.skipIf(!isRoot)(
  "C14: entries for which there is no room at all are neither acknowledged nor an error, and written when there is some",
  async () => {
    const path = smallFileSystem()
    const failures: Array<string> = []
    const storage = diskStorage(recovered(path), (error) => failures.push(error.message))
    const wholeSpare = (): boolean => {
      const spare = `${path}/raft/wal/spare.tmp`
      return existsSync(spare) && statSync(spare).size === disk.segmentBytes
    }
    await eventually(wholeSpare, "the next segment is whole")
    fill(path)
    const durable: Array<number> = []
    const data = new Uint8Array(6_000).fill(7)
    const persist = (token: number): void =>
      storage.persist(
        {
          token,
          entries: [{ index: token, term: 1, type: 0, data }],
          commitHint: 0,
          ...(token === 1 && { hardState: { term: 1, vote: "n1" } })
        },
        (done) => durable.push(done)
      )
    // Two segments' worth fits, without a byte of new room.
    const count = 100
    for (let token = 1; token <= count; token++) persist(token)
    await eventually(() => storage.status().low, "the disk is known to be full")
    await eventually(() => durable.length > disk.segmentBytes / 8_192, "what was zeroed ahead is used")
    // One is read meanwhile: whoever waits for room holds nobody else up.
    const read = await new Promise<number>((resolve) =>
      storage.read(1, 1, 1, (entries) => resolve(entries[0]?.index ?? 0))
    )
    expect({ read, failures, isAll: durable.length === count }).toEqual({
      read: 1,
      failures: [],
      isAll: false
    })
    empty(path)
    // It has room, and must not overtake those that waited for it.
    persist(count + 1)
    await eventually(() => durable.length === count + 1, "all are written")
    expect(durable).toEqual(Array.from({ length: count + 1 }, (_, at) => at + 1))
    fill(path)
    for (let token = count + 2; token <= 2 * count; token++) persist(token)
    await eventually(() => storage.status().low, "the disk is full again")
    // A process that is told to end does not wait for room; what was not acknowledged is not there.
    await new Promise<void>((resolve) => storage.close(resolve))
    expect(failures).toEqual([])
    empty(path)
    expect(recovered(path).recovered.entries.map(({ index }) => index)).toEqual(durable)
  }
)

test.skipIf(!isRoot)(
  "C14: a log that is opened on a full disk waits, with a word of it and nothing left half written, until there is room",
  async () => {
    const path = smallFileSystem()
    await (await openGroup(path, new Journal(), { disk })).close()
    fill(path)
    const said: Array<string> = []
    const heard = Logger.layer([Logger.make(({ message }) => void said.push(`${message}`))])
    const opening = openGroup(path, new Journal(), { disk }, undefined, (effect) =>
      effect.pipe(Effect.provide(heard))
    )
    await eventually(() => said.length > 0, "it is said why nothing begins")
    expect(said).toEqual([
      expect.stringMatching(/no space left.*: the log is opened as soon as there is room$/)
    ])
    expect(readdirSync(`${path}/raft/wal`).filter((name) => name.endsWith(".tmp"))).toEqual([])
    empty(path)
    const group = await opening
    expect(await propose(group.raft, "after")).toMatchObject({ _tag: "Applied" })
    expect(said).toHaveLength(1)
    await group.close()
  }
)

test.skipIf(!isRoot)(
  "C14: who was killed on a full disk has room enough to start again: the next segment, which it had begun",
  async () => {
    const path = smallFileSystem()
    const first = await openGroup(path, new Journal(), { disk })
    expect(await propose(first.raft, "before")).toMatchObject({ _tag: "Applied" })
    await first.close()
    // As a process leaves it that does not close.
    writeFileSync(`${path}/raft/wal/spare.tmp`, new Uint8Array(disk.segmentBytes))
    fill(path)
    const again = new Journal()
    await (await openGroup(path, again, { disk })).close()
    expect(again.texts).toEqual(["before"])
  }
)

const strace = ["/usr/bin/strace", "/bin/strace"].find((path) => existsSync(path))

// The counts are those of one thread, and past what opening takes: they hit the log's writer.
for (const [call, options] of [
  ["a write of the log", "inject=pwrite64:error=EIO:when=60"],
  ["an fsync", "inject=fsync,fdatasync:error=EIO:when=40"],
  ["a rename", "inject=rename,renameat,renameat2:error=EIO:when=10"]
] as const) {
  test.skipIf(strace === undefined)(
    `C5: EIO from the kernel in ${call} ends a real process with code 75`,
    async () => {
      const home = newDirectory()
      cleanUps.push(home.remove)
      const child = spawn(
        strace ?? "",
        [
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          "-e",
          options,
          process.execPath,
          "test/support/raft-child.ts",
          home.path,
          "x".repeat(200),
          "0"
        ],
        { cwd: root }
      )
      cleanUps.push(() => void child.kill("SIGKILL"))
      let errors = ""
      let out = ""
      child.stderr.on("data", (chunk: Buffer) => {
        errors += chunk.toString()
      })
      child.stdout.on("data", (chunk: Buffer) => {
        out += chunk.toString()
      })
      const code = await new Promise<number | null>((resolve) => child.on("close", resolve))
      expect({ code, errors }).toEqual({ code: 75, errors: expect.stringContaining("The log has failed") })
      const promised = out.split("\n").filter((line) => /^\d+$/.test(line)).length
      const machine = new Journal()
      await (await openGroup(home.path, machine)).close()
      expect(machine.lines.length).toBeGreaterThanOrEqual(promised)
    }
  )
}
