/** A small multi-map for the ledger's indexes: a key to the ids under it, in the order in which they got it. */

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
