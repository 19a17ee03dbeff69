/** Runs one program as the process: until it ends by itself, or is signalled and has released what it holds. */
import process from "node:process"
import { clearInterval, clearTimeout, setInterval, setTimeout } from "node:timers"
import { Cause, Effect, Exit, type Fiber } from "effect"
import { describeError } from "#runtime/cell.ts"

/** An error that leaves the program may say with which code the process ends; 1 otherwise. */
export interface WithExitCode {
  readonly exitCode: number
}

/** As shells count: 128 and the signal's number. */
const exitCodes = { SIGINT: 130, SIGTERM: 0 } as const
type Signal = keyof typeof exitCodes

/**
 * Runs `program` and ends the process.
 *
 * 0 when it succeeds, and after SIGTERM once it has stopped in order; 130 after SIGINT; the error's `exitCode`, or 1,
 * when it fails, with the error on stderr. A second signal ends the process at once.
 */
export function runMain<E>(program: Effect.Effect<unknown, E>): void {
  let fiber: Fiber.Fiber<unknown, E> | undefined
  // Neither runtime stays for a fiber that waits; the process must.
  const alive = setInterval(() => {}, 2 ** 30)
  let signalled: Signal | undefined

  const onSignal = (signal: Signal): void => {
    if (signalled) process.exit(signal === "SIGINT" ? 130 : 143)
    signalled = signal
    fiber?.interruptUnsafe()
  }
  const onInterrupt = (): void => onSignal("SIGINT")
  const onTerminate = (): void => onSignal("SIGTERM")
  process.on("SIGINT", onInterrupt)
  process.on("SIGTERM", onTerminate)

  // Only now: the program runs at once up to where it first waits, and may be signalled from then on.
  fiber = Effect.runFork(program)
  if (signalled) fiber.interruptUnsafe()
  fiber.addObserver((exit) => {
    clearInterval(alive)
    const ending = endingOf(exit, signalled)
    if (ending.words) process.stderr.write(`${ending.words}\n`)
    flushed(() => process.exit(ending.code))
  })
}

interface Ending {
  readonly code: number
  readonly words?: string
}

/** The exit code of a program that came to `exit`, and what to say about it. */
function endingOf(exit: Exit.Exit<unknown, unknown>, signalled?: Signal): Ending {
  if (Exit.isSuccess(exit)) return { code: 0 }
  const { cause } = exit
  if (Cause.hasInterruptsOnly(cause)) return { code: signalled ? exitCodes[signalled] : 1 }
  const error = Cause.squash(cause)
  // A defect is ours to find, and its stack says where; a failure is the user's to read.
  const isTagged = typeof error === "object" && error !== null && "_tag" in error && "message" in error
  const words = Cause.hasDies(cause)
    ? Cause.pretty(cause)
    : isTagged
      ? String(error.message)
      : describeError(error)
  return { code: hasExitCode(error) ? error.exitCode : 1, words }
}

function hasExitCode(error: unknown): error is WithExitCode {
  return (
    typeof error === "object" && error !== null && "exitCode" in error && Number.isInteger(error.exitCode)
  )
}

/** A reader that has stopped reading keeps the process no longer than this. */
const flushWithinMs = 2_000

/**
 * Calls `next` once what was written has left the process; a pipe takes its time, and `exit` does not wait.
 *
 * Ending the streams is the one thing that Bun and Deno both call back for only when all is out.
 */
function flushed(next: () => void): void {
  const timer = setTimeout(next, flushWithinMs)
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  process.stdout.end(() =>
    process.stderr.end(() => {
      clearTimeout(timer)
      next()
    })
  )
}
