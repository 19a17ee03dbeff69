/** A member around the core: see `protocol.ts` for what it is told and what it asks for. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import { openCore } from "#actors/raft/core/core.ts"
import type { Persist, RaftCore, Ready, SoftState } from "#actors/raft/core/protocol.ts"
import { type Entry, entryType, maxEntryBytes } from "#actors/raft/entry.ts"
import { Fetch } from "#actors/raft/host/fetch.ts"
import { Forwarding, type Moment } from "#actors/raft/host/forwarding.ts"
import type { HostMessage, Message, ReadAnswer, ReadAsk, SnapshotAsk } from "#actors/raft/host/message.ts"
import type { CatchUp } from "#actors/raft/host/promote.ts"
import { judgeLearners } from "#actors/raft/host/promote.ts"
import { Proposals } from "#actors/raft/host/proposals.ts"
import type {
  HostEffect,
  HostEvent,
  HostOptions,
  HostSettings,
  HostStatus,
  RaftHost,
  Settlement,
  Telling,
  Ticket
} from "#actors/raft/host/protocol.ts"
import { Reads } from "#actors/raft/host/reads.ts"
import { Snapshots } from "#actors/raft/host/snapshots.ts"
import type { PersistBatch, StorageStatus } from "#actors/raft/storage.ts"
import { assert, never } from "#runtime/assert.ts"

export function openHost(options: HostOptions): RaftHost {
  return new Host(options)
}

// One second at first, an hour at last.
const giveWayTicks = { least: 20, most: 72_000 }

interface Change {
  readonly ticket: Ticket
  readonly index: number
  readonly term: number
}

class Host implements RaftHost {
  readonly #id: NodeId
  readonly #boot: string
  readonly #settings: HostSettings
  readonly #core: RaftCore
  readonly #proposals: Proposals
  readonly #reads: Reads
  readonly #fetch: Fetch
  readonly #forwarding: Forwarding
  readonly #snapshots: Snapshots
  #effects: Array<HostEffect> = []
  #now = 0
  #storage: StorageStatus
  #soft: SoftState
  #leaderlessSince: number | undefined = 0

  #toApply: Array<Entry> = []
  #handedOut: ReadonlyArray<Entry> | undefined
  #applied: number
  #appliedTerm: number
  #toldLeading = 0
  /** A commit index waits for entries that may carry it along. */
  #holding = true
  /** The turns that were asked for and have not come. */
  readonly #telling = new Set<Telling>()

  /** A leader without room for entries: when it hands over next, and how long it waits after that. */
  #givesWay = { at: 0, pause: giveWayTicks.least }
  #changes: Array<Change> = []
  #catchUps: ReadonlyMap<NodeId, CatchUp> = new Map()

  constructor(options: HostOptions) {
    this.#id = options.id
    this.#boot = options.boot
    this.#settings = options.settings
    this.#storage = options.storage
    const { recovered } = options
    this.#core = openCore({
      id: options.id,
      recovered,
      initial: options.initial,
      settings: options.settings.core,
      chance: options.chance
    })
    this.#applied = recovered.snapshot?.index ?? 0
    this.#appliedTerm = recovered.snapshot?.term ?? 0
    this.#soft = {
      role: "follower",
      term: recovered.hardState.term,
      leader: undefined,
      quarantined: undefined,
      removed: false
    }
    this.#proposals = new Proposals(options.settings, (ticket, outcome) =>
      this.#settle(ticket, { _tag: "Proposal", outcome })
    )
    this.#reads = new Reads(options.settings, (ticket, index, message) =>
      this.#settle(ticket, { _tag: "Read", index, message })
    )
    this.#fetch = new Fetch(options.settings)
    this.#forwarding = new Forwarding(options.id, options.settings, this.#core, this.#proposals, (message) =>
      this.#send(message)
    )
    this.#snapshots = new Snapshots(options.settings, this.#core, this.#applied, (effect) =>
      this.#effects.push(effect)
    )
  }

  turn(events: ReadonlyArray<HostEvent>): ReadonlyArray<HostEffect> {
    // What has arrived comes before time passes, and however late this turn is, one tick of it: a member that was
    // held up must not take its own silence for the leader's.
    let ticked = false
    this.#holding = true
    for (const event of events) {
      if (event._tag === "Ticked") {
        ticked = true
        this.#storage = event.storage
      } else this.#on(event)
    }
    if (ticked) {
      this.#collect()
      this.#tick()
    }
    // Before proposals come to it: they wait for its successor.
    if (this.#storage.low && this.#core.isLeader()) this.#giveWay()
    const gathers = this.#forwarding.flush(this.#moment())
    this.#beginReads()
    this.#collect()
    // Between an `Applied` and the next `Apply` the state machine stands exactly where this member believes.
    if (this.#handedOut === undefined) {
      this.#snapshots.takeIfDue(this.#applied, this.#appliedTerm, this.#storage)
    }
    this.#applyNext()
    const holds = this.#core.holdsCommit()
    if (gathers || (holds && this.#forwarding.isOwing)) this.#tell("next")
    else if (holds) this.#tell("shortly")
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  status(): HostStatus {
    return {
      ...this.#core.status(),
      applied: this.#applied,
      pendingProposals: this.#proposals.size,
      pendingReads: this.#reads.size,
      snapshotIndex: this.#snapshots.index,
      fetching: this.#fetch.progress
    }
  }

  #on(event: Exclude<HostEvent, { readonly _tag: "Ticked" }>): void {
    switch (event._tag) {
      case "Received":
        this.#received(event.message)
        return
      case "Persisted":
        this.#storage = event.storage
        this.#core.persisted(event.token)
        return
      case "Marked":
        this.#core.marked()
        return
      case "Applied":
        this.#onApplied(event.index, event.results)
        return
      case "Saved":
        this.#storage = event.storage
        this.#snapshots.onSaved(event.meta, event.saved)
        return
      case "Installed":
        this.#storage = event.storage
        this.#onInstalled(event.token, event.saved)
        return
      case "Loaded":
        this.#onLoaded(event)
        return
      case "Propose": {
        const { ticket, id, data, deadlineTicks = this.#settings.proposalTicks } = event
        if (data.length > maxEntryBytes) {
          const message = `Cannot propose ${data.length} bytes: one entry carries at most ${maxEntryBytes}`
          this.#settle(ticket, { _tag: "Proposal", outcome: { _tag: "Overloaded", message } })
        } else this.#proposals.add(ticket, id, data, this.#now + deadlineTicks, event.onlyInTerm)
        return
      }
      case "Read":
        this.#reads.add(event.ticket, this.#now + (event.deadlineTicks ?? this.#settings.readTicks))
        return
      case "Change": {
        const result = this.#core.proposeConfig(event.change, event.force)
        if (result._tag === "Appended") {
          this.#changes.push({ ticket: event.ticket, index: result.index, term: result.term })
        } else this.#settle(event.ticket, { _tag: "Change", result })
        return
      }
      case "Transfer":
        this.#settle(event.ticket, {
          _tag: "Transfer",
          result: this.#core.transferLeadership(event.to)
        })
        return
      case "Compact":
        this.#snapshots.ask(event.ticket)
        return
      case "SnapshotEvery":
        this.#snapshots.every(event.entries)
        return
      case "Tell":
        this.#telling.delete(event.when)
        this.#holding = false
        return
      case "PeerGone":
        this.#core.hintPeerGone(event.node)
        return
      case "Unreachable":
        this.#core.unreachable(event.node)
        return
      default:
        never(event)
    }
  }

  #settle(ticket: Ticket, settlement: Settlement): void {
    this.#effects.push({ _tag: "Settle", ticket, settlement })
  }

  #tell(when: Telling): void {
    if (this.#telling.has(when)) return
    this.#telling.add(when)
    this.#effects.push({ _tag: "TellLater", when })
  }

  #send(message: HostMessage): void {
    this.#effects.push({ _tag: "Send", message })
  }

  // ── the core's wishes

  #collect(): void {
    const next = (): Ready | undefined => this.#core.ready(this.#holding)
    for (let ready = next(); ready !== undefined; ready = next()) this.#carryOut(ready)
  }

  #carryOut(ready: Ready): void {
    // What may be said before it is durable is on its way to other disks while this one writes.
    for (const message of ready.messages) this.#effects.push({ _tag: "Send", message })
    if (ready.persist !== undefined) this.#persist(ready.persist)
    if (ready.committed.length > 0) this.#toApply.push(...ready.committed)
    for (const { id, index } of ready.reads) {
      const asker = this.#reads.takeAsker(id)
      if (asker === undefined) this.#reads.answered(id, index, this.#applied)
      else this.#answerRead(asker, index)
    }
    for (const id of ready.lostReads) {
      const asker = this.#reads.takeAsker(id)
      if (asker === undefined) this.#reads.lost(id)
      else this.#answerRead(asker, 0)
    }
    if (ready.fetch !== undefined && !this.#snapshots.isInstalling) {
      const ask = this.#fetch.offered(ready.fetch.from, ready.fetch.meta, this.#now)
      if (ask !== undefined) this.#askSnapshot(ask)
    }
    if (ready.soft !== undefined) this.#softChanged(ready.soft)
  }

  #persist(persist: Persist): void {
    const { token, hardState, truncateFrom, entries, commitHint, snapshot } = persist
    const batch: PersistBatch = {
      token,
      entries,
      commitHint,
      ...(hardState === undefined ? {} : { hardState }),
      ...(truncateFrom === undefined ? {} : { truncateFrom })
    }
    if (snapshot === undefined) {
      this.#effects.push({ _tag: "Persist", batch })
      return
    }
    // The state that these would have built is in the snapshot.
    this.#toApply = []
    this.#snapshots.install(persist, batch)
  }

  #softChanged(soft: SoftState): void {
    const before = this.#soft
    this.#soft = soft
    if (soft.quarantined !== undefined && before.quarantined === undefined) {
      this.#effects.push({ _tag: "Quarantine", reason: soft.quarantined })
    }
    if (soft.leader === undefined) this.#leaderlessSince ??= this.#now
    else this.#leaderlessSince = undefined
    if (soft.term === before.term && soft.leader === before.leader && soft.role === before.role) return
    this.#fetch.abandon()
    this.#forwarding.restart()
    this.#reads.requeueSent()
    if (soft.role !== "leader") {
      // What is committed stays: a leader that takes itself out of the group leads no longer once that is so.
      const { commit } = this.#core.status()
      for (const { ticket, index } of this.#changes) {
        if (index > commit) this.#settle(ticket, { _tag: "Change", result: { _tag: "Unknown" } })
      }
      this.#changes = this.#changes.filter(({ index }) => index <= commit)
      this.#catchUps = new Map()
      this.#toldLeading = 0
      this.#effects.push({
        _tag: "Leadership",
        leadership: {
          _tag: "Following",
          term: soft.term,
          ...(soft.leader === undefined ? {} : { leader: soft.leader })
        }
      })
    }
  }

  // ── what others say

  #received(message: Message): void {
    if (this.#isNotHeard(message)) return
    switch (message._tag) {
      case "Forward":
        this.#forwarding.onForward(message, this.#moment())
        return
      case "ForwardRefused":
        this.#forwarding.onRefused(message, this.#now)
        return
      case "ReadAsk":
        this.#onReadAsk(message)
        return
      case "ReadAnswer":
        this.#onReadAnswer(message)
        return
      case "SnapshotAsk":
        this.#effects.push({
          _tag: "LoadChunks",
          to: message.from,
          index: message.index,
          snapshotTerm: message.snapshotTerm,
          chunk: message.chunk,
          count: Math.min(message.count, this.#settings.chunksAtOnce)
        })
        return
      case "SnapshotChunk": {
        const next = this.#fetch.received(message, this.#now)
        if (next === undefined) return
        if ("count" in next) this.#askSnapshot(next)
        else this.#snapshots.onFetched(next)
        return
      }
      case "SnapshotGone":
        this.#fetch.gone(message.from, message.index, message.snapshotTerm)
        return
      default:
        this.#core.step(message)
    }
  }

  /** What the core does not see, it cannot refuse: whoever was removed proposes, reads and fetches nothing. */
  #isNotHeard({ _tag, from }: Message): boolean {
    const asks = _tag === "Forward" || _tag === "ReadAsk" || _tag === "SnapshotAsk"
    return asks && this.#core.wasRemoved(from)
  }

  #moment(): Moment {
    return { now: this.#now, soft: this.#soft, low: this.#storage.low }
  }

  // ── reads

  #beginReads(): void {
    const { leader, term } = this.#soft
    this.#reads.begin(this.#now, (id) => {
      if (this.#core.readIndex(id)) return "here"
      if (leader === undefined || leader === this.#id) return "nobody"
      this.#send({ _tag: "ReadAsk", from: this.#id, to: leader, term, boot: this.#boot, id })
      return "sent"
    })
  }

  #onReadAsk(message: ReadAsk): void {
    const asker = { to: message.from, boot: message.boot, id: message.id }
    const id = this.#reads.beginFor(asker)
    if (this.#core.readIndex(id)) return
    this.#reads.takeAsker(id)
    this.#answerRead(asker, 0)
  }

  #answerRead(
    asker: { readonly to: NodeId; readonly boot: string; readonly id: number },
    index: number
  ): void {
    this.#send({ _tag: "ReadAnswer", from: this.#id, term: this.#soft.term, index, ...asker })
  }

  #onReadAnswer(message: ReadAnswer): void {
    if (message.boot !== this.#boot) return
    if (message.index > 0) this.#reads.answered(message.id, message.index, this.#applied)
    else this.#reads.refused(message.id, this.#now)
  }

  // ── applying

  #applyNext(): void {
    if (this.#handedOut !== undefined || this.#snapshots.isInstalling || this.#toApply.length === 0) return
    this.#handedOut = this.#toApply
    this.#toApply = []
    this.#effects.push({ _tag: "Apply", entries: this.#handedOut })
  }

  #onApplied(index: number, results: ReadonlyArray<unknown>): void {
    const entries = this.#handedOut
    assert(entries !== undefined, "what was applied was handed out")
    this.#handedOut = undefined
    let done = 0
    for (const entry of entries) {
      if (entry.index > index) break
      assert(entry.index === this.#applied + 1, "entries are applied one after another")
      this.#applied = entry.index
      this.#appliedTerm = entry.term
      if (entry.type === entryType.proposal) {
        this.#proposals.applied(entry.index, entry.data, results[done])
        this.#forwarding.applied(entry.data)
      }
      done++
    }
    if (done < entries.length && !this.#snapshots.isInstalling) {
      this.#toApply = [...entries.slice(done), ...this.#toApply]
    }
    this.#reads.applied(this.#applied)
    this.#settleChanges()
    this.#tellLeading()
  }

  #settleChanges(): void {
    for (let first = this.#changes[0]; first !== undefined; first = this.#changes[0]) {
      const { ticket, index, term } = first
      if (index > this.#applied) return
      this.#changes.shift()
      this.#settle(ticket, { _tag: "Change", result: { _tag: "Appended", index, term } })
    }
  }

  /** A leader says so once it has applied an entry of its own term: everything that was committed before it. */
  #tellLeading(): void {
    const { role, term } = this.#soft
    if (role !== "leader" || this.#toldLeading === term || this.#appliedTerm !== term) return
    this.#toldLeading = term
    this.#effects.push({ _tag: "Leadership", leadership: { _tag: "Leading", term } })
  }

  // ── snapshots

  #onInstalled(token: number, saved: boolean): void {
    const meta = this.#snapshots.onInstalled(token, saved, this.#now)
    if (meta === undefined) return
    this.#applied = meta.index
    this.#appliedTerm = meta.term
    this.#core.persisted(token)
    this.#reads.applied(this.#applied)
    // What was waited for may be in the snapshot, its result unheard: the state machine knows it by its id.
    this.#proposals.requeueAll()
  }

  #askSnapshot(ask: Pick<SnapshotAsk, "to" | "index" | "snapshotTerm" | "chunk" | "count">): void {
    this.#send({ _tag: "SnapshotAsk", from: this.#id, term: this.#soft.term, ...ask })
  }

  #onLoaded(event: Extract<HostEvent, { readonly _tag: "Loaded" }>): void {
    const { to, index, snapshotTerm, chunk, chunks, last } = event
    const letter = { from: this.#id, to, term: this.#soft.term, index, snapshotTerm }
    if (chunks.length === 0) {
      this.#send({ _tag: "SnapshotGone", ...letter })
      return
    }
    for (const [i, { data, checksum }] of chunks.entries()) {
      const isLast = last && i === chunks.length - 1
      this.#send({ _tag: "SnapshotChunk", ...letter, chunk: chunk + i, last: isLast, checksum, data })
    }
  }

  // ── time

  #tick(): void {
    this.#now++
    this.#core.tick()
    const isLeaderless =
      this.#leaderlessSince !== undefined && this.#now - this.#leaderlessSince >= this.#settings.patienceTicks
    this.#proposals.expire(this.#now, isLeaderless)
    this.#proposals.requeueOlder(this.#now - this.#settings.resendTicks)
    this.#reads.tick(this.#now, isLeaderless)
    const ask = this.#fetch.tick(this.#now)
    if (ask !== undefined) this.#askSnapshot(ask)
    this.#snapshots.tick(this.#now)
    if (!this.#storage.low) this.#givesWay = { at: 0, pause: giveWayTicks.least }
    if (!this.#core.isLeader()) return
    if (this.#settings.autoPromote) this.#promoteLearners()
  }

  /**
   * A leader without room for entries is of no use to anybody; but where every disk is full, handing over again and
   * again would write what little still fits. So it does it ever more rarely.
   */
  #giveWay(): void {
    const { at, pause } = this.#givesWay
    if (this.#now < at || this.#core.transferLeadership()._tag !== "Started") return
    this.#givesWay = { at: this.#now + pause, pause: Math.min(2 * pause, giveWayTicks.most) }
  }

  #promoteLearners(): void {
    const status = this.#core.status()
    const { electionTicks } = this.#settings.core
    const { rounds, ready } = judgeLearners(status, this.#catchUps, this.#now, electionTicks)
    this.#catchUps = rounds
    if (ready !== undefined) this.#core.proposeConfig({ _tag: "Promote", node: ready })
  }
}
