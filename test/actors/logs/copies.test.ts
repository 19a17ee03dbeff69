/** Copies of a node's log memory on a second node. */
import { afterAll, describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { zstdCompressSync } from "node:zlib"
import type { LogLine } from "#actors/drivers/executor.ts"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { TaskLog } from "#actors/drivers/log-store/task-log.ts"
import { Outgoing } from "#actors/logs/copies/outgoing.ts"
import { type CopyAnswer, decodeToCopy, encodeToCopy, type ToCopy } from "#actors/logs/copies/protocol.ts"
import { rank } from "#actors/logs/copies/rank.ts"
import { Seconds } from "#actors/logs/copies/seconds.ts"
import { CopyStore, mostTasksOfNode } from "#actors/logs/copies/store.ts"
import type { NodeStatus } from "#actors/model/objects.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { aLine, textsOf } from "#test/support/log-lines.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-copies-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let made = 0
const fresh = (): string => join(folder, `${made++}`)

const facts: TaskFacts = { task: "t1", name: "web.1.t1", service: "s1", serviceName: "web" }
const storeAt = (place = fresh(), maxBytes = 1e9) =>
  new CopyStore({ folder: place, maxBytes, maxAgeMs: 1e12 })
const logOf = (): TaskLog => new TaskLog(fresh(), Number.POSITIVE_INFINITY)
const write = (log: TaskLog, from: number, to: number, text = (at: number) => `n${at}`): void =>
  log.take(
    Array.from({ length: to - from }, (_, at) => aLine(text(from + at), from + at)),
    0
  )

function allOf(log: TaskLog | undefined): ReadonlyArray<string> {
  if (log === undefined) return []
  const lines: Array<LogLine> = []
  for (let cursor = log.start; ; ) {
    const { lines: found, next } = log.read(cursor)
    if (found.length === 0) return textsOf(lines)
    lines.push(...found)
    cursor = next
  }
}
const range = (from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from }, (_, at) => `n${from + at}`)

/** Says it as the wire carries it. */
function say(store: CopyStore, said: ToCopy, block?: Uint8Array, node = "a"): CopyAnswer {
  const decoded = decodeToCopy(encodeToCopy(said, block))
  if (decoded === undefined) throw new Error("what was said is not understood")
  return store.hear(node, decoded, 0)
}

function begin(store: CopyStore, log: TaskLog, epoch: string): Outgoing {
  const answer = say(store, { _tag: "Begin", epoch, facts })
  if (answer._tag !== "Begun") throw new Error(`${JSON.stringify(answer)}`)
  return new Outgoing(log, answer.marks)
}

/** Sends until nothing is left; `twice`: each parcel's first answer is lost. */
function sendAll(store: CopyStore, outgoing: Outgoing, epoch: string, twice = false): void {
  for (let parcel = outgoing.next(); parcel !== undefined; parcel = outgoing.next()) {
    const lines = { _tag: "Lines", epoch, task: "t1", seq: parcel.seq } as const
    if (twice) expect(say(store, lines, parcel.block)).toEqual({ _tag: "Stored" })
    expect(say(store, lines, parcel.block)).toEqual({ _tag: "Stored" })
    outgoing.arrived()
  }
}

