/**
 * Several cores, the links between them and a disk for each, moved by hand: nothing is sent on, becomes durable or
 * passes in time unless the test says so. What may never be is checked at every step.
 */
import {
  type Configuration,
  encodeConfiguration,
  founding,
  type NodeId
} from "#actors/raft/core/configuration.ts"
import { openCore } from "#actors/raft/core/core.ts"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import type { Persist, RaftCore, Ready } from "#actors/raft/core/protocol.ts"
import { type CoreSettings, coreSettings } from "#actors/raft/core/settings.ts"
import { type Entry, entryType, type HardState } from "#actors/raft/entry.ts"
import type { SnapshotMeta } from "#actors/raft/storage.ts"
import { Fresh } from "#runtime/ids.ts"

export interface Disk {
  hardState: HardState
  snapshot: SnapshotMeta | undefined
  entries: Array<Entry>
  commitHint: number
  /** Out of service, and why. */
  mark?: string
}

export interface Member {
  readonly id: NodeId
  core: RaftCore
  disk: Disk
  writing: Array<Persist>
  /** Its writes do not become durable by themselves. */
  held: boolean
  /** In quarantine, which its disk is to know after the writes before it. */
  marking: boolean
  down: boolean
  applied: number
  reads: Array<{ readonly id: number; readonly index: number }>
  lostReads: Array<number>
}

export const textOf = (data: Uint8Array): string => new TextDecoder().decode(data)
export const dataOf = (text: string): Uint8Array => new TextEncoder().encode(text)
export const command = (text: string) => ({ type: entryType.command, data: dataOf(text) })

export class Group {
  readonly members = new Map<NodeId, Member>()
  /** Letters on their way, oldest first. */
  mail: Array<CoreMessage> = []
  readonly cuts = new Set<string>()
  readonly #settings: CoreSettings
  readonly #initial: Configuration
  readonly #seed: number
  #births = 0
  // What may never be taken back.
  readonly #leaders = new Map<number, NodeId>()
  readonly #votes = new Map<string, NodeId>()
  readonly #applied = new Map<number, string>()
  onMessage: ((message: CoreMessage) => void) | undefined
  onReady: ((id: NodeId, ready: Ready) => void) | undefined
  onDropped: ((message: CoreMessage) => void) | undefined

