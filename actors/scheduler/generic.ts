/** Generic resources of one node, GPUs and the like: named ones are given by name, others by number. */
import type { GenericResource } from "#actors/model/spec.ts"

export class Generic {
  /** By kind, in the node's own order. */
  readonly #names = new Map<string, Array<string>>()
  readonly #amounts = new Map<string, number>()
  readonly #takenNames = new Map<string, Set<string>>()
  readonly #takenAmounts = new Map<string, number>()

  /** Replaces what the node offers; what is taken stays taken. */
  offer(offered: ReadonlyArray<GenericResource>): void {
    this.#names.clear()
    this.#amounts.clear()
    for (const { NamedResourceSpec: named, DiscreteResourceSpec: counted } of offered) {
      if (named?.Kind !== undefined && named.Value !== undefined) {
        this.#names.set(named.Kind, [...(this.#names.get(named.Kind) ?? []), named.Value])
      }
      if (counted?.Kind !== undefined) {
        this.#amounts.set(counted.Kind, (this.#amounts.get(counted.Kind) ?? 0) + (counted.Value ?? 0))
      }
    }
  }

  /** How many of `kind` are free. */
  left(kind: string): number {
    if (this.#names.has(kind)) return this.#free(kind).length
    return (this.#amounts.get(kind) ?? 0) - (this.#takenAmounts.get(kind) ?? 0)
  }

  /** Which of them a task is given. There must be as many. */
  choose(wanted: ReadonlyMap<string, number>): ReadonlyArray<GenericResource> {
    const chosen: Array<GenericResource> = []
    for (const [kind, amount] of wanted) {
      if (this.#names.has(kind)) {
        for (const name of this.#free(kind).slice(0, amount)) {
          chosen.push({ NamedResourceSpec: { Kind: kind, Value: name } })
        }
      } else chosen.push({ DiscreteResourceSpec: { Kind: kind, Value: amount } })
    }
    return chosen
  }

  /** A task that holds these came (1) or went (−1). */
  count(held: ReadonlyArray<GenericResource>, sign: 1 | -1): void {
    for (const { NamedResourceSpec: named, DiscreteResourceSpec: counted } of held) {
      if (named?.Kind !== undefined && named.Value !== undefined) {
        const taken = this.#takenNames.get(named.Kind) ?? new Set<string>()
        if (sign === 1) taken.add(named.Value)
        else taken.delete(named.Value)
        this.#takenNames.set(named.Kind, taken)
      }
      if (counted?.Kind !== undefined) {
        const before = this.#takenAmounts.get(counted.Kind) ?? 0
        this.#takenAmounts.set(counted.Kind, before + sign * (counted.Value ?? 0))
      }
    }
  }

  /** Whether these are here, and free. */
  offers(held: ReadonlyArray<GenericResource>): boolean {
    return held.every(({ NamedResourceSpec: named, DiscreteResourceSpec: counted }) => {
      if (named?.Kind !== undefined && !this.#free(named.Kind).includes(named.Value ?? "")) return false
      return counted?.Kind === undefined || this.left(counted.Kind) >= (counted.Value ?? 0)
    })
  }

  /** More is taken than there is. */
  get isOverdrawn(): boolean {
    for (const [kind, taken] of this.#takenNames) {
      const names = this.#names.get(kind)
      for (const name of taken) if (names?.includes(name) !== true) return true
    }
    for (const [kind, taken] of this.#takenAmounts) if (taken > (this.#amounts.get(kind) ?? 0)) return true
    return false
  }

  #free(kind: string): ReadonlyArray<string> {
    const taken = this.#takenNames.get(kind)
    const names = this.#names.get(kind) ?? []
    return taken === undefined || taken.size === 0 ? names : names.filter((name) => !taken.has(name))
  }
}
