/**
 * One connection to NATS: whether it lives, how far it is behind, and an end that comes at once.
 *
 * The client library finds out a frozen server slowly, and hangs in leaving it while its own buffer is full: it waits
 * for a last write that nobody reads. So we ask for a sign of life ourselves, and close the socket under the client.
 */
import type { Socket } from "node:net"
import type { Msg, MsgHdrs, NatsConnection, PublishOptions } from "nats"
import type { Host } from "#runtime/host.ts"
import { hostPortOf } from "#runtime/transport/nats-options.ts"

export interface LineEvents {
  readonly down: (line: NatsLine) => void
  readonly up: (line: NatsLine) => void
  readonly problem: (error: Error) => void
  /** Its server is about to end and asks its clients to go elsewhere. */
  readonly leaving: (line: NatsLine) => void
}

/** Between two signs of life. Small against what people notice, large against what it costs a server of 10,000 nodes. */
const askEveryMs = 400
/** So many silences in a row are one that has lasted 1.2 to 1.6 s. One late timer of our own counts as one. */
const silencesBeforeCut = 3

/** What we reach for inside the client; the transport's tests fail if a later client keeps it elsewhere. */
interface Inner {
  readonly protocol?: {
    readonly transport?: { readonly socket?: Socket }
    readonly outbound?: { readonly size: () => number }
  }
}

type Heard = (error: Error | null, message: Msg) => void

/** What somebody hears alone: every message, not one of a group's share. */
interface Sole {
  readonly pattern: string
  readonly heard: Heard
  stop: () => void
}

export class NatsLine {
  readonly #connection: NatsConnection
  readonly #inner: Inner
  readonly #host: Host
  readonly #events: LineEvents
  #servers: ReadonlyArray<string>
  #connected = true
  #closing = false
  #server: string
  #maxPayload: number
  #stopAsking: () => void = () => {}
  #asked = false
  #silences = 0
  #heardBefore = -1
  #behindBefore = 0
  readonly #soles = new Set<Sole>()
  #group: string

  constructor(connection: NatsConnection, servers: ReadonlyArray<string>, host: Host, events: LineEvents) {
    this.#connection = connection
    this.#servers = servers
    this.#inner = connection as unknown as Inner
    this.#host = host
    this.#events = events
    this.#server = connection.getServer()
    this.#group = this.#newGroup()
    this.#maxPayload = connection.info?.max_payload ?? 1_048_576
    this.#lineUp()
    this.#askLater()
    void this.#follow()
  }

  get connected(): boolean {
    return this.#connected
  }

  /** `host:port` of the server that it leads to, or led to last. */
  get server(): string {
    return this.#server
  }

  /** The largest message, headers and all, that its server takes now. */
  get maxPayload(): number {
    return this.#connection.info?.max_payload ?? this.#maxPayload
  }

  /** Bytes that were said and have not left this process. */
  get behind(): number {
    const { transport, outbound } = this.#inner.protocol ?? {}
    return (outbound?.size() ?? 0) + (transport?.socket?.writableLength ?? 0)
  }

  /** Throws when the connection has ended for good. */
  publish(subject: string, body: Uint8Array, headers: MsgHdrs | undefined, reply: string | undefined): void {
    const options: PublishOptions = {}
    if (reply !== undefined) options.reply = reply
    if (headers) options.headers = headers
    this.#connection.publish(subject, body, options)
  }

  /** Every message of the pattern, or this member's share of the group `queue`. Gives what ends it. */
  subscribe(pattern: string, queue: string | undefined, heard: Heard): () => void {
    if (queue !== undefined) return this.#listen(pattern, queue, heard)
    const sole: Sole = { pattern, heard, stop: this.#listen(pattern, this.#group, heard) }
    this.#soles.add(sole)
    return () => {
      this.#soles.delete(sole)
      sole.stop()
    }
  }

  /** For answers, by a pattern that nobody had before: only such a subscription hears that there is nobody to answer. */
  hearAnswers(pattern: string, heard: Heard): () => void {
    return this.#listen(pattern, undefined, heard)
  }

  #listen(pattern: string, queue: string | undefined, heard: Heard): () => void {
    const options = { ...(queue !== undefined && { queue }), callback: heard }
    const subscription = this.#connection.subscribe(pattern, options)
    return () => subscription.unsubscribe()
  }

