import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { ExecutorError, type LogLine } from "#actors/drivers/executor.ts"
import { TaskLog } from "#actors/drivers/log-store/task-log.ts"
import type { Remembered } from "#actors/logs/choose.ts"
import { cut, fromMemory, type Lines, noLines, orWhenGone } from "#actors/logs/lines.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import type { LogRequest } from "#actors/logs/protocol.ts"
import { aLine, textsOf } from "#test/support/log-lines.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-lines-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let logs = 0

/** A memory that has one task's lines. */
function memoryOf(count: number, state: Remembered["state"]) {
  const log = new TaskLog(join(folder, `${logs++}`), Number.POSITIVE_INFINITY)
  const take = (from: number, to: number) =>
    log.take(
      Array.from({ length: to - from }, (_, at) =>
        aLine(`${from + at}`, from + at, (from + at) % 2 === 0 ? "stdout" : "stderr")
      ),
      0
    )
  take(0, count)
  const known = { log, state }
  return { log, take, known, memory: { ...LogMemory.remembersNothing, about: () => known } }
}

const request: LogRequest = { stdout: true, stderr: true, follow: false, details: false, since: 0, until: 0 }
const noon = Date.parse("2026-11-26T00:00:00Z") / 1000

const readAll = async (lines: Lines): Promise<ReadonlyArray<string>> => {
  const texts: Array<string> = []
  for (let part = await Effect.runPromise(lines); part !== undefined; part = await Effect.runPromise(lines)) {
    texts.push(...textsOf(part))
  }
  return texts
}

test("who does not follow reads what there was when it began, however much comes meanwhile", async () => {
  for (const isWritten of [false, true]) {
    const { log, take, memory } = memoryOf(5, "following")
    const lines = fromMemory(memory, "t", { ...request, tail: 2 })
    take(5, 9)
    if (isWritten) log.flush(0)
    take(9, 12)
    expect(await readAll(lines)).toEqual(["3", "4"])
  }
})

test("who follows hears each line once, across blocks, until no more comes", async () => {
  const { log, take, known, memory } = memoryOf(3, "following")
  const heard = readAll(fromMemory(memory, "t", { ...request, follow: true, tail: 1 }))
  for (let at = 3; at < 50; at++) {
    take(at, at + 1)
    if (at % 7 === 0) log.flush(0)
    if (at % 3 === 0) await Bun.sleep(0)
  }
  known.state = "ended"
  log.wake()
  expect(await heard).toEqual(Array.from({ length: 48 }, (_, at) => `${at + 2}`))
})

test("streams, since and until choose; the tail counts before them", async () => {
  const { memory } = memoryOf(10, "ended")
  const read = (more: Partial<LogRequest>) => readAll(fromMemory(memory, "t", { ...request, ...more }))
  expect(await read({ stderr: false })).toEqual(["0", "2", "4", "6", "8"])
  expect(await read({ stderr: false, tail: 3 })).toEqual(["8"])
  expect(await read({ since: noon + 7 })).toEqual(["7", "8", "9"])
  expect(await read({ since: noon + 2, until: noon + 3.5 })).toEqual(["2", "3"])
  expect(await read({ follow: true, until: noon + 1 })).toEqual(["0", "1"])
})

const gone = Effect.fail(
  new ExecutorError({ operation: "logs", status: 404, temporary: false, message: "No such container" })
)

test("a container that is gone is read in the memory, unless something of it was read already", async () => {
  const remembered: Lines = noLines
  expect(await readAll(orWhenGone(gone, () => remembered))).toEqual([])
  let isFirst = true
  const once: Lines = Effect.suspend((): Lines => {
    if (!isFirst) return gone
    isFirst = false
    return Effect.succeed([aLine("first", 1)])
  })
  expect(readAll(orWhenGone(once, () => remembered))).rejects.toThrow("No such container")
})

test("a part is cut to what one message takes, and nothing of it is lost", () => {
  const part: ReadonlyArray<LogLine> = [aLine("a".repeat(100), 1), aLine("b", 2), aLine("c", 3)]
  expect(cut(part, 2, 1_000).map(textsOf)).toEqual([["a".repeat(100), "b"], ["c"]])
  // One that is larger than all that is allowed goes alone.
  expect(cut(part, 5, 10).map((piece) => piece.length)).toEqual([1, 2])
})
