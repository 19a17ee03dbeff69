/**
 * Errors that reach nobody: a promise that no one awaited, an exception out of a timer or an event listener.
 *
 * The runtimes end the process for one of these. Ours goes on: where it can be known whose `perform` started the work,
 * that actor crashes, as if the error had left its action; any other is reported and counted.
 *
 * What can be known differs. Deno knows it of rejections, and of exceptions except out of timers; Bun knows it of
 * exceptions, timers included, but not of rejections. What is not known is `undefined`, never a wrong actor.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import process from "node:process"
import type { Address } from "#runtime/address.ts"

/** One life of one actor. */
export interface Performing {
  readonly self: Address
  readonly life: number
}

const performing = new AsyncLocalStorage<Performing | undefined>()

/** Calls `run` so that what it starts, now and later, is known to be that actor's work. */
export const asPerformer = <Result>(owner: Performing, run: () => Result): Result =>
  performing.run(owner, run)

/** Calls `run` as nobody's work: for what serves everybody, and may be called out of somebody's. */
export const asNobody = <Result>(run: () => Result): Result =>
  performing.getStore() === undefined ? run() : performing.run(undefined, run)

/** `resume`, so that what it goes on with is still the work of whoever made it. */
export function keepingOwner<Argument>(resume: (argument: Argument) => void): (argument: Argument) => void {
  const owner = performing.getStore()
  return owner === undefined ? resume : (argument) => performing.run(owner, () => resume(argument))
}

/** Hands every stray error of the process to `caught`, until what it returns is called. */
export function catchStrays(caught: (error: unknown, owner: Performing | undefined) => void): () => void {
  const onStray = (error: unknown): void => caught(error, performing.getStore())
  process.on("unhandledRejection", onStray)
  process.on("uncaughtException", onStray)
  return () => {
    process.off("unhandledRejection", onStray)
    process.off("uncaughtException", onStray)
  }
}

/** Strays that no actor could be given. */
export interface StrayReport {
  readonly count: number
  /** The newest few, oldest first. */
  readonly samples: ReadonlyArray<string>
}

// As many as dead letters are sampled.
const sampleLimit = 50

export class Strays {
  #count = 0
  readonly #samples: string[] = []

  add(words: string): void {
    this.#count++
    this.#samples.push(words)
    if (this.#samples.length > sampleLimit) this.#samples.shift()
  }

  report(): StrayReport {
    return { count: this.#count, samples: [...this.#samples] }
  }
}

/** Whether a stray is about our own output, which a report would only set off again. */
export const isBrokenPipe = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === "EPIPE"
