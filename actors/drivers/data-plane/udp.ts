/**
 * One published UDP port. UDP has no connections, so a client address that speaks makes a session: its
 * datagrams go to one backend, the answers come back, until it has been quiet for a while.
 */
import dgram from "node:dgram"
import { isIPv6 } from "node:net"
import { Balancer, refusedForMs } from "#actors/drivers/data-plane/balance.ts"
import { wordsOfBindError } from "#actors/drivers/data-plane/bind-error.ts"
import type { PortStatus } from "#actors/drivers/data-plane/protocol.ts"
import type { PublishedPort } from "#actors/network/plan.ts"

/** As long as the kernel's own connection tracking gives a quiet UDP flow at least. */
export const idleMs = 60_000
const sweepEveryMs = 5_000
/** Each session is a socket; with more of them than this, the oldest makes room. */
const maxSessions = 4_096
/** What arrives before the session's socket is ready; more than this is dropped, as networks do. */
const maxEarly = 64
const receiveBufferBytes = 1024 * 1024

interface Session {
  readonly socket: dgram.Socket
  readonly backend: string
  early: Array<Uint8Array> | undefined
  lastMs: number
}

export class UdpPort {
  #serviceId = ""
  #targetPort: number
  readonly #publishedPort: number
  readonly #host: string | undefined
  readonly #balancer = new Balancer()
  readonly #sessions = new Map<string, Session>()
  #socket: dgram.Socket | undefined
  #sweeper: ReturnType<typeof setInterval> | undefined
  #accepted = 0
  #closed = false
  readonly #idleMs: number

  constructor(port: PublishedPort, options: { readonly idleMs?: number; readonly host?: string } = {}) {
    this.#publishedPort = port.publishedPort
    this.#host = options.host
    this.#targetPort = port.targetPort
    this.#idleMs = options.idleMs ?? idleMs
    this.update(port)
  }

  /** Listens on its one address, or on every one of both families. Yields what is in the way, `undefined` when nothing is. */
  async open(): Promise<string | undefined> {
    if (this.#host !== undefined) {
      const type = this.#host.includes(":") ? "udp6" : "udp4"
      return wordsOfBindError(await this.#listen(type, this.#host), "udp", this.#publishedPort)
    }
    const problem = await this.#listen("udp6", "::")
    // A machine without IPv6 has no `::`.
    return problem?.code === "EAFNOSUPPORT" || problem?.code === "EADDRNOTAVAIL"
      ? wordsOfBindError(await this.#listen("udp4", "0.0.0.0"), "udp", this.#publishedPort)
      : wordsOfBindError(problem, "udp", this.#publishedPort)
  }

  #listen(type: "udp4" | "udp6", address: string): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      const socket = dgram.createSocket({ type, ipv6Only: false })
      socket.once("error", (error) => {
        resolve(error)
        close(socket)
      })
      socket.bind({ address, port: this.#publishedPort, exclusive: true }, () => {
        socket.removeAllListeners("error")
        // A client that is gone answers with ICMP errors; they concern nobody else.
        socket.on("error", () => {})
        socket.on("message", (message, from) => this.#carry(message, from.address, from.port))
        try {
          socket.setRecvBufferSize(receiveBufferBytes)
        } catch {
          // The system's default serves too.
        }
        if (this.#closed) close(socket)
        else this.#socket = socket
        resolve(undefined)
      })
    })
  }

  /** Sessions stay with their backend, unless it is gone: then the next datagram finds another. */
  update(port: PublishedPort): void {
    this.#serviceId = port.serviceId
    const moved = port.targetPort !== this.#targetPort
    this.#targetPort = port.targetPort
    this.#balancer.replace(port.backends.map((backend) => backend.address))
    for (const [key, session] of this.#sessions) {
      if (moved || !this.#balancer.has(session.backend)) this.#end(key, session)
    }
  }

  close(): void {
    this.#closed = true
    if (this.#socket !== undefined) close(this.#socket)
    for (const [key, session] of this.#sessions) this.#end(key, session)
    clearInterval(this.#sweeper)
  }

  status(): Omit<PortStatus, "problem"> {
    return {
      serviceId: this.#serviceId,
      protocol: "udp",
      publishedPort: this.#publishedPort,
      ...(this.#host !== undefined && { host: this.#host }),
      backends: this.#balancer.size,
      accepted: this.#accepted,
      live: this.#sessions.size,
      held: 0
    }
  }

  #carry(message: Uint8Array, address: string, port: number): void {
    const key = `${address}|${port}`
    const session = this.#sessions.get(key) ?? this.#begin(key, address, port)
    if (session === undefined) return
    session.lastMs = performance.now()
    if (session.early === undefined) session.socket.send(message, ignore)
    else if (session.early.length < maxEarly) session.early.push(message)
  }

  #begin(key: string, address: string, port: number): Session | undefined {
    const backend = this.#balancer.next(performance.now(), undefined, true)
    if (backend === undefined) return undefined
    if (this.#sessions.size >= maxSessions) {
      const [oldest] = this.#sessions
      if (oldest !== undefined) this.#end(oldest[0], oldest[1])
    }
    this.#accepted += 1
    const socket = dgram.createSocket(isIPv6(backend) ? "udp6" : "udp4")
    const session: Session = { socket, backend, early: [], lastMs: performance.now() }
    this.#sessions.set(key, session)
    this.#sweeper ??= setInterval(() => this.#sweep(), Math.min(sweepEveryMs, this.#idleMs))
    socket.on("message", (answer) => {
      session.lastMs = performance.now()
      this.#balancer.trust(backend)
      this.#socket?.send(answer, port, address, ignore)
    })
    // Connected, so that the kernel takes answers from this backend only and tells when nobody listens there.
    socket.on("error", () => {
      this.#balancer.shun(backend, performance.now() + refusedForMs)
      this.#end(key, session)
    })
    socket.connect(this.#targetPort, backend, () => {
      const early = session.early ?? []
      session.early = undefined
      if (this.#sessions.get(key) === session) for (const message of early) socket.send(message, ignore)
    })
    return session
  }

  #end(key: string, session: Session): void {
    if (this.#sessions.get(key) === session) this.#sessions.delete(key)
    close(session.socket)
  }

  #sweep(): void {
    const before = performance.now() - this.#idleMs
    for (const [key, session] of this.#sessions) if (session.lastMs < before) this.#end(key, session)
    if (this.#sessions.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}

const ignore = (): void => {}

function close(socket: dgram.Socket): void {
  try {
    socket.close()
  } catch {
    // It is closed already.
  }
}
