/** What rots while the log is open is found in the background, and how fast that reads. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { closeSync, openSync, readdirSync, writeSync } from "node:fs"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { diskStorage } from "#actors/raft/storage/disk.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import { type Pace, planScrub } from "#actors/raft/storage/plan-scrub.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { Fresh } from "#runtime/ids.ts"
import { eventually } from "#test/support/engine.ts"
import { directory, LogTrace, opened, told } from "#test/support/log-trace.ts"
import { newDirectory, smallDisk } from "#test/support/raft-directory.ts"
import { SimVfs } from "#test/support/sim-vfs.ts"

setDefaultTimeout(180_000)

const place = `${directory}/raft`

function sample(): { readonly vfs: SimVfs; readonly trace: LogTrace } {
  const vfs = new SimVfs()
  const trace = new LogTrace(vfs, nodeCipher)
  trace.persist(["noop"], { vote: "n1" })
  for (let i = 0; i < 4; i++) trace.persist([`one ${i}`])
  trace.snapshot()
  for (let i = 0; i < 4; i++) trace.persist([`two ${i} ${"x".repeat(700)}`])
  trace.snapshot()
  for (let i = 0; i < 4; i++) trace.persist([`three ${i}`])
  return { vfs, trace }
}

function flip(vfs: SimVfs, path: string, at: number): void {
  const file = vfs.open(path, "durable")
  file.write(
    at,
    file.read(at, 1).map((byte) => byte ^ 0x20)
  )
}

const filesOf = (vfs: SimVfs, folder: string): ReadonlyArray<string> =>
  vfs.list(`${place}/${folder}`).filter((name) => /\.(seg|snap)$/.test(name))

describe("a round over an open log", () => {
  test("D10: finds a flipped bit in any written sector of closed and open segments and of both snapshots, and nothing else", () => {
    const { vfs, trace } = sample()
    trace.storage.scrub()
    expect(trace.storage.status()).toMatchObject({ scrubs: 1, damage: [] })
    let spots = 0
    for (const folder of ["wal", "snap"]) {
      for (const name of filesOf(vfs, folder)) {
        const bytes = vfs.image().get(`${place}/${folder}/${name}`) ?? new Uint8Array(0)
        const end = bytes.findLastIndex((byte) => byte !== 0) + 1
        for (let at = 0; at < end; at += 512) {
          // Behind a frame, up to its block's end, there is nothing to lose: the padding is checked, too.
          const one = sample()
          const found = filesOf(one.vfs, folder)[filesOf(vfs, folder).indexOf(name)] ?? ""
          // In the first sector of a block that is its head, which says how long a frame is.
          const within = at % 4_096 === 0 ? 20 : 100
          flip(one.vfs, `${place}/${folder}/${found}`, Math.min(at + within, end - 1))
          one.trace.storage.scrub()
          const of = folder === "wal" ? "log" : "snapshot"
          expect(one.trace.storage.status().damage).toEqual([
            { of, file: `${folder}/${found}`, reason: expect.any(String) }
          ])
          expect(one.trace.failures).toEqual([])
          spots++
        }
      }
    }
    expect(spots).toBeGreaterThan(80)
  })

  for (const [which, at] of [
    ["older", 0],
    ["newest", 1]
  ] as const) {
    test(`D10, D3: when the ${which} snapshot has rotted, the next one makes two sound ones' worth of log again`, () => {
      const { vfs, trace } = sample()
      const bad = filesOf(vfs, "snap")[at] ?? ""
      flip(vfs, `${place}/snap/${bad}`, 4_300)
      trace.storage.scrub()
      expect(trace.storage.status().damage).toHaveLength(1)
      trace.persist(["four"])
      expect(trace.snapshot()).toBe(true)
      expect(trace.storage.status().damage).toEqual([])
      expect(filesOf(vfs, "snap")).not.toContain(bad)
      expect(vfs.list(`${place}/snap`)).toContain(`${bad}.bad`)
      trace.persist(["five"])
      expect(trace.failures).toEqual([])
      // Even without the newest, what is left is whole.
      const disk = vfs.powerLoss()
      const newest = filesOf(disk, "snap").at(-1)
      flip(disk, `${place}/snap/${newest}`, 4_300)
      expect(told(disk, nodeCipher, opened(disk, nodeCipher))).toEqual(trace.acknowledged)
    })
  }
})

describe("the pace", () => {
  test("D10: everything is read within the period unless the bound forbids it, and never faster than the bound", () => {
    const random = Fresh.from(3)
    for (let round = 0; round < 300; round++) {
      const pace: Pace = {
        periodMs: 1_000 + Math.floor(random.fraction() * 100_000),
        bytesPerSecond: 1_000 + Math.floor(random.fraction() * 1_000_000),
        stepBytes: 1 + Math.floor(random.fraction() * 10_000)
      }
      const totalBytes = 1 + Math.floor(random.fraction() * 200_000)
      let doneBytes = 0
      let elapsedMs = 0
      let steps = 0
      while (doneBytes < totalBytes) {
        elapsedMs += planScrub({ totalBytes, doneBytes, elapsedMs }, pace)
        doneBytes += Math.min(pace.stepBytes, totalBytes - doneBytes)
        steps++
        // A stall now and then, as when the machine sleeps.
        if (random.fraction() < 0.02 && elapsedMs < pace.periodMs / 20) elapsedMs += pace.periodMs / 10
        const fastestMs = (1_000 * (doneBytes - pace.stepBytes)) / pace.bytesPerSecond
        expect(elapsedMs).toBeGreaterThanOrEqual(Math.floor(fastestMs))
      }
      const boundMs = (1_000 * (totalBytes + steps * pace.stepBytes)) / pace.bytesPerSecond
      expect(elapsedMs).toBeLessThanOrEqual(Math.max(pace.periodMs, boundMs + pace.periodMs / 2))
      const rest = planScrub({ totalBytes, doneBytes, elapsedMs }, pace)
      expect(rest).toBe(Math.max(0, pace.periodMs - elapsedMs))
    }
  })
})

describe("the writer's thread", () => {
  test("D10: finds, on real files and by itself, what rots under an open log", async () => {
    const home = newDirectory()
    const found = openLog({
      vfs: nodeVfs,
      cipher: nodeCipher,
      directory: home.path,
      owner: { clusterId: "blue", nodeId: "n1" },
      limits: smallDisk,
      nowMs: 1
    })
    if (found._tag !== "Recovered") throw new Error(found.reason)
    const failures: Array<string> = []
    const pace = { periodMs: 20, bytesPerSecond: 100_000_000, stepBytes: 8_192 }
    const storage = diskStorage(found, (error) => failures.push(error.message), pace)
    try {
      await new Promise<void>((resolve) => {
        for (let i = 1; i <= 20; i++) {
          const entries = [{ index: i, term: 1, type: 1, data: new Uint8Array(300) }]
          storage.persist(
            { token: i, entries, commitHint: 0, hardState: { term: 1, vote: "n1" } },
            (token) => {
              if (token === 20) resolve()
            }
          )
        }
      })
      await eventually(() => storage.status().scrubs > 2, "a few rounds were read")
      expect(storage.status().damage).toEqual([])
      const wal = `${home.path}/raft/wal`
      const name = readdirSync(wal)
        .sort()
        .find((one) => one.endsWith(".seg"))
      const file = openSync(`${wal}/${name}`, "r+")
      writeSync(file, new Uint8Array([1, 2, 3]), 0, 3, 5 * 4_096 + 200)
      closeSync(file)
      await eventually(() => storage.status().damage.length > 0, "the damage was found")
      expect(storage.status().damage).toEqual([
        { of: "log", file: `wal/${name}`, reason: expect.stringContaining("at byte 20480 is damaged") }
      ])
      expect(failures).toEqual([])
    } finally {
      await new Promise<void>((resolve) => storage.close(resolve))
      home.remove()
    }
  })
})
