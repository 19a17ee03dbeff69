/**
 * A bounded inbox: first in, first out, with the supervisor's lane served before all else.
 *
 * It outlives the crashes of its actor, which is why it stands apart from the cell: a crash loses one message
 * and the memory, never what waits here.
 */
import type { MailboxOptions, Overflow } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"
import type { ReplyTo } from "#runtime/behaviour.ts"
import type { Cause } from "#runtime/envelope.ts"
import type { Notice } from "#runtime/notices.ts"

/** One message on its way into an actor. `at` is the host's clock in milliseconds when it was sent or came in. */
export interface Letter {
  readonly message: unknown
  readonly at: number
  readonly from?: Address | undefined
  readonly asker?: ReplyTo | undefined
  readonly cause?: Cause | undefined
  /** The actor's own timer or the result of its own action: never refused, never dropped, never replaced. */
  readonly own?: true | undefined
  /** What a timer or a watch brought; to be handled only if the notice still counts. */
  readonly notice?: Notice | undefined
  /** Of the actor's own: which of its lives asked for it. */
  readonly life?: number | undefined
}

/**
 * A letter from somebody. All of these have one hidden class, and no more fields than they need: a million may wait,
 * and what it costs to tell is, most of all, what it costs to make this.
 */
export const letterOf = (
  message: unknown,
  at: number,
  from: Address | undefined,
  asker: ReplyTo | undefined,
  cause: Cause | undefined
): Letter => ({ message, at, from, asker, cause })

/** A letter that an actor's own timer, watch or action wrote. */
export const ownLetter = (
  message: unknown,
  at: number,
  cause: Cause | undefined,
  notice: Notice | undefined,
  life: number
): Letter => ({ message, at, from: undefined, asker: undefined, cause, own: true, notice, life })

/** What became of an offered letter; `lost` is another one that it pushed out. */
export type Offer =
  | { readonly _tag: "Taken"; readonly lost?: Letter }
  | { readonly _tag: "Full"; readonly capacity: number }

// A burst of one message per node of a large cluster fits; more than that is a sender gone wrong.
const usualCapacity = 16_384
const taken: Offer = { _tag: "Taken" }
/** A ring that has grown beyond this is given back once it is empty. */
const keptPlaces = 1_024
/** Of an inbox where nothing ever came; most actors of a large group are told something once in a while at most. */
const noRing: Array<Letter | undefined> = []

export class Mailbox {
  readonly capacity: number
  readonly #overflow: Overflow
  #sys: Letter[] | undefined
  /** A ring whose size is a power of two; positions count for ever and are masked on access. */
  #ring = noRing
  #head = 0
  #tail = 0
  #count = 0
  /** Where the newest letter of each key waits; only under `latest`. */
  #places: Map<string, number> | undefined

  constructor(options: MailboxOptions = {}) {
    this.capacity = options.capacity ?? usualCapacity
    this.#overflow = options.overflow ?? "refuse"
  }

  get depth(): number {
    return this.#count + (this.#sys?.length ?? 0)
  }

  /** When the oldest waiting letter came in, in the host's milliseconds. */
  get oldestAt(): number | undefined {
    const sys = this.#sys?.[0]
    if (sys) return sys.at
    this.#skipGaps()
    return this.#ring[this.#head & (this.#ring.length - 1)]?.at
  }

  offer(letter: Letter): Offer {
    if (letter.own) {
      this.#append(letter)
      return taken
    }
    const overflow = this.#overflow
    if (typeof overflow === "object") {
      const key = overflow.latest(letter.message as never)
      if (key !== undefined) return this.#offerLatest(key, letter)
    }
    if (this.#count < this.capacity) {
      this.#append(letter)
      return taken
    }
    if (overflow !== "drop-oldest") return { _tag: "Full", capacity: this.capacity }
    const lost = this.#dropOldest()
    if (!lost) return { _tag: "Full", capacity: this.capacity }
    this.#append(letter)
    return { _tag: "Taken", lost }
  }

  /** The supervisor's lane: unbounded, because only the runtime itself speaks on it. */
  offerSys(letter: Letter): void {
    this.#sys ??= []
    this.#sys.push(letter)
  }

  clearSys(): void {
    this.#sys = undefined
  }

  takeSys(): Letter | undefined {
    return this.#sys?.shift()
  }

  take(): Letter | undefined {
    if (this.#count === 0) return undefined
    this.#skipGaps()
    const ring = this.#ring
    const at = this.#head & (ring.length - 1)
    const letter = ring[at] as Letter
    ring[at] = undefined
    if (this.#places) this.#forgetPlace(letter, this.#head)
    this.#head++
    this.#count--
    if (this.#count === 0 && ring.length > keptPlaces) this.#giveBack()
    return letter
  }

  /** What waits, oldest first, without the supervisor's lane. */
  waiting(): ReadonlyArray<Letter> {
    const letters: Letter[] = []
    for (let i = this.#head; i < this.#tail; i++) {
      const letter = this.#ring[i & (this.#ring.length - 1)]
      if (letter) letters.push(letter)
    }
    return letters
  }

  /** Empties the inbox and returns what waited in it, oldest first. */
  drain(): ReadonlyArray<Letter> {
    this.#sys = undefined
    const letters: Letter[] = []
    for (let letter = this.take(); letter; letter = this.take()) letters.push(letter)
    return letters
  }

  #offerLatest(key: string, letter: Letter): Offer {
    this.#places ??= new Map()
    const place = this.#places.get(key)
    if (place !== undefined) {
      const at = place & (this.#ring.length - 1)
      const lost = this.#ring[at] as Letter
      // The newer goal keeps the older one's turn: a chatty sender cannot push itself back for ever.
      this.#ring[at] = letter
      return { _tag: "Taken", lost }
    }
    if (this.#count >= this.capacity) return { _tag: "Full", capacity: this.capacity }
    this.#places.set(key, this.#tail)
    this.#append(letter)
    return taken
  }

  #append(letter: Letter): void {
    if (this.#tail - this.#head === this.#ring.length) this.#grow()
    this.#ring[this.#tail & (this.#ring.length - 1)] = letter
    this.#tail++
    this.#count++
  }

  /** What was dropped from the middle gives up its place before the ring takes more memory. */
  #grow(): void {
    const { length } = this.#ring
    const next: Array<Letter | undefined> = new Array(
      Math.max(4, this.#count * 2 > length ? length * 2 : length)
    )
    let at = this.#head
    for (let i = this.#head; i < this.#tail; i++) {
      const letter = this.#ring[i & (length - 1)]
      if (letter) next[at++ & (next.length - 1)] = letter
    }
    this.#ring = next
    this.#tail = at
  }

  #giveBack(): void {
    this.#ring = noRing
    this.#head = 0
    this.#tail = 0
  }

  #dropOldest(): Letter | undefined {
    this.#skipGaps()
    for (let i = this.#head; i < this.#tail; i++) {
      const at = i & (this.#ring.length - 1)
      const letter = this.#ring[at]
      if (!letter || letter.own) continue
      this.#ring[at] = undefined
      this.#count--
      return letter
    }
    return undefined
  }

  /** Steps over places whose letter was dropped from the middle. */
  #skipGaps(): void {
    while (this.#head < this.#tail && this.#ring[this.#head & (this.#ring.length - 1)] === undefined)
      this.#head++
  }

  #forgetPlace(letter: Letter, place: number): void {
    const overflow = this.#overflow
    if (typeof overflow !== "object" || letter.own) return
    const key = overflow.latest(letter.message as never)
    if (key !== undefined && this.#places?.get(key) === place) this.#places.delete(key)
  }
}
