/**
 * Room for so many of the Engine's slow operations at once. What finishes something goes before what begins
 * something: of thirty tasks that come together the first ones run soon, rather than all being half-made.
 */
import { Effect } from "effect"

export type Urgency = "finish" | "begin"

interface Waiter {
  wake: (() => void) | undefined
}

export class Room {
  readonly #lines: Record<Urgency, Set<Waiter>> = { finish: new Set(), begin: new Set() }
  #free: number

  constructor(places: number) {
    this.#free = places
  }

  /** Runs an effect when there is a place for it; within an urgency, in order of asking. */
  hold(urgency: Urgency) {
    return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(this.#enter(urgency, restore), () =>
          Effect.ensuring(
            restore(effect),
            Effect.sync(() => this.#leave())
          )
        )
      )
  }

  /**
   * A wake is a hint, not a place: who is woken looks again, so that nothing is lost with a waiter that is interrupted
   * just then.
   */
  #enter(
    urgency: Urgency,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.Effect<void> {
    const waiter: Waiter = { wake: undefined }
    const line = this.#lines[urgency]
    const wait: Effect.Effect<void> = Effect.suspend(() => {
      line.add(waiter)
      if (this.#free > 0 && this.#next() === waiter) {
        line.delete(waiter)
        this.#free--
        // There may be room for more than one.
        this.#wake()
        return Effect.void
      }
      const woken = Effect.callback<void>((resume) => {
        waiter.wake = () => resume(Effect.void)
      })
      return restore(woken).pipe(
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            line.delete(waiter)
            this.#wake()
          })
        ),
        Effect.flatMap(() => wait)
      )
    })
    return wait
  }

  #leave(): void {
    this.#free++
    this.#wake()
  }

  #wake(): void {
    if (this.#free > 0) this.#next()?.wake?.()
  }

  #next(): Waiter | undefined {
    for (const line of [this.#lines.finish, this.#lines.begin]) for (const waiter of line) return waiter
    return undefined
  }
}
