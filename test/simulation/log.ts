/**
 * The log of the simulation: the one in memory, in seeded time, with every way a proposal may end, a leadership that
 * may be lost and won again, and a member that may be killed and opened again.
 */
import { Effect } from "effect"
import {
  aloneAs,
  type Leadership,
  NoLeader,
  type OpenRaft,
  type RaftService,
  readIndexBy
} from "#actors/raft/protocol.ts"
import type { Fresh } from "#runtime/ids.ts"
import type { Life } from "#runtime/life.ts"
import { type Fate, faultyRaft } from "#test/support/faulty-raft.ts"
import { MemoryLog, MemoryMember } from "#test/support/memory-log.ts"

export class SimulatedLog {
  readonly log = new MemoryLog()
  /** How likely a proposal ends without being known to have been applied, from 0 to 1. */
  doubt = 0
  /** Milliseconds that an entry takes to be durable. */
  leastMs = 1
  mostMs = 4
  readonly #chance: Fresh
  readonly #listeners = new Set<(leadership: Leadership) => void>()
  #following = false
  /** Grows whenever leadership is lost: what was proposed before it ends unknown. */
  #reign = 0
  #life: Life | undefined
  member: MemoryMember | undefined

  constructor(chance: Fresh) {
    this.#chance = chance
  }

  /** Kill -9 of the member: what was not durable is gone. */
  crash(): void {
    this.log.crash()
    this.member = undefined
    this.#listeners.clear()
    this.#following = false
    this.#reign++
  }

  /** Somebody else leads for `ms`, and then it is us again, in a later term. */
  stepDown(ms: number): void {
    const life = this.#life
    if (this.member === undefined || this.#following || life === undefined) return
    this.#following = true
    this.#reign++
    this.#announce()
    const reign = this.#reign
    life.host.after(ms, () => {
      if (this.#reign !== reign) return
      this.log.term += 2
      this.#following = false
      this.#announce()
    })
  }

  /** Takes a snapshot, so that the next member starts from it. */
  compact(): void {
    this.member?.compact()
  }

  /** A member in one life of the manager's process. */
  readonly openIn =
    (life: Life): OpenRaft<never> =>
    ({ nodeId, machine }) =>
      Effect.sync(() => {
        const slowly = (turn: () => void): void =>
          void life.host.after(this.leastMs + this.#chance.below(this.mostMs - this.leastMs + 1), turn)
        const member = new MemoryMember(this.log, nodeId, machine, slowly)
        this.member = member
        this.#life = life
        this.#following = false
        const faulty = faultyRaft(this.#serve(member, life), slowly)
        faulty.decide(() => this.#fate())
        return faulty.raft
      })

  #serve(member: MemoryMember, life: Life): RaftService {
    return {
      propose: (data, _id, done) => {
        if (this.#following) {
          life.host.defer(() => done({ _tag: "NotLeader" }))
          return
        }
        const reign = this.#reign
        member.propose(data, (outcome) => {
          if (reign === this.#reign) done(outcome)
          else done({ _tag: "Unknown", message: "leadership was lost before the answer" })
        })
      },
      readIndex: readIndexBy((done) => {
        if (this.#following) life.host.defer(() => done(new NoLeader("This member does not lead now")))
        else member.readIndex(done)
      }),
      status: () => member.status(),
      leadership: () => this.#leadership(),
      onLeadership: (listen) => {
        this.#listeners.add(listen)
        listen(this.#leadership())
        return { unsubscribe: () => void this.#listeners.delete(listen) }
      },
      compact: Effect.sync(() => member.compact()),
      group: aloneAs(member.status().nodeId)
    }
  }

  #fate(): Fate {
    if (this.doubt === 0 || this.#chance.fraction() >= this.doubt) return "pass"
    const dice = this.#chance.fraction()
    if (dice < 0.45) return "unknown-applied"
    return dice < 0.9 ? "unknown-lost" : "overloaded"
  }

  #leadership(): Leadership {
    const { term } = this.log
    return this.#following
      ? { _tag: "Following", term: term + 1, leader: "another" }
      : { _tag: "Leading", term }
  }

  #announce(): void {
    for (const listen of [...this.#listeners]) listen(this.#leadership())
  }
}
