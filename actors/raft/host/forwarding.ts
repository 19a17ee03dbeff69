/** How proposals get into the leader's log: here, or on their way to whoever leads, or on behalf of another member. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { RaftCore, SoftState } from "#actors/raft/core/protocol.ts"
import { entryType } from "#actors/raft/entry.ts"
import { idOf } from "#actors/raft/host/envelope.ts"
import type { Forward, ForwardRefused, HostMessage } from "#actors/raft/host/message.ts"
import type { Pending, Proposals } from "#actors/raft/host/proposals.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import type { ProposalId } from "#actors/raft/protocol.ts"

/** What it must know of the moment. `low`: the disk has no room for entries. */
export interface Moment {
  readonly now: number
  readonly soft: SoftState
  readonly low: boolean
}

const refusedByLeader =
  "The manager that leads takes nothing new now: its disk has too little room left, or too much waits for a majority"

/** So many times fewer than those under way are few. */
const fewOf = 4

export class Forwarding {
  readonly #id: NodeId
  readonly #settings: HostSettings
  readonly #core: RaftCore
  readonly #proposals: Proposals
  readonly #send: (message: HostMessage) => void
  /** Forwarded here and appended, not applied yet: sent again, they are not appended again. */
  readonly #taken = new Set<string>()
  #endedBefore = 0
  /** The tick at which proposals began to wait for others. */
  #gatheringSince: number | undefined

  constructor(
    id: NodeId,
    settings: HostSettings,
    core: RaftCore,
    proposals: Proposals,
    send: (message: HostMessage) => void
  ) {
    this.#id = id
    this.#settings = settings
    this.#core = core
    this.#proposals = proposals
    this.#send = send
  }

  /** Others wait here for what they forwarded. */
  get isOwing(): boolean {
    return this.#taken.size > 0
  }

  /** Everything that waits to be appended or sent, or nothing for now. True when another turn should look again soon. */
  flush(moment: Moment): boolean {
    const { ended } = this.#proposals
    const someEnded = ended !== this.#endedBefore
    this.#endedBefore = ended
    if (this.#proposals.waiting === 0) return false
    if (this.#gathers(moment.now, someEnded)) return someEnded
    this.#gatheringSince = undefined
    this.#flush(this.#proposals.take(), moment)
    return false
  }

  /**
   * Callers often ask again as soon as they are answered. So a few that came while many are under way wait until those
   * have ended, and then for what is asked next: one write and one message for all, where each group of callers would
   * go on having its own. A tick at most, so that nobody waits for a lost majority.
   */
  #gathers(now: number, someEnded: boolean): boolean {
    const { waiting, size } = this.#proposals
    if (!someEnded && waiting * fewOf >= size - waiting) return false
    this.#gatheringSince ??= now
    return now === this.#gatheringSince
  }

  #flush(pending: ReadonlyArray<Pending>, moment: Moment): void {
    const fresh = pending.filter((one) => this.#isOfThisTerm(one))
    if (fresh.length === 0) return
    if (this.#core.isLeader()) this.#append(fresh, moment)
    else this.#forward(fresh, moment)
  }

  /** What a leader meant for its own term ends with it: its successor decides anew, from what was committed till then. */
  #isOfThisTerm(pending: Pending): boolean {
    const { onlyInTerm } = pending
    if (onlyInTerm === undefined || (this.#core.isLeader() && this.#core.term() === onlyInTerm)) return true
    this.#proposals.giveUp(pending, `Term ${onlyInTerm} is over`)
    return false
  }

  #append(pending: ReadonlyArray<Pending>, moment: Moment): void {
    const handsOver = (): boolean => this.#core.status().transferringTo !== undefined
    if (moment.low && !handsOver()) {
      const message =
        "Nothing can be written now: the disk of the manager that leads has too little room left"
      for (const one of pending) this.#refuse(one, message, moment.now)
      return
    }
    const append = (some: ReadonlyArray<Pending>): string => {
      const result = this.#core.propose(some.map(({ data }) => ({ type: entryType.proposal, data })))
      if (result._tag === "Appended") for (const one of some) sent(one, Number.POSITIVE_INFINITY)
      return result._tag
    }
    if (append(pending) === "Appended") return
    // Not all of them fit: then as many as do.
    for (const one of pending) {
      const result = append([one])
      if (result === "Overloaded") {
        this.#refuse(one, "Cannot propose now: too much waits for a majority of the managers", moment.now)
      } else if (result !== "Appended") this.#later(one, moment.now)
    }
  }

  /** Certain only while nobody else was ever asked. */
  #refuse(pending: Pending, message: string, now: number): void {
    pending.refusal = message
    if (pending.doubtful) this.#later(pending, now)
    else this.#proposals.end(pending, { _tag: "Overloaded", message })
  }

  /** Looked at again with the next tick. */
  #later(pending: Pending, now: number): void {
    pending.sentAt = now - this.#settings.resendTicks
  }

