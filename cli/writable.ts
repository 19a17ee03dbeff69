/** Whether a data directory can be written before anything is begun in it: a full disk is waited for, any other refusal is not. */
import { rmSync, statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { Effect, Schedule, Schema } from "effect"
import { showBytes } from "#runtime/show-bytes.ts"

/** What the small files of a node take, many times over. The log says itself what it needs. */
const wantedBytes = 1024 ** 2

export class NotWritable extends Schema.TaggedError<NotWritable>()("NotWritable", {
  message: Schema.String,
  isFull: Schema.Boolean
}) {}

/** Completes once there is room. Ending instead would have a supervisor start the node again and again. */
export const whenWritable = (dataDir: string): Effect.Effect<void, NotWritable> => {
  const look = Effect.suspend(() => {
    const problem = problemWith(dataDir)
    return problem === undefined ? Effect.void : Effect.fail(problem)
  })
  const isFull = (problem: NotWritable): boolean => problem.isFull
  return look.pipe(
    Effect.catchIf(isFull, ({ message }) =>
      Effect.logWarning(`${message}: the node starts as soon as there is room`).pipe(
        Effect.andThen(Effect.retry(look, { while: isFull, schedule: Schedule.spaced("1 second") }))
      )
    )
  )
}

function problemWith(dataDir: string): NotWritable | undefined {
  const probe = join(dataDir, `probe.${process.pid}.tmp`)
  try {
    const { bavail, bfree, bsize } = statfsSync(dataDir)
    // Some file systems keep a part for root.
    const free = (process.getuid?.() === 0 ? bfree : bavail) * bsize
    if (free < wantedBytes) {
      const message = `${showBytes(free)} are left on the disk of ${dataDir}, and a node wants ${showBytes(wantedBytes)} to start`
      return new NotWritable({ message, isFull: true })
    }
    writeFileSync(probe, "x", { mode: 0o600 })
    rmSync(probe)
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // Room for no file more, or for none of this user's.
    const isFull = code === "ENOSPC" || code === "EDQUOT"
    return new NotWritable({ message: `Cannot write to the data directory ${dataDir}: ${message}`, isFull })
  }
}
