/** What the log drives: entries in, results out, and whoever follows is told what changed. */
import { apply, type Result } from "#actors/ledger/apply.ts"
import type { Entry } from "#actors/ledger/commands.ts"
import { compareInSteps } from "#actors/ledger/compare.ts"
import { digestOf } from "#actors/ledger/digest.ts"
import { decodeEntry } from "#actors/ledger/encode.ts"
import { mustUnderstand } from "#actors/ledger/features.ts"
import { isMarked, type Mark, Marks } from "#actors/ledger/marks.ts"
import type { ChangeSet } from "#actors/ledger/reader.ts"
import { Recent } from "#actors/ledger/recent.ts"
import { decodeInSteps, encodeSnapshot } from "#actors/ledger/snapshot.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import type { StateMachine } from "#actors/raft/protocol.ts"
import { BrokenInvariant } from "#runtime/assert.ts"

/** The replicated state machine: the tables, and what they answered lately. */
export class Machine implements StateMachine {
  tables = new LedgerTables()
  recent = new Recent()
  readonly #marks = new Marks()
  readonly #listeners = new Set<(changes: ChangeSet) => void>()
  readonly #onDefect: (defect: unknown) => void

  /** Told of each mark as it is made, in the middle of an entry: it may not propose anything in the same turn. */
  onMark: (mark: Mark) => void = () => {}
  /** Told that members differ where nobody can say yet who is wrong. */
  onDoubt: (words: string) => void = () => {}

  constructor(onDefect: (defect: unknown) => void) {
    this.#onDefect = onDefect
  }

  apply(index: number, data: Uint8Array): Result {
    const before = this.tables.index
    const result = this.#applyEntry(index, decodeEntry(data))
    if (isMarked(before, index)) this.#mark()
    return result
  }

  #applyEntry(index: number, entry: Entry): Result {
    const { proposer, boot, seq } = entry
    const seen = this.recent.look(proposer, boot, seq)
    this.tables.index = index
    if (seen._tag === "Repeated") return seen.result
    if (seen._tag === "TooOld") {
      const message =
        "The proposal is older than the results that are kept: read the ledger to learn how it ended"
      return { _tag: "Refused", refusal: { code: "unavailable", message } }
    }
    if (entry.command.type === "ledger.digest") this.#compare(proposer, entry.command)
    const result = apply(this.tables, index, entry)
    mustUnderstand(this.tables)
    this.recent.keep(proposer, boot, seq, result)
    this.#tell({ ...this.tables.takeChanges(), origin: { who: entry.who, why: entry.why } })
    return result
  }

  /** 16 hexadecimal digits of the state as of the last applied entry: members that differ have diverged. */
  digest(): string {
    return digestOf(this.tables, this.recent)
  }

  snapshot(): Iterable<Uint8Array> {
    return encodeSnapshot(this.tables, this.recent)
  }

  /** Whoever follows is told of all that is different now. */
  restore(chunks: Iterable<Uint8Array>): void {
    for (const _ of this.restoreInSteps(chunks));
  }

  *restoreInSteps(chunks: Iterable<Uint8Array>): Generator<void, void> {
    const recent = new Recent()
    const tables = yield* decodeInSteps(chunks, recent, this.tables.views)
    mustUnderstand(tables)
    const before = this.tables
    this.tables = tables
    this.recent = recent
    this.#marks.clear()
    this.#mark()
    // Who follows from now on reads the new state.
    const listeners = [...this.#listeners]
    if (listeners.length === 0) return
    for (const changes of compareInSteps(before, tables)) {
      if (changes !== undefined) this.#tell(changes, listeners)
      yield
    }
  }

  /** The digests at the latest entries that all members remember theirs of, to compare members from outside. */
  marks(): ReadonlyArray<Mark> {
    return this.#marks.all
  }

  follow(listen: (changes: ChangeSet) => void): { readonly unsubscribe: () => void } {
    this.#listeners.add(listen)
    return { unsubscribe: () => this.#listeners.delete(listen) }
  }

  #mark(): void {
    const mark = { index: this.tables.index, digest: this.digest() }
    this.#marks.add(mark)
    this.onMark(mark)
  }

  /** Whether `member` has told its digest at that entry. */
  hasTold(index: number, member: string): boolean {
    return this.#marks.hasTold(index, member)
  }

  /**
   * Halts this member, also where it leads, rather than let it go on answering from a state that more than half of the
   * managers do not share. Where no half is large enough all go on: the log is sound, and stopping helps nobody.
   */
  #compare(member: string, mark: Mark): void {
    let managers = 0
    for (const node of this.tables.all("node")) if (node.ManagerStatus !== undefined) managers++
    const compared = this.#marks.hear(member, mark, managers)
    if (compared._tag === "Agreed") return
    const at = `its state at entry ${mark.index} has digest ${compared.own}`
    if (compared._tag === "Outvoted")
      throw new BrokenInvariant(`This member has diverged: ${at}, most managers' has ${compared.theirs}`)
    const others = [...compared.told].map(([name, digest]) => `${digest} at ${name}`).join(", ")
    this.onDoubt(
      `The managers' states differ, and no half of them agrees so far: ${at} here, told were ${others}. ` +
        "Where it stays so, back up, find out with 'troupe log' who is wrong, and remove that manager"
    )
  }

  #tell(changes: ChangeSet, listeners: Iterable<(changes: ChangeSet) => void> = this.#listeners): void {
    if (changes.changes.length === 0) return
    for (const listen of listeners) {
      if (!this.#listeners.has(listen)) continue
      // One follower's defect is not the state machine's: halting here would stop every member alike.
      try {
        listen(changes)
      } catch (defect) {
        this.#onDefect(defect)
      }
    }
  }
}
