/** The latest of each name, bounded without ever looking for the oldest: what a flood of names costs is each its own. */

/** Knows at least the `most` names that were told last, and twice as many at most. */
export class Latest<Value> {
  readonly #most: number
  #young = new Map<string, Value>()
  #old: ReadonlyMap<string, Value> = new Map()

  constructor(most: number) {
    this.#most = most
  }

  set(name: string, value: Value): void {
    if (this.#young.size >= this.#most && !this.#young.has(name)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(name, value)
  }

  get = (name: string): Value | undefined => this.#young.get(name) ?? this.#old.get(name)

  get isEmpty(): boolean {
    return this.#young.size === 0
  }
}