describe("what is sent", () => {
  test("each line arrives once, also where answers are lost, and where sender or holder begin another life", () => {
    const place = fresh()
    let store = storeAt(place)
    const log = logOf()
    write(log, 0, 3_000)
    sendAll(store, begin(store, log, "e1"), "e1", true)
    expect(allOf(store.find("a", "t1"))).toEqual([...range(0, 3_000)])
    // The sender begins again, and does not know what arrived.
    write(log, 3_000, 3_100)
    const second = begin(store, log, "e2")
    sendAll(store, second, "e2")
    // The holder is killed: what it had not written is gone.
    write(log, 3_100, 6_000)
    sendAll(store, second, "e2")
    store = storeAt(place)
    write(log, 6_000, 6_010)
    const parcel = second.next()
    const late = { _tag: "Lines", epoch: "e2", task: "t1", seq: parcel?.seq ?? 0 } as const
    expect(say(store, late, parcel?.block)).toEqual({ _tag: "NotBegun" })
    sendAll(store, begin(store, log, "e2"), "e2")
    expect(allOf(store.find("a", "t1"))).toEqual([...range(0, 6_010)])
  })

  test("lines of one moment that come in two parcels are all there", () => {
    const store = storeAt()
    const log = logOf()
    const outgoing = begin(store, log, "e1")
    for (const text of ["x", "y", "z"]) {
      log.take([aLine(text, 5)], 0)
      sendAll(store, outgoing, "e1")
    }
    expect(allOf(store.find("a", "t1"))).toEqual(["x", "y", "z"])
  })

  test("what the memory let go of before it could be sent is counted in a line", () => {
    const store = storeAt()
    const log = logOf()
    const random = Fresh.from(1)
    // Does not compress, so that there are several files to let go of.
    const noise = (at: number): string => `n${at} ${Array.from({ length: 60 }, () => random.id()).join("")}`
    const outgoing = begin(store, log, "e1")
    write(log, 0, 10, noise)
    sendAll(store, outgoing, "e1")
    write(log, 10, 3_000, noise)
    log.flush(0)
    expect(log.segments.length).toBeGreaterThan(2)
    log.dropOldest(2)
    sendAll(store, outgoing, "e1")
    const texts = allOf(store.find("a", "t1")).map((text) => text.split(" ")[0])
    const note = allOf(store.find("a", "t1")).find((text) => text.startsWith("troupe:")) ?? ""
    const missing = Number(/^troupe: (\d+) lines are missing in this copy$/.exec(note)?.[1])
    expect(missing).toBeGreaterThan(100)
    expect(texts.filter((text) => text !== "troupe:")).toEqual([
      ...range(0, 10),
      ...range(10 + missing, 3_000)
    ])
  })

  test("a node that has the copy for the first time is given the newest ten thousand lines of a task", () => {
    const store = storeAt()
    const log = logOf()
    write(log, 0, 25_000)
    sendAll(store, begin(store, log, "e1"), "e1")
    expect(allOf(store.find("a", "t1"))).toEqual([...range(15_000, 25_000)])
  })
})

describe("what is kept", () => {
  test("nodes write copies under their own names only, whatever task they name", () => {
    const store = storeAt()
    const log = logOf()
    write(log, 0, 5)
    sendAll(store, begin(store, log, "e1"), "e1")
    const stolen = logOf()
    write(stolen, 100, 101)
    const block = new Outgoing(stolen, {}).next()?.block
    expect(say(store, { _tag: "Lines", epoch: "e1", task: "t1", seq: 2 }, block, "thief")).toEqual({
      _tag: "NotBegun"
    })
    say(store, { _tag: "Begin", epoch: "e9", facts }, undefined, "thief")
    say(store, { _tag: "Lines", epoch: "e9", task: "t1", seq: 1 }, block, "thief")
    expect(allOf(store.find("a", "t1"))).toEqual([...range(0, 5)])
    expect(allOf(store.find("thief", "t1"))).toEqual(["n100"])
    expect(store.kept({ task: "t1" }).map(({ node, task }) => [node, task])).toEqual([
      ["a", "t1"],
      ["thief", "t1"]
    ])
    for (const task of ["../a", "a.b", ""]) {
      const answer = say(store, { _tag: "Begin", epoch: "e", facts: { ...facts, task } }, undefined, "thief")
      expect(answer._tag).toBe("Refused")
    }
  })

  test("a block that is not whole, or far larger than any, is refused", () => {
    const store = storeAt()
    const log = logOf()
    begin(store, log, "e1")
    const packed = zstdCompressSync(Buffer.alloc(50_000_000))
    const head = {
      v: 1,
      lines: 1,
      first: "",
      last: "",
      marks: {},
      bytes: packed.length,
      crc: Bun.hash.crc32(packed)
    }
    const bomb = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), packed])
    for (const block of [bomb, bomb.subarray(0, 100), Buffer.from("no block")]) {
      const answer = say(store, { _tag: "Lines", epoch: "e1", task: "t1", seq: 1 }, block)
      expect(answer).toEqual({ _tag: "Refused", reason: "the block is not whole" })
    }
    expect(decodeToCopy(Buffer.from("{}"))).toBeUndefined()
    expect(decodeToCopy(Buffer.from('{"_tag":"Begin"}\n'))).toBeUndefined()
  })

  test("a node takes no more than its part", () => {
    const store = storeAt()
    const answerOf = (task: string) =>
      say(store, { _tag: "Begin", epoch: "e", facts: { ...facts, task } })._tag
    for (let at = 0; at < mostTasksOfNode; at++) answerOf(`t${at}`)
    expect(answerOf("more")).toBe("Refused")
    expect(answerOf("t7")).toBe("Begun")
  }, 20_000)

  test("beyond the size, what is oldest of the largest goes", () => {
    const store = storeAt(fresh(), 200_000)
    const log = logOf()
    const random = Fresh.from(2)
    write(log, 0, 2_000, (at) => `n${at} ${Array.from({ length: 60 }, () => random.id()).join("")}`)
    sendAll(store, begin(store, log, "e1"), "e1")
    store.flush(0)
    store.tidy(0)
    const segments = store.find("a", "t1")?.segments ?? []
    expect(segments.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(200_000)
  })
})

