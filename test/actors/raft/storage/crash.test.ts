/** Power loss at every point of a log's life: every disk that may be left is recovered and compared. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { Fresh } from "#runtime/ids.ts"
import {
  digestOf,
  expectPromised,
  LogTrace,
  opened,
  tinyDisk,
  told,
  WatchedCipher
} from "#test/support/log-trace.ts"
import { SimVfs } from "#test/support/sim-vfs.ts"

// Many disks, or real processes, on a machine that may be busy with other suites.
setDefaultTimeout(180_000)

/** About fifty operations over segments of three frames: every kind of write, truncation, roll and snapshot. */
function live(trace: LogTrace): void {
  trace.persist([], { vote: "n1" })
  trace.persist(["noop"])
  for (let i = 0; i < 5; i++) trace.persist([`small ${i}`])
  trace.persist(["x".repeat(700), "y".repeat(900), "z"])
  trace.storage.idle()
  trace.persist(["replaced 1", "replaced 2", "replaced 3"])
  trace.persist(["instead 1"], { vote: "n2", truncateFrom: trace.lastIndex - 2 })
  trace.persist(["w".repeat(2_500)])
  trace.storage.idle()
  trace.snapshot(8)
  for (let i = 0; i < 6; i++) trace.persist([`after the first snapshot ${i}`])
  trace.persist([], { vote: "" })
  trace.persist(["instead 2"], { vote: "n3", truncateFrom: trace.lastIndex - 1 })
  trace.snapshot()
  trace.storage.idle()
  for (let i = 0; i < 5; i++) trace.persist([`after the second snapshot ${i} ${"q".repeat(i * 300)}`])
  trace.persist(["larger than a segment ".repeat(900)])
  trace.snapshot()
  for (let i = 0; i < 4; i++) trace.persist([`last ${i}`])
  trace.storage.close(() => {})
}

