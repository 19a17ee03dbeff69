/**
 * Reads the segments of a log and tells a write that power loss cut short from data that was acknowledged and
 * is damaged. Changes nothing.
 *
 * One frame is in flight at a time. So only the very last frame can be torn, and any sign that something came
 * after it (a later frame, a slot that witnessed it) proves that it was whole once.
 */
import type { Entry } from "#actors/raft/entry.ts"
import { blockBytes } from "#actors/raft/storage/block.ts"
import { allZero, sameBytes } from "#actors/raft/storage/bytes.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import {
  decodeMarker,
  decodePayload,
  decodeSegmentHead,
  type FrameHead,
  findLaterHead,
  frameKind,
  type Owner,
  readFrame,
  type SegmentHead,
  segmentKey
} from "#actors/raft/storage/frame.ts"
import type { KeyRing } from "#actors/raft/storage/keys.ts"
import { parseName } from "#actors/raft/storage/layout.ts"
import type { Slot } from "#actors/raft/storage/slot.ts"
import { readWhole, type Vfs } from "#actors/raft/storage/vfs.ts"
import type { Quarantine } from "#actors/raft/storage.ts"

/** What the log says once all its frames are replayed. */
export interface Scanned {
  readonly _tag: "Scanned"
  readonly term: number
  readonly vote: string
  readonly commitHint: number
  readonly lastSeq: number
  /** Above every sequence number and segment name ever used here. */
  readonly freeSeq: number
  readonly entries: ReadonlyArray<Entry>
  /** The index the next entry will have. */
  readonly nextIndex: number
  /** The newest snapshot that the log says was durable; 0 for none. */
  readonly markedSnapshot: number
  readonly notes: ReadonlyArray<string>
}

const quarantine = (reason: string): Quarantine => ({ _tag: "Quarantine", reason })

interface Found {
  readonly name: string
  readonly bytes: Uint8Array
  readonly head: SegmentHead
}

interface Gathered {
  readonly chain: ReadonlyArray<Found>
  readonly newestName: number
  readonly notes: ReadonlyArray<string>
}

/** The segments that make up the log, oldest first, or why they do not. */
function gather(vfs: Vfs, cipher: Cipher, owner: Owner, directory: string): Gathered | Quarantine {
  const chain: Array<Found> = []
  const notes: Array<string> = []
  let newestName = 0
  for (const name of [...vfs.list(directory)].reverse()) {
    const numbers = parseName(name, "seg")
    if (numbers === undefined) continue
    newestName = Math.max(newestName, numbers[0])
    const following = chain[0]
    // A restart supersedes everything before it; what is left of that was about to be removed.
    if (following?.head.restart === true) continue
    const bytes = readWhole(vfs, `${directory}/${name}`)
    const head = decodeSegmentHead(cipher, owner, bytes.subarray(0, blockBytes))
    if (head === undefined || head.firstSeq !== numbers[0] || head.firstIndex !== numbers[1]) {
      return quarantine(`The head of log segment ${name} is damaged or belongs to another file`)
    }
    // A hole: older segments were about to be removed. What is missing, if anything, shows below.
    if (following !== undefined && !sameBytes(following.head.previousFileId, head.fileId)) {
      notes.push(`Left out log segment ${name} and those before it: ${following.name} does not continue it`)
      break
    }
    chain.unshift({ name, bytes, head })
  }
  return { chain, newestName, notes }
}

/** Replays frames into the log they describe. */
class Replay {
  term = 0
  vote = ""
  commitHint = 0
  seq: number
  previousCrc: number
  nextIndex: number
  markedSnapshot = 0
  entries: Array<Entry> = []
  #started = false

  constructor(head: SegmentHead) {
    this.seq = head.firstSeq - 1
    this.previousCrc = head.previousCrc
    this.nextIndex = head.firstIndex
  }

  /** What is wrong with a frame that decrypted, or nothing. */
  take(cipher: Cipher, head: FrameHead, payload: Uint8Array): string | undefined {
    if (head.kind === frameKind.marker) {
      const marker = decodeMarker(payload)
      if (marker === undefined) return "its marker makes no sense"
      this.markedSnapshot = Math.max(this.markedSnapshot, marker.index)
      if (marker.index >= this.nextIndex) {
        this.entries = []
        this.nextIndex = marker.index + 1
      }
      return this.#state(head, marker.vote)
    }
    const batch = decodePayload(cipher, head, payload)
    if (batch === undefined) return "an entry's checksum is wrong"
    if (!this.#started) this.nextIndex = head.firstIndex
    if (head.truncateFrom > 0) this.#truncate(head.truncateFrom)
    if (head.firstIndex !== this.nextIndex) {
      return `it continues at entry ${head.firstIndex}, expected ${this.nextIndex}`
    }
    for (const entry of batch.entries) {
      const lastTerm = this.entries.at(-1)?.term ?? 0
      if (entry.term > head.term || entry.term < lastTerm) {
        return `entry ${entry.index} has term ${entry.term}, between ${lastTerm} and ${head.term} expected`
      }
      this.entries.push(entry)
    }
    this.nextIndex += batch.entries.length
    return this.#state(head, batch.vote)
  }

  #truncate(from: number): void {
    const first = this.entries[0]?.index ?? this.nextIndex
    if (from < this.nextIndex) {
      this.entries.length = Math.max(0, from - first)
      this.nextIndex = from
    }
  }

