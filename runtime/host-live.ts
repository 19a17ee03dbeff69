/** The machine's own time and turns. The one place in the runtime that reads a clock or sets a timer. */
import { getRandomValues } from "node:crypto"
import { performance } from "node:perf_hooks"
import { clearTimeout, setImmediate, setTimeout } from "node:timers"
import type { Host } from "#runtime/host.ts"
import { steadyClock } from "#runtime/steady-clock.ts"
import { asNobody } from "#runtime/strays.ts"

/** Turns taken in a row before sockets and timers get theirs, and for how long at most, in milliseconds. */
const turnsInARow = 512
const rowMs = 4
/** Turns between two looks at the clock, which would cost more than a short turn does. */
const stride = 8
/** What setTimeout takes; anything longer fires at once in every JavaScript runtime. */
const longestTimerMs = 2 ** 31 - 1

const now = steadyClock(Date.now, () => performance.now())

/** Makes a host; one per process is enough. An exception out of a turn reaches `onError` and stops no other turn. */
export function makeLiveHost(onError: (error: unknown) => void = rethrow): Host {
  let queue: Array<() => void> = []
  let next: Array<() => void> = []
  let at = 0
  let scheduled = false
  let inARow = 0

  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    // Microtasks are quick but never let a socket speak; so every so often the long way round is taken.
    if (inARow < turnsInARow) queueMicrotask(runAll)
    else
      setImmediate(() => {
        inARow = 0
        runAll()
      })
  }

  const run = (): void => {
    scheduled = false
    let began = 0
    for (let taken = 1; inARow < turnsInARow; taken++) {
      if (at === queue.length) {
        if (next.length === 0) break
        const emptied = queue
        emptied.length = 0
        queue = next
        next = emptied
        at = 0
      }
      const turn = queue[at++] as () => void
      inARow++
      try {
        turn()
      } catch (error) {
        onError(error)
      }
      if (taken % stride !== 0) continue
      const now = performance.now()
      if (taken === stride) began = now
      else if (now - began > rowMs) inARow = turnsInARow
    }
    if (at < queue.length || next.length > 0) schedule()
  }

  // Whose work it was that asked for these turns says nothing about what they do.
  const runAll = (): void => asNobody(run)

  const after = (ms: number, fire: () => void): (() => void) => {
    if (ms > longestTimerMs) {
      let cancel = after(longestTimerMs, () => {
        cancel = after(ms - longestTimerMs, fire)
      })
      return () => cancel()
    }
    const timer = setTimeout(() => {
      try {
        asNobody(fire)
      } catch (error) {
        onError(error)
      }
    }, ms)
    return () => clearTimeout(timer)
  }

  return {
    now,
    monotonic: () => performance.now(),
    random: () => (getRandomValues(new Uint32Array(1))[0] as number) / 2 ** 32,
    defer: (turn) => {
      next.push(turn)
      schedule()
    },
    after
  }
}

function rethrow(error: unknown): void {
  // Out of every turn's stack, so that the process learns of it as of any uncaught exception.
  setImmediate(() => {
    throw error
  })
}
