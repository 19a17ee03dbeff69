/**
 * Answers questions for names to the tasks of this node, over UDP and TCP; what it answers from is kept on disk, so that
 * a process that starts again, and nobody to tell it anything, breaks no name.
 */
import dgram from "node:dgram"
import net from "node:net"
import { wordsOfBindError } from "#actors/drivers/data-plane/bind-error.ts"
import { Forwarder, isFailure } from "#actors/drivers/data-plane/forward.ts"
import {
  eachMessage,
  framed,
  noError,
  nonexistent,
  type Query,
  readQuery,
  serverFailure,
  writeAnswer
} from "#actors/drivers/data-plane/packet.ts"
import { parseZones } from "#actors/drivers/data-plane/parse-zones.ts"
import type { NamesStatus } from "#actors/drivers/data-plane/protocol.ts"
import { readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"
import { HostResolvConf } from "#actors/drivers/machine/host-resolv-conf.ts"
import { type Answer, answer } from "#actors/network/names/answer.ts"
import { Directory } from "#actors/network/names/directory.ts"
import { namesPort } from "#actors/network/names/port.ts"
import type { Zone } from "#actors/network/names/zone.ts"
import { wordsOf } from "#runtime/words-of.ts"

const reopenEveryMs = 2_000
/** A TCP connection that asks nothing is closed. RFC 7766 §6.2.3 */
const idleMs = 10_000
const mostConnections = 256
const receiveBufferBytes = 1024 * 1024

type Over = "udp" | "tcp"
type Reply = (message: Uint8Array) => void

export interface NamesOptions {
  readonly port?: number
  readonly resolvConf?: string
  readonly resolverPort?: number
}

export class Names {
  readonly #path: string
  readonly #port: number
  readonly #host: HostResolvConf
  readonly #forwarder: Forwarder
  #zones: ReadonlyArray<Zone> = []
  #directory = new Directory([])
  #udp: dgram.Socket | undefined
  #tcp: net.Server | undefined
  #timer: ReturnType<typeof setInterval> | undefined
  #last: Promise<unknown> = Promise.resolve()
  #problems: ReadonlyArray<string> = []
  #answered = 0
  #forwarded = 0
  #connections = 0
  #closed = false

  constructor(path: string, { port = namesPort, resolvConf, resolverPort }: NamesOptions = {}) {
    this.#path = path
    this.#port = port
    this.#host = new HostResolvConf(resolvConf)
    this.#forwarder = new Forwarder(resolverPort)
  }

  /** Goes on with what was kept, if it can be read. */
  async restore(): Promise<void> {
    const text = readIfThere(this.#path)
    if (text === undefined) return
    try {
      this.#know(parseZones(JSON.parse(text)))
    } catch (error) {
      console.error(`Cannot use ${this.#path}: ${wordsOf(error)}`)
      return
    }
    await this.#inTurn()
  }

  /** From now on, answers from these and no others. Yields what keeps it from being asked. */
  async tell(zones: ReadonlyArray<Zone>): Promise<ReadonlyArray<string>> {
    this.#know(zones)
    writePrivate(this.#path, JSON.stringify(zones))
    return this.#inTurn()
  }

  status(): NamesStatus {
    return {
      networks: this.#zones.length,
      answered: this.#answered,
      forwarded: this.#forwarded,
      problems: this.#problems
    }
  }

  close(): void {
    this.#closed = true
    this.#shut()
  }

  #know(zones: ReadonlyArray<Zone>): void {
    this.#zones = zones
    this.#directory = new Directory(zones)
  }

  #inTurn(): Promise<ReadonlyArray<string>> {
    const turn = this.#last.then(() => this.#open())
    this.#last = turn.catch(() => {})
    return turn
  }

  /** Listens while there is a network, and tries again while somebody else has the port. */
  async #open(): Promise<ReadonlyArray<string>> {
    if (this.#closed || this.#zones.length === 0) {
      this.#shut()
      return []
    }
    const problems = [
      this.#udp === undefined ? await this.#openUdp() : undefined,
      this.#tcp === undefined ? await this.#openTcp() : undefined
    ]
    if (this.#closed) this.#shut()
    this.#problems = problems.filter((problem) => problem !== undefined)
    if (this.#problems.length > 0) this.#timer ??= setInterval(() => void this.#inTurn(), reopenEveryMs)
    else this.#rest()
    return this.#problems
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #shut(): void {
    this.#rest()
    this.#problems = []
    this.#udp?.close()
    this.#udp = undefined
    this.#tcp?.close()
    this.#tcp = undefined
  }

  async #openUdp(): Promise<string | undefined> {
    let problem = await this.#bind("udp6", "::")
    // A machine without IPv6 has no `::`.
    if (isWithoutIpv6(problem)) problem = await this.#bind("udp4", "0.0.0.0")
    return wordsOfBindError(problem, "udp", this.#port)
  }

  #bind(type: "udp4" | "udp6", address: string): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      const socket = dgram.createSocket({ type, ipv6Only: false })
      socket.once("error", (error) => {
        resolve(error)
        socket.close()
      })
      socket.bind({ address, port: this.#port, exclusive: true }, () => {
        socket.removeAllListeners("error")
        socket.on("error", ignore)
        socket.on("message", (message, from) =>
          this.#hear(message, from.address, "udp", (reply) =>
            // Whoever asked may have gone, and this socket too.
            this.#udp?.send(reply, from.port, from.address, ignore)
          )
        )
        try {
          socket.setRecvBufferSize(receiveBufferBytes)
        } catch {
          // The system's default serves too.
        }
        this.#udp = socket
        resolve(undefined)
      })
    })
  }

  async #openTcp(): Promise<string | undefined> {
    let problem = await this.#listen("::")
    if (isWithoutIpv6(problem)) problem = await this.#listen("0.0.0.0")
    return wordsOfBindError(problem, "tcp", this.#port)
  }

  #listen(host: string): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      const server = net.createServer({ noDelay: true }, (socket) => this.#welcome(socket))
      server.once("error", resolve)
      server.listen({ host, port: this.#port, ipv6Only: false }, () => {
        server.removeListener("error", resolve)
        server.on("error", ignore)
        this.#tcp = server
        resolve(undefined)
      })
    })
  }

  #welcome(socket: net.Socket): void {
    const asker = socket.remoteAddress ?? ""
    socket.on("error", ignore)
    if (this.#connections >= mostConnections || this.#directory.scopeOf(asker) === undefined) {
      socket.destroy()
      return
    }
    this.#connections += 1
    socket.on("close", () => {
      this.#connections -= 1
    })
    socket.setTimeout(idleMs, () => socket.destroy())
    const reply: Reply = (message) => {
      if (socket.writable) socket.write(framed(message))
    }
    socket.on(
      "data",
      eachMessage((message) => this.#hear(message, asker, "tcp", reply))
    )
  }

  #hear(message: Uint8Array, asker: string, over: Over, reply: Reply): void {
    // Before anything else: strangers cost nothing and learn nothing, not even that somebody listens.
    if (this.#directory.scopeOf(asker) === undefined) return
    const query = readQuery(message)
    if (query === undefined) return
    if (query.problem !== noError) {
      reply(writeAnswer(query, { code: query.problem }, over))
      return
    }
    const given = answer(this.#directory, query.question, asker, Math.random() * 2 ** 32)
    switch (given._tag) {
      case "Stranger":
        return
      case "Forward":
        this.#forwarded += 1
        void this.#ask(message, query, given, over, reply)
        return
      default:
        this.#answered += 1
        reply(
          writeAnswer(
            query,
            given._tag === "Answered" ? { code: noError, ...given } : { code: nonexistent },
            over
          )
        )
    }
  }

  async #ask(
    message: Uint8Array,
    query: Query,
    { resolvers: asked, beginsWithOurs }: Extract<Answer, { _tag: "Forward" }>,
    over: Over,
    reply: Reply
  ): Promise<void> {
    const resolvers = (asked ?? this.#host.now().nameservers).filter(
      (resolver) => !this.#directory.isOwn(resolver)
    )
    // Where nobody else can be asked, there are no other names: an asker with a search list goes on to the next.
    if (resolvers.length === 0) {
      reply(writeAnswer(query, { code: nonexistent }, over))
      return
    }
    // The message may lie in a buffer that is used again.
    const answered = await this.#forwarder.ask({ bytes: Uint8Array.from(message), query, resolvers, over })
    if (answered !== undefined && !(beginsWithOurs && isFailure(answered))) reply(answered)
    else reply(writeAnswer(query, { code: beginsWithOurs ? nonexistent : serverFailure }, over))
  }
}

const ignore = (): void => {}

const isWithoutIpv6 = (problem: NodeJS.ErrnoException | undefined): boolean =>
  problem?.code === "EAFNOSUPPORT" || problem?.code === "EADDRNOTAVAIL"
