/** Proposals of this member that wait for their end, each of which has exactly one. */
import { encodeEnvelope, idOf, seqOf } from "#actors/raft/host/envelope.ts"
import type { HostSettings, Ticket } from "#actors/raft/host/protocol.ts"
import type { ProposalId, ProposeOutcome } from "#actors/raft/protocol.ts"
import { assert } from "#runtime/assert.ts"

export interface Pending {
  readonly ticket: Ticket
  readonly id: ProposalId
  readonly data: Uint8Array
  readonly deadline: number
  /** It counts only as an entry of this term, which this member led when it was made. */
  readonly onlyInTerm: number | undefined
  /** The term in which it was last appended or sent; 0 for never. */
  sentTerm: number
  sentAt: number
  /** It may be in somebody's log: from here on, only the log can say how it ends. */
  doubtful: boolean
  queued: boolean
  /** Why whoever leads did not take it when it was last offered. */
  refusal: string | undefined
  /** Another one with the same number, of another proposer or boot. */
  twin: Pending | undefined
}

export class Proposals {
  readonly #settings: HostSettings
  /** In the order in which they were made. */
  readonly #all = new Map<Ticket, Pending>()
  readonly #bySeq = new Map<number, Pending>()
  #queue: Array<Pending> = []
  #bytes = 0
  #ended = 0
  readonly #settle: (ticket: Ticket, outcome: ProposeOutcome) => void

  constructor(settings: HostSettings, settle: (ticket: Ticket, outcome: ProposeOutcome) => void) {
    this.#settings = settings
    this.#settle = settle
  }

  get size(): number {
    return this.#all.size
  }

  /** How many `take` may give, at most. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Counts those that ended, for whoever wants to know whether one did. */
  get ended(): number {
    return this.#ended
  }

  add(
    ticket: Ticket,
    id: ProposalId,
    command: Uint8Array,
    deadline: number,
    onlyInTerm?: number | undefined
  ): void {
    assert(Number.isSafeInteger(id.seq) && id.seq >= 0, "proposals are numbered")
    const { pendingProposals, pendingBytes } = this.#settings
    if (
      this.#all.size >= pendingProposals ||
      (this.#bytes + command.length > pendingBytes && this.#all.size > 0)
    ) {
      this.#settle(ticket, {
        _tag: "Overloaded",
        message: `Cannot propose now: ${this.#all.size} proposals of this node are on their way`
      })
      return
    }
    const pending: Pending = {
      ticket,
      id,
      data: encodeEnvelope(id, command),
      deadline,
      onlyInTerm,
      sentTerm: 0,
      sentAt: 0,
      doubtful: false,
      queued: false,
      refusal: undefined,
      twin: this.#bySeq.get(id.seq)
    }
    this.#all.set(ticket, pending)
    this.#bySeq.set(id.seq, pending)
    this.#bytes += pending.data.length
    this.#enqueue(pending)
  }

  /** Everything that should be appended or sent now, oldest first; it is the caller's to queue again. */
  take(): ReadonlyArray<Pending> {
    if (this.#queue.length === 0) return this.#queue
    const queue = this.#queue.filter(({ ticket }) => this.#all.has(ticket))
    for (const pending of queue) pending.queued = false
    this.#queue = []
    return queue
  }

  again(pending: Pending): void {
    if (this.#all.has(pending.ticket)) this.#enqueue(pending)
  }

  /** Another leader, or another term: whatever was not heard of goes out once more. */
  requeueAll(): void {
    this.#queue = []
    for (const pending of this.#all.values()) {
      pending.queued = false
      pending.refusal = undefined
      this.#enqueue(pending)
    }
  }

  /** What was sent and has shown no sign of life for a while goes out once more. */
  requeueOlder(than: number): void {
    for (const pending of this.#all.values()) {
      if (!pending.queued && pending.sentAt <= than) this.#enqueue(pending)
    }
  }

  find(boot: string, seq: number): Pending | undefined {
    for (let pending = this.#bySeq.get(seq); pending !== undefined; pending = pending.twin) {
      if (pending.id.boot === boot) return pending
    }
    return undefined
  }

  /** An entry was applied: whoever waits for it hears so. */
  applied(index: number, data: Uint8Array, result: unknown): void {
    if (this.#all.size === 0) return
    const first = this.#bySeq.get(seqOf(data))
    if (first === undefined) return
    const { proposer, boot } = idOf(data)
    for (let pending: Pending | undefined = first; pending !== undefined; pending = pending.twin) {
      if (pending.id.boot === boot && pending.id.proposer === proposer) {
        this.end(pending, { _tag: "Applied", index, result })
      }
    }
  }

  end(pending: Pending, outcome: ProposeOutcome): void {
    if (!this.#all.delete(pending.ticket)) return
    this.#ended++
    this.#bytes -= pending.data.length
    const { seq } = pending.id
    const first = this.#bySeq.get(seq)
    if (first === pending) {
      if (pending.twin === undefined) this.#bySeq.delete(seq)
      else this.#bySeq.set(seq, pending.twin)
    } else {
      for (let at = first; at !== undefined; at = at.twin) if (at.twin === pending) at.twin = pending.twin
    }
    this.#settle(pending.ticket, outcome)
  }

  /** Ends what is late, and, with nobody to lead, everything: nothing that is sent now would be answered soon. */
  expire(now: number, leaderless: boolean): void {
    for (const pending of this.#all.values()) {
      if (!leaderless && now < pending.deadline) continue
      if (leaderless) pending.refusal = undefined
      this.giveUp(pending, "No answer in time")
    }
  }

  /** Ends it for certain where it never left this member. */
  giveUp(pending: Pending, why: string): void {
    const { doubtful, refusal } = pending
    const message = `${refusal ?? why}: it may have been applied, or may be yet`
    const isRefused = refusal === undefined ? {} : { isRefused: true as const }
    this.end(pending, doubtful ? { _tag: "Unknown", message, ...isRefused } : { _tag: "NotLeader" })
  }

  #enqueue(pending: Pending): void {
    if (pending.queued) return
    pending.queued = true
    this.#queue.push(pending)
  }
}
