/**
 * Sending and receiving: where a message goes, how an answer finds its way back, and what is refused on the way.
 *
 * A message to an actor of this process is handed over as it is; one to another process becomes one publish.
 */
import { type Address, parseSubject, showAddress, subjectOf } from "#runtime/address.ts"
import { Asks } from "#runtime/asks.ts"
import type { Cell, Outward } from "#runtime/cell.ts"
import { DeadLetters } from "#runtime/dead-letters.ts"
import {
  type Cause,
  childSpan,
  type Envelope,
  header,
  readEnvelope,
  writeEnvelope
} from "#runtime/envelope.ts"
import { type Absence, MailboxFull, NotHere, NotUnderstood, Stopped, Unreachable } from "#runtime/errors.ts"
import type { Host } from "#runtime/host.ts"
import type { Letter } from "#runtime/mailbox.ts"
import type { Registry } from "#runtime/registry.ts"
import { PayloadTooLarge } from "#runtime/transport/outcomes.ts"
import type { CallOutcome, Delivery, Headers, TransportService } from "#runtime/transport.ts"
import { decodeMessage, decodeReply, encodeAbsence, encodeBody, type Outcome } from "#runtime/wire.ts"

export interface PostOptions {
  readonly cluster: string
  readonly nodeId: string
  readonly host: Host
  readonly transport: TransportService
  readonly registry: Registry
  /** Whether this process answers for a home. */
  readonly owns: (home: string) => boolean
}

/** An asked message that carries no deadline is one from `nats request` or the like. */
const usualDeadlineMs = 30_000

/** A few hundred kilobytes at most; subjects of actors long gone are forgotten with the rest. */
const rememberedSubjects = 4_096

export class Post {
  readonly deadLetters = new DeadLetters()
  readonly asks: Asks
  readonly #options: PostOptions
  readonly #boot: string
  readonly #receivers = new Map<string, Address>()
  #sent = 0
  /** The term that this process leads in, or led in last. */
  #ownTerm: number | undefined
  #highestTerm = 0

  constructor(options: PostOptions) {
    this.#options = options
    this.asks = new Asks(options.host)
    this.#boot = `${options.nodeId}-${Math.floor(options.host.random() * 2 ** 32).toString(36)}`
  }

  /** What is said from home `leader` from now on carries this term. */
  lead(term: number): void {
    this.#ownTerm = term
    this.#highestTerm = Math.max(this.#highestTerm, term)
  }

  /** Carries out what an actor asked for. */
  carry(action: Outward, cell: Cell, letter: Letter | undefined): void {
    switch (action._tag) {
      case "Tell":
        this.tell(action.to, action.message, cell.self, letter?.cause)
        return
      case "Reply":
        this.asks.settle(action.to.to, { _tag: "Answer", value: action.message })
        return
      case "Announce":
        this.#publish(cell.self, "out", action.message, cell.self, letter?.cause)
    }
  }

  tell(to: Address, message: unknown, from?: Address, cause?: Cause): void {
    const { host, registry, owns } = this.#options
    if (this.#isDeposed(from)) {
      this.deadLetters.add(showAddress(to), message, "from an older leader", `term ${this.#ownTerm}`)
      return
    }
    const cell = registry.find(to)
    if (cell) {
      const offer = cell.deliver({ message, at: host.now(), from, cause })
      if (offer._tag === "Full") this.deadLetters.add(showAddress(to), message, "its mailbox was full")
    } else if (owns(to.home)) this.deadLetters.add(showAddress(to), message, "nobody was there")
    else this.#publish(to, "in", message, from, cause)
  }

