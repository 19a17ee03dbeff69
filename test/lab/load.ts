/**
 * Requests at a steady rate that must each be answered: POSTs, over kept and over new connections, none of them tried
 * again. A reset, an early end and an answer that comes too late are failures.
 */
import net from "node:net"
import { setTimeout as pause } from "node:timers/promises"

const request = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nwork"

export interface Target {
  readonly host: string
  readonly port: number
}

export interface Outcome {
  readonly answered: number
  readonly failures: ReadonlyArray<string>
  readonly slowestMs: number
}

export class Load {
  readonly #workers: Array<Promise<void>> = []
  readonly #failures: Array<string> = []
  readonly #began = performance.now()
  #answered = 0
  #slowestMs = 0
  #isOver = false

  readonly #withinMs: number

  /** `perSecond` requests to each of `targets`, half of them over `connections` that are kept. */
  constructor(targets: ReadonlyArray<Target>, perSecond: number, withinMs = 5_000, connections = 5) {
    this.#withinMs = withinMs
    const everyMs = (1_000 * 2 * connections) / perSecond
    for (const target of targets) {
      for (let at = 0; at < connections; at++) {
        const firstMs = (everyMs * at) / connections
        this.#workers.push(this.#work(target, true, firstMs, everyMs))
        this.#workers.push(this.#work(target, false, firstMs, everyMs))
      }
    }
  }

  get answered(): number {
    return this.#answered
  }

  /** Ends it; what came of all requests. */
  async end(): Promise<Outcome> {
    this.#isOver = true
    await Promise.all(this.#workers)
    return { answered: this.#answered, failures: this.#failures, slowestMs: this.#slowestMs }
  }

  async #work(target: Target, keeps: boolean, firstMs: number, everyMs: number): Promise<void> {
    let line: Line | undefined
    let due = performance.now() + firstMs
    while (!this.#isOver) {
      await pause(Math.max(0, due - performance.now()))
      due += everyMs
      const asked = performance.now()
      try {
        if (line === undefined || line.hasEnded) line = await Line.open(target, this.#withinMs)
        if (await line.ask()) line = undefined
        else if (!keeps) {
          line.close()
          line = undefined
        }
        this.#answered += 1
        this.#slowestMs = Math.max(this.#slowestMs, performance.now() - asked)
      } catch (error) {
        const atMs = Math.round(performance.now() - this.#began)
        const how = keeps ? "kept" : "new"
        this.#failures.push(
          `${target.host}:${target.port}, ${how}, after ${atMs} ms: ${(error as Error).message}`
        )
        line?.close()
        line = undefined
      }
    }
    line?.close()
  }
}

/** One connection, one request at a time on it. */
class Line {
  readonly #socket: net.Socket
  readonly #withinMs: number
  #text = ""
  #settle: ((error?: Error) => void) | undefined
  hasEnded = false

  private constructor(socket: net.Socket, withinMs: number) {
    this.#socket = socket
    this.#withinMs = withinMs
    socket.setNoDelay(true)
    socket.setEncoding("latin1")
    socket.on("data", (text: string) => {
      this.#text += text
      if (this.#isWhole()) this.#settle?.()
    })
    const ended = (error?: Error): void => {
      this.hasEnded = true
      this.#settle?.(error ?? new Error(`ended after ${JSON.stringify(this.#text.slice(0, 40))}`))
    }
    socket.on("error", ended)
    socket.on("end", () => ended())
    socket.on("close", () => ended())
  }

  static open({ host, port }: Target, withinMs: number): Promise<Line> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port })
      const late = setTimeout(() => socket.destroy(new Error("not connected in time")), withinMs)
      socket.once("error", reject)
      socket.once("connect", () => {
        clearTimeout(late)
        socket.removeListener("error", reject)
        resolve(new Line(socket, withinMs))
      })
    })
  }

  #isWhole(): boolean {
    const head = this.#text.indexOf("\r\n\r\n")
    const length = /content-length: (\d+)/i.exec(this.#text)?.[1]
    return head >= 0 && length !== undefined && this.#text.length >= head + 4 + Number(length)
  }

  /** Asks and waits for the whole answer; true where that says that it is the last one here. */
  async ask(): Promise<boolean> {
    this.#text = ""
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => this.#settle?.(new Error("not answered in time")), this.#withinMs)
      this.#settle = (error) => {
        clearTimeout(late)
        this.#settle = undefined
        if (error === undefined) resolve()
        else reject(error)
      }
      this.#socket.write(request)
    })
    if (!this.#text.startsWith("HTTP/1.1 200")) throw new Error(`answered ${this.#text.slice(0, 40)}`)
    const isLast = /\r\nconnection: close\r\n/i.test(this.#text)
    if (isLast) this.close()
    return isLast
  }

  close(): void {
    this.#socket.destroy()
  }
}
