/** Disks that lie: flipped, zeroed, stale, misplaced and foreign sectors, and what is said about each. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { UnknownFormat } from "#actors/raft/storage/block.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { checkSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import {
  directory,
  LogTrace,
  open,
  opened,
  owner,
  type Told,
  tinyDisk,
  told,
  WatchedCipher
} from "#test/support/log-trace.ts"
import { type Image, SimVfs } from "#test/support/sim-vfs.ts"

// Many disks, or real processes, on a machine that may be busy with other suites.
setDefaultTimeout(60_000)

const place = `${directory}/raft`

/** A log with two snapshots, several segments and everything witnessed. */
function sample(limits = tinyDisk): { image: Image; promised: Told; vfs: SimVfs } {
  const vfs = new SimVfs()
  const trace = new LogTrace(vfs, nodeCipher, limits)
  trace.persist(["noop"], { vote: "n1" })
  for (let i = 0; i < 4; i++) trace.persist([`one ${i} ${"x".repeat(i * 400)}`])
  trace.snapshot()
  for (let i = 0; i < 4; i++) trace.persist([`two ${i}`])
  trace.snapshot()
  for (let i = 0; i < 6; i++) trace.persist([`three ${i}`, "and more"])
  trace.storage.idle()
  expect(trace.failures).toEqual([])
  return { image: vfs.image(), promised: trace.acknowledged, vfs }
}

/** What opening a damaged disk comes to; what is recovered must never differ from what was promised. */
function verdict(image: Image, promised: Told): string {
  const disk = SimVfs.from(image)
  try {
    const found = open(disk, nodeCipher)
    if (found._tag !== "Recovered") return found._tag
    expect(told(disk, nodeCipher, found)).toEqual(promised)
    return found.recovered.notes.length > 0 ? "noted" : "silent"
  } catch (error) {
    if (error instanceof UnknownFormat) return "refused"
    throw error
  }
}

const withFile = (image: Image, path: string, change: (bytes: Uint8Array) => void): Image => {
  const bytes = (image.get(path) ?? new Uint8Array(0)).slice()
  change(bytes)
  return new Map([...image, [path, bytes]])
}
const without = (image: Image, path: string): Image => new Map([...image].filter(([name]) => name !== path))
const pathsOf = (image: Image, part: string): ReadonlyArray<string> =>
  [...image.keys()].filter((path) => path.includes(part)).sort()

/** Every way one sector goes bad: each yields the path, the offset and the disk. */
function* rot(image: Image): Generator<{ path: string; at: number; how: string; disk: Image }> {
  for (const [path, bytes] of image) {
    for (let at = 0; at < bytes.length; at += 512) {
      const end = Math.min(at + 512, bytes.length)
      for (const spot of [at, Math.floor((at + end) / 2), end - 1]) {
        yield {
          path,
          at,
          how: `flipped at ${spot}`,
          disk: withFile(image, path, (copy) => {
            copy[spot] = (copy[spot] ?? 0) ^ 0x10
          })
        }
      }
      if (bytes.subarray(at, end).some((byte) => byte !== 0)) {
        yield { path, at, how: "zeroed", disk: withFile(image, path, (copy) => void copy.fill(0, at, end)) }
      }
    }
  }
}

/** Where the frames of a segment end. */
const usedBytes = (bytes: Uint8Array): number =>
  Math.ceil((bytes.findLastIndex((byte) => byte !== 0) + 1) / 4096) * 4096

