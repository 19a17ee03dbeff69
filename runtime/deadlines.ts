/**
 * Many deadlines at the price of few timers: those that fall into one slice of time share one.
 *
 * An ask costs a set insertion rather than a timer; it may be told that its time is up one slice late. Times are
 * monotonic: a clock that is set back must not put a new deadline into a slice that is about to end.
 */
import type { Host } from "#runtime/host.ts"

/** No human and no retry policy sees the difference; a thousand asks per slice share one timer. */
const sliceMs = 16

export class Deadlines<Key> {
  readonly #host: Host
  readonly #expired: (key: Key) => void
  readonly #slices = new Map<number, Set<Key>>()

  constructor(host: Host, expired: (key: Key) => void) {
    this.#host = host
    this.#expired = expired
  }

  /** Calls `expired(key)` once, within a slice after `at` (monotonic milliseconds). */
  add(key: Key, at: number): void {
    const slice = Math.ceil(at / sliceMs)
    const keys = this.#slices.get(slice)
    if (keys) {
      keys.add(key)
      return
    }
    this.#slices.set(slice, new Set([key]))
    this.#host.after(Math.max(0, slice * sliceMs - this.#host.monotonic()), () => this.#fire(slice))
  }

  /** Takes back what `add(key, at)` said. */
  remove(key: Key, at: number): void {
    this.#slices.get(Math.ceil(at / sliceMs))?.delete(key)
  }

  #fire(slice: number): void {
    const keys = this.#slices.get(slice)
    this.#slices.delete(slice)
    for (const key of keys ?? []) this.#expired(key)
  }
}
