/**
 * A bus that several imitated processes share, for tests and simulation.
 *
 * It keeps NATS's manners: at most once, ordered per publisher, queue groups, and an instant "nobody is here".
 */
import { largestMessage, type Part, partHeader, Reassembly, split } from "#runtime/chunks.ts"
import type { Unreachable } from "#runtime/errors.ts"
import type { Host } from "#runtime/host.ts"
import {
  noParts,
  notHere,
  requestWith,
  timedOut,
  tooLarge,
  unreachable
} from "#runtime/transport/outcomes.ts"
import type {
  CallOutcome,
  Delivery,
  Headers,
  Subscription,
  TransportService,
  TransportStatus
} from "#runtime/transport.ts"

/**
 * What a link does to one message: one delay in milliseconds per copy that arrives. `[]` loses it, `[0, 5]`
 * delivers it twice. `from` and `to` are the names given to `connect`.
 */
export type Link = (from: string, to: string, subject: string) => ReadonlyArray<number>

export interface MemoryBusOptions {
  readonly link?: Link
  /** Largest body in bytes; NATS's default when left out. */
  readonly maxPayload?: number
}

interface Interest {
  readonly owner: Endpoint
  readonly tokens: ReadonlyArray<string>
  readonly queue: string | undefined
  readonly deliver: (delivery: Delivery) => void
  readonly parts: Reassembly
  active: boolean
}

/** A transport that tests can cut off. */
export interface MemoryTransport extends TransportService {
  /** Loses the connection: publishing throws, nothing arrives, and the others find nobody here. */
  readonly disconnect: () => void
  readonly reconnect: () => void
  /** Ends it for good, as a process that dies. */
  readonly close: () => void
}

interface Endpoint {
  readonly name: string
  connected: boolean
  disconnects: number
  lostParts: number
}

const perfectLink: Link = () => [0]

export class MemoryBus {
  readonly #host: Host
  readonly #link: Link
  readonly #maxPayload: number
  #interests: Interest[] = []
  #split = 0

  constructor(host: Host, options: MemoryBusOptions = {}) {
    this.#host = host
    this.#link = options.link ?? perfectLink
    this.#maxPayload = options.maxPayload ?? 1_048_576
  }

  /** A connection of its own for one process. */
  connect(name: string): MemoryTransport {
    const endpoint: Endpoint = { name, connected: true, disconnects: 0, lostParts: 0 }
    const listeners = new Set<(status: TransportStatus) => void>()
    const tell = (status: TransportStatus): void => {
      for (const listen of [...listeners]) listen(status)
    }
    const setConnected = (connected: boolean): void => {
      if (endpoint.connected === connected) return
      endpoint.connected = connected
      if (!connected) endpoint.disconnects++
      tell(connected ? { _tag: "Connected", server: "memory" } : { _tag: "Disconnected" })
    }
    const checkSize = (subject: string, body: Uint8Array): void => {
      if (body.length > largestMessage) throw tooLarge(subject, body.length, largestMessage)
    }
    const down = (subject: string): Unreachable => unreachable(subject, `${name} is disconnected`)
    const call: TransportService["call"] = (subject, headers, body, withinMs, done) => {
      checkSize(subject, body)
      if (endpoint.connected) return this.#call(endpoint, subject, headers, body, withinMs, done)
      let open = true
      this.#host.defer(() => open && done(down(subject)))
      return () => {
        open = false
      }
    }
    return {
      isConnected: () => endpoint.connected,
      maxPayload: () => this.#maxPayload,
      publish: (subject, headers, body) => {
        checkSize(subject, body)
        if (!endpoint.connected) throw down(subject)
        for (const part of this.#cut(headers, body)) this.#route(endpoint, { subject, ...part })
      },
      subscribe: (pattern, options, deliver) => this.#subscribe(endpoint, pattern, options.queue, deliver),
      call,
      request: (subject, headers, body, withinMs) => requestWith(call, subject, headers, body, withinMs),
      onStatus: (listen): Subscription => {
        listeners.add(listen)
        return { unsubscribe: () => listeners.delete(listen) }
      },
      counters: () => ({
        disconnects: endpoint.disconnects,
        moves: 0,
        problems: 0,
        refusals: 0,
        lostParts: endpoint.lostParts,
        waitingBytes: 0
      }),
      disconnect: () => setConnected(false),
      reconnect: () => setConnected(true),
      close: () => {
        setConnected(false)
        this.#interests = this.#interests.filter((interest) => interest.owner !== endpoint)
      }
    }
  }

  #subscribe(
    owner: Endpoint,
    pattern: string,
    queue: string | undefined,
    deliver: (delivery: Delivery) => void
  ): Subscription {
    const parts = new Reassembly()
    const interest: Interest = { owner, tokens: pattern.split("."), queue, deliver, parts, active: true }
    this.#interests.push(interest)
    return {
      unsubscribe: () => {
        interest.active = false
        this.#interests = this.#interests.filter((other) => other !== interest)
      }
    }
  }

