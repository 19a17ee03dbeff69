/** Clients: one operation after another on any member, sent again under the same name until its end is known. */
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { Fresh } from "#runtime/ids.ts"
import { Broken } from "#test/simulation/raft/broken.ts"
import type { Observer } from "#test/simulation/raft/observer.ts"
import type { Place } from "#test/simulation/raft/place.ts"
import { type Command, encodeCommand } from "#test/simulation/raft/registers.ts"
import type { Operation } from "#test/support/linearizable.ts"

// An answer that does not come in this time never will: the member died.
const patienceMs = 7_000

/** What became of one command. */
export interface Fate {
  readonly command: Command
  readonly start: number
  end?: number
  result?: boolean
  /** Every attempt so far was refused for certain. */
  refused: boolean
}

export interface ClientsOptions {
  readonly host: VirtualHost
  readonly chance: Fresh
  readonly observer: Observer
  readonly clients: number
  readonly keys: number
  readonly pauseMs: number
  /** Those that may be asked now. */
  readonly places: () => ReadonlyArray<Place>
}

export class Clients {
  readonly #options: ClientsOptions
  readonly #reads: Array<Operation> = []
  readonly fates: Array<Fate> = []
  #clock = 0
  #values = 0
  #stopping = false
  #busy = 0

  constructor(options: ClientsOptions) {
    this.#options = options
  }

  start(): void {
    const { clients, chance, host } = this.#options
    for (let n = 0; n < clients; n++) {
      this.#busy++
      host.after(chance.below(500), () => this.#next(`c${n}`, 1))
    }
  }

  /** Nothing new is begun. */
  stop(): void {
    this.#stopping = true
  }
  get areDone(): boolean {
    return this.#busy === 0
  }

  /** Everything that was asked and answered. */
  history(): ReadonlyArray<Operation> {
    const commands = this.fates
      // What was certainly refused never was.
      .filter(({ refused }) => !refused)
      .map(({ command, start, end, result }): Operation => {
        const { client, key, op, value, expected } = command
        return {
          client,
          key,
          op,
          value,
          start,
          ...(op === "cas" ? { expected } : {}),
          ...(end === undefined ? {} : { end }),
          ...(op === "cas" && result !== undefined ? { result } : {})
        }
      })
    return [...commands, ...this.#reads]
  }

  #next(client: string, seq: number): void {
    const { chance, host, keys, pauseMs } = this.#options
    if (this.#stopping) {
      this.#busy--
      return
    }
    const again = (): void =>
      void host.after(chance.below(2 * pauseMs + 1), () => this.#next(client, seq + 1))
    const key = "xyzw"[chance.below(keys)] as string
    if (chance.below(3) === 0) {
      this.#read(client, key, again)
      return
    }
    const isExchange = chance.below(3) === 0
    const command: Command = {
      client,
      seq,
      key,
      op: isExchange ? "cas" : "write",
      value: ++this.#values,
      expected: isExchange ? Math.max(0, this.#values - 1 - chance.below(3)) : 0
    }
    const fate: Fate = { command, start: ++this.#clock, refused: false }
    this.fates.push(fate)
    this.#attempt(fate, 0, true, again)
  }

  /** `certain`: no attempt so far may have got anywhere. */
  #attempt(fate: Fate, attempt: number, certain: boolean, done: () => void): void {
    const { chance, host, observer } = this.#options
    const { marks } = observer
    const { command } = fate
    const later = (isCertain: boolean): void =>
      void host.after(50 + chance.below(400), () => this.#attempt(fate, attempt + 1, isCertain, done))
    const place = this.#someone()
    if (place?.member === undefined) {
      later(certain)
      return
    }
    if (attempt > 0) marks.hit("proposal tried at another member")
    let isOver = false
    const once = (end: () => void) => (): void => {
      if (isOver) return
      isOver = true
      cancel()
      end()
    }
    const cancel = host.after(
      patienceMs,
      once(() => later(false))
    )
    const name = `${command.client}/${command.seq}`
    host.note(`${name} ${command.op} ${command.key} ${command.value} at ${place.id}`)
    place.member.propose(
      encodeCommand(command),
      { proposer: command.client, boot: "1", seq: command.seq },
      (outcome) => {
        host.note(`${name} ${outcome._tag}`)
        if (isOver) return
        switch (outcome._tag) {
          case "Applied":
            once(() => {
              marks.hit("proposal applied")
              fate.end = ++this.#clock
              fate.result = outcome.result as boolean
              done()
            })()
            return
          case "Unknown":
            marks.hit("proposal of unknown end")
            once(() => later(false))()
            return
          case "NotLeader":
          case "Overloaded":
            marks.hit(
              outcome._tag === "NotLeader"
                ? "proposal refused for lack of a leader"
                : "proposal refused for overload"
            )
            once(() => {
              // Some give up; what they asked for must never come about.
              if (certain && chance.below(3) === 0) {
                fate.refused = true
                done()
              } else later(certain)
            })()
        }
      },
      { deadlineTicks: 20 + chance.below(60) }
    )
  }

  #read(client: string, key: string, done: () => void): void {
    const { host, observer } = this.#options
    const place = this.#someone()
    if (place?.member === undefined) {
      done()
      return
    }
    const start = ++this.#clock
    const floor = observer.committed.length
    let isOver = false
    const cancel = host.after(patienceMs, () => {
      isOver = true
      done()
    })
    const { member, life } = place
    member.readIndex((answer) => {
      if (isOver) return
      isOver = true
      cancel()
      if (typeof answer === "number") {
        observer.marks.hit("read answered")
        const status = observer.statusOf(place.id)
        if (status?.configuration.learners.includes(place.id) === true)
          observer.marks.hit("read on a learner")
        host.note(`${client} reads ${key} at ${place.id}: ${place.registers.read(key)} as of ${answer}`)
        if (answer < floor) {
          throw new Broken(
            "I18",
            `${place.id} answers a read as of ${answer}; ${floor} were committed when it was asked`
          )
        }
        if (place.life === life) {
          this.#reads.push({
            client,
            key,
            op: "read",
            start,
            end: ++this.#clock,
            result: place.registers.read(key)
          })
        }
      } else observer.marks.hit("read failed")
      done()
    })
  }

  #someone(): Place | undefined {
    const up = this.#options.places().filter((place) => place.isUp)
    return up[this.#options.chance.below(up.length)]
  }
}