describe("who has the copy", () => {
  const status = (State: NodeStatus["State"]): NodeStatus => ({ State })
  const book = (names: ReadonlyArray<string>): Book => {
    const made = new Book().cluster()
    for (const name of names) made.node(name, { Description: { ...description, Hostname: name } })
    made.changes()
    return made
  }
  const description = {
    Platform: { OS: "linux", Architecture: "x86_64" },
    Resources: { NanoCPUs: 2e9, MemoryBytes: 4e9 },
    Engine: { EngineVersion: "20.10.24" },
    FeatureLevel: 11
  }

  test("one that is there, another than the node itself, and the same as long as it stays; shares are even", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const chance = Fresh.from(seed)
      const names = Array.from({ length: 2 + chance.below(30) }, (_, at) => `n${seed}x${at}`)
      const cluster = book(names)
      const seconds = new Seconds(cluster.tables)
      const before = new Map(names.map((name) => [name, seconds.of(name)]))
      for (let step = 0; step < 20; step++) {
        const name = names[chance.below(names.length)] as string
        const isUp = cluster.tables.get("node", name)?.Status.State === "ready"
        cluster.must({
          type: "node.observe",
          v: 1,
          nodes: [{ id: name, status: status(isUp ? "down" : "ready") }]
        })
        for (const change of cluster.changes().changes) seconds.changed(change)
        const live = names.filter((one) => cluster.tables.get("node", one)?.Status.State === "ready")
        for (const one of names) {
          const [first] = rank(one, live, 1)
          expect(seconds.of(one)).toBe(first as string)
          const had = before.get(one)
          // Only who lost its holder, or gained a better one, moves.
          if (first !== had) expect(isUp ? had === name : first === name).toBe(true)
          before.set(one, first)
        }
      }
    }
    const names = Array.from({ length: 200 }, (_, at) => Fresh.from(at + 1).id())
    const counts = new Map<string, number>()
    for (const name of names) {
      const [holder = ""] = rank(name, names, 1)
      counts.set(holder, (counts.get(holder) ?? 0) + 1)
    }
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(7)
  })

  test("nodes of earlier releases have none", () => {
    const cluster = book(["n1", "n2"])
    cluster.node("old", { Description: { ...description, Hostname: "old", FeatureLevel: 10 } })
    const seconds = new Seconds(cluster.tables)
    expect(seconds.of("n1")).toBe("n2")
    expect(seconds.of("old")).toMatch(/^n[12]$/)
    expect(new Seconds(book(["alone"]).tables).of("alone")).toBeUndefined()
  })
})
