/** Small multi-maps for the ledger's indexes: a key to the ids under it, empty keys forgotten. */

export class IdSets<Key> {
  readonly #sets = new Map<Key, Set<string>>()

  add(key: Key, id: string): void {
    const set = this.#sets.get(key)
    if (set === undefined) this.#sets.set(key, new Set([id]))
    else set.add(id)
  }

  delete(key: Key, id: string): void {
    const set = this.#sets.get(key)
    if (set === undefined) return
    set.delete(id)
    if (set.size === 0) this.#sets.delete(key)
  }

  has(key: Key): boolean {
    return this.#sets.has(key)
  }

  of(key: Key): ReadonlySet<string> {
    return this.#sets.get(key) ?? none
  }
}

const none: ReadonlySet<string> = new Set()
