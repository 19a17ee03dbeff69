/**
 * The transport over NATS. The client reconnects for ever by itself; what is said meanwhile is refused, not queued.
 *
 * Requests go through one inbox subscription of our own rather than the client's: no promise and no timer each, and
 * plain code can ask without Effect. A planned change of servers, away from one that is about to end or home to our
 * own, keeps both connections for a moment, so that it loses nothing (`overlap.ts`).
 */
import { Effect, Schedule, type Scope } from "effect"
import type { Msg, NatsConnection, TlsOptions } from "nats"
import { isToken } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import { largestMessage, partHeader, Reassembly, split } from "#runtime/chunks.ts"
import { Deadlines } from "#runtime/deadlines.ts"
import { Unreachable } from "#runtime/errors.ts"
import { type Host, runApart } from "#runtime/host.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { decodeHeaders, encodeHeaders, replyOf } from "#runtime/transport/nats-headers.ts"
import { NatsLine } from "#runtime/transport/nats-line.ts"
import { dial, hostPortOf, inboxOf, type NatsOptions } from "#runtime/transport/nats-options.ts"
import {
  bufferFull,
  noParts,
  notHere,
  requestWith,
  timedOut,
  tooLarge,
  unreachable
} from "#runtime/transport/outcomes.ts"
import { type Arrival, Overlap } from "#runtime/transport/overlap.ts"
import type {
  CallOutcome,
  Delivery,
  Headers,
  Subscription,
  TransportCounters,
  TransportService,
  TransportStatus
} from "#runtime/transport.ts"
import { wordsOf } from "#runtime/words-of.ts"

export type { NatsOptions } from "#runtime/transport/nats-options.ts"

/** The transport, and what only one over NATS can be told. */
export interface NatsTransportService extends TransportService {
  /** `host:port` of the server that it speaks to, or spoke to last. */
  readonly server: () => string
  /** From now on these are the servers; it moves when the present one is not among them. */
  readonly setServers: (servers: ReadonlyArray<string>) => void
  /** Trusts another root from now on; shows another certificate at once, over a second connection. */
  readonly setTls: (tls: TlsOptions) => Promise<void>
  /** Moves to the first of `servers` that takes connections, losing nothing; whether it has moved. */
  readonly moveTo: (servers: ReadonlyArray<string>) => Promise<boolean>
  /** A new connection instead of the present one, so that servers that lost sight of what is heard here learn it anew. */
  readonly renew: () => Promise<boolean>
}

interface Call {
  readonly subject: string
  readonly withinMs: number
  readonly deadline: number
  readonly done: (outcome: CallOutcome) => void
}

interface Wanted {
  /** Its place among all subscriptions of this transport. */
  readonly at: number
  readonly pattern: string
  readonly queue: string | undefined
  readonly deliver: (delivery: Delivery) => void
  /** What ends it, for each connection that hears it. */
  readonly lines: Map<NatsLine, () => void>
}

/** Where answers come to; it outlives the connection that it was made for, as questions do. */
interface Inbox {
  readonly subject: string
  readonly stops: Array<() => void>
}

interface Held extends Arrival {
  readonly wanted: Wanted
}

interface Move {
  readonly from: NatsLine
  readonly to: NatsLine
  readonly overlap: Overlap<Held>
  /** Ends the overlap now. */
  readonly hurry: () => void
}

/** First attempts fail while nats-server still starts; they come often, and cost a refused connection each. */
const firstConnect = Schedule.spaced("100 millis")
/** What is still in the socket's buffer when the scope closes gets this long. */
const flushWithinMs = 500
/** News of a subscription takes a few milliseconds through a cluster; a busy machine gets more. */
const overlapMs = 150
/** How long a message may be under way over a slow route, and still be known for one that came over the other connection. */
const lateWithinMs = 10_000
/** Answers that are still under way to an inbox of before come to it, over the new connection. */
const inboxesAtMost = 3
/** How often a client that is away from home looks whether home takes connections again. */
const lookHomeEveryMs = 1_000
/** Twice the largest message, so that one of those never waits for another. */
const usualBufferBytes = 2 * largestMessage
/** The buffer is looked at after so many bytes: asking the socket for every message costs more than it tells. */
const lookAtBufferEvery = 64 * 1024

/**
 * What is said there counts as a node's own words, or as the server's: whoever wants its answer there would have us say
 * in our name what it may not say itself.
 */
const isSpokenFor = (reply: string): boolean => reply.startsWith("troupe.") || reply.startsWith("$")

