/**
 * Sending and receiving: where a message goes, how an answer finds its way back, and what is refused on the way.
 *
 * A message to an actor of this process is handed over as it is; one to another process becomes one publish.
 */
import { type Address, parseSubject, showAddress, subjectOf } from "#runtime/address.ts"
import { askOnce, type OnceAsking } from "#runtime/ask-once.ts"
import { Asks } from "#runtime/asks.ts"
import { Bundle, envelopesOf, largestInBundle } from "#runtime/bundle.ts"
import { type Cell, describeError, type Outward } from "#runtime/cell.ts"
import { largestMessage } from "#runtime/chunks.ts"
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
import { type Letter, letterOf } from "#runtime/mailbox.ts"
import { type Once, OnceWindow, onceHeader, readOnce, writeOnce } from "#runtime/once.ts"
import type { Registry } from "#runtime/registry.ts"
import { Sightings } from "#runtime/sightings.ts"
import { Telemetry } from "#runtime/telemetry.ts"
import { TraceEntry, type TraceRing } from "#runtime/trace.ts"
import { PayloadTooLarge } from "#runtime/transport/outcomes.ts"
import type { CallOutcome, Delivery, Headers, TransportService } from "#runtime/transport.ts"
import {
  bodyOf,
  type Decoded,
  decodeBody,
  decodeMany,
  decodeMessage,
  decodeReply,
  encodeAbsence,
  encodeBody,
  encodeText,
  type Outcome
} from "#runtime/wire.ts"

export interface PostOptions {
  readonly cluster: string
  readonly nodeId: string
  readonly host: Host
  readonly transport: TransportService
  readonly registry: Registry
  /** Whether this process answers for a home. */
  readonly owns: (home: string) => boolean
  /** Since when it alone does, on the host's monotonic clock; infinity where others do as well. */
  readonly since: (home: string) => number
  /** Remembers who led to what; absent, causes are only handed on. */
  readonly trace?: TraceRing | undefined
}

/** An asked message that carries no deadline is one from `nats request` or the like. */
const usualDeadlineMs = 30_000

/** A few hundred kilobytes at most; subjects of actors long gone are forgotten with the rest. */
const rememberedSubjects = 4_096

