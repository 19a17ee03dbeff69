/**
 * Small multi-maps for the ledger's indexes: a key to the ids under it, empty keys forgotten.
 *
 * A set is made for the second id of a key: most slots have one task, and a set for each would weigh as much as the
 * tasks. Ids come in the order in which they got the key.
 */

export class IdSets<Key> {
  readonly #sets = new Map<Key, string | Set<string>>()

  get size(): number {
    return this.#sets.size
  }

  add(key: Key, id: string): void {
    const found = this.#sets.get(key)
    if (found === undefined) this.#sets.set(key, id)
    else if (typeof found !== "string") found.add(id)
    else if (found !== id) this.#sets.set(key, new Set([found, id]))
  }

  delete(key: Key, id: string): void {
    const found = this.#sets.get(key)
    if (found === undefined) return
    if (typeof found === "string") {
      if (found === id) this.#sets.delete(key)
      return
    }
    found.delete(id)
    if (found.size === 0) this.#sets.delete(key)
  }

  has(key: Key): boolean {
    return this.#sets.has(key)
  }

  of(key: Key): Iterable<string> {
    const found = this.#sets.get(key)
    if (found === undefined) return none
    return typeof found === "string" ? [found] : found
  }
}

const none: ReadonlyArray<string> = []

/** The same for keys of two parts, without a text for every pair. */
export class PairSets<First, Second> {
  readonly #sets = new Map<First, IdSets<Second>>()

  add(first: First, second: Second, id: string): void {
    let sets = this.#sets.get(first)
    if (sets === undefined) {
      sets = new IdSets()
      this.#sets.set(first, sets)
    }
    sets.add(second, id)
  }

  delete(first: First, second: Second, id: string): void {
    const sets = this.#sets.get(first)
    if (sets === undefined) return
    sets.delete(second, id)
    if (sets.size === 0) this.#sets.delete(first)
  }

  of(first: First, second: Second): Iterable<string> {
    return this.#sets.get(first)?.of(second) ?? none
  }
}
