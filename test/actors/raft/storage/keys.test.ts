/** Keys that change while the log is open, every power loss on the way, and a log whose key people hold. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { openReadable, Unreadable } from "#actors/raft/storage/inspect.ts"
import { decodeKeys } from "#actors/raft/storage/keys.ts"
import { readKeyFiles } from "#actors/raft/storage/node-key.ts"
import { type OpenedLog, openLog } from "#actors/raft/storage/open.ts"
import { setAside } from "#actors/raft/storage/set-aside.ts"
import { readWhole } from "#actors/raft/storage/vfs.ts"
import type { WrapWith } from "#actors/raft/storage.ts"
import { Fresh } from "#runtime/ids.ts"
import {
  digestOf,
  directory,
  expectPromised,
  LogTrace,
  opened,
  owner,
  tinyDisk,
  told,
  WatchedCipher
} from "#test/support/log-trace.ts"
import { type Image, SimVfs } from "#test/support/sim-vfs.ts"

setDefaultTimeout(180_000)

const keysFile = `${directory}/raft/keys`
const unlockKey = new Uint8Array(32).fill(5)

function log(vfs: SimVfs, cipher: WatchedCipher): LogTrace {
  const trace = new LogTrace(vfs, cipher)
  trace.persist(["one"], { vote: "n1" })
  trace.persist(["two"])
  trace.snapshot()
  trace.persist(["three"])
  return trace
}

/** Opens with the key in the directory, or with the one that people hold. */
function openAnyhow(vfs: SimVfs, cipher: WatchedCipher): OpenedLog {
  const input = { vfs, cipher, directory, owner, limits: tinyDisk, nowMs: 1 }
  const found = openLog(input)
  if (found._tag === "Recovered") return found
  const withKey = openLog({ ...input, unlockKey })
  if (withKey._tag !== "Recovered") throw new Error(`${found.reason}; ${withKey.reason}`)
  return withKey
}

/** Recovers every disk that a power loss during `work` may leave, and compares it with what was promised. */
function everyDisk(vfs: SimVfs, cipher: WatchedCipher, trace: LogTrace, work: () => void): number {
  const random = Fresh.from(21)
  const seen = new Set<string>()
  vfs.during = ({ kind, path }) => {
    for (const image of vfs.images(() => random.fraction())) {
      const name = `${digestOf(image)} ${trace.acknowledged.entries.length}`
      if (seen.has(name)) continue
      seen.add(name)
      const disk = SimVfs.from(image)
      expectPromised(told(disk, cipher, openAnyhow(disk, cipher)), trace, `${kind} ${path}`)
      const after = disk.powerLoss()
      expectPromised(told(after, cipher, openAnyhow(after, cipher)), trace, `${kind} ${path}, and once more`)
    }
  }
  work()
  vfs.during = undefined
  return seen.size
}

const ringOf = (vfs: SimVfs, wrapper: Uint8Array) => {
  const read = decodeKeys(nodeCipher, owner, wrapper, readWhole(vfs, keysFile))
  return read._tag === "Opened" ? read.ring.map(({ id }) => Buffer.from(id).toString("hex")) : read._tag
}

const namedIn = (image: Image, id: string): ReadonlyArray<string> =>
  [...image].filter(([, bytes]) => Buffer.from(bytes).includes(Buffer.from(id, "hex"))).map(([path]) => path)

describe("the data key", () => {
  test("M4, M2, RF-20: changes while the log is open; every power loss on the way is recovered; the old key goes with its last file", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    const trace = log(vfs, cipher)
    const [wrapper = new Uint8Array(0)] = readKeyFiles(vfs, directory)
    const [old = ""] = ringOf(vfs, wrapper)
    let changed = false
    const disks = everyDisk(vfs, cipher, trace, () => {
      trace.storage.newDataKey(() => {
        changed = true
      })
      expect(ringOf(vfs, wrapper)).toHaveLength(2)
      trace.persist(["four"])
      expect(trace.snapshot()).toBe(true)
      trace.persist(["five"])
      expect(ringOf(vfs, wrapper)).toContain(old)
      expect(trace.snapshot()).toBe(true)
      trace.persist(["six"])
    })
    expect(changed).toBe(true)
    expect(disks).toBeGreaterThan(100)
    expect(trace.failures).toEqual([])
    expect(ringOf(vfs, wrapper)).toHaveLength(1)
    expect(ringOf(vfs, wrapper)).not.toContain(old)
    expect(namedIn(vfs.image(), old)).toEqual([])
    expect(cipher.repeated).toBeUndefined()
    expect(told(vfs, cipher, opened(vfs, cipher)).entries).toHaveLength(6)
  })

  test("M4: what was read before the change is read after it, from the log and from a snapshot", () => {
    const trace = log(new SimVfs(), new WatchedCipher())
    trace.storage.newDataKey(() => {})
    trace.persist(["four"])
    const read: Array<number> = []
    trace.storage.read(1, 4, 1e9, (entries) => read.push(...entries.map(({ index }) => index)))
    expect(read).toEqual([1, 2, 3, 4])
    expect([...trace.storage.loadSnapshot()]).toHaveLength(2)
  })

  test("M4: a restart in the middle goes on under the new key, and forgets the old one when no file names it", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    const trace = log(vfs, cipher)
    const [wrapper = new Uint8Array(0)] = readKeyFiles(vfs, directory)
    const [old = ""] = ringOf(vfs, wrapper)
    trace.storage.newDataKey(() => {})
    const next = new LogTrace(vfs.powerLoss(), cipher)
    expect(ringOf(next.vfs, wrapper)).toHaveLength(2)
    next.persist(["four"])
    next.snapshot()
    next.persist(["five"])
    next.snapshot()
    const last = new LogTrace(next.vfs.powerLoss(), cipher)
    expect(ringOf(last.vfs, wrapper)).toHaveLength(1)
    expect(namedIn(last.vfs.image(), old)).toEqual([])
  })
})

