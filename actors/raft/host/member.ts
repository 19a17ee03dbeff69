/**
 * A member of the group in a process: carries the host's effects out over a storage, a state machine and whatever sends.
 *
 * Plain code and turns, like everything below it, so that the simulator runs this very file. What is around it in
 * production only makes a disk, a clock and NATS look like its arguments.
 */
import { crc32 } from "node:zlib"
import type { ConfigChange, Configuration, NodeId } from "#actors/raft/core/configuration.ts"
import type { TransferResult } from "#actors/raft/core/protocol.ts"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { commandOf } from "#actors/raft/host/envelope.ts"
import { openHost } from "#actors/raft/host/host.ts"
import type { Message } from "#actors/raft/host/message.ts"
import type {
  HostEffect,
  HostEvent,
  HostSettings,
  HostStatus,
  RaftHost,
  Settlement,
  Ticket
} from "#actors/raft/host/protocol.ts"
import {
  type Leadership,
  NoLeader,
  type ProposalId,
  type ProposeOutcome,
  type RaftFigures,
  type RaftStatus,
  type StateMachine
} from "#actors/raft/protocol.ts"
import type { SnapshotMeta, Storage } from "#actors/raft/storage.ts"
import type { Turns } from "#actors/raft/turns.ts"
import { never } from "#runtime/assert.ts"
import type { FreshState } from "#runtime/ids.ts"

// Applying never holds up heartbeats for longer than this.
const applyMs = 4
// A snapshot that nobody fetches any more is let go of; 100 ticks are 5 s.
const sourceTicks = 100
// A leader that closes waits so long for a successor.
const handOverTicks = 20

/** What a member asks of its storage. */
export type MemberStorage = Pick<
  Storage,
  "recovered" | "persist" | "loadSnapshot" | "saveSnapshot" | "status" | "quarantine" | "close"
>

export interface MemberOptions {
  readonly id: NodeId
  /** Random per process start. */
  readonly boot: string
  /** Who is in the group as long as neither log nor snapshot say: the founders, or nobody for one that joins. */
  readonly initial: Configuration
  readonly settings: HostSettings
  readonly chance: FreshState
  readonly storage: MemberStorage
  readonly machine: StateMachine
  readonly turns: Turns
  /** May lose it; must not call back in the same turn. */
  readonly send: (message: Message) => void
  /** Nothing may be promised any more: the disk failed, the state machine threw, or a belief was wrong. */
  readonly halted: (error: Error) => void
  /** Acknowledged data are gone; this member takes no part, nor will it after a restart: the disk knows. */
  readonly quarantined: (reason: string) => void
}

export type ChangeOutcome = Extract<Settlement, { readonly _tag: "Change" }>["result"]

/** A snapshot that another member fetches. */
interface Source {
  readonly meta: SnapshotMeta
  readonly chunks: Iterator<Uint8Array>
  /** The last ones that were read, for asking again. */
  recent: Array<{ readonly data: Uint8Array; readonly checksum: number }>
  /** The number of the next chunk to read. */
  at: number
  checksum: number
  /** Read, not given out yet: so that the last one is known when it is sent. */
  ahead: IteratorResult<Uint8Array>
  usedAt: number
}

export class Member {
  readonly #options: MemberOptions
  readonly #storage: MemberStorage
  readonly #machine: StateMachine
  readonly #turns: Turns
  readonly #host: RaftHost
  readonly #listeners = new Set<(leadership: Leadership) => void>()
  readonly #tickets = new Map<Ticket, (settlement: Settlement | undefined) => void>()
  readonly #sources = new Map<NodeId, Source>()
  #events: Array<HostEvent> = []
  #scheduled = false
  #tickDue = false
  #ticks = 0
  #nextTicket: Ticket = 0
  #leadership: Leadership
  #newest: SnapshotMeta | undefined
  #problem: string | undefined
  #closing: { readonly done: () => void; readonly giveUpAt: number } | undefined
  #closed = false
  /** The log is in quarantine: nothing is written to it any more. */
  #outOfService = false

  /** Restores the state machine from the snapshot; throws what it throws. */
  constructor(options: MemberOptions) {
    this.#options = options
    this.#storage = options.storage
    this.#machine = options.machine
    this.#turns = options.turns
    const { recovered } = options.storage
    this.#newest = recovered.snapshot
    if (recovered.snapshot !== undefined) this.#machine.restore(this.#storage.loadSnapshot())
    this.#leadership = { _tag: "Following", term: recovered.hardState.term }
    this.#host = openHost({ ...options, recovered, storage: options.storage.status() })
    this.#wake()
  }

  // ── what happens to it

  receive(message: Message): void {
    this.#offer({ _tag: "Received", message })
  }

