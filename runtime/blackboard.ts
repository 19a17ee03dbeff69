/**
 * Shared memory between the main thread and its watchdog: a heartbeat, and what the main thread is about.
 *
 * Names are written once and then spoken of by their place, so that saying "it is this actor now" is one store.
 */

/** Places in the words at the front of the memory. */
const word = { closed: 0, beat: 1, actor: 2, tag: 3, count: 4 } as const

// As many as are busy at one time; when there are more, they take each other's places and are written anew.
const actorPlaces = 1_024
const tagPlaces = 256
// Three tokens of 64 characters and two strokes.
const actorLength = 194
const tagLength = 64

/** Texts of few characters in shared memory, by place; place 0 is nobody's. */
class Names {
  readonly size: number
  readonly #bytes: Uint8Array
  readonly #stride: number

  constructor(bytes: Uint8Array, size: number, length: number) {
    this.#bytes = bytes
    this.size = size
    this.#stride = length + 1
  }

  static bytesFor(size: number, length: number): number {
    return size * (length + 1)
  }

  /** Keeps what fits of `text`; anything but ASCII becomes a question mark. */
  write(place: number, text: string): void {
    const length = Math.min(text.length, this.#stride - 1)
    const start = place * this.#stride
    this.#bytes[start] = length
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      this.#bytes[start + 1 + i] = code < 128 ? code : 63
    }
  }

  read(place: number): string | undefined {
    const start = place * this.#stride
    const length = this.#bytes[start] ?? 0
    if (place === 0 || length === 0) return undefined
    return String.fromCharCode(...this.#bytes.slice(start + 1, start + 1 + length))
  }
}

export class Blackboard {
  readonly memory: SharedArrayBuffer
  readonly actors: Names
  readonly tags: Names
  readonly #words: Int32Array

  constructor(memory?: SharedArrayBuffer) {
    const actorsAt = word.count * Int32Array.BYTES_PER_ELEMENT
    const tagsAt = actorsAt + Names.bytesFor(actorPlaces, actorLength)
    const end = tagsAt + Names.bytesFor(tagPlaces, tagLength)
    this.memory = memory ?? new SharedArrayBuffer(end)
    this.#words = new Int32Array(this.memory, 0, word.count)
    this.actors = new Names(
      new Uint8Array(this.memory, actorsAt, tagsAt - actorsAt),
      actorPlaces,
      actorLength
    )
    this.tags = new Names(new Uint8Array(this.memory, tagsAt, end - tagsAt), tagPlaces, tagLength)
  }

  beat(): void {
    Atomics.add(this.#words, word.beat, 1)
  }

  get beats(): number {
    return Atomics.load(this.#words, word.beat)
  }

  // Plain stores: their reader looks seconds later, and only when nothing has been stored since.
  actor(place: number): void {
    this.#words[word.actor] = place
  }

  tag(place: number): void {
    this.#words[word.tag] = place
  }

  /** What the main thread was about when it last said so; `actor` is absent between turns. */
  read(): { readonly actor: string | undefined; readonly tag: string | undefined } {
    const actor = this.actors.read(Atomics.load(this.#words, word.actor))
    return { actor, tag: actor && this.tags.read(Atomics.load(this.#words, word.tag)) }
  }

  /** Ends `sleep`, now and for ever. */
  close(): void {
    Atomics.store(this.#words, word.closed, 1)
    Atomics.notify(this.#words, word.closed)
  }

  /** Blocks the calling thread for `ms`. False when the board has been closed. */
  sleep(ms: number): boolean {
    return Atomics.wait(this.#words, word.closed, 0, ms) === "timed-out"
  }
}
