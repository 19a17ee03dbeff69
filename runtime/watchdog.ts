/**
 * Ends the process when its main thread is stuck: a decision that loops for ever would otherwise keep every actor of
 * the node silent, and no supervisor could act, because supervisors live on the same thread.
 *
 * The main thread writes into shared memory which actor and which message it is about; a thread of its own
 * (`watchdog-thread.ts`) reads it, says both on stderr and ends the process with code 70. What starts it again is the
 * machine's business, and the node converges as after any crash.
 */
import { clearInterval, setInterval } from "node:timers"
import { Worker } from "node:worker_threads"
import { Blackboard } from "#runtime/blackboard.ts"
import { type Lookout, lookoutOn } from "#runtime/lookout.ts"
import { ownProgram } from "#runtime/platform.ts"

/** EX_SOFTWARE of sysexits.h: an internal software error. */
const stuckExitCode = 70

export interface Watchdog extends Lookout {
  readonly stop: () => void
}

export interface WatchdogOptions {
  /** How long the thread may be stuck, in milliseconds. */
  readonly stuckMs?: number
}

/** A heartbeat is late by seconds only when the thread is stuck; a collection of garbage takes tenths of one. */
const usualStuckMs = 5_000
/** Heartbeats within the time after which a thread counts as stuck. */
const beatsWithin = 5

/** Starts watching the thread that calls it. Throws when no thread can be started. */
export function startWatchdog({ stuckMs = usualStuckMs }: WatchdogOptions = {}): Watchdog {
  const board = new Blackboard()
  const worker = new Worker(ownProgram("runtime/watchdog-thread.ts"), {
    workerData: {
      memory: board.memory,
      stuckMs,
      tickMs: stuckMs / (2 * beatsWithin),
      exitCode: stuckExitCode
    }
  })
  // It shall not keep a process that has nothing left to do, and its own end is no reason to end ours.
  worker.unref()
  worker.on("error", (error) => console.error("The watchdog has failed and watches no more", error))
  const beating = setInterval(() => board.beat(), stuckMs / beatsWithin)
  beating.unref()
  return {
    ...lookoutOn(board),
    stop: () => {
      clearInterval(beating)
      board.close()
    }
  }
}