const ways: ReadonlyArray<readonly [string, ReadonlyArray<WrapWith>]> = [
  ["from a file to a new file", [{ _tag: "KeyFile" }]],
  ["from a file to people", [{ _tag: "UnlockKey", key: unlockKey }]],
  ["from people to a file", [{ _tag: "UnlockKey", key: unlockKey }, { _tag: "KeyFile" }]]
]

describe("the key that wraps the data keys", () => {
  for (const [name, wraps] of ways) {
    test(`M4: changes ${name}, rewrites nothing but the file of keys, and the old one opens nothing`, () => {
      const cipher = new WatchedCipher()
      const vfs = new SimVfs()
      const trace = log(vfs, cipher)
      for (const wrap of wraps.slice(0, -1)) trace.storage.wrapKeys(wrap, () => {})
      const before = vfs.image()
      const old = readKeyFiles(vfs, directory)[0] ?? unlockKey
      const wrap = wraps.at(-1)
      if (wrap === undefined) throw new Error("a way has a last step")
      let done = false
      const disks = everyDisk(vfs, cipher, trace, () =>
        trace.storage.wrapKeys(wrap, () => {
          done = true
        })
      )
      expect(done).toBe(true)
      expect(disks).toBeGreaterThan(10)
      const after = vfs.durableImage()
      const touched = [...after.keys()].filter((path) => after.get(path)?.join() !== before.get(path)?.join())
      expect(touched.filter((path) => !path.includes("node-key"))).toEqual([keysFile])
      expect(ringOf(vfs, old)).toBe("WrongKey")
      const kept = readKeyFiles(SimVfs.from(after), directory)
      expect(kept).toHaveLength(wrap._tag === "KeyFile" ? 1 : 0)
      expect(ringOf(vfs, kept[0] ?? unlockKey)).toHaveLength(1)
      expect([...after.keys()].filter((path) => path.endsWith(".next"))).toEqual([])
    })
  }
})

describe("a log that was set aside", () => {
  const aside = "raft.damaged-1"

  /** Opens with what is in the directory, or with what people hold. */
  const opensWith = (vfs: SimVfs, cipher: WatchedCipher, key?: Uint8Array): boolean => {
    try {
      openReadable({ vfs, cipher, directory, logName: aside, ...(key && { unlockKey: key }) })
      return true
    } catch (error) {
      if (error instanceof Unreadable) return false
      throw error
    }
  }

  for (const [name, wraps] of ways) {
    test(`M4: opens with the key of the present log when that changes ${name}, after every power loss on the way`, () => {
      const cipher = new WatchedCipher()
      const vfs = new SimVfs()
      const place = { vfs, cipher, directory }
      const former = { ...owner, nodeId: "former" }
      openLog({ ...place, owner: former, limits: tinyDisk, nowMs: 1 })
      setAside(place, { nodeId: former.nodeId, reason: "it left", successor: owner.nodeId })
      const trace = log(vfs, cipher)
      for (const wrap of wraps.slice(0, -1)) trace.storage.wrapKeys(wrap, () => {})
      const old = readKeyFiles(vfs, directory)[0] ?? unlockKey
      const wrap = wraps.at(-1)
      if (wrap === undefined) throw new Error("a way has a last step")
      const random = Fresh.from(22)
      let disks = 0
      vfs.during = ({ kind, path }) => {
        for (const image of vfs.images(() => random.fraction())) {
          const disk = SimVfs.from(image)
          openAnyhow(disk, cipher)
          expect([`${kind} ${path}`, opensWith(disk, cipher, unlockKey)]).toEqual([`${kind} ${path}`, true])
          disks++
        }
      }
      trace.storage.wrapKeys(wrap, () => {})
      vfs.during = undefined
      expect(disks).toBeGreaterThan(10)
      const after = vfs.powerLoss()
      expect(opensWith(after, cipher, wrap._tag === "UnlockKey" ? wrap.key : undefined)).toBe(true)
      for (const keyFile of ["node-key", "node-key.next"]) {
        if (after.list(directory).includes(keyFile)) after.remove(`${directory}/${keyFile}`)
      }
      expect(opensWith(after, cipher, old)).toBe(false)
    })
  }
})

describe("a log whose key people hold", () => {
  test("M5: is locked without it, and nothing is touched; another key is refused, the right one opens it", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    const trace = log(vfs, cipher)
    trace.storage.wrapKeys({ _tag: "UnlockKey", key: unlockKey }, () => {})
    const disk = vfs.powerLoss()
    const before = digestOf(disk.image())
    const input = { vfs: disk, cipher, directory, owner, limits: tinyDisk, nowMs: 1 }
    expect(openLog(input)).toMatchObject({ _tag: "Locked" })
    expect(openLog({ ...input, unlockKey: new Uint8Array(32).fill(6) })).toMatchObject({
      _tag: "Locked",
      reason: "The data keys are wrapped by another key"
    })
    expect({ operations: disk.operations, digest: digestOf(disk.image()) }).toEqual({
      operations: 0,
      digest: before
    })
    const found = openLog({ ...input, unlockKey })
    if (found._tag !== "Recovered") throw new Error(found.reason)
    expect(told(disk, cipher, found).entries).toEqual(["1/1 one", "2/1 two", "3/1 three"])
  })
})
