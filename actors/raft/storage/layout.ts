/** Names and sizes of everything in a `raft` directory, and the limits a test may make small. */

export const names = {
  identity: "identity",
  keys: "keys",
  lock: "LOCK",
  holder: "LOCK.holder",
  slots: ["state.0", "state.1"],
  /** There when the log takes no part any more, whatever else is in order. */
  quarantine: "quarantine",
  log: "wal",
  snapshots: "snap",
  /** The next segment while it is being filled with zeros. */
  spare: "spare.tmp",
  /** A fresh segment while recovery fills it. */
  rewrite: "rewrite.tmp"
} as const

/** Where the log is in a node's data directory. */
export const raftDirectory = (directory: string): string => `${directory}/raft`

const digits = 16
const padded = (value: number): string => String(value).padStart(digits, "0")

export const segmentName = (firstSeq: number, firstIndex: number): string =>
  `${padded(firstSeq)}-${padded(firstIndex)}.seg`
export const snapshotName = (index: number, term: number): string => `${padded(index)}-${padded(term)}.snap`

const twoNumbers = /^(\d{16})-(\d{16})\.(seg|snap)$/

/** The two numbers in a segment's or snapshot's name. */
export function parseName(name: string, kind: "seg" | "snap"): readonly [number, number] | undefined {
  const match = twoNumbers.exec(name)
  if (match === null || match[3] !== kind) return undefined
  return [Number(match[1]), Number(match[2])]
}

export interface Limits {
  /** Size of a segment; a larger frame gets a larger one. A multiple of 4 KiB. */
  readonly segmentBytes: number
  /** Below this much free space new entries are refused, so that terms and votes can always be written. */
  readonly reserveBytes: number
  /** How much of the next segment is zeroed between two frames. */
  readonly zeroBytes: number
}

export const defaultLimits: Limits = {
  segmentBytes: 16 * 1024 * 1024,
  reserveBytes: 64 * 1024 * 1024,
  // Half a millisecond or so of a disk: what a frame may have to wait for it.
  zeroBytes: 256 * 1024
}
