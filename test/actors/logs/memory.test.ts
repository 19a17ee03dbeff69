/** What a node remembers of its tasks' output, on a real disk that is full; needs root. */
import { expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { Effect, Layer, Stream } from "effect"
import { Executor, type ExecutorService, type LogLine } from "#actors/drivers/executor.ts"
import { serviceLabel, serviceNameLabel, taskLabel, taskNameLabel } from "#actors/drivers/labels.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { emptyDisk, fillDisk, removeDisk, smallDisk } from "#test/support/small-disk.ts"

const container = {
  id: "c1",
  labels: { [taskLabel]: "t1", [taskNameLabel]: "web.1.t1", [serviceLabel]: "s1", [serviceNameLabel]: "web" }
}
const line: LogLine = {
  stream: "stdout",
  timestamp: "2026-11-28T10:00:00.000000001Z",
  details: "",
  line: Buffer.from("said\n")
}

test.skipIf(process.getuid?.() !== 0)(
  "output for which there is no room is read again once there is, and holds up nobody who removes its container",
  async () => {
    const disk = smallDisk("1m")
    try {
      const folder = join(disk, "logs")
      const executor = { logs: () => Stream.make(line) } as Partial<ExecutorService> as ExecutorService
      const memory = LogMemory.layer({
        folder,
        maxBytes: 1e9,
        maxAgeMs: 1e9,
        linesPerSecond: 1_000
      }).pipe(Layer.provide(Layer.succeed(Executor, executor)))
      await Effect.runPromise(
        Effect.gen(function* () {
          const { follow, settle, about } = yield* LogMemory
          fillDisk(disk)
          expect(yield* follow(container, true)).toEqual({
            _tag: "BrokeOff",
            reason: "Cannot keep the output of web.1.t1: ENOSPC: no space left on device, write"
          })
          yield* settle(container)
          expect(readdirSync(folder)).toEqual([])
          emptyDisk(disk)
          expect(yield* follow(container, true)).toEqual({ _tag: "Ended" })
          expect(about("t1")?.log.lines).toBe(1)
        }).pipe(Effect.provide(memory))
      )
    } finally {
      removeDisk(disk)
    }
  }
)
