import { expect, test } from "bun:test"
import { Effect, Layer, Stream } from "effect"
import { Executor, ExecutorError, type ExecutorService } from "#actors/drivers/executor.ts"
import { LogCopies } from "#actors/logs/copies/keep.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { LogReaders } from "#actors/logs/readers.ts"

const request = { stdout: true, stderr: true, follow: false, details: false, since: 0, until: 0 }

/** What comes of a log that the Engine fails to read with this status. */
function readOf(status: number) {
  const error = new ExecutorError({ operation: "logs", status, temporary: false, message: "it said no" })
  const executor = { logs: () => Stream.fail(error) } as Partial<ExecutorService> as ExecutorService
  const world = LogReaders.layer.pipe(
    Layer.provide([Layer.succeed(Executor, executor), LogMemory.none, Layer.succeed(LogCopies, undefined)])
  )
  const reading = Effect.gen(function* () {
    const readers = yield* LogReaders
    return yield* readers.readOn("s1", { task: "t1", container: "c1", request })
  })
  return Effect.runPromise(Effect.provide(reading, world))
}

test("a container that went away has no more lines; why others cannot be read is said", async () => {
  expect(await readOf(404)).toEqual({ lines: [], ended: true })
  expect(await readOf(500)).toEqual({ lines: [], ended: true, problem: "it said no" })
})