  /** A tick has passed. What is in the process's queues is heard first, and ticks that pile up count as one. */
  tick(): void {
    if (this.#tickDue) return
    this.#tickDue = true
    this.#turns.later(() => {
      this.#tickDue = false
      this.#ticks++
      this.#dropSources()
      this.#offer({ _tag: "Ticked", storage: this.#storage.status() })
    })
  }

  peerGone(node: NodeId): void {
    this.#offer({ _tag: "PeerGone", node })
  }

  unreachable(node: NodeId): void {
    this.#offer({ _tag: "Unreachable", node })
  }

  // ── what is asked of it

  propose(
    data: Uint8Array,
    id: ProposalId,
    done: (outcome: ProposeOutcome) => void,
    { deadlineTicks, onlyInTerm }: { readonly deadlineTicks?: number; readonly onlyInTerm?: number } = {}
  ): void {
    const ticket = this.#ticket((settlement) => {
      if (settlement?._tag === "Proposal") done(settlement.outcome)
      else done({ _tag: "Unknown", message: this.#problem ?? "This member is closing" })
    })
    this.#offer({
      ...{ _tag: "Propose", ticket, id, data },
      ...(deadlineTicks !== undefined && { deadlineTicks }),
      ...(onlyInTerm !== undefined && { onlyInTerm })
    })
  }

  readIndex(done: (answer: number | NoLeader) => void): void {
    const ticket = this.#ticket((settlement) => {
      if (settlement?._tag === "Read" && settlement.index !== undefined) done(settlement.index)
      else {
        const told = settlement?._tag === "Read" ? settlement.message : undefined
        done(new NoLeader(told ?? this.#problem ?? "This member is closing"))
      }
    })
    this.#offer({ _tag: "Read", ticket })
  }

  change(change: ConfigChange, force: boolean, done: (outcome: ChangeOutcome) => void): void {
    const ticket = this.#ticket((settlement) =>
      done(settlement?._tag === "Change" ? settlement.result : { _tag: "Unknown" })
    )
    this.#offer({ _tag: "Change", ticket, change, force })
  }

  transfer(to: NodeId | undefined, done: (result: TransferResult) => void): void {
    const ticket = this.#ticket((settlement) =>
      done(settlement?._tag === "Transfer" ? settlement.result : { _tag: "NotLeader" })
    )
    this.#offer({ _tag: "Transfer", ticket, ...(to === undefined ? {} : { to }) })
  }

  /** Takes a snapshot of what is applied. */
  compact(done: () => void): void {
    const ticket = this.#ticket(() => done())
    this.#offer({ _tag: "Compact", ticket })
  }

  /** Takes one after so many entries from now on; as its settings say where it is undefined. */
  snapshotEvery(entries: number | undefined): void {
    this.#offer({ _tag: "SnapshotEvery", entries })
  }

  leadership(): Leadership {
    return this.#leadership
  }

  onLeadership(listen: (leadership: Leadership) => void): { readonly unsubscribe: () => void } {
    // A listener given twice is two listeners.
    const mine = (leadership: Leadership): void => listen(leadership)
    this.#listeners.add(mine)
    listen(this.#leadership)
    return { unsubscribe: () => void this.#listeners.delete(mine) }
  }

  /** Everything there is to know, for operators and tests. */
  inspect(): HostStatus {
    return this.#host.status()
  }

  /** What there is to measure. */
  figures(): Omit<RaftFigures, "gauges"> {
    return { status: this.status(), host: this.inspect(), storage: this.#storage.status() }
  }

  status(): RaftStatus {
    const host = this.#host.status()
    const { diskBytes, low } = this.#storage.status()
    const isLearner = !host.configuration.voters.includes(host.id)
    const stopped = this.#problem === undefined ? host.role : "follower"
    const role = stopped === "pre-candidate" ? "candidate" : stopped
    const problem =
      this.#problem ??
      host.quarantined ??
      (host.removed ? "This node was removed from the managers" : undefined) ??
      (low ? "There is too little disk space for new entries" : undefined)
    return {
      nodeId: host.id,
      role:
        host.quarantined !== undefined ? "quarantined" : isLearner && role === "follower" ? "learner" : role,
      term: host.term,
      ...(host.leader === undefined ? {} : { leader: host.leader }),
      commit: host.commit,
      applied: host.applied,
      lastIndex: host.lastIndex,
      snapshotIndex: host.snapshotIndex,
      diskBytes,
      ageMs: host.silentTicks * this.#options.settings.core.tickMs,
      ...(problem === undefined ? {} : { problem })
    }
  }

  /** Hands leadership over, takes a last snapshot and lets go of the files. Needs ticks until it is done. */
  close(done: () => void): void {
    if (this.#problem !== undefined) {
      this.#storage.close(done)
      return
    }
    this.#closing = { done, giveUpAt: this.#ticks + handOverTicks }
    if (this.#host.status().role === "leader") this.transfer(undefined, () => {})
    this.#wake()
  }

  /** The disk failed, or something else after which nothing may be promised any more. */
  halt(error: Error): void {
    if (this.#problem !== undefined) return
    this.#problem = error.message
    this.#stop()
    this.#options.halted(error)
  }

  // ── turns

  #ticket(done: (settlement: Settlement | undefined) => void): Ticket {
    const ticket = ++this.#nextTicket
    this.#tickets.set(ticket, done)
    return ticket
  }

  #offer(event: HostEvent): void {
    if (this.#closed) {
      if (!("ticket" in event)) return
      // It never left here, and that is certain.
      const settlement: Settlement | undefined =
        event._tag === "Propose" ? { _tag: "Proposal", outcome: { _tag: "NotLeader" } } : undefined
      this.#turns.soon(() => this.#settle(event.ticket, settlement))
      return
    }
    this.#events.push(event)
    this.#wake()
  }

  #wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turns.soon(() => {
      this.#scheduled = false
      this.#turn()
    })
  }

  #turn(): void {
    if (this.#closed) return
    const events = this.#events
    this.#events = []
    try {
      for (const effect of this.#host.turn(events)) {
        if (this.#closed) return
        this.#perform(effect)
      }
    } catch (error) {
      this.halt(error as Error)
      return
    }
    this.#closeIfReady()
  }

  #perform(effect: HostEffect): void {
    const writes = effect._tag === "Persist" || effect._tag === "SaveSnapshot" || effect._tag === "Install"
    if (writes && this.#outOfService) return
    switch (effect._tag) {
      case "Persist":
        this.#storage.persist(effect.batch, (token) =>
          this.#offer({ _tag: "Persisted", token, storage: this.#storage.status() })
        )
        return
      case "Send":
        this.#options.send(effect.message)
        return
      case "Apply":
        this.#apply(effect.entries)
        return
      case "SaveSnapshot":
        this.#saveSnapshot(effect.meta)
        return
      case "Install":
        this.#install(effect)
        return
      case "LoadChunks":
        this.#load(effect)
        return
      case "TellLater":
        this.#turns[effect.when === "next" ? "later" : "shortly"](() =>
          this.#offer({ _tag: "Tell", when: effect.when })
        )
        return
      case "Settle":
        this.#settle(effect.ticket, effect.settlement)
        return
      case "Leadership":
        this.#leadership = effect.leadership
        for (const listen of [...this.#listeners]) listen(effect.leadership)
        return
      case "Quarantine":
        this.#outOfService = true
        this.#storage.quarantine(effect.reason, () => {
          this.#offer({ _tag: "Marked" })
          this.#options.quarantined(effect.reason)
        })
        return
      default:
        never(effect)
    }
  }

  #settle(ticket: Ticket, settlement: Settlement | undefined): void {
    const done = this.#tickets.get(ticket)
    this.#tickets.delete(ticket)
    done?.(settlement)
  }

  // ── the state machine

  #apply(entries: ReadonlyArray<Entry>): void {
    const until = this.#turns.monotonic() + applyMs
    const results: Array<unknown> = []
    let index = 0
    for (const entry of entries) {
      if (results.length > 0 && this.#turns.monotonic() >= until) break
      results.push(this.#applyOne(entry))
      index = entry.index
    }
    const event: HostEvent = { _tag: "Applied", index, results }
    // What is left waits until everything else had its turn.
    if (results.length < entries.length) this.#turns.later(() => this.#offer(event))
    else this.#offer(event)
  }

  #applyOne(entry: Entry): unknown {
    try {
      switch (entry.type) {
        case entryType.noop:
        case entryType.config:
          return undefined
        case entryType.command:
          return this.#machine.apply(entry.index, entry.data)
        case entryType.proposal:
          return this.#machine.apply(entry.index, commandOf(entry.data))
        default:
          throw new Error(`entries of type ${entry.type} are not known here`)
      }
    } catch (error) {
      throw new Error(`Cannot apply entry ${entry.index}: ${(error as Error).message}`, { cause: error })
    }
  }

  // ── snapshots

  #saveSnapshot(meta: SnapshotMeta): void {
    const chunks = this.#machine.snapshot()[Symbol.iterator]()
    // Asking for the first chunk now freezes the state now, also when a generator makes the chunks.
    const first = chunks.next()
    this.#storage.saveSnapshot(meta, startingWith(first, chunks), (saved) => {
      if (saved) this.#newest = meta
      this.#offer({ _tag: "Saved", meta, saved, storage: this.#storage.status() })
    })
  }

  #install({ token, before, meta, chunks }: Extract<HostEffect, { readonly _tag: "Install" }>): void {
    if (before !== undefined) this.#storage.persist(before, () => {})
    this.#storage.saveSnapshot(meta, chunks[Symbol.iterator](), (saved) => {
      if (this.#closed) return
      const installed = (): void =>
        this.#offer({ _tag: "Installed", token, saved, storage: this.#storage.status() })
      if (!saved) {
        installed()
        return
      }
      this.#newest = meta
      this.#restoreOn(this.#restoring(), meta, installed)
    })
  }

  /** The newest snapshot into the state machine, piece by piece where it knows how. */
  *#restoring(): Generator<void, void> {
    const chunks = this.#storage.loadSnapshot()
    if (this.#machine.restoreInSteps === undefined) this.#machine.restore(chunks)
    else yield* this.#machine.restoreInSteps(chunks)
  }

  /** Goes on with a restoration for as long as applying may take, again and again until it is `done`. */
  #restoreOn(steps: Iterator<void>, meta: SnapshotMeta, done: () => void): void {
    if (this.#closed) return
    const until = this.#turns.monotonic() + applyMs
    try {
      do {
        if (steps.next().done === true) {
          done()
          return
        }
      } while (this.#turns.monotonic() < until)
    } catch (error) {
      this.halt(
        new Error(`Cannot restore snapshot ${meta.index}: ${(error as Error).message}`, { cause: error })
      )
      return
    }
    this.#turns.later(() => this.#restoreOn(steps, meta, done))
  }

  #load({
    to,
    index,
    snapshotTerm,
    chunk,
    count
  }: Extract<HostEffect, { readonly _tag: "LoadChunks" }>): void {
    const source = this.#sourceFor(to, index, snapshotTerm, chunk)
    const chunks: Array<{ readonly data: Uint8Array; readonly checksum: number }> = []
    let last = false
    if (source !== undefined) {
      source.usedAt = this.#ticks
      while (source.ahead.done !== true && source.at < chunk + count) readChunk(source)
      const first = source.at - source.recent.length
      const end = Math.min(source.at, chunk + count)
      if (chunk >= first) chunks.push(...source.recent.slice(chunk - first, end - first))
      last = source.ahead.done === true && chunk + chunks.length === source.at
      source.recent = source.recent.slice(-2 * count)
    }
    this.#offer({ _tag: "Loaded", to, index, snapshotTerm, chunk, chunks, last })
  }

  /** The one that `to` is reading, or a new one if that snapshot is the newest. */
  #sourceFor(to: NodeId, index: number, term: number, chunk: number): Source | undefined {
    const known = this.#sources.get(to)
    const isSame = known !== undefined && known.meta.index === index && known.meta.term === term
    if (isSame && chunk >= known.at - known.recent.length) return known
    known?.chunks.return?.()
    this.#sources.delete(to)
    const meta = this.#newest
    if (meta === undefined || meta.index !== index || meta.term !== term) return undefined
    const iterator = this.#storage.loadSnapshot()[Symbol.iterator]()
    const first = iterator.next()
    const source: Source = {
      meta,
      chunks: iterator,
      recent: [],
      at: 0,
      checksum: 0,
      // An empty snapshot is one empty chunk.
      ahead: first.done === true ? { done: false, value: new Uint8Array(0) } : first,
      usedAt: this.#ticks
    }
    while (source.ahead.done !== true && source.at < chunk) {
      readChunk(source)
      source.recent = []
    }
    this.#sources.set(to, source)
    return source
  }

  #dropSources(): void {
    for (const [to, source] of this.#sources) {
      if (this.#ticks - source.usedAt < sourceTicks) continue
      source.chunks.return?.()
      this.#sources.delete(to)
    }
  }

  // ── the end

  #closeIfReady(): void {
    if (this.#closing === undefined || this.#closed) return
    const { done, giveUpAt } = this.#closing
    const status = this.#host.status()
    if (status.role === "leader" && status.configuration.voters.length > 1 && this.#ticks < giveUpAt) return
    const finish = (): void => {
      this.#stop()
      this.#storage.close(done)
    }
    this.#closing = undefined
    if (this.#storage.status().low || status.quarantined !== undefined) finish()
    else this.compact(finish)
  }

  #stop(): void {
    this.#closed = true
    this.#events = []
    for (const { chunks } of this.#sources.values()) chunks.return?.()
    this.#sources.clear()
    if (this.#leadership._tag === "Leading") {
      this.#leadership = { _tag: "Following", term: this.#leadership.term }
      for (const listen of [...this.#listeners]) listen(this.#leadership)
    }
    const waiting = [...this.#tickets.keys()]
    for (const ticket of waiting) this.#settle(ticket, undefined)
  }
}

function readChunk(source: Source): void {
  if (source.ahead.done === true) return
  const data = new Uint8Array(source.ahead.value)
  source.checksum = crc32(data, source.checksum)
  source.recent.push({ data, checksum: source.checksum })
  source.at++
  source.ahead = source.chunks.next()
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
