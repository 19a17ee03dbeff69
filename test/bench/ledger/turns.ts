/** How long a thread is held up, by its own work and by the clock, whatever else runs on the machine. */
import { Buffer } from "node:buffer"
import { openSync, readSync } from "node:fs"
import { performance } from "node:perf_hooks"

const schedstat = openSync("/proc/self/schedstat", "r")
const read = Buffer.alloc(128)

/** How long this thread ran, and how long it waited for a processor, in milliseconds since it began. */
export function thread(): { readonly ran: number; readonly waited: number } {
  // Two numbers, without the garbage of reading a file: this is asked at every turn.
  const length = readSync(schedstat, read, 0, read.length, 0)
  const found = [0, 0]
  for (let at = 0, which = 0; at < length && which < 2; at++) {
    const digit = (read[at] ?? 0) - 48
    if (digit < 0) which++
    else found[which] = (found[which] ?? 0) * 10 + digit
  }
  return { ran: (found[0] ?? 0) / 1e6, waited: (found[1] ?? 0) / 1e6 }
}

/**
 * Milliseconds by the clock, less those in which this thread was ready and other programs ran: the kernel counts them.
 * On a machine to itself the two clocks are one.
 */
export const now = (): number => performance.now() - thread().waited

export interface Turns {
  /** The longest time between two turns, and how long this thread ran in the busiest. */
  readonly longest: number
  readonly busiest: number
  readonly over10: number
}

export const showTurns = ({ longest, busiest, over10 }: Turns): string =>
  `${longest.toFixed(1)} ms, busy ${busiest.toFixed(1)} ms; ${over10} busy over 10 ms`

/** Turns the event loop without a rest, or with one of a millisecond, and measures what lies between two turns. */
export function watchTurns(rest = false): { readonly stop: () => Turns } {
  let longest = 0
  let busiest = 0
  let over10 = 0
  let last = { at: now(), ran: thread().ran }
  let going = true
  const next = (): void => void (rest ? setTimeout(turn, 1) : setImmediate(turn))
  const turn = (): void => {
    const { ran, waited } = thread()
    const at = performance.now() - waited
    longest = Math.max(longest, at - last.at)
    busiest = Math.max(busiest, ran - last.ran)
    if (ran - last.ran > 10) over10++
    last = { at, ran }
    if (going) next()
  }
  next()
  return {
    stop: () => {
      going = false
      return { longest, busiest, over10 }
    }
  }
}