  constructor(
    ids: ReadonlyArray<NodeId>,
    options: {
      readonly settings?: Partial<CoreSettings>
      readonly seed?: number
      readonly initial?: Configuration
    } = {}
  ) {
    this.#settings = { ...coreSettings, ...options.settings }
    this.#initial = options.initial ?? founding(...ids)
    this.#seed = options.seed ?? 1
    for (const id of ids) this.add(id, this.#initial)
  }

  /** A member with an empty disk, or with the one that is given. */
  add(id: NodeId, initial: Configuration, disk?: Disk): Member {
    const fresh: Disk = disk ?? {
      hardState: { term: 0, vote: "" },
      snapshot: undefined,
      entries: [],
      commitHint: 0
    }
    const member: Member = {
      id,
      core: this.#open(id, initial, fresh),
      disk: fresh,
      writing: [],
      held: false,
      marking: false,
      down: false,
      applied: fresh.snapshot?.index ?? 0,
      reads: [],
      lostReads: []
    }
    this.members.set(id, member)
    return member
  }

  #open(id: NodeId, initial: Configuration, disk: Disk): RaftCore {
    return openCore({
      id,
      recovered: {
        hardState: disk.hardState,
        commitHint: disk.commitHint,
        entries: [...disk.entries],
        ...(disk.snapshot === undefined ? {} : { snapshot: disk.snapshot })
      },
      initial,
      ...(disk.mark === undefined ? {} : { quarantined: disk.mark }),
      settings: this.#settings,
      chance: Fresh.from(this.#seed * 1_000 + ++this.#births).state()
    })
  }

  member(id: NodeId): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`there is no member ${id}`)
    return member
  }
  core(id: NodeId): RaftCore {
    return this.member(id).core
  }

  crash(id: NodeId): void {
    const member = this.member(id)
    member.down = true
    member.writing = []
    member.marking = false
  }

  restart(id: NodeId, initial: Configuration = this.#initial): void {
    const member = this.member(id)
    member.down = false
    member.writing = []
    member.marking = false
    member.applied = member.disk.snapshot?.index ?? 0
    member.core = this.#open(id, initial, member.disk)
  }

  cut(from: NodeId, to: NodeId): void {
    this.cuts.add(`${from}>${to}`)
  }
  isolate(id: NodeId): void {
    for (const other of this.members.keys()) {
      this.cut(id, other)
      this.cut(other, id)
    }
  }
  heal(): void {
    this.cuts.clear()
  }

  /** Carries out what a core wants now, except that its writes only begin. */
  collect(id: NodeId): boolean {
    const member = this.member(id)
    if (member.down) return false
    let any = false
    for (let ready = member.core.ready(); ready !== undefined; ready = member.core.ready()) {
      any = true
      this.onReady?.(id, ready)
      if (ready.persist !== undefined) member.writing.push(ready.persist)
      if (ready.soft?.quarantined !== undefined && member.disk.mark === undefined) member.marking = true
      for (const message of ready.messages) {
        this.#watch(message, member)
        this.mail.push(message)
        this.onMessage?.(message)
      }
      for (const entry of ready.committed) this.#apply(member, entry)
      member.reads.push(...ready.reads)
      member.lostReads.push(...ready.lostReads)
      if (ready.fetch !== undefined) this.#fetch(member, ready.fetch.from, ready.fetch.meta)
      if (ready.soft?.role === "leader") {
        const other = this.#leaders.get(ready.soft.term)
        if (other !== undefined && other !== id)
          throw new Error(`${other} and ${id} lead term ${ready.soft.term}`)
        this.#leaders.set(ready.soft.term, id)
      }
    }
    return any
  }

  /** The snapshot comes at once, if whoever offers it can still be reached. */
  #fetch(member: Member, from: NodeId, meta: SnapshotMeta): void {
    if (this.cuts.has(`${from}>${member.id}`) || this.members.get(from)?.down === true) return
    if (member.core.install(meta)) member.applied = meta.index
  }

  #watch(message: CoreMessage, sender: Member): void {
    const { hardState } = sender.disk
    if (message._tag === "VoteReply" && message.granted) {
      this.#vote(message.from, message.term, message.to)
      if (hardState.term !== message.term || hardState.vote !== message.to) {
        throw new Error(`${message.from} promised a vote that is not on its disk`)
      }
    }
    if (message._tag === "Vote") {
      this.#vote(message.from, message.term, message.from)
      if (hardState.term !== message.term || hardState.vote !== message.from) {
        throw new Error(`${message.from} stands in a term that is not on its disk`)
      }
    }
    if (message._tag === "Quarantined" && sender.disk.mark === undefined) {
      throw new Error(`${message.from} says that it is in quarantine, which its disk does not know`)
    }
    if (message._tag === "AppendReply" && message.accepted) {
      const last = sender.disk.entries.at(-1)?.index ?? sender.disk.snapshot?.index ?? 0
      if (last < message.index || hardState.term < message.term) {
        throw new Error(`${message.from} acknowledged ${message.index}, its disk ends at ${last}`)
      }
    }
  }

  #vote(from: NodeId, term: number, to: NodeId): void {
    const key = `${from} in ${term}`
    const before = this.#votes.get(key)
    if (before !== undefined && before !== to) throw new Error(`${key} votes for ${before} and ${to}`)
    this.#votes.set(key, to)
  }

  #apply(member: Member, entry: Entry): void {
    if (entry.index !== member.applied + 1) {
      throw new Error(`${member.id} applies ${entry.index} after ${member.applied}`)
    }
    member.applied = entry.index
    const what = `${entry.term} ${entry.type} ${textOf(entry.data)}`
    const before = this.#applied.get(entry.index)
    if (before !== undefined && before !== what) {
      throw new Error(`entry ${entry.index} was applied as ${before}, and as ${what} by ${member.id}`)
    }
    this.#applied.set(entry.index, what)
  }

  /** The oldest write of `id` becomes durable. */
  persistOne(id: NodeId): boolean {
    const member = this.member(id)
    const write = member.writing.shift()
    if (member.down) return false
    const { disk } = member
    if (write === undefined) return this.#mark(member)
    if (write.hardState !== undefined) disk.hardState = write.hardState
    const { truncateFrom, snapshot } = write
    if (truncateFrom !== undefined) disk.entries = disk.entries.filter(({ index }) => index < truncateFrom)
    const last = disk.entries.at(-1)?.index ?? disk.snapshot?.index ?? 0
    if ((write.entries[0]?.index ?? last + 1) !== last + 1) throw new Error(`a gap on the disk of ${id}`)
    disk.entries.push(...write.entries)
    disk.commitHint = Math.max(disk.commitHint, write.commitHint)
    if (snapshot !== undefined) {
      if ((disk.entries.at(-1)?.index ?? 0) >= snapshot.index)
        throw new Error("a snapshot under a longer log")
      disk.snapshot = snapshot
      disk.entries = []
    }
    member.core.persisted(write.token)
    return true
  }

  #mark(member: Member): boolean {
    const { quarantined } = member.core.status()
    if (!member.marking || quarantined === undefined) return false
    member.marking = false
    member.disk.mark = quarantined
    member.core.marked()
    return true
  }

  /** Everything applied on `id` becomes a snapshot on its disk. */
  compact(id: NodeId): void {
    const member = this.member(id)
    const index = member.applied
    const entry = member.disk.entries.find((at) => at.index === index)
    if (entry === undefined) throw new Error(`${id} has no entry ${index}`)
    const meta = { index, term: entry.term, config: encodeConfiguration(member.core.configurationAt(index)) }
    member.disk.snapshot = meta
    member.disk.entries = member.disk.entries.filter((at) => at.index > index)
    member.core.compact(meta)
  }

  canPass(message: CoreMessage): boolean {
    return !this.cuts.has(`${message.from}>${message.to}`) && this.members.get(message.to)?.down === false
  }

  /** Hands one letter over, or loses it where the link is cut. */
  deliver(message: CoreMessage): void {
    if (this.canPass(message)) this.core(message.to).step(message)
    else this.onDropped?.(message)
  }

  /** Until nobody has anything to say: no time passes. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      let any = false
      for (const id of this.members.keys()) any = this.collect(id) || any
      for (const [id, { held }] of this.members) while (!held && this.persistOne(id)) any = true
      const { mail } = this
      this.mail = []
      for (const message of mail) {
        any = true
        this.deliver(message)
      }
      if (!any) return
    }
    throw new Error("the group never settles")
  }

  /** Ticks `id` until it campaigns. */
  expire(id: NodeId): void {
    const { core } = this.member(id)
    const { role } = core.status()
    if (role === "leader") throw new Error(`${id} leads`)
    for (let i = 0; i < 100; i++) {
      core.tick()
      this.collect(id)
      const now = core.status()
      const asks = this.mail.some(({ from, _tag }) => from === id && (_tag === "PreVote" || _tag === "Vote"))
      if (now.role !== "follower" && (asks || now.role !== role || now.role === "candidate")) return
    }
    throw new Error(`${id} never campaigns`)
  }

  /** One tick for everybody, then everything it leads to. */
  tick(times = 1): void {
    for (let i = 0; i < times; i++) {
      for (const { core, down } of this.members.values()) if (!down) core.tick()
      this.settle()
    }
  }

  leader(): NodeId | undefined {
    let best: NodeId | undefined
    let term = -1
    for (const { id, core, down } of this.members.values()) {
      const status = core.status()
      if (down || status.role !== "leader" || status.term <= term) continue
      best = id
      term = status.term
    }
    return best
  }

  /** Lets time pass until somebody leads. */
  elect(): NodeId {
    for (let i = 0; i < 200; i++) {
      const leader = this.leader()
      if (leader !== undefined) return leader
      this.tick()
    }
    const all = [...this.members.values()].map(({ core }) => JSON.stringify(core.status()))
    throw new Error(`nobody leads:\n${all.join("\n")}`)
  }
}