  /**
   * Who hears alone is a group of one, of another name on every connection. nats-server up to 2.9 at least loses count of
   * who hears a plain subject where clients come or go while it takes a new configuration, for good: it does not tell the
   * other servers then that somebody hears it, or never that nobody does any more. Of a new group it always tells.
   */
  #newGroup(): string {
    return `sole-${Math.floor(this.#host.random() * 2 ** 48).toString(36)}`
  }

  #regroup(): void {
    this.#group = this.#newGroup()
    for (const sole of this.#soles) {
      sole.stop()
      sole.stop = this.#listen(sole.pattern, this.#group, sole.heard)
    }
  }

  /** Completes once the server has taken everything said before, with whether it has: not so when it is silent. */
  async flush(withinMs: number): Promise<boolean> {
    let cancel = (): void => {}
    const enough = new Promise<boolean>((resolve) => {
      cancel = this.#host.after(withinMs, () => resolve(false))
    })
    const taken = this.#connection.flush().then(
      () => true,
      () => false
    )
    const result = await Promise.race([taken, enough])
    cancel()
    return result
  }

  /** From now on these are the servers to try, in this order; the present connection stays. */
  setServers(servers: ReadonlyArray<string>): void {
    this.#servers = servers
    this.#lineUp()
  }

  /** The present server goes last: one that has just frozen would otherwise be the first that is dialled again. */
  #lineUp(): void {
    const isPresent = (url: string): boolean => hostPortOf(url) === this.#server
    const others = this.#servers.filter((url) => !isPresent(url))
    this.#connection.setServers([...others, ...this.#servers.filter(isPresent)])
  }

  /** Leaves the server at once, whatever waits to be sent; the client goes on to the next one. */
  cut(): void {
    const { socket } = this.#inner.protocol?.transport ?? {}
    if (socket) socket.destroy()
    else void this.#connection.reconnect().catch(() => {})
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#connected = false
    this.#stopAsking()
    // The client waits for a last write, which a frozen server never takes.
    if (this.behind > 0) this.#inner.protocol?.transport?.socket?.destroy()
    await this.#connection.close().catch(() => {})
  }

  #askLater(): void {
    this.#stopAsking = this.#host.after(askEveryMs, () => {
      this.#look()
      if (!this.#closing) this.#askLater()
    })
  }

  #look(): void {
    if (!this.#connected) return
    const { inMsgs } = this.#connection.stats()
    const { behind } = this
    // A server that takes what we send, or sends anything, lives, however long its answer waits behind other things.
    const livesOn = inMsgs !== this.#heardBefore || behind < this.#behindBefore
    this.#heardBefore = inMsgs
    this.#behindBefore = behind
    this.#silences = this.#asked && !livesOn ? this.#silences + 1 : 0
    if (this.#silences >= silencesBeforeCut) {
      this.#silences = 0
      this.#events.problem(new Error(`NATS at ${this.#server} is silent: leaving it`))
      this.cut()
      return
    }
    if (this.#asked) return
    this.#asked = true
    const answered = (): void => {
      this.#asked = false
    }
    this.#connection.flush().then(answered, answered)
  }

  async #follow(): Promise<void> {
    for await (const status of this.#connection.status()) {
      switch (status.type) {
        case "disconnect":
          if (!this.#connected) break
          this.#connected = false
          this.#events.down(this)
          break
        case "reconnect":
          if (this.#closing) break
          this.#connected = true
          this.#asked = false
          this.#silences = 0
          this.#server = status.server
          this.#lineUp()
          this.#maxPayload = this.#connection.info?.max_payload ?? this.#maxPayload
          this.#regroup()
          this.#events.up(this)
          break
        case "ldm":
          this.#events.leaving(this)
          break
        case "error":
          this.#events.problem(status.error)
          break
      }
    }
    if (this.#closing) return
    this.#connected = false
    this.#events.down(this)
    const error = await this.#connection.closed()
    this.#events.problem(error ?? new Error("the connection to NATS has ended for good"))
  }
}
