/**
 * One published TCP port: takes connections, gives each to a backend, and carries bytes both ways until
 * both sides have ended. Plain code on sockets, because every byte of every service passes here.
 */
import net from "node:net"
import { Balancer, refusedForMs, silentForMs } from "#actors/drivers/data-plane/balance.ts"
import { wordsOfBindError } from "#actors/drivers/data-plane/bind-error.ts"
import type { PortStatus } from "#actors/drivers/data-plane/protocol.ts"
import type { PublishedPort } from "#actors/network/plan.ts"

/** How long a client is kept waiting while nothing can take it: a replica that is replaced is back in that time. */
export const holdMs = 10_000
const connectWithinMs = 1_000
const retryEveryMs = 100
/** Finds clients and backends that vanished without a word; idle connections are never cut. */
const keepAliveAfterMs = 60_000
const backlog = 4_096

/** A client that no backend has taken yet. */
interface Guest {
  readonly socket: net.Socket
  readonly deadline: number
  tried: Set<string> | undefined
}

export class TcpPort {
  #serviceId = ""
  #targetPort: number
  readonly #publishedPort: number
  readonly #host: string | undefined
  readonly #balancer = new Balancer()
  readonly #waiting = new Set<Guest>()
  readonly #holdMs: number
  #server: net.Server | undefined
  #timer: ReturnType<typeof setInterval> | undefined
  #accepted = 0
  #live = 0
  #held = 0
  #closed = false

  constructor(port: PublishedPort, options: { readonly holdMs?: number; readonly host?: string } = {}) {
    this.#holdMs = options.holdMs ?? holdMs
    this.#publishedPort = port.publishedPort
    this.#host = options.host
    this.#targetPort = port.targetPort
    this.update(port)
  }

  /** Listens on its one address, or on every one of both families. Yields what is in the way, `undefined` when nothing is. */
  async open(): Promise<string | undefined> {
    if (this.#host !== undefined)
      return wordsOfBindError(await this.#listen(this.#host), "tcp", this.#publishedPort)
    const problem = await this.#listen("::")
    // A machine without IPv6 has no `::`.
    return problem?.code === "EAFNOSUPPORT" || problem?.code === "EADDRNOTAVAIL"
      ? wordsOfBindError(await this.#listen("0.0.0.0"), "tcp", this.#publishedPort)
      : wordsOfBindError(problem, "tcp", this.#publishedPort)
  }

  #listen(host: string): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      const server = net.createServer(
        { allowHalfOpen: true, pauseOnConnect: true, noDelay: true },
        (socket) => this.#welcome(socket)
      )
      server.once("error", resolve)
      server.listen({ host, port: this.#publishedPort, ipv6Only: false, backlog }, () => {
        server.removeListener("error", resolve)
        server.on("error", () => {})
        if (this.#closed) server.close()
        else this.#server = server
        resolve(undefined)
      })
    })
  }

  /** New connections follow the new table; live ones stay where they are. */
  update(port: PublishedPort): void {
    this.#serviceId = port.serviceId
    this.#targetPort = port.targetPort
    this.#balancer.replace(port.backends.map((backend) => backend.address))
    this.#retry()
  }

  /** Takes no more connections; live ones go on until they end by themselves. */
  close(): void {
    this.#closed = true
    this.#server?.close()
    for (const guest of this.#waiting) this.#dismiss(guest)
    this.#waiting.clear()
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  status(): Omit<PortStatus, "problem"> {
    return {
      serviceId: this.#serviceId,
      protocol: "tcp",
      publishedPort: this.#publishedPort,
      ...(this.#host !== undefined && { host: this.#host }),
      backends: this.#balancer.size,
      accepted: this.#accepted,
      live: this.#live,
      held: this.#held
    }
  }

  #welcome(socket: net.Socket): void {
    this.#accepted += 1
    this.#held += 1
    // Until a backend has it, all that can happen is that the client leaves.
    socket.on("error", ignore)
    this.#seat(
      { socket, deadline: performance.now() + this.#holdMs, tried: undefined },
      this.#waiting.size === 0
    )
  }

  /** Finds a backend for `guest`; with `desperate` also among those that failed lately. */
  #seat(guest: Guest, desperate: boolean): void {
    const now = performance.now()
    if (guest.deadline <= now || guest.socket.destroyed || this.#closed) {
      this.#dismiss(guest)
      return
    }
    const address = this.#balancer.next(now, guest.tried, desperate)
    if (address === undefined) this.#hold(guest)
    else this.#connect(guest, address, desperate)
  }

  #connect(guest: Guest, address: string, desperate: boolean): void {
    const upstream = net.connect({
      host: address,
      port: this.#targetPort,
      allowHalfOpen: true,
      noDelay: true
    })
    let settled = false
    const fail = (shunForMs: number): void => {
      if (settled) return
      settled = true
      clearTimeout(late)
      upstream.destroy()
      this.#balancer.shun(address, performance.now() + shunForMs)
      guest.tried ??= new Set()
      guest.tried.add(address)
      this.#seat(guest, desperate)
    }
    const late = setTimeout(fail, connectWithinMs, silentForMs)
    upstream.on("error", () => fail(refusedForMs))
    upstream.once("connect", () => {
      if (settled) return
      settled = true
      clearTimeout(late)
      this.#balancer.trust(address)
      this.#held -= 1
      this.#join(guest.socket, upstream)
      this.#retry()
    })
  }

  /** Nobody takes it now: it waits for a backend to come or to recover, until its deadline. */
  #hold(guest: Guest): void {
    guest.tried = undefined
    this.#waiting.add(guest)
    this.#timer ??= setInterval(() => this.#tick(), retryEveryMs)
  }