describe("power loss", () => {
  test("C6, C7, C8, C10, C11, C12, I3, D4: every disk it may leave, in every operation, is recovered exactly; M2: no nonce repeats", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    // The making of the directory has its own test below.
    const trace = new LogTrace(vfs, cipher)
    const random = Fresh.from(7)
    const seen = new Set<string>()
    let operations = 0
    let images = 0
    vfs.during = (operation) => {
      operations++
      for (const image of vfs.images(() => random.fraction())) {
        // The same disk with another promise is another case.
        const name = `${digestOf(image)} ${trace.acknowledged.entries.length} ${trace.acknowledged.hardState.term}`
        if (seen.has(name)) continue
        seen.add(name)
        images++
        const where = `operation ${operations}, ${operation.kind} ${operation.path}`
        const disk = SimVfs.from(image)
        expectPromised(told(disk, cipher, opened(disk, cipher)), trace, where)
        // What recovery said is durable before anybody can hear of it.
        const after = disk.powerLoss()
        expectPromised(told(after, cipher, opened(after, cipher)), trace, `${where}, and once more`)
      }
    }
    live(trace)
    expect(trace.failures).toEqual([])
    expect(operations).toBeGreaterThan(100)
    expect(images).toBeGreaterThan(1_000)
    expect(cipher.repeated).toBeUndefined()
    console.log(`  ${operations} operations, ${images} distinct disks, ${cipher.used.size} nonces`)
  })

  test("C9, C10, M2: power loss during recovery itself leaves a disk that recovers to the same", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, cipher)
    const starts: Array<{
      image: ReturnType<SimVfs["image"]>
      promise: Parameters<typeof expectPromised>[1]
    }> = []
    let operations = 0
    vfs.during = () => {
      if (operations++ % 17 !== 0) return
      const { acknowledged, attempted } = trace
      starts.push({ image: vfs.image(), promise: { acknowledged, attempted } })
    }
    live(trace)
    const random = Fresh.from(8)
    for (const { image, promise } of starts) {
      const disk = SimVfs.from(image)
      const seen = new Set<string>()
      disk.during = ({ kind, path }) => {
        for (const left of disk.images(() => random.fraction())) {
          const name = digestOf(left)
          if (seen.has(name)) continue
          seen.add(name)
          const again = SimVfs.from(left)
          expectPromised(told(again, cipher, opened(again, cipher)), promise, `${kind} ${path}`)
        }
      }
      opened(disk, cipher)
    }
    expect(starts.length).toBeGreaterThan(8)
    expect(cipher.repeated).toBeUndefined()
  })

  test("C8: power loss while a directory is made leaves one that can be made again or is complete", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    const random = Fresh.from(9)
    let images = 0
    const seen = new Set<string>()
    vfs.during = () => {
      for (const image of vfs.images(() => random.fraction())) {
        const name = digestOf(image)
        if (seen.has(name)) continue
        seen.add(name)
        images++
        const disk = SimVfs.from(image)
        expect(told(disk, cipher, opened(disk, cipher)).entries).toEqual([])
      }
    }
    opened(vfs, cipher)
    expect(images).toBeGreaterThan(50)
  })

  test("C6: every torn prefix of the last frame recovers to the last acknowledged entry", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, cipher, { ...tinyDisk, segmentBytes: 32 * 1024 })
    trace.persist(["one"], { vote: "n1" })
    trace.persist(["two"])
    const before = vfs.image()
    const { acknowledged } = trace
    trace.persist(["three", "x".repeat(1_000)])
    const after = vfs.image()
    const segment = [...after.keys()].find((path) => path.endsWith(".seg")) ?? ""
    const old = before.get(segment) ?? new Uint8Array(0)
    const whole = after.get(segment) ?? new Uint8Array(0)
    const start = whole.findIndex((byte, at) => byte !== old[at])
    const end = whole.findLastIndex((byte, at) => byte !== old[at]) + 1
    expect(end - start).toBeGreaterThan(1_000)
    for (let length = 0; length <= end - start; length++) {
      const torn = old.slice()
      torn.set(whole.subarray(start, start + length), start)
      const disk = SimVfs.from(new Map([...before, [segment, torn]]))
      const found = told(disk, cipher, opened(disk, cipher))
      expect(found).toEqual(length === end - start ? trace.acknowledged : acknowledged)
    }
  })

  test("C9: after a failed write, pages that read back but are not on disk are written again before anything is promised", () => {
    const cipher = new WatchedCipher()
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, cipher)
    trace.persist(["one"], { vote: "n1" })
    vfs.fault = ({ kind }) => (kind === "write" ? { code: "EIO", applied: true } : undefined)
    trace.persist(["two"])
    expect(trace.failed).toBe(true)
    vfs.fault = undefined
    vfs.processEnd()

    const next = new LogTrace(vfs, cipher)
    expect(next.acknowledged.entries).toEqual(["1/1 one", "2/1 two"])
    next.persist(["three"])
    const after = vfs.powerLoss()
    expect(told(after, cipher, opened(after, cipher)).entries).toEqual(["1/1 one", "2/1 two", "3/1 three"])
  })

  test("C5, C1: an error in any operation is reported once, nothing is promised or tried after it", () => {
    const measure = new SimVfs()
    const whole = new LogTrace(measure, new WatchedCipher())
    const first = measure.operations
    live(whole)
    const total = measure.operations
    for (let failing = first + 1; failing <= total; failing++) {
      for (const applied of [false, true]) {
        const cipher = new WatchedCipher()
        const vfs = new SimVfs()
        const trace = new LogTrace(vfs, cipher)
        let tried = 0
        vfs.fault = () => {
          if (vfs.operations < failing) return undefined
          tried++
          return { code: "EIO", applied }
        }
        live(trace)
        expect({ failing, failures: trace.failures.length, tried }).toEqual({
          failing,
          failures: 1,
          tried: 1
        })
        const after = vfs.powerLoss()
        expectPromised(told(after, cipher, opened(after, cipher)), trace, `error in operation ${failing}`)
      }
    }
  })
})
