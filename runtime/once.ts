/**
 * Questions that are asked again under the same id are handled once: who is asked remembers what it answered.
 *
 * A process cannot know what the one before it did. So it keeps one time, before which it knows nothing: when it took
 * its place, or when it first heard the newest question that it has forgotten since. A question first asked before that
 * which it does not remember may have been handled, and is refused rather than handled perhaps twice.
 */
import type { Headers } from "#runtime/transport.ts"

/**
 * How a question says that it may come again: `troupe-once: <attempt, from 1> <ageMs> <waitMs>`. Its deadline header is
 * `leftMs`, because the receiver goes on with the first attempt for as long as anybody may ask again.
 */
export interface Once {
  /** The same for all attempts, and nobody else's. */
  readonly id: string
  readonly attempt: number
  /** Milliseconds since the first attempt. */
  readonly ageMs: number
  /** How long the asker waits for this attempt before it makes another. */
  readonly waitMs: number
}

export const onceHeader = "troupe-once"

export const writeOnce = ({ attempt, ageMs, waitMs }: Once): string =>
  `${attempt} ${Math.ceil(ageMs)} ${Math.ceil(waitMs)}`

export function readOnce(id: string, text: string): Once | undefined {
  const [, attempt, ageMs, waitMs] = /^(\d{1,9}) (\d{1,12}) (\d{1,12})$/.exec(text) ?? []
  if (attempt === undefined) return undefined
  return { id, attempt: Number(attempt), ageMs: Number(ageMs), waitMs: Number(waitMs) }
}

/** What was answered, as it goes over the wire. */
export interface Answered {
  readonly headers: Headers
  readonly body: Uint8Array
}

type Respond = (headers: Headers, body: Uint8Array) => void

interface Entry {
  readonly firstHeard: number
  answer?: Answered
  /** Who asked again while the first one was still being handled. */
  readonly waiting: Array<Respond>
}

export type Judged =
  /** Never heard before: handle it, and say through `settle` how it ended. */
  | { readonly _tag: "First" }
  /** It is being handled or was answered; whoever asks has been or will be told. */
  | { readonly _tag: "Again" }
  /** It may have been handled by somebody who did not live to tell. */
  | { readonly _tag: "Unknown" }

export interface OnceLimits {
  readonly entries: number
  readonly bytes: number
  /** How long an answer is remembered, in milliseconds; longer than anybody asks again. */
  readonly keepMs: number
}

const usualLimits: OnceLimits = { entries: 16_384, bytes: 32 * 1024 * 1024, keepMs: 120_000 }

/** What this process answered to questions that may come again. Times are one clock's milliseconds. */
export class OnceWindow {
  readonly #limits: OnceLimits
  /** In the order in which they were first heard. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0
  #forgotten = Number.NEGATIVE_INFINITY

  constructor(limits: OnceLimits = usualLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * Judges a question that came now. `since`: when this process began to answer for the address it came to. An
   * attempt is not under way for longer than it is waited for, or nobody hears its answer.
   */
  judge(once: Once, since: number, now: number, respond: Respond): Judged {
    this.#forget(now)
    const entry = this.#entries.get(once.id)
    if (entry) {
      if (entry.answer) respond(entry.answer.headers, entry.answer.body)
      else entry.waiting.push(respond)
      return { _tag: "Again" }
    }
    const firstAsked = now - once.ageMs - once.waitMs
    if (once.attempt > 1 && firstAsked <= Math.max(since, this.#forgotten)) return { _tag: "Unknown" }
    this.#entries.set(once.id, { firstHeard: now, waiting: [] })
    while (this.#entries.size > this.#limits.entries) this.#forgetOldest()
    return { _tag: "First" }
  }

  /** The question was answered. */
  settle(id: string, answer: Answered): void {
    const entry = this.#entries.get(id)
    if (!entry || entry.answer) return
    entry.answer = answer
    this.#bytes += answer.body.length
    for (const respond of entry.waiting.splice(0)) respond(answer.headers, answer.body)
    while (this.#bytes > this.#limits.bytes) this.#forgetOldest()
  }

  /** The question was not taken: the next attempt is as good as the first. */
  release(id: string, answer: Answered): void {
    const entry = this.#entries.get(id)
    this.#entries.delete(id)
    for (const respond of entry?.waiting ?? []) respond(answer.headers, answer.body)
  }

  /** Its time is up, so those who asked again have gone, too. What becomes of it is still not known. */
  giveUp(id: string): void {
    this.#entries.get(id)?.waiting.splice(0)
  }

  #forget(now: number): void {
    for (const { firstHeard } of this.#entries.values()) {
      if (firstHeard + this.#limits.keepMs > now) return
      this.#forgetOldest()
    }
  }

  #forgetOldest(): void {
    const [oldest] = this.#entries
    if (!oldest) return
    const [id, { firstHeard, answer }] = oldest
    this.#entries.delete(id)
    this.#bytes -= answer?.body.length ?? 0
    this.#forgotten = Math.max(this.#forgotten, firstHeard)
  }
}
