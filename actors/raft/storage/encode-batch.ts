/** Turns batches of consensus into the bytes that cross to the log's writer. */

import type { Cipher } from "#actors/raft/storage/cipher.ts"
import { encodePayload, payloadSize } from "#actors/raft/storage/frame.ts"
import type { EncodedBatch } from "#actors/raft/storage/wal-state.ts"
import type { PersistBatch, Recovered } from "#actors/raft/storage.ts"

/** Remembers what every frame repeats: the hard state, and which entry comes next. */
export class BatchEncoder {
  readonly #cipher: Cipher
  #hard: Recovered["hardState"]
  #nextIndex: number

  constructor(cipher: Cipher, recovered: Recovered) {
    this.#cipher = cipher
    this.#hard = recovered.hardState
    this.#nextIndex = recovered.lastIndex + 1
  }

  /** `room` is where the payload goes if it fits there. */
  encode(batch: PersistBatch, room?: Uint8Array): EncodedBatch {
    this.#hard = batch.hardState ?? this.#hard
    const firstIndex = batch.entries[0]?.index ?? batch.truncateFrom ?? this.#nextIndex
    this.#nextIndex = firstIndex + batch.entries.length
    const { vote } = this.#hard
    const size = payloadSize(vote, batch.entries)
    const place = room !== undefined && size <= room.length ? room.subarray(0, size) : new Uint8Array(size)
    return {
      term: this.#hard.term,
      vote,
      commitHint: batch.commitHint,
      firstIndex,
      truncateFrom: batch.truncateFrom ?? 0,
      count: batch.entries.length,
      payload: encodePayload(this.#cipher, vote, batch.entries, place)
    }
  }

  /** A snapshot that reaches beyond the log is in place: the log goes on after it. */
  skipTo(snapshotIndex: number): void {
    this.#nextIndex = Math.max(this.#nextIndex, snapshotIndex + 1)
  }
}
