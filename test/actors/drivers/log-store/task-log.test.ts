import { afterEach, expect, test } from "bun:test"
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LogStore } from "#actors/drivers/log-store/store.ts"
import { type Cursor, TaskLog } from "#actors/drivers/log-store/task-log.ts"
import { aLine, textsOf, timeAt } from "#test/support/log-lines.ts"

const folders: Array<string> = []
const freshFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "troupe-log-"))
  folders.push(folder)
  return folder
}
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})
const all = Number.POSITIVE_INFINITY

/** Everything from a place on. */
function readFrom(log: TaskLog, from: Cursor = log.start): ReadonlyArray<string> {
  const texts: Array<string> = []
  for (let cursor = from; ; ) {
    const { lines, next } = log.read(cursor)
    if (lines.length === 0 && next.block === cursor.block) return texts
    texts.push(...textsOf(lines))
    cursor = next
  }
}

/** Lines that fill a block each few hundred. */
const long = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => aLine(`${from + at} ${"x".repeat(200)}`, (from + at) / 10))
const numbers = (texts: ReadonlyArray<string>) => texts.map((text) => Number(text.split(" ")[0]))
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)

test("lines are read as they came, from the open block and from the disk, also by the next life", () => {
  const folder = freshFolder()
  const log = new TaskLog(folder, all)
  log.take(long(0, 1000), 0)
  expect(numbers(readFrom(log))).toEqual(range(0, 1000))
  log.finish(0)
  const next = new TaskLog(folder, all)
  expect(numbers(readFrom(next))).toEqual(range(0, 1000))
  expect(next.lines).toBe(1000)
  expect(next.isComplete).toBe(true)
  // What is kept takes a fraction of what came.
  expect(next.segments.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(40_000)
})

test("a life that was killed left blocks whose marks are exact: reading again adds what they have not", () => {
  const folder = freshFolder()
  const killed = new TaskLog(folder, all)
  killed.take(long(0, 1000), 0)
  // The open block was in memory only.
  const next = new TaskLog(folder, all)
  const written = next.lines
  expect(written).toBeGreaterThan(0)
  expect(written).toBeLessThan(1000)
  next.resume()
  next.take(long(Math.max(0, written - 50), 1200), 0)
  expect(numbers(readFrom(next))).toEqual(range(0, 1200))
})

test("a block that a crash cut short is cut off, and what it had is read again", () => {
  const folder = freshFolder()
  const log = new TaskLog(folder, all)
  log.take(long(0, 600), 0)
  log.finish(0)
  const [file = ""] = readdirSync(folder)
  appendFileSync(join(folder, file), '{"v":1,"lines":5,"first":"x","las')
  const next = new TaskLog(folder, all)
  next.take(long(600, 700), 0)
  next.finish(0)
  expect(numbers(readFrom(new TaskLog(folder, all)))).toEqual(range(0, 700))
})

test("a reader's place stays good when the open block is written, and when what it stood before is gone", () => {
  const log = new TaskLog(freshFolder(), all)
  log.take(long(0, 10), 0)
  const { next } = log.read(log.start)
  log.flush(0)
  log.take(long(10, 20), 0)
  expect(numbers(readFrom(log, next))).toEqual(range(10, 20))
  log.dropOldest(1)
  expect(log.isComplete).toBe(false)
  expect(numbers(readFrom(log, { block: 0, line: 3 }))).toEqual(range(10, 20))
})

test("the last lines, and lines since a time, are found across blocks", () => {
  const log = new TaskLog(freshFolder(), all)
  log.take(long(0, 1500), 0)
  for (const count of [0, 1, 7, 299, 300, 777, 1499, 1500, 9999]) {
    expect(numbers(readFrom(log, log.beforeLast(count)))).toEqual(range(Math.max(0, 1500 - count), 1500))
  }
  const late = numbers(readFrom(log, log.notBefore(timeAt(120))))
  expect(late.at(-1)).toBe(1499)
  expect(late[0]).toBeLessThanOrEqual(1200)
  expect(late[0]).toBeGreaterThan(600)
})

test("who waits is called when there is more", () => {
  const log = new TaskLog(freshFolder(), all)
  let calls = 0
  log.whenMore(() => calls++)
  const forget = log.whenMore(() => calls++)
  forget()
  log.take(long(0, 1), 0)
  log.take(long(1, 2), 0)
  expect(calls).toBe(1)
})

test("lines beyond the rate are left out, and a line says how many", () => {
  const log = new TaskLog(freshFolder(), 2)
  // 20 are allowed in the ten seconds from 0; 45 come, then one of the next ten seconds.
  log.take(
    Array.from({ length: 45 }, (_, at) => aLine(`${at}`, at / 10)),
    0
  )
  log.take([aLine("later", 12)], 0)
  expect(readFrom(log).slice(19)).toEqual([
    "19",
    "troupe: 25 lines left out here: more than 2 a second",
    "later"
  ])
  // Those that were left out were read all the same.
  log.resume()
  log.take(
    Array.from({ length: 45 }, (_, at) => aLine(`${at}`, at / 10)),
    0
  )
  expect(readFrom(log)).toHaveLength(22)
})

test("a flood that nothing follows is told of at its end", () => {
  const log = new TaskLog(freshFolder(), 1)
  log.take(
    Array.from({ length: 12 }, (_, at) => aLine(`${at}`, at / 100)),
    0
  )
  log.finish(0)
  expect(readFrom(log).at(-1)).toBe("troupe: 2 lines left out here: more than 1 a second")
})

test("lines that the disk lost are said to be lost", () => {
  const folder = freshFolder()
  const log = new TaskLog(folder, all)
  log.take(long(0, 10), 0)
  log.finish(0)
  const [file = ""] = readdirSync(folder)
  writeFileSync(join(folder, file), "")
  expect(readFrom(log)).toEqual(["troupe: 10 lines left out here: they are damaged on disk"])
  rmSync(folder, { recursive: true })
  log.take(long(10, 20), 0)
  log.finish(0)
  expect(readFrom(log).at(-1)).toStartWith("troupe: 10 lines left out here: ENOENT")
})

test("where a file of several was cut short, reading goes on with the next one", () => {
  const folder = freshFolder()
  const log = new TaskLog(folder, all)
  const noise = () => Array.from({ length: 300 }, () => crypto.randomUUID()).join("")
  for (let at = 0; at < 250; at++) log.take([aLine(`${at} ${noise()}`, at)], 0)
  log.finish(0)
  const [first, second] = log.segments
  if (first === undefined || second === undefined) throw new Error("two files were expected")
  const [file = ""] = readdirSync(folder).sort()
  truncateSync(join(folder, file), first.bytes - 10)
  const seen = numbers(readFrom(new TaskLog(folder, all)))
  expect(seen.length).toBeLessThan(250)
  expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
  expect([seen[0], seen.at(-1)]).toEqual([0, 249])
})

const facts = (task: string) => ({ task, name: `web.1.${task}`, service: "s", serviceName: "web" })

test("a store keeps within its size; a task of which nothing is left is forgotten once it is over", () => {
  const folder = freshFolder()
  const store = new LogStore({ folder, maxBytes: 64 * 1024, maxAgeMs: all, linesPerSecond: all })
  store.open(facts("quiet")).take([aLine("one", 1)], 0)
  const loud = store.open(facts("loud"))
  const noise = () => Array.from({ length: 300 }, () => crypto.randomUUID()).join("")
  for (let at = 0; at < 400; at++) loud.take([aLine(noise(), at)], 0)
  store.flush(0)
  store.tidy(0, (task) => task === "loud")
  const bytes = loud.segments.reduce((sum, segment) => sum + segment.bytes, 0)
  expect(bytes).toBeLessThanOrEqual(64 * 1024)
  expect(textsOf(store.find("quiet")?.read({ block: 0, line: 0 }).lines ?? [])).toEqual(["one"])
  const next = new LogStore({ folder, maxBytes: 0, maxAgeMs: all, linesPerSecond: all })
  expect(next.tasks.map(({ task }) => task).sort()).toEqual(["loud", "quiet"])
  next.tidy(0, (task) => task === "loud")
  expect(next.tasks.map(({ task }) => task)).toEqual(["loud"])
  expect(existsSync(join(folder, "quiet"))).toBe(false)
})
