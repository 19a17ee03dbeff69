/** What writing the log may wait for, and what it may write besides: the mechanism of its speed, not the speed. */
import { expect, setDefaultTimeout, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { constants, open as openFile, openSync, readdirSync, readFileSync } from "node:fs"
import { stat } from "node:fs/promises"
import { crc32 } from "node:zlib"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { diskStorage } from "#actors/raft/storage/disk.ts"
import { defaultLimits, type Limits } from "#actors/raft/storage/layout.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import type { Vfs } from "#actors/raft/storage/vfs.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import type { Storage } from "#actors/raft/storage.ts"
import { inlineStorage } from "#test/support/inline-storage.ts"
import { newDirectory } from "#test/support/raft-directory.ts"
import { SimVfs } from "#test/support/sim-vfs.ts"

setDefaultTimeout(60_000)

const mebibyte = 1024 * 1024
const hardState = { term: 1, vote: "n1" }

function opened(vfs: Vfs, directory: string, limits: Limits = defaultLimits) {
  const owner = { clusterId: "blue", nodeId: "n1" }
  const log = openLog({ vfs, cipher: nodeCipher, directory, owner, limits, nowMs: 1 })
  if (log._tag !== "Recovered") throw new Error(log.reason)
  return log
}

/** Persists one batch after another, each of `count` entries of `bytes`. */
function writerOf(storage: Storage): (count: number, bytes: number, durable?: () => void) => void {
  let token = 0
  let index = storage.recovered.lastIndex
  return (count, bytes, durable = () => {}) => {
    const entries = Array.from({ length: count }, (): Entry => {
      return { index: ++index, term: 1, type: entryType.command, data: new Uint8Array(bytes).fill(7) }
    })
    storage.persist({ token: ++token, hardState, entries, commitHint: 0 }, durable)
  }
}

/** More than a process has threads in its pool. */
const held = 256

test("C18: a batch is on the disk while every thread of the process's pool is held and its event loop stands still", async () => {
  const directory = newDirectory()
  const fifo = `${directory.path}/fifo`
  expect(spawnSync("mkfifo", [fifo]).status).toBe(0)
  const storage = diskStorage(opened(nodeVfs, directory.path), (error) => {
    throw error
  })
  const persist = writerOf(storage)
  const written = (): Promise<void> => new Promise((resolve) => persist(1, 256, resolve))
  await written()

  // Opening a pipe that nobody writes to holds a thread of the pool.
  const opening = Array.from(
    { length: held },
    () => new Promise<void>((resolve) => openFile(fifo, "r", () => resolve()))
  )
  let poolServes = false
  const waiting = stat(directory.path).then(() => {
    poolServes = true
  })
  await written()
  await written()
  expect(poolServes).toBe(false)

  const log = `${directory.path}/raft/wal`
  const [segment = ""] = readdirSync(log).filter((name) => name.endsWith(".seg"))
  const sum = (): number => crc32(readFileSync(`${log}/${segment}`))
  const before = sum()
  let told = false
  persist(1, 256, () => {
    told = true
  })
  // What was said in the same turn goes first.
  await undefined
  const giveUpAt = performance.now() + 10_000
  // No turn of the event loop passes here.
  while (sum() === before && performance.now() < giveUpAt);
  expect(sum()).not.toBe(before)
  expect(told).toBe(false)

  // A writer lets them all go on; opened for both, so that this open itself waits for nobody.
  openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK)
  await Promise.all([...opening, waiting])
  await new Promise<void>((resolve) => storage.close(resolve))
  directory.remove()
})

test("a snapshot whose chunks share one buffer, as those from a socket do, is written whole", async () => {
  const directory = newDirectory()
  const failures: Array<string> = []
  const storage = diskStorage(opened(nodeVfs, directory.path), ({ message }) => failures.push(message))
  // So large that it goes to the writer in several parts.
  const socket = Buffer.alloc(3 * mebibyte, "one two")
  const chunks = Array.from({ length: 48 }, (_, i) => socket.subarray(i * 65_536, (i + 1) * 65_536))
  const meta = { index: 5, term: 1, config: new Uint8Array(0) }
  const saved = new Promise((resolve) => storage.saveSnapshot(meta, chunks[Symbol.iterator](), resolve))
  expect(failures).toEqual([])
  expect(await saved).toBe(true)
  expect(Buffer.concat([...storage.loadSnapshot()]).equals(socket)).toBe(true)
  expect(socket.toString("utf8", 0, 7)).toBe("one two")
  await new Promise<void>((resolve) => storage.close(resolve))
  directory.remove()
})

