/**
 * A group of one: leads as soon as its log is back, acknowledges what its own disk has, applies it in order.
 *
 * Plain code over a `Storage` and a sense of turns, so that the simulator runs the same member on an imitated
 * disk. `solo.ts` puts it on the real one.
 */
import { type Entry, entryType, maxEntryBytes } from "#actors/raft/entry.ts"
import {
  type Leadership,
  NoLeader,
  type ProposeOutcome,
  type RaftStatus,
  type StateMachine
} from "#actors/raft/protocol.ts"
import type { Storage } from "#actors/raft/storage.ts"
import type { Turns } from "#actors/raft/turns.ts"
import { assert } from "#runtime/assert.ts"

/** Bytes and counts at which a member batches, refuses and takes snapshots. */
export interface SoloLimits {
  readonly frameBytes: number
  readonly frameEntries: number
  readonly uncommittedBytes: number
  readonly uncommittedEntries: number
  readonly snapshotEntries: number
  readonly snapshotBytes: number
}

export const soloLimits: SoloLimits = {
  frameBytes: 256 * 1024,
  frameEntries: 1_024,
  uncommittedBytes: 32 * 1024 * 1024,
  uncommittedEntries: 8_192,
  snapshotEntries: 50_000,
  snapshotBytes: 16 * 1024 * 1024
}

// Applying never holds up anything else for longer than this.
const applyMs = 4
// After a snapshot for which there was no room: so many entries before the next attempt.
const retrySnapshotAfter = 1_000

interface Proposal {
  readonly data: Uint8Array
  readonly done: (outcome: ProposeOutcome) => void
}

interface ToApply {
  readonly entry: Entry
  readonly done?: (outcome: ProposeOutcome) => void
}

type ReadDone = (answer: number | NoLeader) => void

export interface SoloOptions {
  readonly nodeId: string
  readonly storage: Storage
  readonly machine: StateMachine
  readonly turns: Turns
  readonly limits: SoloLimits
  /** The member has halted for good: its disk failed, or its state machine threw. */
  readonly halted: (error: Error) => void
}

export class SoloMember {
  readonly #nodeId: string
  readonly #storage: Storage
  readonly #machine: StateMachine
  readonly #turns: Turns
  readonly #limits: SoloLimits
  readonly #halted: (error: Error) => void
  readonly #listeners = new Set<(leadership: Leadership) => void>()

  #term: number
  #lastIndex: number
  #commit = 0
  #applied: number
  #appliedTerm: number
  #token = 0
  #leading = false
  #closing = false
  #problem: string | undefined
  #haltedBy: Error | undefined

  #waiting: Array<Proposal> = []
  #inFlight: ReadonlyArray<Proposal> | undefined
  #toApply: Array<ToApply> = []
  #applyAt = 0
  #applying = false
  #flushing = false
  #uncommittedBytes = 0
  #uncommitted = 0

  #asked: Array<ReadDone> = []
  #reads: Array<{ readonly index: number; readonly done: ReadonlyArray<ReadDone> }> = []
  #snapshotting = false
  #noSnapshotBefore = 0
  #whenSettled: Array<() => void> = []

  constructor(options: SoloOptions) {
    this.#nodeId = options.nodeId
    this.#storage = options.storage
    this.#machine = options.machine
    this.#turns = options.turns
    this.#limits = options.limits
    this.#halted = options.halted
    const { hardState, snapshot, lastIndex } = options.storage.recovered
    this.#term = hardState.term
    this.#lastIndex = lastIndex
    this.#applied = snapshot?.index ?? 0
    this.#appliedTerm = snapshot?.term ?? 0
  }

