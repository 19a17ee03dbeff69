/** A console as a page of ours opens it, and the sign-in that comes before. */
import { csrfProtocol } from "#actors/gateway/access/admit.ts"
import { consoleProtocol, type GatewayWords } from "#actors/gateway/dashboard/console-words.ts"
import { eventually } from "#test/support/engine.ts"

export interface SignedIn {
  readonly url: string
  readonly cookie: string
  readonly csrf: string
}

/** Follows a link of `troupe dashboard`. */
export async function signInBy(link: string): Promise<SignedIn> {
  const url = new URL(link).origin
  const entered = await fetch(link)
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? ""
  const session = (await (await fetch(`${url}/dashboard/session`, { headers: { cookie } })).json()) as {
    readonly csrf: string
  }
  return { url, cookie, csrf: session.csrf }
}

export interface ConsoleOptions {
  readonly command?: ReadonlyArray<string>
  readonly columns?: number
  readonly rows?: number
  /** Headers that are not a page's own. */
  readonly headers?: Readonly<Record<string, string>>
  /** Offered beside the console's own; the session's secret unless given. */
  readonly protocols?: ReadonlyArray<string>
  /** Whether it says what it has taken; it does unless told. */
  readonly takes?: boolean
}

export class ConsoleClient {
  readonly socket: WebSocket
  readonly #early: Array<string | Buffer<ArrayBuffer>> = []
  /** All that was printed. */
  text = ""
  printed = 0
  /** What the gateway said last that is no count. */
  words: GatewayWords | undefined
  /** How many bytes of what was typed were taken. */
  taken = 0
  opened = false
  /** Once it is closed. */
  code: number | undefined

  constructor({ url, cookie, csrf }: SignedIn, taskId: string, options: ConsoleOptions = {}) {
    const { columns = 80, rows = 24, command = [], takes = true } = options
    const query = new URLSearchParams({ columns: String(columns), rows: String(rows) })
    for (const word of command) query.append("command", word)
    this.socket = new WebSocket(`${url.replace("http", "ws")}/dashboard/exec/${taskId}?${query}`, {
      protocols: [consoleProtocol, ...(options.protocols ?? [`${csrfProtocol}${csrf}`])],
      headers: { cookie, origin: url, ...options.headers }
    } as never)
    this.socket.binaryType = "arraybuffer"
    this.socket.addEventListener("open", () => {
      this.opened = true
      for (const message of this.#early) this.socket.send(message)
    })
    this.socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (typeof data === "string") {
        const words = JSON.parse(data) as GatewayWords
        if ("taken" in words) this.taken += words.taken
        else this.words = words
        return
      }
      this.text += Buffer.from(data).toString()
      this.printed += data.byteLength
      if (takes) this.say({ taken: data.byteLength })
    })
    this.socket.addEventListener("close", ({ code }) => {
      this.code = code
    })
    this.socket.addEventListener("error", () => {})
  }

  type(text: string): void {
    this.#send(Buffer.from(text))
  }

  say(words: object): void {
    this.#send(JSON.stringify(words))
  }

  #send(message: string | Buffer<ArrayBuffer>): void {
    if (this.opened) this.socket.send(message)
    else this.#early.push(message)
  }

  /** Waits until that was printed. */
  seen(wanted: string | RegExp): Promise<void> {
    const isThere = (): boolean =>
      typeof wanted === "string" ? this.text.includes(wanted) : wanted.test(this.text)
    return eventually(isThere, `${wanted} is printed`)
  }

  /** Waits until it is closed, and says with which code. */
  async ended(): Promise<number> {
    await eventually(() => this.code !== undefined, "the console is closed")
    return this.code as number
  }
}