/** Connects, trying for ever, and serves until the scope closes. */
export const natsTransport: (
  options: NatsOptions
) => Effect.Effect<NatsTransportService, never, Scope.Scope> = Effect.fnUntraced(function* (
  given: NatsOptions
) {
  const host = given.host ?? makeLiveHost()
  const options = {
    ...given,
    // The client reads it at every dial, so it is its own and changes in place.
    ...(given.tls && { tls: { ...given.tls } }),
    ...(!given.inOrder && { servers: shuffled(given.servers, host) })
  }
  let lastProblem = ""
  const connected = connectOnce(options).pipe(
    Effect.tapError((error) => {
      if (error.message === lastProblem) return Effect.void
      lastProblem = error.message
      return Effect.logWarning(`Cannot connect to NATS at ${options.servers.join(", ")}: ${error.message}`)
    }),
    Effect.retry(firstConnect),
    Effect.orDie
  )
  const transport = yield* Effect.acquireRelease(
    Effect.interruptible(connected).pipe(
      Effect.map((connection) => new NatsTransport(connection, host, options))
    ),
    (open) => Effect.promise(() => open.close())
  )
  return transport
})

/** So that clients spread over the servers; each then keeps to its own order. */
function shuffled(servers: ReadonlyArray<string>, host: Host): ReadonlyArray<string> {
  return servers
    .map((url) => ({ url, place: host.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ url }) => url)
}

/** One attempt; interrupted, it closes what comes too late. */
const connectOnce = (options: NatsOptions): Effect.Effect<NatsConnection, Error> =>
  Effect.callback((resume) => {
    let wanted = true
    dial(options, options.servers).then(
      (connection) => {
        if (wanted) resume(Effect.succeed(connection))
        else void connection.close()
      },
      (error) => resume(Effect.fail(error instanceof Error ? error : new Error(String(error))))
    )
    return Effect.sync(() => {
      wanted = false
    })
  })

class NatsTransport implements NatsTransportService {
  readonly #options: NatsOptions
  readonly #host: Host
  readonly #listeners = new Set<(status: TransportStatus) => void>()
  readonly #calls = new Map<string, Call>()
  readonly #deadlines: Deadlines<string>
  /** The newest last. */
  readonly #inboxes: Array<Inbox> = []
  readonly #boot: string
  readonly #wanted = new Set<Wanted>()
  readonly #parts = new Reassembly()
  readonly #bufferBytes: number
  readonly #counted = { disconnects: 0, moves: 0, problems: 0, refusals: 0, lostParts: 0 }
  #servers: ReadonlyArray<string>
  #line!: NatsLine
  #move: Move | undefined
  /** What the connection before this one brought during the last move. */
  #late: { readonly line: NatsLine; readonly overlap: Overlap<Held>; readonly until: number } | undefined
  #moving: Promise<boolean> | undefined
  #again: Promise<boolean> | undefined
  #closing = false
  #count = 0
  #unlooked = 0
  #expiring = false
  #stopLookingHome: () => void = () => {}

  constructor(connection: NatsConnection, host: Host, options: NatsOptions) {
    assert(isToken(options.nodeId), "a node id is a token")
    this.#options = options
    this.#host = host
    this.#servers = options.servers
    this.#bufferBytes = options.bufferBytes ?? usualBufferBytes
    this.#deadlines = new Deadlines(host, (token) => this.#expire(token))
    this.#boot = Math.floor(host.random() * 2 ** 32).toString(36)
    this.#line = this.#open(connection)
    if (options.inOrder) this.#lookHomeLater()
  }

  isConnected = (): boolean => this.#line.connected && !this.#closing

  maxPayload = (): number => this.#line.maxPayload

  server = (): string => this.#line.server