  /**
   * Restores the state, makes a new term and its first entry durable, applies what the log holds, and leads.
   * `ready` is told why, when that did not work.
   */
  start(ready: (problem?: Error) => void): void {
    const { recovered } = this.#storage
    try {
      if (recovered.snapshot !== undefined) this.#machine.restore(this.#storage.loadSnapshot())
    } catch (error) {
      ready(error as Error)
      return
    }
    this.#whenSettled.push(() => ready(this.#haltedBy))
    const term = this.#term + 1
    const noop: Entry = {
      index: this.#lastIndex + 1,
      term,
      type: entryType.noop,
      data: new Uint8Array(0)
    }
    // One frame: the term and the vote for it are durable with the first entry, before anyone hears of them.
    this.#storage.persist(
      {
        token: ++this.#token,
        hardState: { term, vote: this.#nodeId },
        entries: [noop],
        commitHint: recovered.commitHint
      },
      () => {
        this.#term = term
        this.#lastIndex = noop.index
        this.#commit = noop.index
        for (const entry of recovered.entries) this.#toApply.push({ entry })
        this.#toApply.push({ entry: noop, done: () => this.#lead() })
        this.#applySome()
      }
    )
  }

  propose(data: Uint8Array, done: (outcome: ProposeOutcome) => void): void {
    const refusal = this.#refusal(data)
    if (refusal !== undefined) {
      this.#turns.soon(() => done(refusal))
      return
    }
    this.#uncommitted++
    this.#uncommittedBytes += data.length
    this.#waiting.push({ data, done })
    this.#flushSoon()
  }

  /** One look at the commit index for all who ask in a turn. */
  readIndex(done: ReadDone): void {
    this.#asked.push(done)
    if (this.#asked.length > 1) return
    this.#turns.soon(() => {
      const asked = this.#asked
      this.#asked = []
      if (!this.#leading) {
        const sorry = new NoLeader(this.#problem ?? "This member does not lead now")
        for (const one of asked) one(sorry)
        return
      }
      this.#reads.push({ index: this.#commit, done: asked })
      this.#answerReads()
    })
  }

  leadership(): Leadership {
    return this.#leading ? { _tag: "Leading", term: this.#term } : { _tag: "Following", term: this.#term }
  }

