/**
 * The log without a disk: for the simulator and for tests of everything above it. What it keeps outlives the
 * member that wrote it, so that a killed manager finds again what it had acknowledged.
 */
import { Effect } from "effect"
import {
  aloneAs,
  type Leadership,
  NoLeader,
  type OpenRaft,
  type ProposeOutcome,
  type RaftStatus,
  readIndexBy,
  type StateMachine
} from "#actors/raft/protocol.ts"

/** What survives a member: pass the same one to open again. */
export class MemoryLog {
  term = 0
  lastIndex = 0
  snapshot: { readonly index: number; readonly chunks: ReadonlyArray<Uint8Array> } | undefined
  entries: Array<{ readonly index: number; readonly data: Uint8Array }> = []
  member: MemoryMember | undefined

  /** Ends the present member as kill -9 would: what was not durable is gone, and nobody is told anything. */
  crash(): void {
    this.member?.vanish()
    this.member = undefined
  }
}

interface Waiting {
  readonly data: Uint8Array
  readonly done: (outcome: ProposeOutcome) => void
}

/** One opening of a `MemoryLog`. Use it through `openMemory`. */
export class MemoryMember {
  readonly #log: MemoryLog
  readonly #nodeId: string
  readonly #machine: StateMachine
  readonly #defer: (turn: () => void) => void
  readonly #listeners = new Set<(leadership: Leadership) => void>()
  #waiting: Array<Waiting> = []
  #applied = 0
  #state: "leading" | "closed" | "gone" = "leading"

  constructor(log: MemoryLog, nodeId: string, machine: StateMachine, defer: (turn: () => void) => void) {
    log.crash()
    this.#log = log
    this.#nodeId = nodeId
    this.#machine = machine
    this.#defer = defer
    log.member = this
    log.term++
    log.lastIndex++
    if (log.snapshot !== undefined) machine.restore(log.snapshot.chunks)
    for (const { index, data } of log.entries) machine.apply(index, data)
    this.#applied = log.lastIndex
  }

  propose(data: Uint8Array, done: (outcome: ProposeOutcome) => void): void {
    if (this.#state === "gone") return
    if (this.#state === "closed") {
      this.#defer(() => done({ _tag: "NotLeader" }))
      return
    }
    this.#waiting.push({ data: data.slice(), done })
    if (this.#waiting.length === 1) this.#defer(() => this.#commit())
  }

  readIndex(done: (answer: number | NoLeader) => void): void {
    this.#defer(() => {
      if (this.#state === "leading") done(this.#applied)
      else if (this.#state === "closed") done(new NoLeader("This member does not lead now"))
    })
  }

  leadership(): Leadership {
    const { term } = this.#log
    return this.#state === "leading" ? { _tag: "Leading", term } : { _tag: "Following", term }
  }

  onLeadership(listen: (leadership: Leadership) => void): { readonly unsubscribe: () => void } {
    const mine = (leadership: Leadership): void => listen(leadership)
    this.#listeners.add(mine)
    listen(this.leadership())
    return { unsubscribe: () => void this.#listeners.delete(mine) }
  }

  status(): RaftStatus {
    const leads = this.#state === "leading"
    return {
      nodeId: this.#nodeId,
      role: leads ? "leader" : "follower",
      term: this.#log.term,
      ...(leads ? { leader: this.#nodeId } : {}),
      commit: this.#applied,
      applied: this.#applied,
      lastIndex: this.#applied,
      snapshotIndex: this.#log.snapshot?.index ?? 0,
      diskBytes: 0
    }
  }

  compact(): void {
    if (this.#state !== "leading") return
    const chunks = [...this.#machine.snapshot()].map((chunk) => chunk.slice())
    this.#log.snapshot = { index: this.#applied, chunks }
    this.#log.entries = []
  }

  /** Completes what was accepted, then leads no more. */
  close(): void {
    if (this.#state !== "leading") return
    this.#commit()
    this.#state = "closed"
    for (const listen of [...this.#listeners]) listen(this.leadership())
  }

  vanish(): void {
    this.#state = "gone"
    this.#waiting = []
    this.#listeners.clear()
  }

  #commit(): void {
    if (this.#state !== "leading") return
    const batch = this.#waiting
    this.#waiting = []
    for (const { data, done } of batch) {
      const index = ++this.#log.lastIndex
      this.#log.entries.push({ index, data })
      const result = this.#machine.apply(index, data)
      this.#applied = index
      done({ _tag: "Applied", index, result })
    }
  }
}

/**
 * A group of one that keeps its entries in `log`. What is proposed in one turn becomes durable and is applied
 * together in a turn begun by `defer`. Opening it is synchronous.
 */
export const openMemory =
  (defer: (turn: () => void) => void, log: MemoryLog = new MemoryLog()): OpenRaft<never> =>
  ({ nodeId, machine }) =>
    Effect.acquireRelease(
      Effect.sync(() => new MemoryMember(log, nodeId, machine, defer)),
      (member) => Effect.sync(() => member.close())
    ).pipe(
      Effect.map((member) => ({
        propose: (data, _id, done) => member.propose(data, done),
        readIndex: readIndexBy((done) => member.readIndex(done)),
        status: () => member.status(),
        leadership: () => member.leadership(),
        onLeadership: (listen) => member.onLeadership(listen),
        compact: Effect.sync(() => member.compact()),
        group: aloneAs(nodeId)
      }))
    )