  counters = (): TransportCounters => ({ ...this.#counted, waitingBytes: this.#line.behind })

  publish = (subject: string, headers: Headers, body: Uint8Array): void => {
    this.#send(subject, headers, body, undefined)
  }

  subscribe = (
    pattern: string,
    options: { readonly queue?: string },
    deliver: (delivery: Delivery) => void
  ): Subscription => {
    const wanted: Wanted = { at: this.#count++, pattern, queue: options.queue, deliver, lines: new Map() }
    this.#attach(wanted, this.#line)
    if (this.#move && this.#move.to !== this.#line) this.#attach(wanted, this.#move.to)
    // Only now: what the client refuses is not tried again at every move.
    this.#wanted.add(wanted)
    return {
      unsubscribe: () => {
        this.#wanted.delete(wanted)
        for (const line of [...wanted.lines.keys()]) detach(wanted, line)
      }
    }
  }

  call: TransportService["call"] = (subject, headers, body, withinMs, done) => {
    const token = (this.#count++).toString(36)
    const deadline = this.#host.monotonic() + withinMs
    const call: Call = { subject, withinMs, deadline, done }
    this.#calls.set(token, call)
    try {
      this.#send(subject, headers, body, `${this.#inboxes.at(-1)?.subject}.${token}`)
      this.#deadlines.add(token, deadline)
    } catch (error) {
      if (!(error instanceof Unreachable)) {
        this.#calls.delete(token)
        throw error
      }
      this.#host.defer(() => this.#take(token)?.done(error))
    }
    return () => this.#take(token)
  }

  request: TransportService["request"] = (subject, headers, body, withinMs) =>
    requestWith(this.call, subject, headers, body, withinMs)

  onStatus = (listen: (status: TransportStatus) => void): Subscription => {
    this.#listeners.add(listen)
    return { unsubscribe: () => this.#listeners.delete(listen) }
  }

  setServers = (servers: ReadonlyArray<string>): void => {
    assert(servers.length > 0, "a client of NATS knows at least one server")
    this.#servers = servers
    this.#line.setServers(servers)
    this.#move?.to.setServers(servers)
    const { server } = this.#move?.to ?? this.#line
    if (!servers.some((url) => hostPortOf(url) === server)) void this.#moveOrRenew(servers)
  }

  setTls = async (tls: TlsOptions): Promise<void> => {
    assert(this.#options.tls !== undefined, "only a client that speaks TLS shows another certificate")
    const isShown = this.#options.tls.cert === tls.cert
    Object.assign(this.#options.tls, tls)
    if (!isShown) await this.#moveOrRenew([this.#line.server])
  }

  renew = (): Promise<boolean> => {
    const present = this.#servers.filter((url) => hostPortOf(url) === this.#line.server)
    const others = this.#servers.filter((url) => !present.includes(url))
    // The present server may be the one that does not hear of others.
    return this.#moveOrRenew(this.#options.inOrder ? this.#servers : [...others, ...present])
  }

  moveTo = async (servers: ReadonlyArray<string>): Promise<boolean> => {
    if (this.#moving || this.#closing || servers.length === 0) return false
    this.#moving = this.#moveNow(servers)
    return await this.#moving
  }

  /** `moveTo`; where a move is under way, a new connection after it, one for all who want something meanwhile. */
  #moveOrRenew(servers: ReadonlyArray<string>): Promise<boolean> {
    if (!this.#moving) return this.moveTo(servers)
    this.#again ??= this.#moving.then(() => {
      this.#again = undefined
      return this.renew()
    })
    return this.#again
  }

  async #moveNow(servers: ReadonlyArray<string>): Promise<boolean> {
    try {
      const connection = await dial(this.#options, servers)
      if (this.#closing) {
        await connection.close()
        return false
      }
      return await this.#change(this.#line, this.#open(connection))
    } catch {
      // It takes no connections; whoever wanted to go there looks again.
      return false
    } finally {
      this.#moving = undefined
    }
  }

  /** Sends out what is still in the buffer, then closes. */
  async close(): Promise<void> {
    this.#closing = true
    this.#stopLookingHome()
    this.#move?.hurry()
    if (this.#line.connected) await this.#line.flush(flushWithinMs)
    await Promise.all([this.#line.close(), this.#move?.to.close(), this.#move?.from.close()])
  }

  #open(connection: NatsConnection): NatsLine {
    const line = new NatsLine(connection, this.#servers, this.#host, {
      down: (which) => this.#onDown(which),
      up: (which) => this.#onUp(which),
      problem: (error) => this.#problem(error),
      leaving: (which) => {
        if (which !== this.#line) return
        void this.moveTo(this.#servers.filter((url) => hostPortOf(url) !== which.server))
      }
    })
    for (const inbox of this.#inboxes) this.#listen(inbox, line)
    this.#newInbox(this.#line === undefined ? [line] : [this.#line, line])
    return line
  }

  /** Each connection has one of its own, of whose subject no server has an opinion yet; see `NatsLine`. */
  #newInbox(lines: ReadonlyArray<NatsLine>): void {
    const inbox = { subject: `${inboxOf(this.#options)}.${this.#boot}-${this.#count++}`, stops: [] }
    for (const line of lines) this.#listen(inbox, line)
    this.#inboxes.push(inbox)
    for (const stop of this.#inboxes.length > inboxesAtMost ? (this.#inboxes.shift()?.stops ?? []) : [])
      stop()
  }

  #listen({ subject, stops }: Inbox, line: NatsLine): void {
    stops.push(
      line.hearAnswers(`${subject}.*`, (error, message) =>
        error ? this.#problem(error) : this.#answered(message)
      )
    )
  }

  /** From one living connection to another one. */
  async #change(from: NatsLine, to: NatsLine): Promise<boolean> {
    let hurry = (): void => {}
    const hurried = new Promise<void>((resolve) => {
      hurry = resolve
    })
    const move: Move = { from, to, overlap: new Overlap(), hurry }
    this.#move = move
    try {
      for (const wanted of this.#wanted) this.#attach(wanted, to)
      if (await to.flush(1_000)) {
        const cancel = this.#host.after(overlapMs, hurry)
        if (!from.connected) hurry()
        await hurried
        cancel()
        if (to.connected && !this.#closing) await this.#goOver(move)
      }
    } finally {
      this.#move = undefined
      const left = this.#line === to ? from : to
      for (const wanted of this.#wanted) detach(wanted, left)
      await left.close()
    }
    return this.#line === to
  }

  async #goOver({ from, to, overlap }: Move): Promise<void> {
    // What was said over the old connection is in its server's hands before anything goes over the new one.
    if (from.connected) await from.flush(flushWithinMs)
    const wasConnected = from.connected
    this.#line = to
    for (const wanted of this.#wanted) detach(wanted, from)
    // Its last word: whatever it still had for us has been delivered then.
    if (from.connected) await from.flush(flushWithinMs)
    this.#move = undefined
    for (const arrival of overlap.rest()) this.#deliver(arrival.wanted, arrival)
    this.#late = { line: to, overlap, until: this.#host.monotonic() + lateWithinMs }
    this.#counted.moves++
    if (wasConnected) this.#tell({ _tag: "Connected", server: to.server })
  }

  #attach(wanted: Wanted, line: NatsLine): void {
    const detached = line.subscribe(wanted.pattern, wanted.queue, (error, message) => {
      if (error) return this.#problem(error)
      // An exception here would end the client's reader, and with it every subscription.
      try {
        this.#arrived(wanted, line, message)
      } catch (thrown) {
        this.#problem(thrown)
      }
    })
    wanted.lines.set(line, detached)
  }

  #arrived(wanted: Wanted, line: NatsLine, message: Msg): void {
    const { subject, data: body } = message
    const held: Held = {
      wanted,
      at: wanted.at,
      subject,
      reply: replyOf(message),
      headers: decodeHeaders(message),
      body
    }
    if (this.#late?.line === line && this.#isLate(held)) return
    const move = this.#move
    // Of a group only one member gets each message, so those come once anyway.
    if (move && wanted.queue === undefined) {
      if (line === move.from) move.overlap.saw(held)
      else {
        if (!move.overlap.hold(held)) move.hurry()
        return
      }
    }
    this.#deliver(wanted, held)
  }

  #isLate(held: Held): boolean {
    if (this.#late && this.#host.monotonic() > this.#late.until) this.#late = undefined
    return this.#late?.overlap.isLate(held) ?? false
  }

  #deliver(wanted: Wanted, arrival: Arrival): void {
    try {
      const whole = arrival.headers[partHeader] === undefined ? arrival : this.#whole(wanted, arrival)
      if (whole) wanted.deliver(this.#toDelivery(whole))
    } catch (thrown) {
      this.#problem(thrown)
    }
  }

  #whole(wanted: Wanted, arrival: Arrival): Arrival | undefined {
    const { subject, reply, headers, body } = arrival
    if (wanted.queue === undefined) return this.#assemble(String(wanted.at), arrival)
    // Every part would go to another member.
    const [refusal, words] = noParts(subject)
    if (reply !== undefined && headers[partHeader]?.includes(" 0 "))
      this.#toDelivery(arrival).respond?.(refusal, words)
    this.#counted.lostParts++
    this.#problem(
      new Error(`A part of ${body.length} bytes came to ${subject}: a group takes no messages in parts`)
    )
    return undefined
  }

  #assemble<Piece extends { readonly headers: Headers; readonly body: Uint8Array; readonly subject: string }>(
    scope: string,
    piece: Piece
  ): Piece | undefined {
    const taken = this.#parts.take(scope, piece.headers, piece.body, this.#host.monotonic())
    this.#expirePartsLater()
    if (taken._tag === "Whole") return { ...piece, headers: taken.headers, body: taken.body }
    if (taken._tag === "Lost") this.#lostParts(`A message in parts to ${piece.subject} is lost: ${taken.why}`)
    return undefined
  }

  #expirePartsLater(): void {
    const at = this.#parts.nextExpiry
    if (at === undefined || this.#expiring || this.#closing) return
    this.#expiring = true
    this.#host.after(Math.max(1, at - this.#host.monotonic()), () => {
      this.#expiring = false
      const given = this.#parts.expire(this.#host.monotonic())
      if (given > 0) this.#lostParts(`${given} messages in parts are lost: the rest of them did not come`)
      this.#expirePartsLater()
    })
  }

  #lostParts(words: string): void {
    this.#counted.lostParts++
    this.#problem(new Error(words))
  }

  #send(subject: string, headers: Headers, body: Uint8Array, reply: string | undefined): void {
    const line = this.#line
    if (!this.isConnected()) throw unreachable(subject, "NATS is disconnected")
    if (body.length > largestMessage) throw tooLarge(subject, body.length, largestMessage)
    this.#checkBuffer(line, subject, body.length)
    const encoded = encodeHeaders(headers)
    const headerBytes = encoded?.bytes ?? 0
    try {
      if (body.length + headerBytes <= line.maxPayload) {
        line.publish(subject, body, encoded?.carried, reply)
        return
      }
      const id = `${this.#boot}-${(this.#count++).toString(36)}`
      for (const part of split(id, headers, body, line.maxPayload, headerBytes)) {
        line.publish(subject, part.body, encodeHeaders(part.headers)?.carried, reply)
      }
    } catch (error) {
      if (!line.connected) throw unreachable(subject, "the connection to NATS is closed")
      throw error
    }
  }

  /** A server that takes our words slower than we say them is felt here, not in memory. */
  #checkBuffer(line: NatsLine, subject: string, bytes: number): void {
    this.#unlooked += bytes
    if (this.#unlooked < lookAtBufferEvery) return
    const waiting = line.behind
    if (waiting + bytes > this.#bufferBytes) {
      this.#counted.refusals++
      throw bufferFull(subject, waiting)
    }
    this.#unlooked = 0
  }

  #answered(message: Msg): void {
    const token = message.subject.slice(message.subject.lastIndexOf(".") + 1)
    const call = this.#calls.get(token)
    if (!call) return
    try {
      // The server itself answers so when nobody subscribes to the subject.
      if (message.data.length === 0 && message.headers?.code === 503) {
        this.#take(token)?.done(notHere(call.subject))
        return
      }
      const answer: Delivery = { subject: call.subject, headers: decodeHeaders(message), body: message.data }
      const whole = answer.headers[partHeader] === undefined ? answer : this.#assemble(token, answer)
      if (whole) this.#take(token)?.done(whole)
    } catch (thrown) {
      this.#problem(thrown)
    }
  }

  #take(token: string): Call | undefined {
    const call = this.#calls.get(token)
    if (!call) return undefined
    this.#calls.delete(token)
    this.#deadlines.remove(token, call.deadline)
    return call
  }

  #expire(token: string): void {
    const call = this.#calls.get(token)
    this.#calls.delete(token)
    call?.done(timedOut(call.subject, call.withinMs))
  }

  #toDelivery({ subject, reply, headers, body }: Arrival): Delivery {
    if (reply === undefined || isSpokenFor(reply)) return { subject, headers, body }
    let answered = false
    return {
      subject,
      headers,
      body,
      respond: (replyHeaders, replyBody) => {
        if (answered) return
        this.#send(reply, replyHeaders, replyBody, undefined)
        answered = true
      }
    }
  }

