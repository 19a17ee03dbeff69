/**
 * Sequential clients of registers, and what they saw. A register whose last write has an unknown end is let go of: each
 * such end doubles what its judge may have to try, and the few that were under way are enough for one history.
 */
import type { Fresh } from "#runtime/ids.ts"
import type { Answer, Door, Found, Kind } from "#test/soak/managers/doors.ts"
import { registerOf } from "#test/soak/managers/doors.ts"
import { wait } from "#test/soak/wait.ts"
import type { Operation } from "#test/support/linearizable.ts"

/** An operation, and for people when it began and ended, in milliseconds of the run. */
export interface Seen extends Operation {
  readonly fromMs: number
  readonly toMs?: number
}

interface Register {
  readonly kind: Kind
  readonly id: string
  /** Of writes and reads so far: a history is judged in one piece, so it must not grow for ever. */
  operations: number
  retired: boolean
  /** The last value given out; each write has its own. */
  lastValue: number
}

export interface Counts {
  reads: number
  writes: number
  /** Exchanges that found another version, rightly. */
  lostRaces: number
  unknown: number
  unanswered: number
  created: number
}

export interface ClientsOptions {
  readonly doors: ReadonlyArray<Door>
  readonly clientsPerDoor: number
  readonly registers: number
  readonly writesPerSecond: number
  readonly chance: Fresh
  /** Milliseconds of the run. */
  readonly now: () => number
  /** A write was acknowledged. */
  readonly acknowledged: () => void
  /** Something that no cluster may answer. */
  readonly problem: (words: string) => void
}

const operationsOfOne = 600

export class Clients {
  readonly history: Array<Seen> = []
  readonly counts: Counts = { reads: 0, writes: 0, lostRaces: 0, unknown: 0, unanswered: 0, created: 0 }
  readonly #options: ClientsOptions
  readonly #registers: Array<Register> = []
  readonly #running: Array<Promise<void>> = []
  #ended = false
  #moment = 0
  #nextName = 0
  #nextTurnMs = 0

  constructor(options: ClientsOptions) {
    this.#options = options
  }

  /** Everything that was acknowledged to be there. */
  get keys(): ReadonlyArray<{ readonly kind: Kind; readonly id: string }> {
    return this.#registers
  }

  async start(): Promise<void> {
    const { doors, clientsPerDoor, registers, chance } = this.#options
    const [door] = doors as [Door]
    while (this.#living().length < registers) await this.#create(door, door.kinds[this.#nextName % 2] as Kind)
    for (const one of doors) {
      for (let i = 1; i <= clientsPerDoor; i++)
        this.#running.push(this.#run(one, `${one.name} #${i}`, chance.fork()))
    }
  }

  async end(): Promise<void> {
    this.#ended = true
    await Promise.all(this.#running)
  }

  /** What `door` says of a register, as one more read of its history. */
  async readOnce(door: Door, { kind, id }: { readonly kind: Kind; readonly id: string }): Promise<Answer> {
    const begun = this.#begin()
    const answer = await door.inspect(kind, id)
    if (answer._tag === "Done")
      this.#note(
        { client: `last ${door.name}`, key: id, op: "read", result: registerOf(answer.body as Found) },
        begun
      )
    return answer
  }

  #living(): ReadonlyArray<Register> {
    return this.#registers.filter(({ retired }) => !retired)
  }

  async #run(door: Door, client: string, chance: Fresh): Promise<void> {
    while (!this.#ended) {
      await this.#turn()
      const usable = this.#living().filter(({ kind }) => door.kinds.includes(kind))
      if (usable.length < Math.ceil(this.#options.registers / 2)) {
        await this.#create(door, door.kinds[chance.below(door.kinds.length)] as Kind)
        continue
      }
      await this.#exchange(door, client, usable[chance.below(usable.length)] as Register)
    }
  }

  /** Writes are begun at an even pace, as far as clients are free. */
  async #turn(): Promise<void> {
    const { now, writesPerSecond } = this.#options
    const at = Math.max(this.#nextTurnMs, now() - 50)
    this.#nextTurnMs = at + 1_000 / writesPerSecond
    await wait(Math.max(0, at - now()))
  }

  async #create(door: Door, kind: Kind): Promise<void> {
    const answer = await door.create(kind, `soak-${this.#nextName++}`)
    if (answer._tag === "Refused") this.#options.problem(`a ${kind} could not be created: ${answer.message}`)
    if (answer._tag !== "Done") return
    this.counts.created++
    this.#options.acknowledged()
    const { ID: id } = answer.body as Found
    this.#registers.push({ kind, id, operations: 0, retired: false, lastValue: 0 })
  }

  /** Reads, and writes what follows. */
  async #exchange(door: Door, client: string, register: Register): Promise<void> {
    const { kind, id } = register
    register.operations += 2
    if (register.operations >= operationsOfOne) register.retired = true
    const readBegun = this.#begin()
    const read = await door.inspect(kind, id)
    if (read._tag !== "Done") {
      // Every register that clients know of was acknowledged.
      if (read._tag === "Refused")
        this.#options.problem(`${client} was refused ${kind} ${id}: ${read.message}`)
      this.counts.unanswered++
      // Nobody hammers a door that is shut.
      await wait(200)
      return
    }
    const found = read.body as Found
    const expected = registerOf(found)
    this.counts.reads++
    this.#note({ client, key: id, op: "read", result: expected }, readBegun)

    const value = ++register.lastValue
    const begun = this.#begin()
    const answer = await door.update(kind, found, value)
    const exchange = { client, key: id, op: "cas", expected, value } as const
    switch (answer._tag) {
      case "Done":
        this.counts.writes++
        this.#options.acknowledged()
        this.#note({ ...exchange, result: true }, begun)
        return
      case "Unknown":
        this.counts.unknown++
        register.retired = true
        this.history.push({ ...exchange, ...begun })
        return
      case "Refused":
        if (!answer.message.includes("update out of sequence")) {
          this.#options.problem(`${client} was refused a write of ${kind} ${id}: ${answer.message}`)
          return
        }
        this.counts.lostRaces++
        // A service has other writers than us, who change its version and not its label.
        if (kind === "config") this.#note({ ...exchange, result: false }, begun)
    }
  }

  #begin(): { readonly start: number; readonly fromMs: number } {
    return { start: ++this.#moment, fromMs: this.#options.now() }
  }

  #note(
    operation: Omit<Operation, "start" | "end">,
    begun: { readonly start: number; readonly fromMs: number }
  ): void {
    this.history.push({ ...operation, ...begun, end: ++this.#moment, toMs: this.#options.now() })
  }
}
