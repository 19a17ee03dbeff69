/** Questions that wait for their answer in this process, whoever asked them and from wherever. */
import type { ReplyTo } from "#runtime/behaviour.ts"
import type { Cell } from "#runtime/cell.ts"
import { Deadlines } from "#runtime/deadlines.ts"
import { Stopped, TimedOut } from "#runtime/errors.ts"
import type { Host } from "#runtime/host.ts"
import type { Outcome } from "#runtime/wire.ts"

interface Ask {
  /** In monotonic milliseconds. */
  readonly until: number
  readonly address: string
  readonly withinMs: number
  readonly cell: Cell
  readonly done: (outcome: Outcome) => void
}

export class Asks {
  readonly #host: Host
  readonly #open = new Map<string, Ask>()
  readonly #deadlines: Deadlines<string>
  #count = 0

  constructor(host: Host) {
    this.#host = host
    this.#deadlines = new Deadlines(host, (token) => this.#expire(token))
  }

  get size(): number {
    return this.#open.size
  }

  /** Opens a question to `cell`; `done` is called once, by an answer, the deadline, or the actor's end. */
  open(cell: Cell, address: string, withinMs: number, done: (outcome: Outcome) => void): ReplyTo {
    const replyTo: ReplyTo = {
      to: `ask-${(this.#count++).toString(36)}`,
      deadline: this.#host.now() + withinMs
    }
    const until = this.#host.monotonic() + withinMs
    this.#open.set(replyTo.to, { until, address, withinMs, cell, done })
    cell.asked++
    this.#deadlines.add(replyTo.to, until)
    return replyTo
  }

  /** Whether somebody still waits: false once it was answered, taken back, or told that its time is up. */
  has(replyTo: ReplyTo): boolean {
    return this.#open.has(replyTo.to)
  }

  /** Ends a question. A second answer and one that comes too late find nobody, and that is all. */
  settle(token: string, outcome: Outcome): void {
    this.take(token)?.(outcome)
  }

  /** Takes a question back and hands out whom it would have told. */
  take(token: string): ((outcome: Outcome) => void) | undefined {
    const ask = this.#open.get(token)
    if (!ask) return undefined
    this.#open.delete(token)
    ask.cell.asked--
    this.#deadlines.remove(token, ask.until)
    return ask.done
  }

  /** Tells everybody who still waits for this actor that it has forgotten them. */
  abandon(cell: Cell, reason: string): void {
    // The end of 100,000 actors must not look 100,000 times through the questions to others.
    if (cell.asked === 0) return
    const waiting = new Set(cell.mailbox.waiting().map((letter) => letter.asker?.to))
    for (const [token, ask] of this.#open) {
      // Those that still wait in its inbox are not forgotten: its next life will answer them.
      if (ask.cell !== cell || waiting.has(token)) continue
      const { address } = ask
      this.settle(token, new Stopped({ address, message: `No answer from ${address}: ${reason}` }))
    }
  }

  #expire(token: string): void {
    const ask = this.#open.get(token)
    if (!ask) return
    this.#open.delete(token)
    ask.cell.asked--
    const { address, withinMs } = ask
    ask.done(new TimedOut({ address, withinMs, message: `No answer from ${address} within ${withinMs} ms` }))
  }
}