describe("a disk that lies", () => {
  test("D1, M3: any flipped or zeroed sector of any file is noticed, and nothing wrong is ever recovered", () => {
    const { image, promised } = sample()
    const [olderSnapshot = ""] = pathsOf(image, "/snap/")
    const verdicts: Record<string, number> = {}
    for (const { path, at, how, disk } of rot(without(image, `${place}/wal/spare.tmp`))) {
      const found = verdict(disk, promised)
      verdicts[found] = (verdicts[found] ?? 0) + 1
      if (found !== "silent") continue
      // The older snapshot is read when it is needed, and noticed then.
      expect({ path, at, how }).toMatchObject({ path: olderSnapshot })
      const ring = opened(SimVfs.from(image), nodeCipher).ring
      expect(checkSnapshot(SimVfs.from(disk), nodeCipher, owner, ring, path)).toBeString()
    }
    expect(verdicts.Quarantine).toBeGreaterThan(100)
    expect(verdicts.noted).toBeGreaterThan(100)
    expect(verdicts.Locked).toBeGreaterThan(0)
  })

  test("D4: a rotten sector in an acknowledged frame is damage, never a torn write", () => {
    const { image, promised } = sample()
    const segments = pathsOf(image, "/wal/").filter((path) => path.endsWith(".seg"))
    const used = new Map(segments.map((path) => [path, usedBytes(image.get(path) ?? new Uint8Array(0))]))
    expect(segments.length).toBeGreaterThan(2)
    let cases = 0
    for (const { path, at, how, disk } of rot(image)) {
      if (at >= (used.get(path) ?? 0)) continue
      cases++
      expect({ path, at, how, found: verdict(disk, promised) }).toEqual({
        path,
        at,
        how,
        found: "Quarantine"
      })
    }
    expect(cases).toBeGreaterThan(200)
  })

  test("D4: a frame that nothing witnessed yet is damage when another follows it, and torn when it is the last", () => {
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, nodeCipher, { ...tinyDisk, segmentBytes: 64 * 1024 })
    trace.persist(["noop"], { vote: "n1" })
    for (let i = 0; i < 5; i++) trace.persist([`${i}`])
    const image = vfs.image()
    const [segment = ""] = pathsOf(image, ".seg")
    const found: Array<string> = []
    for (let at = 3 * 4096; at < usedBytes(image.get(segment) ?? new Uint8Array(0)); at += 4096) {
      const disk = withFile(image, segment, (bytes) => void bytes.fill(3, at, at + 512))
      const { acknowledged } = trace
      // Without its last entry the log is what it was one write before.
      found.push(verdict(disk, { ...acknowledged, entries: acknowledged.entries.slice(0, -1) }))
    }
    expect(found).toEqual(["Quarantine", "Quarantine", "Quarantine", "Quarantine", "noted"])
  })

  test("D3: one bad state slot, a bad newest snapshot: the other one is used, and it is said", () => {
    const { image, promised } = sample()
    for (const path of [`${place}/state.0`, `${place}/state.1`, pathsOf(image, "/snap/")[1] ?? ""]) {
      for (const disk of [withFile(image, path, (bytes) => void bytes.fill(1, 0, 9)), without(image, path)]) {
        expect(verdict(disk, promised)).toBe("noted")
      }
    }
  })

  test("D3: a log that lives on after such a fallback is whole, and keeps the bad snapshot aside", () => {
    const { image, promised } = sample()
    const bad = pathsOf(image, "/snap/")[1] ?? ""
    const disk = SimVfs.from(withFile(image, bad, (bytes) => void bytes.fill(7, 4_200, 4_210)))
    const trace = new LogTrace(disk, nodeCipher)
    expect(trace.acknowledged).toEqual(promised)
    expect(disk.list(`${place}/snap`)).toContain(`${bad.slice(bad.lastIndexOf("/") + 1)}.bad`)
    trace.persist(["more"])
    expect(trace.snapshot()).toBe(true)
    expect(verdict(disk.image(), trace.acknowledged)).toBe("silent")
  })

  test("C12: a log that ends before what a state slot witnessed has lost something", () => {
    const { image, promised } = sample()
    const segments = pathsOf(image, "/wal/").filter((path) => path.endsWith(".seg"))
    const last = segments.at(-1) ?? ""
    expect(verdict(without(image, last), promised)).toBe("Quarantine")
    const noLog = segments.reduce((disk, path) => without(disk, path), image)
    expect(verdict(noLog, promised)).toBe("Quarantine")
    const bytes = image.get(last) ?? new Uint8Array(0)
    const lastFrame = usedBytes(bytes) - 4096
    expect(
      verdict(
        withFile(image, last, (copy) => void copy.fill(0, lastFrame)),
        promised
      )
    ).toBe("Quarantine")
  })

  test("C12: a whole segment that is gone is missed, even right after it was begun", () => {
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, nodeCipher)
    trace.persist(["noop"], { vote: "n1" })
    for (let i = 0; i < 9; i++) {
      trace.persist([`${i}`])
      const image = vfs.image()
      const segments = pathsOf(image, ".seg")
      if (segments.length === 1) continue
      expect(verdict(without(image, segments.at(-1) ?? ""), trace.acknowledged)).toBe("Quarantine")
    }
    expect(pathsOf(vfs.image(), ".seg").length).toBeGreaterThan(3)
  })

  test("C13: stale, swapped and misdirected frames are rejected", () => {
    const { image, promised } = sample({ ...tinyDisk, segmentBytes: 128 * 1024 })
    const segment = pathsOf(image, "/wal/").find((path) => path.endsWith(".seg")) ?? ""
    const bytes = image.get(segment) ?? new Uint8Array(0)
    const frame = (n: number): Uint8Array => bytes.slice(4096 * n, 4096 * (n + 1))
    const frames = usedBytes(bytes) / 4096
    expect(frames).toBeGreaterThan(8)
    const put = (...moves: ReadonlyArray<readonly [to: number, what: Uint8Array]>): Image =>
      withFile(image, segment, (copy) => {
        for (const [to, what] of moves) copy.set(what, 4096 * to)
      })
    expect(verdict(put([3, frame(2)]), promised)).toBe("Quarantine")
    expect(verdict(put([3, frame(4)], [4, frame(3)]), promised)).toBe("Quarantine")
    // An old frame written once more behind the end.
    expect(verdict(put([frames, frame(2)]), promised)).toBe("Quarantine")
    expect(verdict(put([frames + 2, frame(frames - 1)]), promised)).toBe("noted")
    // The end of the log, written to the wrong place.
    expect(verdict(put([frames - 1, new Uint8Array(4096)], [frames, frame(frames - 1)]), promised)).toBe(
      "Quarantine"
    )
  })

  test("C13, M3: frames and files of another member or another log are rejected", () => {
    const mine = sample()
    const other = sample()
    const segments = pathsOf(mine.image, ".seg")
    const newest = Number(pathsOf(mine.image, "/snap/")[1]?.match(/(\d{16})-\d{16}\.snap/)?.[1])
    const firstNeeded = segments.findLastIndex((path) => Number(path.match(/-(\d{16})/)?.[1]) <= newest + 1)
    for (const path of pathsOf(mine.image, "/data/")) {
      const foreign = other.image.get(path)
      if (foreign === undefined || path.includes("LOCK") || path.endsWith("spare.tmp")) continue
      const found = verdict(new Map([...mine.image, [path, foreign]]), mine.promised)
      // Identity and state slots are the same for a node that was made twice; they say nothing of contents.
      const same = path.endsWith("identity") || path.includes("state.")
      if (same) continue
      if (path.endsWith("keys") || path.endsWith("node-key")) expect(found).toBe("Locked")
      else if (path === pathsOf(mine.image, "/snap/")[0]) {
        const ring = opened(SimVfs.from(mine.image), nodeCipher).ring
        const disk = SimVfs.from(new Map([[path, foreign]]))
        expect(checkSnapshot(disk, nodeCipher, owner, ring, path)).toBe("its data key is not in the key file")
      }
      // The newest snapshot, or the log before it: there is something else to go by.
      else if (path.endsWith(".snap") || segments.indexOf(path) < firstNeeded)
        expect({ path, found }).toEqual({ path, found: "noted" })
      else expect({ path, found }).toEqual({ path, found: "Quarantine" })
    }
    const renamed = new Map(mine.image)
    const segment = pathsOf(mine.image, "/wal/").find((path) => path.endsWith(".seg")) ?? ""
    renamed.set(segment.replace(/\d{3}-/, "999-"), mine.image.get(segment) ?? new Uint8Array(0))
    expect(verdict(renamed, mine.promised)).toBe("Quarantine")
  })

  test("D5: quarantine changes nothing on disk and says what is wrong and where", () => {
    const { image } = sample()
    const segments = pathsOf(image, "/wal/").filter((path) => path.endsWith(".seg"))
    const damaged = withFile(image, segments[1] ?? "", (bytes) => void bytes.fill(9, 4_200, 4_300))
    const disk = SimVfs.from(damaged)
    const found = open(disk, nodeCipher)
    expect(found).toMatchObject({
      _tag: "Quarantine",
      reason: expect.stringMatching(
        /^Cannot read frame \d+ at byte 4096 of log segment .*, which was acknowledged/
      )
    })
    expect(disk.operations).toBe(0)
  })

  test("a directory without identity is made only when it holds nothing", () => {
    const { image, promised } = sample()
    const orphan = without(image, `${place}/identity`)
    expect(verdict(orphan, promised)).toBe("Quarantine")
    const emptied = new Map([...orphan].filter(([path]) => !/\/(wal|snap)\//.test(path)))
    expect(verdict(emptied, promised)).toBe("Quarantine")
  })

  test("another member's directory is refused by name", () => {
    const { vfs } = sample()
    expect(() => open(vfs, nodeCipher, tinyDisk, { clusterId: "blue", nodeId: "n2" })).toThrow(
      "Cannot open /data/raft: it is the log of node n1 in cluster blue, expected node n2 in cluster blue"
    )
  })

  test("a format that is not known here is refused, whichever file has it", () => {
    const { image, promised } = sample()
    // The cluster's checksum salt of a block is known, so a later version can be forged for the test.
    const salt = nodeCipher.crc32(new TextEncoder().encode("blue\nn1"))
    const later = (path: string, seed: number): Image =>
      withFile(image, path, (bytes) => {
        bytes[4] = 2
        new DataView(bytes.buffer).setUint32(4092, nodeCipher.crc32(bytes.subarray(0, 4092), seed), true)
      })
    expect(verdict(later(`${place}/identity`, 0), promised)).toBe("refused")
    for (const path of [
      `${place}/keys`,
      `${place}/state.0`,
      ...pathsOf(image, ".seg"),
      ...pathsOf(image, ".snap")
    ]) {
      expect({ path, found: verdict(later(path, salt), promised) }).toEqual({ path, found: "refused" })
    }
  })

  test("a log whose key is missing or another is locked, not damaged", () => {
    const { image, promised } = sample()
    expect(verdict(without(image, `${directory}/node-key`), promised)).toBe("Locked")
    const other = new TextEncoder().encode(`${"ab".repeat(32)}\n`)
    expect(verdict(new Map([...image, [`${directory}/node-key`, other]]), promised)).toBe("Locked")
  })

  test("I2: a snapshot that does not read back as written ends the process before any log is dropped", () => {
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, new WatchedCipher())
    trace.persist(["noop"], { vote: "n1" })
    for (let i = 0; i < 5; i++) trace.persist([`one ${i}`])
    trace.snapshot()
    for (let i = 0; i < 5; i++) trace.persist([`two ${i} ${"x".repeat(40_000)}`])
    const segments = vfs.list(`${place}/wal`)
    vfs.during = ({ kind, path }) => {
      if (kind !== "sync" || !path.endsWith(".snap.tmp")) return
      vfs.during = undefined
      const file = vfs.open(path, "durable")
      const last = file.size() - 200
      const byte = file.read(last, 1)
      file.write(
        last,
        byte.map((value) => value ^ 1)
      )
    }
    expect(trace.snapshot()).toBe(false)
    expect(String(trace.failures[0])).toContain("block 4 does not decrypt")
    expect(vfs.list(`${place}/wal`)).toEqual(segments)
    const after = vfs.powerLoss()
    expect(told(after, nodeCipher, opened(after, nodeCipher))).toEqual(trace.acknowledged)
  })
})
