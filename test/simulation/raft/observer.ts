/**
 * Sees everything: what every member sends, writes, has durably and applies. After each turn of a member it checks
 * what must hold whatever happens; it holds its own idea of every log and never asks a member for its entries.
 */
import { crc32 } from "node:zlib"
import { type Configuration, encodeConfiguration, type NodeId } from "#actors/raft/core/configuration.ts"
import { majorityOf } from "#actors/raft/core/quorum.ts"
import { type Entry, entryType, type HardState } from "#actors/raft/entry.ts"
import { commandOf } from "#actors/raft/host/envelope.ts"
import type { Message } from "#actors/raft/host/message.ts"
import type { HostSettings, HostStatus } from "#actors/raft/host/protocol.ts"
import type { PersistBatch, Recovered, SnapshotMeta } from "#actors/raft/storage.ts"
import { Broken } from "#test/simulation/raft/broken.ts"
import { AllLines, type Line, type Lines, show } from "#test/simulation/raft/lines.ts"
import type { Marks } from "#test/simulation/raft/marks.ts"
import { decodeCommand } from "#test/simulation/raft/registers.ts"

interface Held {
  readonly hard: HardState
  readonly lines: Lines
}

/** A write on its way: what the disk holds once it is there. */
type Change = (held: Held) => Held

interface Watched {
  readonly id: NodeId
  durable: Held
  /** Durable, and everything on its way. */
  written: Held
  pending: Array<Change>
  /** Of this life, after its last turn. */
  status: HostStatus | undefined
  /** What arrived since its last turn. */
  heard: Array<Message["_tag"] | "Tick">
  /** Writes so far, and how many there were when each entry was first written. */
  writes: number
  readonly writtenAt: Map<number, number>
  /** Of the last two snapshots, newest first. */
  snapshots: ReadonlyArray<number>
  applied: Array<{ readonly index: number; readonly checksum: number; readonly digest: number }>
  appliedIndex: number
  /** At the last look at its configuration. */
  configurationIndex: number
  lastSeen: Line | undefined
  /** Whom it voted for, on the wire, in each term. */
  readonly votes: Map<number, NodeId>
  /** It lost data that it had promised, and may contradict itself. */
  excused: boolean
  /** What its disk holds since then is not known before it starts. */
  tampered: boolean
  /** Its disk knows that it is in quarantine. */
  marked: boolean
}

/** To one that was removed: that it was, and answers to what it had asked before. */
const mayBeSaid: ReadonlySet<Message["_tag"]> = new Set([
  "Removed",
  "Quarantined",
  "ReadAnswer",
  "ForwardRefused",
  "SnapshotChunk",
  "SnapshotGone"
])

const nothing: Held = { hard: { term: 0, vote: "" }, lines: [] }

export class Observer {
  readonly marks: Marks
  readonly #settings: HostSettings
  readonly #all = new AllLines()
  readonly #watched = new Map<NodeId, Watched>()
  readonly #leaders = new Map<number, NodeId>()
  readonly #digests = new Map<number, number>()
  /** Everything that was ever committed. */
  readonly committed: Array<Line> = []
  /** The terms in which that was found. */
  readonly #committedIn: Array<number> = []
  leaderChanges = 0
  onRole: ((id: NodeId, status: HostStatus) => void) | undefined

  constructor(settings: HostSettings, marks: Marks) {
    this.#settings = settings
    this.marks = marks
  }