  #forward(pending: ReadonlyArray<Pending>, { now, soft }: Moment): void {
    const { leader, term } = soft
    if (leader === undefined || leader === this.#id) {
      for (const one of pending) this.#later(one, now)
      return
    }
    let proposals: Array<Forward["proposals"][number]> = []
    let bytes = 0
    const flush = (): void => {
      if (proposals.length === 0) return
      this.#send({ _tag: "Forward", from: this.#id, to: leader, term, proposals })
      proposals = []
      bytes = 0
    }
    for (const one of pending) {
      if (bytes + one.data.length > this.#settings.core.appendBytes) flush()
      proposals.push({ id: one.id, data: one.data })
      bytes += one.data.length
      sent(one, now)
    }
    flush()
  }

  /** Another member asks. Refused as a whole, or taken as a whole. */
  onForward(message: Forward, { soft, low }: Moment): void {
    const fresh = message.proposals.filter(({ data }) => !this.#taken.has(keyOf(idOf(data))))
    if (fresh.length === 0) return
    const result = low
      ? ({ _tag: "Overloaded" } as const)
      : this.#core.propose(fresh.map(({ data }) => ({ type: entryType.proposal, data })))
    if (result._tag === "Appended") {
      for (const { data } of fresh) this.#taken.add(keyOf(idOf(data)))
      return
    }
    const boots = new Map<string, Array<number>>()
    for (const { id } of fresh) {
      const seqs = boots.get(id.boot) ?? []
      seqs.push(id.seq)
      boots.set(id.boot, seqs)
    }
    for (const [boot, seqs] of boots) {
      this.#send({
        _tag: "ForwardRefused",
        from: this.#id,
        to: message.from,
        term: soft.term,
        reason: result._tag === "Overloaded" ? "overloaded" : "not-leader",
        leader: soft.leader ?? "",
        boot,
        seqs
      })
    }
  }

  /** No end for a proposal: a copy of it may have gone another way. It is tried again, at once where that may help. */
  onRefused(message: ForwardRefused, now: number): void {
    if (message.reason === "overloaded") {
      for (const seq of message.seqs) {
        const pending = this.#proposals.find(message.boot, seq)
        if (pending !== undefined) pending.refusal = refusedByLeader
      }
      return
    }
    for (const seq of message.seqs) {
      const pending = this.#proposals.find(message.boot, seq)
      if (pending !== undefined) this.#later(pending, now)
    }
  }

  applied(data: Uint8Array): void {
    if (this.#taken.size > 0) this.#taken.delete(keyOf(idOf(data)))
  }

  /** Another leader, or another term. */
  restart(): void {
    this.#taken.clear()
    this.#proposals.requeueAll()
  }
}

function sent(pending: Pending, at: number): void {
  pending.doubtful = true
  pending.sentAt = at
}

const keyOf = (id: ProposalId): string => `${id.proposer}/${id.boot}/${id.seq}`