  /** Sends to everybody who wants the subject; how many that were, whatever the links then do to it. */
  #route(
    from: Endpoint,
    delivery: Delivery,
    answeredBy?: (to: Endpoint) => NonNullable<Delivery["respond"]>
  ): number {
    const receivers = this.#receiversOf(delivery.subject)
    for (const interest of receivers) {
      const arriving = answeredBy ? { ...delivery, respond: answeredBy(interest.owner) } : delivery
      this.#carry(from, interest.owner, delivery.subject, () => {
        const whole = interest.active ? this.#whole(interest, arriving) : undefined
        if (whole) interest.deliver(whole)
      })
    }
    return receivers.length
  }

  /** A body as the messages that carry it. */
  #cut(headers: Headers, body: Uint8Array): ReadonlyArray<Part> {
    if (body.length <= this.#maxPayload) return [{ headers, body }]
    return split(`m${this.#split++}`, headers, body, this.#maxPayload, 0)
  }

  /** What arrives, or what it is the last part of. */
  #whole(interest: Interest, arriving: Delivery): Delivery | undefined {
    const { subject, headers, body, respond } = arriving
    if (headers[partHeader] === undefined) return arriving
    if (interest.queue !== undefined) {
      interest.owner.lostParts++
      respond?.(...noParts(subject))
      return undefined
    }
    const now = this.#host.monotonic()
    interest.owner.lostParts += interest.parts.expire(now)
    const taken = interest.parts.take("", headers, body, now)
    if (taken._tag === "Lost") interest.owner.lostParts++
    return taken._tag === "Whole" ? { ...arriving, headers: taken.headers, body: taken.body } : undefined
  }

  #receiversOf(subject: string): ReadonlyArray<Interest> {
    const tokens = subject.split(".")
    const receivers: Interest[] = []
    const groups = new Map<string, Interest[]>()
    for (const interest of this.#interests) {
      if (!interest.owner.connected || !matches(interest.tokens, tokens)) continue
      if (interest.queue === undefined) {
        receivers.push(interest)
        continue
      }
      const group = groups.get(interest.queue)
      if (group) group.push(interest)
      else groups.set(interest.queue, [interest])
    }
    for (const group of groups.values()) {
      receivers.push(group[Math.floor(this.#host.random() * group.length)] as Interest)
    }
    return receivers
  }

  #carry(from: Endpoint, to: Endpoint, subject: string, arrive: () => void): void {
    for (const delayMs of this.#link(from.name, to.name, subject)) {
      const arriveThere = (): void => {
        if (to.connected) arrive()
      }
      if (delayMs > 0) this.#host.after(delayMs, arriveThere)
      else this.#host.defer(arriveThere)
    }
  }

  #call(
    asker: Endpoint,
    subject: string,
    headers: Headers,
    body: Uint8Array,
    withinMs: number,
    done: (outcome: CallOutcome) => void
  ): () => void {
    let open = true
    const finish = (outcome: CallOutcome): void => {
      if (!open) return
      open = false
      cancel()
      done(outcome)
    }
    const cancel = this.#host.after(withinMs, () => finish(timedOut(subject, withinMs)))
    const answeredBy = (to: Endpoint): NonNullable<Delivery["respond"]> => {
      let answered = false
      return (replyHeaders, replyBody) => {
        if (answered || !to.connected) return
        if (replyBody.length > largestMessage) throw tooLarge(subject, replyBody.length, largestMessage)
        answered = true
        for (const part of this.#cut(replyHeaders, replyBody)) {
          this.#carry(to, asker, "reply", () => heard({ subject, ...part }))
        }
      }
    }
    let parts: Reassembly | undefined
    const heard = (reply: Delivery): void => {
      if (reply.headers[partHeader] === undefined) {
        finish(reply)
        return
      }
      parts ??= new Reassembly()
      const taken = parts.take("", reply.headers, reply.body, this.#host.monotonic())
      if (taken._tag === "Whole") finish({ subject, headers: taken.headers, body: taken.body })
    }
    let receivers = 0
    for (const part of this.#cut(headers, body)) {
      receivers += this.#route(asker, { subject, ...part }, answeredBy)
    }
    if (receivers === 0) this.#host.defer(() => finish(notHere(subject)))
    return () => {
      open = false
      cancel()
    }
  }
}

/** Whether a subject falls under a pattern, as NATS tells: `*` is any one token, `>` is one or more at the end. */
export function matches(pattern: ReadonlyArray<string>, subject: ReadonlyArray<string>): boolean {
  for (let i = 0; i < pattern.length; i++) {
    const token = pattern[i]
    if (token === ">") return subject.length > i
    if (i >= subject.length || (token !== "*" && token !== subject[i])) return false
  }
  return pattern.length === subject.length
}
