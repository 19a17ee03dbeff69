/** The numbers of consensus. Times are ticks; the driver says how long one is. */

/** Pre-vote and check-quorum are not here: they are always on. */
export interface CoreSettings {
  /** A tick, in milliseconds; only for whoever drives the core. */
  readonly tickMs: number
  readonly heartbeatTicks: number
  /** The shortest election timeout; the longest is one tick short of twice that. */
  readonly electionTicks: number
  /** A write that takes longer than this is stuck: a leader hands over, and nobody campaigns. */
  readonly diskStuckTicks: number
  /** What one append message carries at most; a larger entry travels alone. */
  readonly appendBytes: number
  /** What one write to disk carries at most. */
  readonly persistBytes: number
  readonly persistEntries: number
  /** Writes handed to the disk that are not durable yet. */
  readonly persistsInFlight: number
  /** Appends on their way to one peer. */
  readonly inFlightMessages: number
  readonly inFlightBytes: number
  /** Beyond these a leader refuses proposals. */
  readonly uncommittedBytes: number
  readonly uncommittedEntries: number
  /** Committed entries given out at a time. */
  readonly applyBytes: number
  readonly applyEntries: number
  /** Log kept in memory behind a snapshot, for members that were away for a while. */
  readonly trailingBytes: number
  readonly trailingEntries: number
}

export const coreSettings: CoreSettings = {
  tickMs: 50,
  heartbeatTicks: 2,
  electionTicks: 10,
  // 1.5 s: a disk that stalls for a second does not cost a leader, one that hangs is replaced within two timeouts.
  diskStuckTicks: 30,
  appendBytes: 256 * 1024,
  persistBytes: 256 * 1024,
  persistEntries: 1_024,
  persistsInFlight: 1,
  inFlightMessages: 64,
  inFlightBytes: 4 * 1024 * 1024,
  uncommittedBytes: 32 * 1024 * 1024,
  uncommittedEntries: 8_192,
  applyBytes: 1024 * 1024,
  applyEntries: 1_024,
  // 50,000 entries are 8 minutes at 100 a second: a restart needs no snapshot.
  trailingBytes: 32 * 1024 * 1024,
  trailingEntries: 50_000
}

/** What is wrong with these numbers, if anything. */
export function settingsProblem(settings: CoreSettings): string | undefined {
  for (const [name, value] of Object.entries(settings)) {
    if (!Number.isSafeInteger(value) || value < 1)
      return `${name} must be a whole number above 0, not ${value}`
  }
  if (settings.electionTicks < 5 * settings.heartbeatTicks) {
    // Four lost heartbeats in a row are not yet a lost leader.
    return `electionTicks must be at least 5 × heartbeatTicks, not ${settings.electionTicks}`
  }
  return undefined
}