  #state(head: FrameHead, vote: string): string | undefined {
    if (head.term < this.term) return `its term is ${head.term}, after ${this.term}`
    this.term = head.term
    this.vote = vote
    this.commitHint = Math.max(this.commitHint, head.commitHint)
    this.#started = true
    return undefined
  }
}

/**
 * Replays the log in `directory`. `witness` is the newest sound state slot. Without any segment the log is empty,
 * which is right only when nothing was ever witnessed.
 */
export function scan(
  vfs: Vfs,
  cipher: Cipher,
  owner: Owner,
  ring: KeyRing,
  directory: string,
  witness: Slot
): Scanned | Quarantine {
  const gathered = gather(vfs, cipher, owner, directory)
  if ("_tag" in gathered) return gathered
  const { chain, newestName } = gathered
  const first = chain[0]
  if (first === undefined) {
    return witness.lastSeq > 0 || witness.term > 0
      ? quarantine(`The log is gone: frame ${witness.lastSeq} of term ${witness.term} was written once`)
      : {
          _tag: "Scanned",
          term: 0,
          vote: "",
          commitHint: 0,
          lastSeq: 0,
          freeSeq: newestName + 1,
          entries: [],
          nextIndex: 1,
          markedSnapshot: 0,
          notes: []
        }
  }

  const replay = new Replay(first.head)
  const notes: Array<string> = [...gathered.notes]
  for (const [at, segment] of chain.entries()) {
    const isLast = at === chain.length - 1
    const { head, name, bytes } = segment
    if (head.firstSeq !== replay.seq + 1 || head.previousCrc !== replay.previousCrc) {
      return quarantine(
        `Log segment ${name} begins at frame ${head.firstSeq}, but the one before it ends at ${replay.seq}`
      )
    }
    const dataKey = ring.find(({ id }) => sameBytes(id, head.keyId))
    if (dataKey === undefined) {
      return quarantine(`The data key of log segment ${name} is not in the key file`)
    }
    const file = segmentKey(cipher, owner, dataKey.key, head.fileId)

    let offset = blockBytes
    while (offset < bytes.length) {
      const frame = readFrame(cipher, file, bytes, offset)
      const where = `frame ${replay.seq + 1} at byte ${offset} of log segment ${name}`
      if (frame._tag === "Frame") {
        if (frame.head.seq !== replay.seq + 1 || frame.head.previousCrc !== replay.previousCrc) {
          return quarantine(`Instead of ${where} stands frame ${frame.head.seq}: a misplaced or stale write`)
        }
        const wrong = replay.take(cipher, frame.head, frame.payload)
        if (wrong !== undefined) return quarantine(`Cannot use ${where}: ${wrong}`)
        replay.seq = frame.head.seq
        replay.previousCrc = frame.crc
        offset += frame.size
        continue
      }

      const restIsZero = allZero(bytes, offset)
      if (restIsZero) break
      if (!isLast) {
        if (frame._tag === "Blank") {
          notes.push(`Log segment ${name} is not zero after its last frame`)
          break
        }
        return quarantine(`Cannot read ${where}, which was acknowledged: ${frame.reason}`)
      }
      if (frame._tag === "Broken" && frame.head !== undefined) {
        if (frame.head.seq !== replay.seq + 1 || frame.head.previousCrc !== replay.previousCrc) {
          return quarantine(`Instead of ${where} stands frame ${frame.head.seq}: a misplaced or stale write`)
        }
      }
      const later = findLaterHead(cipher, file, bytes, offset + blockBytes, replay.seq + 1)
      if (later !== undefined) {
        return quarantine(`Cannot read ${where}, which was acknowledged: frame ${later.seq} follows it`)
      }
      if (witness.lastSeq > replay.seq) break
      notes.push(`Dropped ${where}: it was being written when the power or the process failed`)
      break
    }
  }

  if (witness.lastSeq > replay.seq) {
    return quarantine(
      `The log ends at frame ${replay.seq}, but frame ${witness.lastSeq} was acknowledged: its end is damaged or lost`
    )
  }
  if (witness.term > replay.term) {
    return quarantine(`The log ends in term ${replay.term}, but term ${witness.term} was acknowledged`)
  }
  if (replay.commitHint >= replay.nextIndex) {
    return quarantine(
      `Entry ${replay.commitHint} was committed, but the log ends at entry ${replay.nextIndex - 1}`
    )
  }
  return {
    _tag: "Scanned",
    term: replay.term,
    vote: replay.vote,
    commitHint: replay.commitHint,
    lastSeq: replay.seq,
    freeSeq: Math.max(replay.seq, newestName) + 2,
    entries: replay.entries,
    nextIndex: replay.nextIndex,
    markedSnapshot: replay.markedSnapshot,
    notes
  }
}