export class Post {
  readonly deadLetters = new DeadLetters()
  readonly telemetry = new Telemetry()
  readonly asks: Asks
  readonly #options: PostOptions
  readonly #boot: string
  readonly #receivers = new Map<string, Address>()
  readonly #answered = new OnceWindow()
  readonly #sightings = new Sightings()
  #sent = 0
  /** What was told in this turn and waits for its end. */
  #bundle: Bundle | undefined
  #willFlush = false
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
      case "Tell": {
        const { to, message, refused } = action
        const hear = refused === undefined ? undefined : () => cell.deliverOwn(refused, letter?.cause)
        if (!this.#tell(to, message, cell.now, cell.self, letter?.cause, hear)) hear?.()
        return
      }
      case "Reply":
        this.asks.settle(action.to.to, { _tag: "Answer", value: action.message })
        return
      case "Announce":
        this.#publish(cell.self, "out", action.message, encodeText(action.message), cell.self, letter?.cause)
    }
  }

  /** Tells somebody from outside of all actors. */
  tell(to: Address, message: unknown): void {
    this.#tell(to, message, this.#options.host.now(), undefined, undefined)
  }

  /**
   * False when it is known at once that the message goes nowhere, which makes it a dead letter. `refused` is called when
   * that turns out later, by the end of this turn.
   */
  #tell(
    to: Address,
    message: unknown,
    now: number,
    from: Address | undefined,
    cause: Cause | undefined,
    refused?: () => void
  ): boolean {
    if (this.#isDeposed(from)) {
      return this.#die(showAddress(to), message, "from an older leader", undefined, `term ${this.#ownTerm}`)
    }
    const cell = this.#options.registry.find(to)
    if (cell) {
      const own = this.causeOf(cause, from, to, message, now)
      const offer = cell.deliver(letterOf(message, now, from, undefined, own))
      return offer._tag === "Taken" || this.#die(showAddress(to), message, "its mailbox was full", own)
    }
    if (!this.#options.owns(to.home)) return this.#post(to, message, from, cause, refused)
    const own = this.causeOf(cause, from, to, message, now)
    return this.#die(showAddress(to), message, "nobody was there", own)
  }

  /** What a message of this process hands on as its cause: itself where it is traced, else what led to it. */
  causeOf(
    cause: Cause | undefined,
    from: Address | undefined,
    to: Address,
    message: unknown,
    at: number
  ): Cause | undefined {
    const { trace } = this.#options
    if (trace === undefined) return cause
    if ((cause === undefined || trace.isLong(cause)) && !trace.beginsAt(at)) return undefined
    return trace.add(new TraceEntry(this.#newId(), cause, from, to, message, at, "waiting"))
  }

  /** A message that nobody will handle. Always false: it was not sent. */
  #die(name: string, message: unknown, reason: string, cause: Cause | undefined, detail?: string): false {
    cause?.mark?.(reason)
    this.deadLetters.add(name, message, reason, detail, cause?.id)
    return false
  }

  /** Asks; `done` is called once, unless what this returns is called before. `remote` answers skip no turn either. */
  ask(
    to: Address,
    message: unknown,
    withinMs: number,
    done: (outcome: Outcome) => void,
    cause?: Cause
  ): () => void {
    const { host, registry, owns } = this.#options
    const name = showAddress(to)
    const cell = registry.find(to)
    if (cell) {
      const asker = this.asks.open(cell, name, withinMs, done)
      const at = host.now()
      const own = this.causeOf(cause, undefined, to, message, at)
      const offer = cell.deliver(letterOf(message, at, undefined, asker, own))
      if (offer._tag === "Full") {
        own?.mark?.("MailboxFull")
        host.defer(() => this.asks.settle(asker.to, mailboxFull(name, offer.capacity)))
      }
      return () => this.asks.take(asker.to)
    }
    if (!owns(to.home)) return this.call(to, "in", message, withinMs, done, cause)
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
    done: (outcome: Outcome, silent: boolean) => void,
    cause?: Cause,
    once?: Once
  ): () => void {
    const { cluster, transport } = this.#options
    const name = showAddress(to)
    const fresh = this.#envelope(undefined, cause, withinMs)
    const envelope = once ? { ...fresh, id: once.id } : fresh
    const sent = lane === "in" ? this.#traceSent(envelope.id, cause, undefined, to, message) : undefined
    const conclude = (outcome: Outcome, silent: boolean): void => {
      this.telemetry.called(outcome._tag)
      sent?.mark(outcome._tag === "Answer" ? "answered" : outcome._tag)
      done(outcome, silent)
    }
    const heard = (outcome: CallOutcome): void => {
      if ("_tag" in outcome) {
        conclude(outcome, true)
        return
      }
      this.#countReceived(outcome, 1)
      // Only who leads answers for the leader.
      if (to.home === "leader" && this.#isStale(readEnvelope(outcome.headers).term)) {
        const words = `No answer from ${name}: an older leader answered`
        // It has handled the question, which must not be asked again of the one who leads now.
        const absence = once ? Stopped : NotHere
        conclude(new absence({ address: name, message: words }), false)
        return
      }
      conclude(decodeReply(outcome, name, withinMs), false)
    }
    const body = encodeBody(message)
    this.flush()
    this.#countSent(body, 1)
    const written = writeEnvelope(envelope)
    const headers = once ? { ...written, [onceHeader]: writeOnce(once) } : written
    return transport.call(subjectOf(cluster, to, lane), headers, body, once?.waitMs ?? withinMs, heard)
  }

  /** Asks again until there is an answer; the receiver handles it at most once. An actor of this process is just asked. */
  askOnce(
    to: Address,
    message: unknown,
    withinMs: number,
    done: (outcome: Outcome) => void,
    cause?: Cause
  ): () => void {
    const { host, transport, registry, owns } = this.#options
    if (registry.find(to) || owns(to.home)) return this.ask(to, message, withinMs, done, cause)
    const attempt: OnceAsking["attempt"] = (once, leftMs, heard) =>
      this.call(to, "in", message, leftMs, heard, cause, once)
    const asking = { host, transport, name: showAddress(to), id: this.#newId(), withinMs, attempt }
    return askOnce(asking, done)
  }

  /** Sends on a lane of another process; what cannot be sent is a dead letter. */
  send(to: Address, lane: string, message: unknown): void {
    this.#publish(to, lane, message, encodeText(message), undefined, undefined)
  }

  /** Takes what the transport brings on an `in` lane. */
  receive(arrived: Delivery): void {
    const to = this.#receiverOf(arrived.subject)
    if (!to) return
    const delivery =
      arrived.headers[onceHeader] === undefined ? this.#firstTime(arrived, to) : this.#once(arrived, to)
    if (!delivery) return
    const envelope = readEnvelope(delivery.headers)
    // Nobody asks in bundles.
    if (delivery.headers[header.many] === undefined || delivery.respond) {
      this.#countReceived(delivery, 1)
      this.#take(delivery, to, envelope, undefined)
      return
    }
    const many = decodeMany(delivery.body)
    this.#countReceived(delivery, many.length)
    let place = 0
    for (const own of envelopesOf(envelope, many.length)) this.#take(delivery, to, own, many[place++])
  }

  /** Takes one message; `parsed` where its body has been read already. */
  #take(delivery: Delivery, to: Address, envelope: Envelope, parsed: Decoded | undefined): void {
    const { host, registry } = this.#options
    // Any node may speak to the leader, so a term in what it says is taken for no leader's.
    const isStale = to.home === "leader" ? this.#isBeforeNewest(envelope.term) : this.#isStale(envelope.term)
    if (isStale) {
      const detail = `term ${envelope.term}`
      const cause = this.#traceReceived(envelope, to, undefined)
      this.#die(showAddress(to), undefined, "from an older leader", cause, detail)
      return
    }
    const cell = registry.find(to)
    if (!cell) {
      const name = showAddress(to)
      this.#refuse(delivery, name, nobodyThere(name), this.#traceReceived(envelope, to, undefined))
      return
    }
    const decoded = decodeMessage(cell.definition, parsed ?? decodeBody(delivery.body))
    if (!decoded.ok) {
      const name = showAddress(to)
      const words = `${name} does not understand this message: ${decoded.problem}`
      const absence = new NotUnderstood({ address: name, message: words })
      this.#refuse(delivery, name, absence, this.#traceReceived(envelope, to, undefined))
      return
    }
    const { message } = decoded
    const cause = this.#traceReceived(envelope, to, message)
    const withinMs = envelope.withinMs ?? usualDeadlineMs
    const asker = delivery.respond
      ? this.asks.open(cell, showAddress(to), withinMs, (outcome) => this.#answer(delivery, cell, outcome))
      : undefined
    const offer = cell.deliver(letterOf(message, host.now(), envelope.from, asker, cause))
    if (offer._tag !== "Full") return
    const name = showAddress(to)
    if (asker) {
      cause.mark?.("MailboxFull")
      this.asks.settle(asker.to, mailboxFull(name, offer.capacity))
    } else this.#die(name, message, "its mailbox was full", cause)
  }

  /** Nothing when it has come before, or so long after others that this cannot be told. */
  #firstTime(delivery: Delivery, to: Address): Delivery | undefined {
    const id = delivery.headers[header.id]
    // To the leader each node speaks by its own name.
    const sighting = this.#sightings.see(id, to.home === "leader" ? to.id : "")
    if (sighting === "new") return delivery
    if (sighting === "too late to tell")
      this.deadLetters.add(delivery.subject, undefined, "it came too late", undefined, id)
    return undefined
  }

  /** A question that may come again, with an answer that is remembered; nothing when it has been dealt with here. */
  #once(delivery: Delivery, to: Address): Delivery | undefined {
    const { headers, respond } = delivery
    const once = readOnce(headers[header.id] ?? "", headers[onceHeader] ?? "")
    if (!once || !respond) return delivery
    const { host, since } = this.#options
    const answerTo: typeof respond = (answer, body) => this.#respond(delivery, answer, body)
    const judged = this.#answered.judge(once, since(to.home), host.monotonic(), answerTo)
    switch (judged._tag) {
      case "Again":
        return undefined
      case "Unknown": {
        const name = showAddress(to)
        const words = `No answer from ${name}: it may have been handled by somebody who did not live to tell`
        this.#refuse(delivery, name, new Stopped({ address: name, message: words }), undefined)
        return undefined
      }
      case "First":
        return {
          ...delivery,
          respond: (answer, body) => {
            const tag = answer[header.error]
            const wasTaken = tag !== "NotHere" && tag !== "MailboxFull" && tag !== "NotUnderstood"
            // What cannot be carried is answered by another word, and that one is remembered.
            if (body.length > largestMessage) return respond(answer, body)
            // Remembered before it is sent: whoever cannot be told now asks again.
            if (wasTaken) this.#answered.settle(once.id, { headers: answer, body })
            else this.#answered.release(once.id, { headers: answer, body })
            respond(answer, body)
          }
        }
    }
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
    if (letter.own) {
      letter.cause?.mark?.(reason)
      return
    }
    this.#die(name, letter.message, reason, letter.cause)
    if (!letter.asker) return
    const words = `No answer from ${name}: ${reason}`
    this.asks.settle(letter.asker.to, new Stopped({ address: name, message: words }))
  }

  /** Answers a request of the `sys` lane. */
  respond(delivery: Delivery, value: unknown): void {
    this.#respond(delivery, {}, encodeBody(value))
  }

  refuse(delivery: Delivery, absence: Absence): void {
    this.#refuse(delivery, delivery.subject, absence, undefined)
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
    if (outcome._tag === "TimedOut") {
      if (delivery.headers[onceHeader] !== undefined) this.#answered.giveUp(delivery.headers[header.id] ?? "")
      return
    }
    const [error, body] = encodeAbsence(outcome)
    this.#respond(delivery, { ...headers, ...error }, body)
  }

  #refuse(delivery: Delivery, name: string, absence: Absence, cause: Cause | undefined): void {
    if (!delivery.respond) {
      this.#die(name, undefined, absence._tag, cause, absence.message)
      return
    }
    cause?.mark?.(absence._tag)
    const [error, body] = encodeAbsence(absence)
    this.#respond(delivery, error, body)
  }

  #respond(
    delivery: Delivery,
    headers: Record<string, string> | Delivery["headers"],
    body: Uint8Array
  ): void {
    this.flush()
    this.#countSent(body, 1)
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

  /** Sends at once, on a lane. False, and it is a dead letter, when it cannot be sent. */
  #publish(
    to: Address,
    lane: string,
    message: unknown,
    text: string,
    from: Address | undefined,
    cause: Cause | undefined
  ): boolean {
    this.flush()
    const bundle = this.#newBundle(to, lane, from, cause)
    const sent = lane === "sys" ? undefined : this.#traceSent(bundle.nextId, cause, from, to, message)
    bundle.add(text, { message, cause, sent, refused: undefined })
    return this.#sendOut(bundle)
  }

  /** Tells an actor of another process: at the end of this turn, with what else it is told until then. */
  #post(
    to: Address,
    message: unknown,
    from: Address | undefined,
    cause: Cause | undefined,
    refused: (() => void) | undefined
  ): boolean {
    const text = encodeText(message)
    // A group shares out what it gets, one by one.
    const isAlone = text === "" || text.length > largestInBundle || to.home === "manager"
    if (isAlone) return this.#publish(to, "in", message, text, from, cause)
    let bundle = this.#bundle
    if (!bundle?.takes(to, from, cause, text.length)) {
      this.flush()
      bundle = this.#newBundle(to, "in", from, cause)
      this.#bundle = bundle
      this.#flushSoon()
    }
    const sent = this.#traceSent(bundle.nextId, cause, from, to, message)
    bundle.add(text, { message, cause, sent, refused })
    return true
  }

  #newBundle(to: Address, lane: string, from: Address | undefined, cause: Cause | undefined): Bundle {
    const subject = subjectOf(this.#options.cluster, to, lane)
    return new Bundle(subject, to, this.#envelope(from, cause))
  }

  /** Once for all bundles of a turn. */
  #flushSoon(): void {
    if (this.#willFlush) return
    this.#willFlush = true
    this.#options.host.defer(this.#flushNow)
  }

  readonly #flushNow = (): void => {
    this.#willFlush = false
    this.flush()
  }

  /** Sends what waits for the end of the turn. Whatever else is sent goes after it, so that order stays. */
  flush(): void {
    const bundle = this.#bundle
    if (!bundle) return
    this.#bundle = undefined
    if (this.#sendOut(bundle)) return
    for (const { refused } of bundle.told) refused?.()
  }

  #sendOut(bundle: Bundle): boolean {
    const { subject, to, told } = bundle
    const body = bodyOf(bundle.text)
    this.#countSent(body, told.length)
    try {
      this.#options.transport.publish(subject, bundle.headers(), body)
      return true
    } catch (error) {
      const [reason, detail] = whyUnsent(error)
      for (const { message, sent } of told) this.#die(showAddress(to), message, reason, sent, detail)
      return false
    }
  }

  #traceSent(
    id: string,
    cause: Cause | undefined,
    from: Address | undefined,
    to: Address,
    message: unknown
  ): TraceEntry | undefined {
    const { trace, host } = this.#options
    return trace?.add(new TraceEntry(id, cause, from, to, message, host.now(), "sent"))
  }

  /** A message from another process, as what it leads to will name it. */
  #traceReceived(envelope: Envelope, to: Address, message: unknown): Cause {
    const { trace, host } = this.#options
    const { id, from, traceparent } = envelope
    if (!trace) return { id, traceparent }
    const cause = envelope.cause === undefined ? undefined : { id: envelope.cause, traceparent }
    const entry = new TraceEntry(id, cause, from, to, message, host.now(), "waiting")
    entry.traceparent = traceparent
    return trace.add(entry)
  }

  #countSent(body: Uint8Array, messages: number): void {
    const { traffic } = this.telemetry
    traffic.sent += messages
    traffic.sentBytes += body.length
  }

  #countReceived({ body }: Delivery, messages: number): void {
    const { traffic } = this.telemetry
    traffic.received += messages
    traffic.receivedBytes += body.length
  }

  #newId(): string {
    return `${this.#boot}-${(this.#sent++).toString(36)}`
  }

  #envelope(from: Address | undefined, cause: Cause | undefined, withinMs?: number): Envelope {
    return {
      id: this.#newId(),
      from,
      cause: cause?.id,
      withinMs,
      term: from?.home === "leader" ? this.#ownTerm : undefined,
      traceparent: cause?.traceparent && childSpan(cause.traceparent, () => this.#options.host.random())
    }
  }

  /** Remembers the highest term seen; true when this message is from before it. */
  #isStale(term: number | undefined): boolean {
    if (this.#isBeforeNewest(term)) return true
    if (term !== undefined) this.#highestTerm = term
    return false
  }

  #isBeforeNewest(term: number | undefined): boolean {
    return term !== undefined && term < this.#highestTerm
  }

  #isDeposed(from: Address | undefined): boolean {
    const isOver = this.#ownTerm !== undefined && this.#ownTerm < this.#highestTerm
    return isOver && from?.home === "leader"
  }
}

/** In one of few fixed texts, and in more words where those say more. */
function whyUnsent(error: unknown): readonly [reason: string, detail?: string] {
  if (error instanceof Unreachable) return ["the transport was down"]
  if (error instanceof PayloadTooLarge) return ["it was too large", describeError(error)]
  return ["it could not be sent", describeError(error)]
}

const nobodyThere = (name: string): NotHere =>
  new NotHere({ address: name, message: `Cannot reach ${name}: nobody is there` })

const mailboxFull = (name: string, capacity: number): MailboxFull =>
  new MailboxFull({
    address: name,
    capacity,
    message: `Cannot reach ${name}: its mailbox of ${capacity} is full`
  })