  #onDown(line: NatsLine): void {
    this.#move?.hurry()
    if (line !== this.#line || this.#closing) return
    this.#counted.disconnects++
    this.#tell({ _tag: "Disconnected" })
  }

  #onUp(line: NatsLine): void {
    if (line !== this.#line || this.#closing) return
    const next = this.#move?.to ?? line
    this.#newInbox(next === line ? [line] : [line, next])
    this.#unlooked = lookAtBufferEvery
    this.#tell({ _tag: "Connected", server: line.server })
  }

  #lookHomeLater(): void {
    this.#stopLookingHome = this.#host.after(lookHomeEveryMs, () => {
      const [home = ""] = this.#servers
      const away = this.#line.connected && this.#line.server !== hostPortOf(home)
      if (away) void this.moveTo([home]).then(() => !this.#closing && this.#lookHomeLater())
      else this.#lookHomeLater()
    })
  }

  #problem(error: unknown): void {
    this.#counted.problems++
    this.#tell({ _tag: "Problem", message: wordsOf(error) })
  }

  #tell(status: TransportStatus): void {
    for (const listen of [...this.#listeners]) runApart(this.#host, () => listen(status))
  }
}

function detach(wanted: Wanted, line: NatsLine): void {
  wanted.lines.get(line)?.()
  wanted.lines.delete(line)
}
