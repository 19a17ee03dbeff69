/** What the log drives: entries in, results out, and whoever follows is told what changed. */
import { apply, type Result } from "#actors/ledger/apply.ts"
import { digestOf } from "#actors/ledger/digest.ts"
import { decodeEntry } from "#actors/ledger/encode.ts"
import type { ChangeSet } from "#actors/ledger/reader.ts"
import { Recent } from "#actors/ledger/recent.ts"
import { decodeSnapshot, encodeSnapshot } from "#actors/ledger/snapshot.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import type { StateMachine } from "#actors/raft/protocol.ts"

/** The replicated state machine: the tables, and what they answered lately. */
export class Machine implements StateMachine {
  tables = new LedgerTables()
  readonly recent = new Recent()
  readonly #listeners = new Set<(changes: ChangeSet) => void>()
  readonly #onDefect: (defect: unknown) => void

  constructor(onDefect: (defect: unknown) => void) {
    this.#onDefect = onDefect
  }

  apply(index: number, data: Uint8Array): Result {
    const entry = decodeEntry(data)
    const { proposer, boot, seq } = entry
    const seen = this.recent.look(proposer, boot, seq)
    this.tables.index = index
    if (seen._tag === "Repeated") return seen.result
    if (seen._tag === "TooOld") {
      const message =
        "The proposal is older than the results that are kept: read the ledger to learn how it ended"
      return { _tag: "Refused", refusal: { code: "unavailable", message } }
    }
    const result = apply(this.tables, index, entry)
    this.recent.keep(proposer, boot, seq, result)
    this.#announce()
    return result
  }

  /** 16 hexadecimal digits of the state as of the last applied entry: members that differ have diverged. */
  digest(): string {
    return digestOf(this.tables, this.recent)
  }

  snapshot(): Iterable<Uint8Array> {
    return encodeSnapshot(this.tables, this.recent)
  }

  restore(chunks: Iterable<Uint8Array>): void {
    this.tables = decodeSnapshot(chunks, this.recent)
  }

  follow(listen: (changes: ChangeSet) => void): { readonly unsubscribe: () => void } {
    this.#listeners.add(listen)
    return { unsubscribe: () => this.#listeners.delete(listen) }
  }

  #announce(): void {
    const changes = this.tables.takeChanges()
    if (changes.changes.length === 0) return
    for (const listen of this.#listeners) {
      // One follower's defect is not the state machine's: halting here would stop every member alike.
      try {
        listen(changes)
      } catch (defect) {
        this.#onDefect(defect)
      }
    }
  }
}