  /** One guest tries for all: where it succeeds, the others follow. */
  #tick(): void {
    const now = performance.now()
    let scout: Guest | undefined
    for (const guest of this.#waiting) {
      if (guest.deadline <= now || guest.socket.destroyed) {
        this.#waiting.delete(guest)
        this.#dismiss(guest)
      } else scout ??= guest
    }
    if (scout === undefined) {
      clearInterval(this.#timer)
      this.#timer = undefined
    } else if (this.#balancer.size > 0) {
      this.#waiting.delete(scout)
      this.#seat(scout, true)
    }
  }

  /** Offers a backend to everyone who waits, if there is a sound one. */
  #retry(): void {
    if (this.#waiting.size === 0 || this.#balancer.size === 0) return
    const guests = [...this.#waiting]
    this.#waiting.clear()
    for (const guest of guests) this.#seat(guest, false)
  }

  #dismiss(guest: Guest): void {
    this.#held -= 1
    reset(guest.socket)
  }

  #join(client: net.Socket, upstream: net.Socket): void {
    this.#live += 1
    let open = 2
    const closed = (): void => {
      open -= 1
      if (open === 0) this.#live -= 1
    }
    carry(client, upstream, closed)
    carry(upstream, client, closed)
    client.setKeepAlive(true, keepAliveAfterMs)
    upstream.setKeepAlive(true, keepAliveAfterMs)
    client.resume()
    upstream.resume()
  }
}

/** Carries what `source` says to `target`, as fast as `target` takes it, and the end of it too. */
function carry(source: net.Socket, target: net.Socket, closed: () => void): void {
  source.on("data", (chunk) => {
    if (!target.write(chunk)) source.pause()
  })
  target.on("drain", () => source.resume())
  source.on("end", () => target.end())
  source.on("error", () => reset(target))
  source.on("close", () => {
    closed()
    // Gone before it had said that it was done.
    if (!source.readableEnded) reset(target)
  })
}

const ignore = (): void => {}

/** Breaks a connection so that the other side knows it did not end in good order. */
function reset(socket: net.Socket): void {
  if (socket.destroyed) return
  if (typeof socket.resetAndDestroy === "function") socket.resetAndDestroy()
  else socket.destroy()
}
