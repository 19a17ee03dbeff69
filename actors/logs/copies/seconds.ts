/** Which node has the copy of each node's logs now: a view of the ledger, so that a heartbeat costs one look. */
import { featureLevelOf, levelOf } from "#actors/ledger/features.ts"
import type { Change, LedgerReader, View } from "#actors/ledger/reader.ts"
import { isBefore, scoreOf } from "#actors/logs/copies/rank.ts"
import type { Node } from "#actors/model/objects.ts"

interface Chosen {
  readonly holder: string
  readonly score: number
}

/** A node that is there and takes copies. */
export const takesCopies = (node: Node | undefined): boolean =>
  node?.Status.State === "ready" && featureLevelOf(node) >= levelOf["log copies"]

export class Seconds implements View {
  readonly #live = new Set<string>()
  /** Of those nodes that were asked for. */
  readonly #chosen = new Map<string, Chosen>()

  constructor(ledger: Pick<LedgerReader, "all">) {
    for (const node of ledger.all("node")) if (takesCopies(node)) this.#live.add(node.ID)
  }

  /** The node that shall have `node`'s copy; `undefined` where there is no other. */
  of(node: string): string | undefined {
    const known = this.#chosen.get(node)
    if (known !== undefined) return known.holder
    let best: Chosen | undefined
    for (const holder of this.#live) best = better(node, best, holder)
    if (best !== undefined) this.#chosen.set(node, best)
    return best?.holder
  }

  readonly changed = (change: Change): void => {
    if (change.kind !== "node") return
    const { before, after } = change
    if (after === undefined && before !== undefined) this.#chosen.delete(before.ID)
    const [was, is] = [takesCopies(before), takesCopies(after)]
    if (was === is) return
    if (after !== undefined && is) {
      this.#live.add(after.ID)
      for (const [node, chosen] of this.#chosen)
        this.#chosen.set(node, better(node, chosen, after.ID) ?? chosen)
    } else if (before !== undefined) {
      this.#live.delete(before.ID)
      // Whoever had it is chosen anew when it is next asked for.
      for (const [node, { holder }] of this.#chosen) if (holder === before.ID) this.#chosen.delete(node)
    }
  }
}

function better(node: string, known: Chosen | undefined, holder: string): Chosen | undefined {
  if (holder === node) return known
  const score = scoreOf(node, holder)
  return known !== undefined && isBefore(known.holder, known.score, holder, score) ? known : { holder, score }
}

export const seconds = (ledger: LedgerReader): Seconds => new Seconds(ledger)
