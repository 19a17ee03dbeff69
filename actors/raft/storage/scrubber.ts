/** Reads what is on disk over again and says what has rotted since it was written, long before it is needed. */
import { blockBytes } from "#actors/raft/storage/block.ts"
import { sameBytes } from "#actors/raft/storage/bytes.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import {
  decodeSegmentHead,
  frameSizeAt,
  type Owner,
  readFrame,
  segmentKey
} from "#actors/raft/storage/frame.ts"
import type { KeyRing } from "#actors/raft/storage/keys.ts"
import { names } from "#actors/raft/storage/layout.ts"
import { BadSnapshot, readSnapshot, type StoredSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import { DiskError, type Vfs } from "#actors/raft/storage/vfs.ts"
import type { SegmentAt } from "#actors/raft/storage/wal-state.ts"
import type { Damage } from "#actors/raft/storage.ts"

/** What there is to read: of the last segment only what is written, `offset` bytes. */
export interface ScrubScope {
  readonly directory: string
  readonly owner: Owner
  readonly ring: KeyRing
  readonly segments: ReadonlyArray<SegmentAt>
  readonly offset: number
  readonly snapshots: ReadonlyArray<StoredSnapshot>
}

/** One round over everything that was there when it began. */
export class Scrubber {
  readonly totalBytes: number
  readonly #steps: Generator<number, void>
  readonly #found: (damage: Damage) => void
  doneBytes = 0
  done = false

  constructor(vfs: Vfs, cipher: Cipher, scope: ScrubScope, found: (damage: Damage) => void) {
    this.#found = found
    const snapshots = scope.snapshots.reduce((sum, { bytes }) => sum + bytes, 0)
    const closed = scope.segments.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0)
    this.totalBytes = snapshots + closed + scope.offset
    this.#steps = this.#round(vfs, cipher, scope)
  }

  /** Reads about so many bytes. */
  step(bytes: number): void {
    let read = 0
    while (read < bytes && !this.done) {
      const next = this.#steps.next()
      if (next.done === true) {
        this.done = true
        this.doneBytes = this.totalBytes
      } else read += next.value
    }
    if (!this.done) this.doneBytes = Math.min(this.totalBytes - 1, this.doneBytes + read)
  }

  /** Lets go of the file it is reading. */
  stop(): void {
    this.#steps.return()
    this.done = true
  }

  *#round(vfs: Vfs, cipher: Cipher, scope: ScrubScope): Generator<number, void> {
    for (const [i, segment] of scope.segments.entries()) {
      const end = i === scope.segments.length - 1 ? scope.offset : segment.bytes
      const lastSeq = (scope.segments[i + 1]?.firstSeq ?? Number.POSITIVE_INFINITY) - 1
      const file = `${names.log}/${segment.name}`
      yield* this.#guarded("log", file, readSegment(vfs, cipher, scope, segment, end, lastSeq))
    }
    for (const { name } of scope.snapshots) {
      const file = `${names.snapshots}/${name}`
      const path = `${scope.directory}/${file}`
      yield* this.#guarded(
        "snapshot",
        file,
        lengths(readSnapshot(vfs, cipher, scope.owner, scope.ring, path))
      )
    }
  }

  *#guarded(
    of: Damage["of"],
    file: string,
    steps: Generator<number, string | undefined>
  ): Generator<number, void> {
    try {
      const reason = yield* steps
      if (reason !== undefined) this.#found({ of, file, reason })
    } catch (error) {
      // A snapshot has made it needless meanwhile.
      if (error instanceof DiskError && error.code === "ENOENT") return
      // A sector that cannot be read is damage like any other.
      if (!(error instanceof DiskError) && !(error instanceof BadSnapshot)) throw error
      this.#found({ of, file, reason: error.message })
    }
  }
}

function* lengths(chunks: Iterable<Uint8Array>): Generator<number, undefined> {
  for (const chunk of chunks) yield chunk.length
}

/** Yields how much it has read; answers what is wrong, if anything is. */
function* readSegment(
  vfs: Vfs,
  cipher: Cipher,
  { directory, owner, ring }: ScrubScope,
  segment: SegmentAt,
  end: number,
  lastSeq: number
): Generator<number, string | undefined> {
  const file = vfs.open(`${directory}/${names.log}/${segment.name}`, "read")
  try {
    const head = decodeSegmentHead(cipher, owner, file.read(0, blockBytes))
    if (head === undefined || !sameBytes(head.fileId, segment.fileId))
      return "the head of the segment is damaged"
    const dataKey = ring.find(({ id }) => sameBytes(id, head.keyId))
    if (dataKey === undefined) return "its data key is gone"
    const key = segmentKey(cipher, owner, dataKey.key, head.fileId)
    yield blockBytes
    let offset = blockBytes
    let seq = head.firstSeq
    while (offset < end && seq <= lastSeq) {
      const size = frameSizeAt(cipher, key, file.read(offset, blockBytes))
      if (size === undefined) return `the head of frame ${seq} at byte ${offset} is damaged`
      const frame = readFrame(cipher, key, file.read(offset, size), 0)
      if (frame._tag !== "Frame" || frame.head.seq !== seq) {
        const reason = frame._tag === "Broken" ? frame.reason : "another frame is in its place"
        return `frame ${seq} at byte ${offset} is damaged: ${reason}`
      }
      yield size
      offset += size
      seq++
    }
    return undefined
  } finally {
    file.close()
  }
}
