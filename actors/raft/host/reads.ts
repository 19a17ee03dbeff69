/** Reads that wait: for a majority to say who leads, then for this member to have applied what was committed. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { ReadId } from "#actors/raft/core/protocol.ts"
import type { HostSettings, Ticket } from "#actors/raft/host/protocol.ts"

interface Reader {
  readonly ticket: Ticket
  readonly deadline: number
}

interface Round {
  readonly readers: ReadonlyArray<Reader>
  /** When it is asked again, under another id; never for a round of our own, which is answered or lost. */
  again: number
}

interface Asker {
  readonly to: NodeId
  readonly boot: string
  readonly id: ReadId
}

export class Reads {
  readonly #settings: HostSettings
  readonly #settle: (ticket: Ticket, index: number | undefined, message: string) => void
  #next: ReadId = 0
  #asking: Array<Reader> = []
  readonly #rounds = new Map<ReadId, Round>()
  readonly #askers = new Map<ReadId, Asker>()
  #waiting: Array<{ readonly index: number; readonly readers: ReadonlyArray<Reader> }> = []

  constructor(
    settings: HostSettings,
    settle: (ticket: Ticket, index: number | undefined, message: string) => void
  ) {
    this.#settings = settings
    this.#settle = settle
  }

  get size(): number {
    let size = this.#asking.length
    for (const { readers } of this.#rounds.values()) size += readers.length
    for (const { readers } of this.#waiting) size += readers.length
    return size
  }

  add(ticket: Ticket, deadline: number): void {
    this.#asking.push({ ticket, deadline })
  }

  /** One round for everybody who asked since the last. `ask` says how it was asked, if it could be. */
  begin(now: number, ask: (id: ReadId) => "here" | "sent" | "nobody"): void {
    if (this.#asking.length === 0) return
    const id = ++this.#next
    const how = ask(id)
    if (how === "nobody") return
    const again = how === "here" ? Number.POSITIVE_INFINITY : now + this.#settings.resendTicks
    this.#rounds.set(id, { readers: this.#asking, again })
    this.#asking = []
  }

  /** A round on behalf of another member. */
  beginFor(asker: Asker): ReadId {
    const id = ++this.#next
    this.#askers.set(id, asker)
    return id
  }

  /** The other member that a round was for, if it was; it is forgotten. */
  takeAsker(id: ReadId): Asker | undefined {
    const asker = this.#askers.get(id)
    this.#askers.delete(id)
    return asker
  }

  /** The state as of `index` answers the round. */
  answered(id: ReadId, index: number, applied: number): void {
    const round = this.#rounds.get(id)
    if (round === undefined) return
    this.#rounds.delete(id)
    this.#waiting.push({ index, readers: round.readers })
    this.applied(applied)
  }

  applied(index: number): void {
    if (this.#waiting.length === 0) return
    const ready = this.#waiting.filter((at) => at.index <= index)
    if (ready.length === 0) return
    this.#waiting = this.#waiting.filter((at) => at.index > index)
    for (const { readers } of ready) for (const { ticket } of readers) this.#settle(ticket, index, "")
  }

  /** A round will not be answered: its readers ask again, at once or a tick later. */
  lost(id: ReadId): void {
    const round = this.#rounds.get(id)
    if (round === undefined) return
    this.#rounds.delete(id)
    this.#asking.push(...round.readers)
  }

  /** Asked again no sooner than the next tick: whoever was asked does not lead. */
  refused(id: ReadId, now: number): void {
    const round = this.#rounds.get(id)
    if (round !== undefined) round.again = now + 1
  }

  /** Another leader: what was asked of the last one is asked again, under fresh ids. */
  requeueSent(): void {
    for (const [id, round] of [...this.#rounds]) if (round.again !== Number.POSITIVE_INFINITY) this.lost(id)
  }

  tick(now: number, leaderless: boolean): void {
    for (const [id, round] of [...this.#rounds]) if (round.again <= now) this.lost(id)
    const none = "There is no leader, or no majority of the managers can be reached"
    const late = "The managers did not answer in time"
    const judge = (reader: Reader, hopeless: boolean): boolean => {
      if (!hopeless && now < reader.deadline) return true
      this.#settle(reader.ticket, undefined, hopeless ? none : late)
      return false
    }
    this.#asking = this.#asking.filter((reader) => judge(reader, leaderless))
    for (const [id, round] of this.#rounds) {
      const readers = round.readers.filter((reader) => judge(reader, false))
      if (readers.length === 0) this.#rounds.delete(id)
      else if (readers.length < round.readers.length) this.#rounds.set(id, { readers, again: round.again })
    }
    this.#waiting = this.#waiting
      .map(({ index, readers }) => ({ index, readers: readers.filter((reader) => judge(reader, false)) }))
      .filter(({ readers }) => readers.length > 0)
  }
}
