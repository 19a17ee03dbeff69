/** Which addresses live in this process, and who wants to know when one of them ends. */
import { type Address, showAddress } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import type { Cell } from "#runtime/cell.ts"

/** By home, kind and id: three look-ups of strings whose hashes are known cost less than making one key of them. */
type Cells = Map<string, Map<string, Map<string, Cell>>>

export class Registry {
  readonly #cells: Cells = new Map()
  /** What was found last: most tells in a row name their receiver by one address object. */
  #lastTo: Address | undefined
  #lastFound: Cell | undefined
  readonly #watchers = new Map<string, Set<(reason: string) => void>>()

  get size(): number {
    let size = 0
    for (const kinds of this.#cells.values()) for (const cells of kinds.values()) size += cells.size
    return size
  }

  *cells(): IterableIterator<Cell> {
    for (const kinds of this.#cells.values()) for (const cells of kinds.values()) yield* cells.values()
  }

  find(to: Address): Cell | undefined {
    if (to === this.#lastTo) return this.#lastFound
    const cell = this.#cells.get(to.home)?.get(to.kind)?.get(to.id)
    // That nobody is there is not kept: somebody may come.
    if (cell === undefined) return undefined
    this.#lastTo = to
    this.#lastFound = cell
    return cell
  }

  /** Throws when another actor has this address: two actors of one name would each get half of its messages. */
  add(cell: Cell): void {
    const { home, kind, id } = cell.self
    const cells = this.#cells.get(home)?.get(kind) ?? this.#open(home, kind)
    if (cells.has(id)) assert(false, `one actor at a time lives at ${showAddress(cell.self)}`)
    cells.set(id, cell)
  }

  #open(home: string, kind: string): Map<string, Cell> {
    const kinds = this.#cells.get(home) ?? new Map<string, Map<string, Cell>>()
    const cells = new Map<string, Cell>()
    this.#cells.set(home, kinds.set(kind, cells))
    return cells
  }

  /** Forgets the actor for good and tells whoever watched it, once. */
  remove(cell: Cell, reason: string): void {
    if (this.find(cell.self) !== cell) return
    const { home, kind, id } = cell.self
    this.#cells.get(home)?.get(kind)?.delete(id)
    this.#lastTo = undefined
    this.#lastFound = undefined
    if (this.#watchers.size === 0) return
    const key = showAddress(cell.self)
    const watchers = this.#watchers.get(key)
    this.#watchers.delete(key)
    for (const told of watchers ?? []) told(reason)
  }

  /** Calls `told` when the actor ends for good. False, and `told` is not kept, when it is not here. */
  watch(target: Address, told: (reason: string) => void): boolean {
    if (!this.find(target)) return false
    const key = showAddress(target)
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
