/** Leaving service for good, and coming back as another member: after every power loss on the way. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { names, raftDirectory } from "#actors/raft/storage/layout.ts"
import { WrongOwner } from "#actors/raft/storage/open.ts"
import { decodeMark, type QuarantineMark } from "#actors/raft/storage/quarantine-mark.ts"
import { asideNames, setAside } from "#actors/raft/storage/set-aside.ts"
import { readWhole } from "#actors/raft/storage/vfs.ts"
import { Fresh } from "#runtime/ids.ts"
import {
  digestOf,
  directory,
  LogTrace,
  open,
  opened,
  owner,
  tinyDisk,
  told
} from "#test/support/log-trace.ts"
import { type Image, SimVfs } from "#test/support/sim-vfs.ts"

setDefaultTimeout(60_000)

const reason = "The leader knew entry 9 here, but the log ends at entry 4"
const lost = { nodeId: owner.nodeId, reason, successor: "n7" }

function log(vfs: SimVfs): LogTrace {
  const trace = new LogTrace(vfs, nodeCipher)
  trace.persist(["one"], { vote: "n1" })
  for (let i = 0; i < 5; i++) trace.persist([`entry ${i}`])
  return trace
}

/** Every disk that a power loss during `work` may leave. */
function imagesDuring(vfs: SimVfs, work: () => void): ReadonlyArray<Image> {
  const random = Fresh.from(11)
  const images = new Map<string, Image>()
  vfs.during = () => {
    for (const image of vfs.images(() => random.fraction())) images.set(digestOf(image), image)
  }
  work()
  vfs.during = undefined
  return [...images.values()]
}

/** The id that a data directory is reserved for; completes a setting aside that a power loss cut short. */
function reservedFor(vfs: SimVfs): string | undefined {
  const place = { vfs, cipher: nodeCipher, directory }
  const markIn = (folder: string): QuarantineMark | undefined =>
    vfs.list(folder).includes(names.quarantine)
      ? decodeMark(nodeCipher, readWhole(vfs, `${folder}/${names.quarantine}`))
      : undefined
  const unfinished = markIn(raftDirectory(directory))
  if (unfinished !== undefined && unfinished.successor !== "") return setAside(place, unfinished).successor
  const newest = asideNames(place).at(-1)
  return newest === undefined ? undefined : markIn(`${directory}/${newest}`)?.successor || undefined
}

/** As a node at its start: under the id its directory is reserved for, or the one it always had. */
function restart(vfs: SimVfs): string {
  const nodeId = reservedFor(vfs) ?? owner.nodeId
  const found = open(vfs, nodeCipher, tinyDisk, { ...owner, nodeId })
  if (found._tag !== "Recovered") return `${nodeId} ${found._tag}`
  return `${nodeId} ${found._tag} ${told(vfs, nodeCipher, found).entries.length}`
}

describe("leaving service while running", () => {
  test("D7: a log that is told of its lost tail stays in quarantine after every restart, and says why", () => {
    const vfs = new SimVfs()
    const trace = log(vfs)
    let done = false
    trace.storage.quarantine(reason, () => {
      done = true
    })
    expect(done).toBe(true)
    let promised = false
    const next = { index: 7, term: 1, type: 1, data: new Uint8Array(1) }
    trace.storage.persist({ token: 99, entries: [next], commitHint: 0 }, () => {
      promised = true
    })
    expect(promised).toBe(false)
    let disk = vfs
    for (let i = 0; i < 3; i++) {
      disk = disk.powerLoss()
      expect(open(disk, nodeCipher)).toEqual({ _tag: "Quarantine", reason })
    }
  })

  test("D7: power loss on the way leaves the log as it was or in quarantine, and a damaged mark counts", () => {
    const vfs = new SimVfs()
    const trace = log(vfs)
    const images = imagesDuring(vfs, () => trace.storage.quarantine(reason, () => {}))
    const found = new Set(images.map((image) => restart(SimVfs.from(image))))
    expect([...found].sort()).toEqual(["n1 Quarantine", "n1 Recovered 6"])
    const rotten = new Map(vfs.image())
    rotten.set(`${directory}/raft/quarantine`, new Uint8Array(4_096))
    expect(open(SimVfs.from(rotten), nodeCipher)._tag).toBe("Quarantine")
  })
})

describe("coming back as a new member", () => {
  test("D8, E9, RF-12: the damaged log is set aside whole, and its id never begins again", () => {
    let vfs = new SimVfs()
    log(vfs).storage.quarantine(reason, () => {})
    const before = vfs.image()
    expect(setAside({ vfs, cipher: nodeCipher, directory }, lost)).toEqual({
      successor: "n7",
      asideAs: "raft.damaged-1"
    })
    for (const [path, bytes] of before) {
      if (!path.startsWith(`${directory}/raft/`) || path.endsWith("/quarantine")) continue
      expect(vfs.image().get(path.replace("/raft/", "/raft.damaged-1/"))).toEqual(bytes)
    }
    expect(() => open(vfs, nodeCipher)).toThrow(WrongOwner)
    expect(() => open(vfs, nodeCipher)).toThrow("an id never begins twice")
    expect(restart(vfs)).toBe("n7 Recovered 0")
    vfs = vfs.powerLoss()
    expect(restart(vfs)).toBe("n7 Recovered 0")

    expect(
      setAside({ vfs, cipher: nodeCipher, directory }, { nodeId: "n7", reason, successor: "n8" })
    ).toMatchObject({ asideAs: "raft.damaged-2" })
    expect(asideNames({ vfs, cipher: nodeCipher, directory })).toEqual(["raft.damaged-1", "raft.damaged-2"])
    for (const nodeId of ["n1", "n7"]) {
      expect(() => open(vfs, nodeCipher, tinyDisk, { ...owner, nodeId })).toThrow(WrongOwner)
    }
    expect(restart(vfs)).toBe("n8 Recovered 0")
  })

  test("D8, E9: power loss at any step leaves the old log in quarantine or the new id, never the old id without its log", () => {
    const vfs = new SimVfs()
    log(vfs).storage.quarantine(reason, () => {})
    const images = imagesDuring(vfs, () => {
      setAside({ vfs, cipher: nodeCipher, directory }, lost)
      opened(vfs, nodeCipher, tinyDisk, { ...owner, nodeId: "n7" })
    })
    const found = new Set<string>()
    for (const image of images) {
      const disk = SimVfs.from(image)
      const first = restart(disk)
      found.add(first)
      expect(restart(disk.powerLoss())).toBe(first)
    }
    expect([...found].sort()).toEqual(["n1 Quarantine", "n7 Recovered 0"])
    expect(images.length).toBeGreaterThan(50)
  })
})
