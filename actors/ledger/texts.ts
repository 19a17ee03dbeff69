/** Texts that many tasks share, each under a number from 1 on by which bytes and indexes name it. */
import { Integers } from "#actors/ledger/integers.ts"
import { assert, BrokenInvariant } from "#runtime/assert.ts"

/** Ids, as long as somebody counts on them. */
export class Texts {
  readonly #numbers = new Map<string, number>()
  readonly #texts: Array<string | undefined> = [undefined]
  readonly #counts = new Integers()
  readonly #free: Array<number> = []

  /** The number of a text that is there, or 0. */
  find(text: string): number {
    return this.#numbers.get(text) ?? 0
  }

  at(number: number): string {
    const text = this.#texts[number]
    assert(text !== undefined, "a number names a text while it is counted on")
    return text
  }

  /** The number of `text`, which stays until it was dropped as often as it was taken. */
  take(text: string): number {
    let number = this.#numbers.get(text)
    if (number === undefined) {
      number = this.#free.pop() ?? this.#texts.length
      this.#texts[number] = text
      this.#numbers.set(text, number)
    }
    this.retake(number)
    return number
  }

  /** Counts once more on a text that is there. */
  retake(number: number): void {
    this.#counts.set(number, this.#counts.get(number) + 1)
  }

  drop(number: number): void {
    const count = this.#counts.get(number) - 1
    assert(count >= 0, "a text is dropped as often as it was taken")
    this.#counts.set(number, count)
    if (count > 0) return
    this.#numbers.delete(this.at(number))
    this.#texts[number] = undefined
    this.#free.push(number)
  }

  /** Who is where now, whatever comes later. */
  freeze(): ReadonlyArray<string | undefined> {
    return this.#texts.slice()
  }

  /** Puts back, in the order of numbers, what another one had when it was frozen; it is to be taken afterwards. */
  restore(number: number, text: string): void {
    if (number < this.#texts.length || this.#numbers.has(text)) {
      throw new BrokenInvariant(`The snapshot tells the text "${text}" again, as number ${number}`)
    }
    while (this.#texts.length < number) {
      this.#free.push(this.#texts.length)
      this.#texts.push(undefined)
    }
    this.#texts.push(text)
    this.#numbers.set(text, number)
  }
}

// A few dozen in practice, and a bound in case they are not.
const mostWords = 4096
const longestWord = 100

/** What nodes and actors say of a task, for ever: only so many, and none that is long. */
export class Words {
  readonly #numbers = new Map<string, number>()
  readonly #words: Array<string> = [""]

  at(number: number): string | undefined {
    return this.#words[number]
  }

  /** The number of `word`, or 0: it is to be written out. */
  number(word: string): number {
    const known = this.#numbers.get(word)
    if (known !== undefined) return known
    if (word.length > longestWord || this.#words.length > mostWords) return 0
    this.#numbers.set(word, this.#words.length)
    return this.#words.push(word) - 1
  }

  freeze(): ReadonlyArray<string> {
    return this.#words.slice(1)
  }
}
