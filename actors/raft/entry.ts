/** What the log is made of. Apart from the storage, because consensus speaks of entries and never of disks. */

/** The meanings of `Entry.type`. A type that is not listed halts the member; it is never skipped. */
export const entryType = {
  /** Carries nothing; a new leader's first entry. */
  noop: 0,
  /** Carries one command of the state machine. */
  command: 1,
  /** Carries a configuration of the group. */
  config: 2,
  /** Carries one command of the state machine behind the id of its proposal (`host/envelope.ts`). */
  proposal: 3
} as const

/** One line of the log. `index` and `term` are whole numbers from 1; `type` is one byte. */
export interface Entry {
  readonly index: number
  readonly term: number
  readonly type: number
  readonly data: Uint8Array
}

/** What a member must never forget: its term, and whom it voted for in it (`""` for nobody). */
export interface HardState {
  readonly term: number
  readonly vote: string
}

/** The most one entry may carry: Swarm's config objects are below 1,000 KiB, base64 makes a third more of them. */
export const maxEntryBytes = 1536 * 1024