interface Write {
  readonly path: string
  readonly bytes: number
  readonly memory: ArrayBufferLike
}

/** What is written to the log's files. */
function watched(vfs: Vfs): {
  readonly vfs: Vfs
  readonly writes: Array<Write>
  readonly syncs: () => number
} {
  const writes: Array<Write> = []
  let syncs = 0
  return {
    writes,
    syncs: () => syncs,
    vfs: {
      ...bound(vfs),
      open: (path, mode) => {
        const file = vfs.open(path, mode)
        return {
          ...file,
          write: (offset, bytes) => {
            if (path.includes("/wal/")) writes.push({ path, bytes: bytes.length, memory: bytes.buffer })
            file.write(offset, bytes)
          },
          sync: () => {
            syncs++
            file.sync()
          }
        }
      }
    }
  }
}

const bound = (vfs: Vfs): Vfs => ({
  makeDirectory: (path) => vfs.makeDirectory(path),
  list: (path) => vfs.list(path),
  open: (path, mode) => vfs.open(path, mode),
  rename: (from, to) => vfs.rename(from, to),
  remove: (path) => vfs.remove(path),
  syncDirectory: (path) => vfs.syncDirectory(path),
  freeBytes: (path) => vfs.freeBytes(path)
})

function logOn(disk: SimVfs, limits: Limits = defaultLimits) {
  const { vfs, writes, syncs } = watched(disk)
  const storage = inlineStorage(
    vfs,
    nodeCipher,
    opened(vfs, "/data", limits),
    (turn) => turn(),
    (error) => {
      throw error
    }
  )
  storage.idle()
  return { storage, writes, syncs, persist: writerOf(storage) }
}

const totalOf = (writes: ReadonlyArray<Write>): number => writes.reduce((sum, { bytes }) => sum + bytes, 0)

test("C19: a batch of 1 MiB is one write of as much, from memory that is there already, and little is written besides", () => {
  const { storage, writes, syncs, persist } = logOn(new SimVfs())
  const batches = 12
  persist(4_096, 256)
  writes.length = 0
  const before = syncs()
  for (let i = 0; i < batches; i++) persist(i % 2 === 0 ? 1 : 3_700, i % 2 === 0 ? mebibyte : 256)
  const large = writes.filter(({ bytes }) => bytes > mebibyte / 2)
  expect(large.length).toBe(batches)
  expect(new Set(large.map(({ memory }) => memory)).size).toBe(1)
  expect(totalOf(writes)).toBeLessThan(1.1 * batches * mebibyte)
  // Only where a segment ends something else has to be durable first.
  expect(syncs() - before).toBeLessThanOrEqual(batches / 3)
  expect(storage.status().diskBytes).toBeLessThan(1.1 * batches * mebibyte + 2 * defaultLimits.segmentBytes)
})

test("C19: the log takes the room of its frames and one segment besides, and gives it back after two snapshots", () => {
  const limits = { segmentBytes: 256 * 1024, reserveBytes: 0, zeroBytes: 32 * 1024 }
  const { storage, writes, persist } = logOn(new SimVfs(), limits)
  const batches = 60
  writes.length = 0
  const before = storage.status().logBytes
  for (let i = 0; i < batches; i++) {
    persist(60, 256)
    storage.idle()
  }
  const frames = storage.status().logBytes - before
  // 60 entries of 256 bytes fill five blocks all but a little.
  expect(frames).toBeLessThan(1.4 * batches * 60 * 256)
  // Each frame goes over ground that was zeroed once.
  expect(totalOf(writes)).toBeLessThan(2 * frames + 3 * limits.segmentBytes)
  expect(storage.status().diskBytes).toBeLessThan(frames + 2 * limits.segmentBytes)
  for (let i = 0; i < 2; i++) {
    const meta = { index: storage.recovered.lastIndex + batches * 60, term: 1, config: new Uint8Array(0) }
    storage.saveSnapshot(
      { ...meta, index: meta.index - 1 + i },
      [new Uint8Array(8)][Symbol.iterator](),
      () => {}
    )
  }
  expect(storage.status().diskBytes).toBeLessThan(3 * limits.segmentBytes)
})