  onLeadership(listen: (leadership: Leadership) => void): { readonly unsubscribe: () => void } {
    // A listener given twice is two listeners.
    const mine = (leadership: Leadership): void => listen(leadership)
    this.#listeners.add(mine)
    listen(this.leadership())
    return { unsubscribe: () => void this.#listeners.delete(mine) }
  }

  status(): RaftStatus {
    const { diskBytes, snapshotIndex, low, damage } = this.#storage.status()
    const [rotten] = damage
    const problem =
      this.#problem ??
      (low ? "There is too little disk space for new entries" : undefined) ??
      (rotten === undefined ? undefined : `${rotten.file} on disk has been damaged: ${rotten.reason}`)
    return {
      nodeId: this.#nodeId,
      role: this.#leading ? "leader" : "follower",
      term: this.#term,
      ...(this.#leading ? { leader: this.#nodeId } : {}),
      commit: this.#commit,
      applied: this.#applied,
      lastIndex: this.#lastIndex,
      snapshotIndex,
      diskBytes,
      ...(problem === undefined ? {} : { problem })
    }
  }

  /** Takes a snapshot of what is applied now, after one that is under way. */
  compact(done: () => void): void {
    if (this.#problem !== undefined) {
      this.#turns.soon(done)
      return
    }
    if (this.#snapshotting) {
      this.#whenSettled.push(() => this.compact(done))
      return
    }
    this.#snapshot(done)
  }

  /** Ends leading, completes what was accepted, takes a last snapshot and lets go of the files. */
  close(done: () => void): void {
    this.#closing = true
    this.#follow()
    const finish = (): void => this.#storage.close(done)
    const settle = (): void => {
      if (this.#problem !== undefined) finish()
      else if (!this.#isSettled()) this.#whenSettled.push(settle)
      else if (this.#applied > this.#storage.status().snapshotIndex && !this.#storage.status().low) {
        this.#snapshot(finish)
      } else finish()
    }
    settle()
  }

  /** The disk failed, or something else after which nothing may be promised any more. */
  halt(error: Error): void {
    if (this.#problem !== undefined) return
    this.#problem = error.message
    this.#haltedBy = error
    const unknown: ProposeOutcome = { _tag: "Unknown", message: error.message }
    const doubtful = [...this.#toApply.slice(this.#applyAt), ...(this.#inFlight ?? [])]
    const untouched = this.#waiting
    this.#toApply = []
    this.#applyAt = 0
    this.#inFlight = undefined
    this.#waiting = []
    this.#follow()
    for (const { done } of doubtful) done?.(unknown)
    for (const { done } of untouched) done({ _tag: "NotLeader" })
    for (const { done } of this.#reads) for (const one of done) one(new NoLeader(error.message))
    this.#reads = []
    this.#halted(error)
    this.#settled()
  }

  #refusal(data: Uint8Array): ProposeOutcome | undefined {
    if (!this.#leading) return { _tag: "NotLeader" }
    const overloaded = (message: string): ProposeOutcome => ({ _tag: "Overloaded", message })
    if (data.length > maxEntryBytes) {
      return overloaded(`Cannot propose ${data.length} bytes: one entry carries at most ${maxEntryBytes}`)
    }
    const { uncommittedEntries, uncommittedBytes } = this.#limits
    if (this.#uncommitted >= uncommittedEntries) {
      return overloaded(`Cannot propose now: ${this.#uncommitted} proposals wait for the disk`)
    }
    if (this.#uncommittedBytes + data.length > uncommittedBytes) {
      return overloaded(`Cannot propose now: ${this.#uncommittedBytes} bytes wait for the disk`)
    }
    if (this.#storage.status().low) return overloaded("Cannot propose now: there is too little disk space")
    return undefined
  }

  #lead(): void {
    if (this.#closing || this.#problem !== undefined) return
    this.#leading = true
    this.#tell()
  }

  #follow(): void {
    if (!this.#leading) return
    this.#leading = false
    this.#tell()
  }

  #tell(): void {
    const leadership = this.leadership()
    for (const listen of [...this.#listeners]) listen(leadership)
  }

  #flushSoon(): void {
    if (this.#flushing || this.#inFlight !== undefined) return
    this.#flushing = true
    this.#turns.soon(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  /** Everything that came while a frame was in flight makes the next one. */
  #flush(): void {
    if (this.#inFlight !== undefined || this.#waiting.length === 0 || this.#problem !== undefined) return
    const { frameBytes, frameEntries } = this.#limits
    let count = 0
    let bytes = 0
    for (const { data } of this.#waiting) {
      if (count === frameEntries || (count > 0 && bytes + data.length > frameBytes)) break
      count++
      bytes += data.length
    }
    const batch = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    this.#inFlight = batch
    const first = this.#lastIndex + 1
    const entries = batch.map(
      ({ data }, i): Entry => ({
        index: first + i,
        term: this.#term,
        type: entryType.command,
        data
      })
    )
    this.#lastIndex += count
    this.#storage.persist({ token: ++this.#token, entries, commitHint: this.#commit }, () => {
      if (this.#problem !== undefined) return
      this.#inFlight = undefined
      this.#commit = first + count - 1
      for (const [i, entry] of entries.entries()) {
        const done = batch[i]?.done
        this.#toApply.push(done === undefined ? { entry } : { entry, done })
      }
      // The disk gets its next frame before this thread gets busy with the last one.
      this.#flush()
      this.#applySome()
    })
  }

  #applySome(): void {
    if (this.#applying) return
    this.#applying = true
    const until = this.#turns.monotonic() + applyMs
    while (this.#applyAt < this.#toApply.length) {
      const next = this.#toApply[this.#applyAt]
      assert(next !== undefined, "what is to be applied is there")
      this.#applyAt++
      if (!this.#applyOne(next)) {
        this.#applying = false
        return
      }
      if (this.#applyAt < this.#toApply.length && this.#turns.monotonic() >= until) {
        this.#turns.later(() => {
          this.#applying = false
          this.#applySome()
        })
        return
      }
    }
    this.#toApply = []
    this.#applyAt = 0
    this.#applying = false
    this.#snapshotIfDue()
    this.#settled()
  }

  /** False when the member has halted. */
  #applyOne({ entry, done }: ToApply): boolean {
    assert(entry.index === this.#applied + 1, "entries are applied in order, each once")
    let result: unknown
    try {
      if (entry.type === entryType.command) result = this.#machine.apply(entry.index, entry.data)
      else if (entry.type !== entryType.noop)
        throw new Error(`entries of type ${entry.type} are not known here`)
    } catch (error) {
      this.#applyAt--
      this.halt(new Error(`Cannot apply entry ${entry.index}: ${(error as Error).message}`, { cause: error }))
      return false
    }
    this.#applied = entry.index
    this.#appliedTerm = entry.term
    if (entry.type === entryType.command && done !== undefined) {
      this.#uncommitted--
      this.#uncommittedBytes -= entry.data.length
    }
    done?.({ _tag: "Applied", index: entry.index, result })
    this.#answerReads()
    return this.#problem === undefined
  }

  #answerReads(): void {
    while ((this.#reads[0]?.index ?? Number.POSITIVE_INFINITY) <= this.#applied) {
      const ready = this.#reads.shift()
      for (const one of ready?.done ?? []) one(this.#applied)
    }
  }

  #snapshotIfDue(): void {
    if (this.#snapshotting || this.#closing || this.#applied < this.#noSnapshotBefore) return
    const { snapshotIndex, snapshotBytes, logBytes, damage } = this.#storage.status()
    const due =
      // A fresh one takes the place of the one that has rotted.
      (damage.some(({ of }) => of === "snapshot") && this.#applied > snapshotIndex) ||
      this.#applied - snapshotIndex >= this.#limits.snapshotEntries ||
      logBytes >= Math.max(this.#limits.snapshotBytes, 2 * snapshotBytes)
    if (due) this.#snapshot(() => {})
  }

  #snapshot(done: () => void): void {
    const { snapshotIndex } = this.#storage.status()
    if (this.#applied <= snapshotIndex) {
      this.#turns.soon(done)
      return
    }
    this.#snapshotting = true
    try {
      const chunks = this.#machine.snapshot()[Symbol.iterator]()
      // Asking for the first chunk now freezes the state now, also when a generator makes the chunks.
      const first = chunks.next()
      const meta = { index: this.#applied, term: this.#appliedTerm, config: new Uint8Array(0) }
      this.#storage.saveSnapshot(meta, startingWith(first, chunks), (saved) => {
        this.#snapshotting = false
        if (!saved) this.#noSnapshotBefore = this.#applied + retrySnapshotAfter
        done()
        this.#settled()
      })
    } catch (error) {
      this.#snapshotting = false
      this.halt(new Error(`Cannot take a snapshot: ${(error as Error).message}`, { cause: error }))
      done()
    }
  }

  #isSettled(): boolean {
    return (
      this.#waiting.length === 0 &&
      this.#inFlight === undefined &&
      this.#toApply.length === 0 &&
      !this.#snapshotting &&
      !this.#flushing
    )
  }

  #settled(): void {
    if (this.#problem === undefined && !this.#isSettled()) return
    const waiting = this.#whenSettled
    this.#whenSettled = []
    for (const one of waiting) one()
  }
}

function startingWith<A>(first: IteratorResult<A>, rest: Iterator<A>): Iterator<A> {
  let isFirst = true
  return {
    next: () => {
      if (!isFirst) return rest.next()
      isFirst = false
      return first
    },
    return: () => rest.return?.() ?? { done: true, value: undefined }
  }
}