  #of(id: NodeId): Watched {
    let watched = this.#watched.get(id)
    if (watched === undefined) {
      watched = {
        id,
        durable: nothing,
        written: nothing,
        pending: [],
        status: undefined,
        heard: [],
        writes: 0,
        writtenAt: new Map(),
        snapshots: [],
        applied: [],
        appliedIndex: 0,
        configurationIndex: 0,
        lastSeen: undefined,
        votes: new Map(),
        excused: false,
        tampered: false,
        marked: false
      }
      this.#watched.set(id, watched)
    }
    return watched
  }

  /** What is durable at `id`. */
  durableOf(id: NodeId): Held {
    return this.#of(id).durable
  }
  statusOf(id: NodeId): HostStatus | undefined {
    return this.#of(id).status
  }

  /** The disk of `id` was tampered with while it was down. */
  excuse(id: NodeId): void {
    const watched = this.#of(id)
    watched.excused = true
    watched.tampered = true
  }
  /** What is durable at `id` is known. */
  isKnown(id: NodeId): boolean {
    return !this.#of(id).tampered
  }
  isExcused(id: NodeId): boolean {
    return this.#of(id).excused
  }
  /** The disk of `id` keeps it in quarantine from now on. */
  marked(id: NodeId): void {
    this.#of(id).marked = true
  }

  // ── lives

  /** I7, C1: what comes back is what was durable, perhaps with what was on its way. */
  born(id: NodeId, recovered: Recovered): void {
    const watched = this.#of(id)
    const { snapshot, entries, hardState } = recovered
    if ((snapshot?.index ?? 0) > this.committed.length) {
      throw new Broken("I5", `${id} has a snapshot of ${snapshot?.index}, which nobody committed`)
    }
    const lines = this.committed.slice(0, snapshot?.index ?? 0)
    for (const entry of entries) lines.push(this.#all.line(entry, lines.at(-1)))
    const found: Held = { hard: hardState, lines }
    let expected = watched.durable
    let isAsExpected = isSame(expected, found)
    for (const [at, change] of watched.pending.entries()) {
      if (isAsExpected) break
      expected = change(expected)
      isAsExpected = isSame(expected, found)
      if (isAsExpected)
        this.marks.hit(at === 0 ? "unacknowledged write survived" : "two unacknowledged writes survived")
    }
    if (!isAsExpected && !watched.excused) {
      throw new Broken(
        "I8",
        `${id} had ${showHeld(watched.durable)} durably, and comes back with ${showHeld(found)}`
      )
    }
    if (isAsExpected && watched.pending.length > 0 && isSame(watched.durable, found)) {
      this.marks.hit("unacknowledged write lost")
    }
    watched.durable = found
    watched.tampered = false
    watched.written = found
    watched.pending = []
    watched.status = undefined
    watched.heard = []
    watched.applied = []
    watched.appliedIndex = snapshot?.index ?? 0
    // One may have come to be while the power went.
    const known = watched.snapshots.filter((index) => index < (snapshot?.index ?? 0))
    watched.snapshots = snapshot === undefined ? [] : [snapshot.index, ...known].slice(0, 2)
  }

  /** Whether what came back, at a member that is excused, keeps at least its promises about votes. */
  keepsVotes(id: NodeId, recovered: Recovered): boolean {
    const { term, vote } = this.#of(id).durable.hard
    return (
      recovered.hardState.term > term ||
      (recovered.hardState.term === term && recovered.hardState.vote === vote)
    )
  }

  died(id: NodeId): void {
    const watched = this.#of(id)
    watched.status = undefined
    watched.heard = []
    watched.applied = []
  }

  // ── disk

  persistAsked(id: NodeId, batch: PersistBatch): void {
    const watched = this.#of(id)
    const { truncateFrom, entries, hardState } = batch
    const isLeader = watched.status?.role === "leader" && hardState === undefined
    const { lines } = watched.written
    if (truncateFrom !== undefined) {
      if (isLeader)
        throw new Broken("I2", `${id} leads term ${watched.status?.term} and cuts its log at ${truncateFrom}`)
      const cut = lines[truncateFrom - 1]
      if (cut !== undefined && this.committed[truncateFrom - 1] === cut) {
        throw new Broken("I4", `${id} cuts ${show(cut)}, which is committed`)
      }
      this.marks.hit("log cut")
      if (lines.slice(truncateFrom - 1).some(({ configuration }) => configuration !== undefined)) {
        this.marks.hit("configuration taken back")
      }
    }
    const kept = Math.min(lines.length, (truncateFrom ?? Number.POSITIVE_INFINITY) - 1)
    const fresh: Array<Line> = []
    for (const entry of entries) fresh.push(this.#append(watched, entry, fresh.at(-1) ?? lines[kept - 1]))
    watched.writes++
    for (const { index } of entries) {
      if (!watched.writtenAt.has(index)) watched.writtenAt.set(index, watched.writes)
    }
    const hard = hardState ?? watched.written.hard
    if (hard.term < watched.written.hard.term)
      throw new Broken("I7", `${id} writes term ${hard.term} after ${watched.written.hard.term}`)
    if (
      hard.term === watched.written.hard.term &&
      watched.written.hard.vote !== "" &&
      hard.vote !== watched.written.hard.vote
    ) {
      throw new Broken(
        "I7",
        `${id} votes for ${hard.vote} after ${watched.written.hard.vote} in term ${hard.term}`
      )
    }
    this.#checkHint(watched, batch.commitHint, fresh.at(-1) ?? lines[kept - 1])
    this.#change(watched, (held) => ({
      hard,
      lines:
        truncateFrom === undefined && fresh.length === 0
          ? held.lines
          : [...held.lines.slice(0, (truncateFrom ?? Number.POSITIVE_INFINITY) - 1), ...fresh]
    }))
  }

  /** I6: after a start, what the disk says of the commit holds for the log that is there. */
  #checkHint({ id }: Watched, hint: number, last: Line | undefined): void {
    let at = last
    while (at !== undefined && at.index > hint) at = at.before
    const known = this.committed[hint - 1]
    if (hint > 0 && (at?.index !== hint || (known !== undefined && at !== known))) {
      throw new Broken("I6", `${id} writes that ${hint} is committed, where its log has ${at && show(at)}`)
    }
  }

  #change(watched: Watched, change: Change): void {
    watched.written = change(watched.written)
    watched.pending.push(change)
  }

  #append(watched: Watched, entry: Entry, before: Line | undefined): Line {
    const line = this.#all.line(entry, before)
    const { configuration } = line
    if (configuration !== undefined) {
      let previous = before
      while (previous !== undefined && previous.configuration === undefined) previous = previous.before
      const old = previous?.configuration
      if (old !== undefined && differences(old.voters, configuration.voters) > 1) {
        throw new Broken(
          "I9",
          `${watched.id}: from ${old.voters} to ${configuration.voters} is more than one step`
        )
      }
      if (old?.removed.some((id) => !configuration.removed.includes(id))) {
        throw new Broken("I13", `${watched.id}: somebody of ${old.removed} comes back`)
      }
    }
    return line
  }

  persisted(id: NodeId): void {
    const watched = this.#of(id)
    const change = watched.pending.shift()
    if (change === undefined) throw new Broken("P", `${id}: more is durable than was written`)
    watched.durable = change(watched.durable)
  }

  snapshotAsked(id: NodeId, meta: SnapshotMeta): void {
    const watched = this.#of(id)
    if (meta.index > this.committed.length) {
      throw new Broken(
        "I5",
        `${id} saves a snapshot of ${meta.index}, and only ${this.committed.length} are committed`
      )
    }
    const last = this.committed[meta.index - 1]
    if (last !== undefined && last.term !== meta.term) {
      throw new Broken(
        "I5",
        `${id} saves a snapshot of ${meta.index}/${meta.term}; ${show(last)} is committed`
      )
    }
    let at = last
    while (at !== undefined && at.configuration === undefined) at = at.before
    if (at?.configuration !== undefined && !sameConfiguration(meta.config, at.configuration)) {
      throw new Broken(
        "I9",
        `${id}'s snapshot of ${meta.index} does not hold the configuration of entry ${at.index}`
      )
    }
    const isInstalled = watched.written.lines[meta.index - 1] !== last
    if (isInstalled) this.marks.hit("snapshot installed")
    if (isInstalled && watched.pending.length > 0) this.marks.hit("snapshot installed behind a write")
    this.#change(watched, ({ hard, lines }) => ({
      hard,
      lines: isInstalled ? this.committed.slice(0, meta.index) : lines
    }))
  }

  /**
   * I15: of what two snapshots cover nothing is kept. A write is a frame, what it says of a snapshot may be another one,
   * and a segment has room for one at least.
   */
  snapshotSaved(id: NodeId, index: number, segments: number, snapshots: number): void {
    const watched = this.#of(id)
    if (watched.snapshots[0] !== index) watched.snapshots = [index, ...watched.snapshots].slice(0, 2)
    const [, older] = watched.snapshots
    if (older === undefined) return
    const since = watched.writes - (watched.writtenAt.get(older + 1) ?? watched.writes)
    // The one that is written, the next one, and one that begins before the snapshot and ends after it.
    if (segments > 2 * since + 4 || snapshots > 2) {
      throw new Broken(
        "I15",
        `${id} keeps ${segments} segments and ${snapshots} snapshots, ${since} writes after snapshot ${older}`
      )
    }
  }

  snapshotRefused(id: NodeId): void {
    const watched = this.#of(id)
    watched.pending.shift()
    watched.written = watched.pending.reduce((held, change) => change(held), watched.durable)
    this.marks.hit("no room for a snapshot")
  }

  // ── wire

  heard(id: NodeId, what: Message["_tag"] | "Tick"): void {
    this.#of(id).heard.push(what)
  }

  sent(message: Message): void {
    const watched = this.#of(message.from)
    const { hard, lines } = watched.durable
    this.#checkRemoved(watched, message)
    switch (message._tag) {
      case "Vote":
        if (hard.term !== message.term || hard.vote !== message.from) {
          throw new Broken(
            "I8",
            `${message.from} asks for votes in term ${message.term} with ${showHeld(watched.durable)}`
          )
        }
        this.#voted(watched, message.term, message.from)
        break
      case "VoteReply":
        if (!message.granted) break
        if (hard.term !== message.term || hard.vote !== message.to) {
          throw new Broken(
            "I8",
            `${message.from} votes for ${message.to} in term ${message.term} with ${showHeld(watched.durable)}`
          )
        }
        this.#voted(watched, message.term, message.to)
        break
      case "AppendReply": {
        if (!message.accepted) break
        if (lines.length < message.index || hard.term !== message.term) {
          throw new Broken(
            "I8",
            `${message.from} acknowledges ${message.index} in term ${message.term} with ${showHeld(watched.durable)}`
          )
        }
        const leader = this.#of(message.to)
        const theirs = leader.written.lines[message.index - 1]
        const leads = leader.status?.role === "leader" && leader.status.term === message.term
        if (leads && theirs !== undefined && message.index > 0 && lines[message.index - 1] !== theirs) {
          throw new Broken(
            "I8",
            `${message.from} acknowledges ${message.index} in term ${message.term}, its leader has ${show(theirs)} there`
          )
        }
        break
      }
      case "Quarantined":
        if (!watched.marked)
          throw new Broken(
            "I8",
            `${message.from} says that it is in quarantine, which its disk does not know`
          )
        break
      case "Acknowledged": {
        this.#leads(message.term, message.from)
        const theirs = this.#of(message.to)
        const { index, term } = message
        // In a later term it may have taken another leader's entries in their place.
        const isSince = theirs.durable.hard.term > term
        const line = watched.written.lines[index - 1]
        const has = line === undefined || theirs.durable.lines[index - 1] === line
        if (!has && !isSince && !theirs.excused)
          throw new Broken("I8", `${message.from} counts on ${message.to} for ${message.index}`)
        break
      }
      case "Append":
      case "Heartbeat":
      case "SnapshotOffer":
      case "TimeoutNow":
        this.#leads(message.term, message.from)
        break
      default:
        break
    }
    this.marks.sent(message)
  }

  /** I13: who was removed, as a member knows for certain, is answered nothing but that, and asked nothing. */
  #checkRemoved({ id, status }: Watched, { to, _tag }: Message): void {
    if (status === undefined || status.configurationIndex > status.commit || status.leader === to) return
    const { removed } = status.configuration
    if (removed.includes(to) && !mayBeSaid.has(_tag))
      throw new Broken("I13", `${id} says ${_tag} to ${to}, who was removed`)
  }

  #voted(watched: Watched, term: number, candidate: NodeId): void {
    const before = watched.votes.get(term)
    if (before !== undefined && before !== candidate) {
      throw new Broken("I7", `${watched.id} votes for ${before} and for ${candidate} in term ${term}`)
    }
    watched.votes.set(term, candidate)
  }

  #leads(term: number, id: NodeId): void {
    const before = this.#leaders.get(term)
    if (before !== undefined && before !== id)
      throw new Broken("I1", `${before} and ${id} lead in term ${term}`)
    this.#leaders.set(term, id)
  }

  // ── the state machine

  applied(id: NodeId, index: number, data: Uint8Array, digest: number): void {
    this.#of(id).applied.push({ index, checksum: crc32(data), digest })
  }

  // ── turns

  turned(id: NodeId, status: HostStatus): void {
    const watched = this.#of(id)
    const before = watched.status
    watched.status = status
    if (before?.role !== status.role || before.term !== status.term) this.onRole?.(id, status)
    this.#checkStatus(watched, before, status)
    if (status.role === "leader" && (before?.role !== "leader" || before.term !== status.term)) {
      this.#elected(watched, status, before)
    }
    if (status.commit > this.committed.length) this.#commit(watched, status, before)
    // Beyond what is durable, its log in memory may have left the one that is being written.
    const known = Math.min(status.commit, status.durable, watched.written.lines.length)
    const own = watched.written.lines[known - 1]
    if (known > 0 && own !== this.committed[known - 1]) {
      throw new Broken(
        "I4",
        `${id} takes ${own && show(own)} for committed, not ${show(this.committed[known - 1] as Line)}`
      )
    }
    this.#checkConfiguration(watched, status)
    if (status.role === "leader") this.#checkLeader(watched, status)
    this.#checkApplied(watched, status)
    watched.heard = []
    this.marks.turned(before, status)
  }

  #checkStatus(watched: Watched, before: HostStatus | undefined, status: HostStatus): void {
    const { id } = watched
    if (status.quarantined !== undefined) {
      if (!watched.excused)
        throw new Broken("P", `${id} lost nothing, and quarantines itself: ${status.quarantined}`)
      return
    }
    if (before !== undefined) {
      if (status.term < before.term)
        throw new Broken("I7", `${id} goes back from term ${before.term} to ${status.term}`)
      if (status.commit < before.commit)
        throw new Broken("I6", `${id} goes back from commit ${before.commit} to ${status.commit}`)
      if (status.applied < before.applied)
        throw new Broken("I6", `${id} goes back from ${before.applied} to ${status.applied} applied`)
      const onlyAsked = watched.heard.length > 0 && watched.heard.every((tag) => tag === "PreVote")
      if (onlyAsked && (status.term !== before.term || (before.vote !== status.vote && before.vote !== ""))) {
        throw new Broken(
          "I17",
          `${id} goes from term ${before.term} to ${status.term} because somebody might campaign`
        )
      }
    }
    if (status.applied > status.commit || status.commit > status.lastIndex) {
      throw new Broken(
        "I6",
        `${id} applied ${status.applied}, commit ${status.commit}, last ${status.lastIndex}`
      )
    }
    if (status.durable > watched.durable.lines.length && status.durable > status.commit) {
      throw new Broken("I8", `${id} takes ${status.durable} for durable with ${showHeld(watched.durable)}`)
    }
    const { core, pendingProposals } = this.#settings
    const open = status.lastIndex - status.commit
    const wasOpen = before === undefined ? open : before.lastIndex - before.commit
    const leadsOn = before?.role === "leader" && status.role === "leader" && before.term === status.term
    // What it began with is let in whatever waits; so is one entry when nothing does.
    if (leadsOn && open > Math.max(core.uncommittedEntries, wasOpen, 1))
      throw new Broken("I14", `${id} leads with ${open} entries that are not committed`)
    if (status.pendingProposals > pendingProposals)
      throw new Broken("I14", `${id} keeps ${status.pendingProposals} proposals`)
    for (const peer of status.peers) {
      if (peer.inFlight > core.inFlightMessages)
        throw new Broken("I14", `${id} has ${peer.inFlight} appends on their way to ${peer.id}`)
      if (peer.inFlight === core.inFlightMessages) this.marks.hit("window full")
      if (peer.match > status.lastIndex)
        throw new Broken("P", `${id} believes that ${peer.id} has ${peer.match}`)
    }
  }

  /** I1, I4, I10: one leader a term, voted for by a majority of voters, with everything that is committed. */
  #elected(watched: Watched, status: HostStatus, before: HostStatus | undefined): void {
    const { id } = watched
    this.#leads(status.term, id)
    this.leaderChanges++
    const votes = ({ voters }: Configuration): boolean =>
      voters.filter((voter) => this.#hasVoted(voter, status.term, id)).length >= majorityOf(voters.length)
    if (!votes(status.configuration) && !(before !== undefined && votes(before.configuration))) {
      throw new Broken(
        "I10",
        `${id} leads in term ${status.term} without a majority of ${status.configuration.voters}`
      )
    }
    const bound = this.#boundOf(status.term)
    if (status.lastIndex < bound) {
      throw new Broken(
        "I4",
        `${id} leads in term ${status.term} with ${status.lastIndex} entries, ${bound} were committed`
      )
    }
  }

  #hasVoted(voter: NodeId, term: number, candidate: NodeId): boolean {
    const watched = this.#of(voter)
    if (watched.votes.get(term) === candidate) return true
    const { hard } = watched.durable
    return voter === candidate && hard.term === term && hard.vote === candidate
  }

  /** How much was committed by leaders of terms before `term`: every leader of it has that. */
  #boundOf(term: number): number {
    let bound = this.committed.length
    while (bound > 0 && (this.#committedIn[bound - 1] as number) >= term) bound--
    return bound
  }

  /** I9: in force is the last configuration in the log, and no other. Seen when the log in memory is the one on disk. */
  #checkConfiguration(
    watched: Watched,
    { id, configurationIndex, durable, lastIndex, snapshotIndex }: HostStatus
  ): void {
    const { lines } = watched.written
    if (watched.pending.length > 0 || durable !== lastIndex || lines.length !== lastIndex) return
    if (configurationIndex === watched.configurationIndex && lines.at(-1) === watched.lastSeen) return
    watched.configurationIndex = configurationIndex
    watched.lastSeen = lines.at(-1)
    let at = lines.at(-1)
    while (at !== undefined && at.configuration === undefined && at.index > snapshotIndex) at = at.before
    const expected = at?.configuration === undefined ? snapshotIndex : at.index
    if (expected > snapshotIndex && configurationIndex !== expected) {
      throw new Broken(
        "I9",
        `${id} goes by the configuration of ${configurationIndex}, and has one at ${expected}`
      )
    }
    if (configurationIndex > lastIndex)
      throw new Broken("I9", `${id} goes by a configuration that is not in its log`)
  }

  #checkLeader(watched: Watched, status: HostStatus): void {
    const { lines } = watched.written
    const known = Math.min(lines.length, this.#boundOf(status.term))
    const own = lines[known - 1]
    if (known > 0 && own !== this.committed[known - 1]) {
      throw new Broken(
        "I4",
        `${watched.id} leads term ${status.term} with ${own && show(own)} where another entry is committed`
      )
    }
    let open = 0
    for (let at = lines.length; at > status.commit; at--)
      if (lines[at - 1]?.configuration !== undefined) open++
    if (open > 1)
      throw new Broken("I9", `${watched.id} leads with ${open} configurations that are not committed`)
    const { configurationIndex, term } = status
    const last = lines[configurationIndex - 1]
    const isOwn = configurationIndex > status.commit && last?.term === term && !isFirst(last)
    if (isOwn && this.committed[status.commit - 1]?.term !== term) {
      throw new Broken(
        "I9",
        `${watched.id} changes the group before an entry of its term ${term} is committed`
      )
    }
    if (open === 1) this.marks.hit("configuration uncommitted at its leader")
  }

  /** I9, I10: what a leader commits is durable at a majority of the voters in force, and ends in its own term. */
  #commit(watched: Watched, status: HostStatus, before: HostStatus | undefined): void {
    const { id } = watched
    const led = [status, before].find((at) => at?.role === "leader")
    if (led === undefined)
      throw new Broken("I6", `${id} knows of commit ${status.commit} before any leader does`)
    const last =
      this.#agreed(status.commit, status.configuration) ??
      (before && this.#agreed(status.commit, before.configuration))
    if (last === undefined) {
      const held = status.configuration.voters.map((voter) => `${voter} ${showHeld(this.#of(voter).durable)}`)
      throw new Broken(
        "I9",
        `${id} commits ${status.commit} without a majority of its voters: ${held.join("; ")}`
      )
    }
    if (last.term !== led.term) {
      throw new Broken("I4", `${id} commits ${show(last)} by counting, in term ${led.term}`)
    }
    const fresh: Array<Line> = []
    for (
      let at: Line | undefined = last;
      at !== undefined && at.index > this.committed.length;
      at = at.before
    )
      fresh.push(at)
    const [lowest] = fresh.slice(-1)
    if (lowest?.before !== this.committed.at(-1)) {
      throw new Broken("I4", `${id} commits ${show(last)}, which does not rest on what is committed`)
    }
    for (const line of fresh.reverse()) {
      this.committed.push(line)
      this.#committedIn.push(led.term)
      if (line.configuration !== undefined) this.marks.hit("configuration committed")
      if (line.term < led.term) this.marks.hit("entry of an older term committed")
    }
  }

  /** The line of `index` that a majority of the voters has durably. */
  #agreed(index: number, { voters }: Configuration): Line | undefined {
    const counts = new Map<Line, number>()
    for (const voter of voters) {
      const line = this.#of(voter).durable.lines[index - 1]
      if (line === undefined) continue
      const count = (counts.get(line) ?? 0) + 1
      if (count >= majorityOf(voters.length)) return line
      counts.set(line, count)
    }
    return undefined
  }

  /** I5, I16: every member applies what is committed, in order, once, with the same results. */
  #checkApplied(watched: Watched, status: HostStatus): void {
    for (const { index, checksum, digest } of watched.applied) {
      const line = this.committed[index - 1]
      if (line === undefined)
        throw new Broken("I5", `${watched.id} applies ${index}, and nothing is committed there`)
      if (line.type !== entryType.proposal || crc32(commandOf(line.data)) !== checksum) {
        throw new Broken("I5", `${watched.id} applies something else than ${show(line)}`)
      }
      if (index <= watched.appliedIndex)
        throw new Broken("I5", `${watched.id} applies ${index} after ${watched.appliedIndex}`)
      for (let at = watched.appliedIndex + 1; at < index; at++) {
        if (this.committed[at - 1]?.type === entryType.proposal)
          throw new Broken("I5", `${watched.id} skips ${at}`)
      }
      watched.appliedIndex = index
      const known = this.#digests.get(index)
      if (known === undefined) this.#digests.set(index, digest)
      else if (known !== digest) throw new Broken("I16", `${watched.id} comes to another state at ${index}`)
    }
    watched.applied = []
    // A snapshot that was installed stands for what it covers.
    watched.appliedIndex = Math.max(watched.appliedIndex, status.snapshotIndex)
  }

  // ── at the end

  commandAt(index: number): Uint8Array {
    return commandOf((this.committed[index - 1] as Line).data)
  }

  /** The commands of the committed log, in order. */
  commands(): ReadonlyArray<{ readonly index: number; readonly name: string }> {
    return this.committed
      .filter(({ type }) => type === entryType.proposal)
      .map(({ index, data }) => {
        const { client, seq } = decodeCommand(commandOf(data))
        return { index, name: `${client}/${seq}` }
      })
  }
}

/** No configuration comes before it: it says what the group was founded with. */
function isFirst(line: Line): boolean {
  let at = line.before
  while (at !== undefined && at.configuration === undefined) at = at.before
  return at === undefined
}

const isSame = (a: Held, b: Held): boolean =>
  a.hard.term === b.hard.term &&
  a.hard.vote === b.hard.vote &&
  a.lines.length === b.lines.length &&
  a.lines.at(-1) === b.lines.at(-1)

const showHeld = ({ hard, lines }: Held): string => {
  const last = lines.at(-1)
  return `term ${hard.term}, vote '${hard.vote}', log to ${last === undefined ? "0" : show(last)}`
}

const differences = (a: ReadonlyArray<NodeId>, b: ReadonlyArray<NodeId>): number =>
  a.filter((id) => !b.includes(id)).length + b.filter((id) => !a.includes(id)).length

function sameConfiguration(bytes: Uint8Array, configuration: Configuration): boolean {
  const other = encodeConfiguration(configuration)
  return bytes.length === other.length && bytes.every((byte, at) => byte === other[at])
}
