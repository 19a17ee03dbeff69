/** Which addresses live in this process, and who wants to know when one of them ends. */
import { type Address, showAddress } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import type { Cell } from "#runtime/cell.ts"

export class Registry {
  readonly #cells = new Map<string, Cell>()
  readonly #watchers = new Map<string, Set<(reason: string) => void>>()

  get size(): number {
    return this.#cells.size
  }

  find(to: Address): Cell | undefined {
    return this.#cells.get(showAddress(to))
  }

  /** Throws when another actor has this address: two actors of one name would each get half of its messages. */
  add(cell: Cell): void {
    const key = showAddress(cell.self)
    assert(!this.#cells.has(key), `one actor at a time lives at ${key}`)
    this.#cells.set(key, cell)
  }

  /** Forgets the actor for good and tells whoever watched it, once. */
  remove(cell: Cell, reason: string): void {
    const key = showAddress(cell.self)
    if (this.#cells.get(key) !== cell) return
    this.#cells.delete(key)
    const watchers = this.#watchers.get(key)
    this.#watchers.delete(key)
    for (const told of watchers ?? []) told(reason)
  }

  /** Calls `told` when the actor ends for good. False, and `told` is not kept, when it is not here. */
  watch(target: Address, told: (reason: string) => void): boolean {
    const key = showAddress(target)
    if (!this.#cells.has(key)) return false
    const watchers = this.#watchers.get(key)
    if (watchers) watchers.add(told)
    else this.#watchers.set(key, new Set([told]))
    return true
  }

  unwatch(target: Address, told: (reason: string) => void): void {
    const key = showAddress(target)
    const watchers = this.#watchers.get(key)
    if (watchers?.delete(told) && watchers.size === 0) this.#watchers.delete(key)
  }
}