  /** Asks; `done` is called once, unless what this returns is called before. `remote` answers skip no turn either. */
  ask(to: Address, message: unknown, withinMs: number, done: (outcome: Outcome) => void): () => void {
    const { host, registry, owns } = this.#options
    const name = showAddress(to)
    const cell = registry.find(to)
    if (cell) {
      const asker = this.asks.open(cell, name, withinMs, done)
      const offer = cell.deliver({ message, at: host.now(), asker })
      if (offer._tag === "Full")
        host.defer(() => this.asks.settle(asker.to, mailboxFull(name, offer.capacity)))
      return () => this.asks.take(asker.to)
    }
    if (!owns(to.home)) return this.call(to, "in", message, withinMs, done)
    let open = true
    host.defer(() => open && done(nobodyThere(name)))
    return () => {
      open = false
    }
  }

  /** Asks another process on a lane. `silent` outcomes come from the transport rather than from that process. */
  call(
    to: Address,
    lane: string,
    message: unknown,
    withinMs: number,
    done: (outcome: Outcome, silent: boolean) => void
  ): () => void {
    const { cluster, transport } = this.#options
    const name = showAddress(to)
    const headers = writeEnvelope(this.#envelope(undefined, undefined, withinMs))
    const heard = (outcome: CallOutcome): void => {
      if ("_tag" in outcome) {
        done(outcome, true)
        return
      }
      if (this.#isStale(readEnvelope(outcome.headers))) {
        const words = `No answer from ${name}: an older leader answered`
        done(new NotHere({ address: name, message: words }), false)
        return
      }
      done(decodeReply(outcome, name, withinMs), false)
    }
    return transport.call(subjectOf(cluster, to, lane), headers, encodeBody(message), withinMs, heard)
  }

  /** Sends on a lane of another process; what cannot be sent is a dead letter. */
  send(to: Address, lane: string, message: unknown): void {
    this.#publish(to, lane, message, undefined, undefined)
  }

  /** Takes what the transport brings on an `in` lane. */
  receive(delivery: Delivery): void {
    const to = this.#receiverOf(delivery.subject)
    if (!to) return
    const name = showAddress(to)
    const { host, registry } = this.#options
    const envelope = readEnvelope(delivery.headers)
    if (this.#isStale(envelope)) {
      this.deadLetters.add(name, undefined, "from an older leader", `term ${envelope.term}`)
      return
    }
    const cell = registry.find(to)
    if (!cell) {
      this.#refuse(delivery, name, undefined, nobodyThere(name))
      return
    }
    const decoded = decodeMessage(cell.definition, delivery.body)
    if (!decoded.ok) {
      const words = `${name} does not understand this message: ${decoded.problem}`
      this.#refuse(delivery, name, undefined, new NotUnderstood({ address: name, message: words }))
      return
    }
    const cause: Cause = {
      id: envelope.id,
      ...(envelope.traceparent !== undefined && { traceparent: envelope.traceparent })
    }
    const withinMs = envelope.withinMs ?? usualDeadlineMs
    const asker = delivery.respond
      ? this.asks.open(cell, name, withinMs, (outcome) => this.#answer(delivery, cell, outcome))
      : undefined
    const { from } = envelope
    const offer = cell.deliver({ message: decoded.message, at: host.now(), from, asker, cause })
    if (offer._tag !== "Full") return
    if (asker) this.asks.settle(asker.to, mailboxFull(name, offer.capacity))
    else this.deadLetters.add(name, decoded.message, "its mailbox was full")
  }

  /** Few subjects carry most messages, and taking one apart costs more than looking it up. */
  #receiverOf(subject: string): Address | undefined {
    const known = this.#receivers.get(subject)
    if (known) return known
    const to = parseSubject(subject)?.to
    if (!to) return undefined
    if (this.#receivers.size >= rememberedSubjects) this.#receivers.clear()
    this.#receivers.set(subject, to)
    return to
  }

  /** A letter that an actor will not handle: its asker learns why, and it is counted. */
  lost(cell: Cell, letter: Letter, reason: string): void {
    const name = showAddress(cell.self)
    // An actor's own timers and results are part of the memory that it loses; nobody sent them.
    if (letter.own) return
    this.deadLetters.add(name, letter.message, reason)
    if (!letter.asker) return
    const words = `No answer from ${name}: ${reason}`
    this.asks.settle(letter.asker.to, new Stopped({ address: name, message: words }))
  }

  /** Answers a request of the `sys` lane. */
  respond(delivery: Delivery, value: unknown): void {
    this.#respond(delivery, {}, encodeBody(value))
  }

  refuse(delivery: Delivery, absence: Absence): void {
    this.#refuse(delivery, delivery.subject, undefined, absence)
  }

  /** An answer is found by its question, so of all headers it needs only the leader's term. */
  #answer(delivery: Delivery, cell: Cell, outcome: Outcome): void {
    const leads = cell.self.home === "leader" && this.#ownTerm !== undefined
    const headers: Headers = leads ? { [header.term]: String(this.#ownTerm) } : {}
    if (outcome._tag === "Answer") {
      this.#respond(delivery, headers, encodeBody(outcome.value))
      return
    }
    // The asker has its own clock for this, and needs no message to hear it.
    if (outcome._tag === "TimedOut") return
    const [error, body] = encodeAbsence(outcome)
    this.#respond(delivery, { ...headers, ...error }, body)
  }

  #refuse(delivery: Delivery, name: string, message: unknown, absence: Absence): void {
    if (!delivery.respond) {
      this.deadLetters.add(name, message, absence._tag, absence.message)
      return
    }
    const [error, body] = encodeAbsence(absence)
    this.#respond(delivery, error, body)
  }

  #respond(
    delivery: Delivery,
    headers: Record<string, string> | Delivery["headers"],
    body: Uint8Array
  ): void {
    try {
      delivery.respond?.(headers, body)
    } catch (error) {
      if (error instanceof PayloadTooLarge) {
        const absence = new Unreachable({ address: delivery.subject, message: error.message })
        const [tag, words] = encodeAbsence(absence)
        this.deadLetters.add(delivery.subject, undefined, "the answer was too large", error.message)
        delivery.respond?.({ ...headers, ...tag }, words)
      } else if (error instanceof Unreachable) {
        this.deadLetters.add(delivery.subject, undefined, "the transport was down", "an answer")
      } else throw error
    }
  }

  #publish(to: Address, lane: string, message: unknown, from: Address | undefined, cause?: Cause): void {
    const { cluster, transport } = this.#options
    const headers = writeEnvelope(this.#envelope(from, cause))
    try {
      transport.publish(subjectOf(cluster, to, lane), headers, encodeBody(message))
    } catch (error) {
      if (error instanceof Unreachable) {
        this.deadLetters.add(showAddress(to), message, "the transport was down")
      } else if (error instanceof PayloadTooLarge) {
        this.deadLetters.add(showAddress(to), message, "it was too large", error.message)
      } else throw error
    }
  }

  #envelope(from: Address | undefined, cause: Cause | undefined, withinMs?: number): Envelope {
    return {
      id: `${this.#boot}-${(this.#sent++).toString(36)}`,
      from,
      cause: cause?.id,
      withinMs,
      term: from?.home === "leader" ? this.#ownTerm : undefined,
      traceparent: cause?.traceparent && childSpan(cause.traceparent, () => this.#options.host.random())
    }
  }

  /** Remembers the highest term seen; true when this message is from before it. */
  #isStale(envelope: Envelope): boolean {
    if (envelope.term === undefined) return false
    if (envelope.term < this.#highestTerm) return true
    this.#highestTerm = envelope.term
    return false
  }

  #isDeposed(from: Address | undefined): boolean {
    return from?.home === "leader" && this.#ownTerm !== undefined && this.#ownTerm < this.#highestTerm
  }
}

const nobodyThere = (name: string): NotHere =>
  new NotHere({ address: name, message: `Cannot reach ${name}: nobody is there` })

const mailboxFull = (name: string, capacity: number): MailboxFull =>
  new MailboxFull({
    address: name,
    capacity,
    message: `Cannot reach ${name}: its mailbox of ${capacity} is full`
  })
