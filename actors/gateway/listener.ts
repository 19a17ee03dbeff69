/**
 * Where one request goes: to a version's refusal, to our own routes, through an interception, or straight to the
 * Engine. Apart from the server so that both of its doors, socket and TCP, lead to the same place.
 */
import { Buffer } from "node:buffer"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import { getRequestListener } from "@hono/node-server"
import { Cause, Effect, Exit } from "effect"
import type { Admitted } from "#actors/gateway/access/admit.ts"
import { identify } from "#actors/gateway/access/identity-of.ts"
import type { Identity } from "#actors/gateway/access/role.ts"
import { offeredVersion, refuseVersion, splitVersion } from "#actors/gateway/negotiate.ts"
import type { PassThrough, Rewrite } from "#actors/gateway/proxy.ts"
import { refuseUpgrade, say } from "#actors/gateway/say.ts"

/** A part of the API that we answer ourselves; the first set that owns a request gets it. */
export interface RouteSet {
  readonly fetch: (request: Request) => Response | Promise<Response>
  /** `path` is without version and query. */
  readonly owns: (method: string, path: string) => boolean
  /** Takes a connection over, and everything that becomes of it; false where the path is none for that. */
  readonly upgrade?: (upgrade: Upgrade) => boolean
}

/** A request, let in already, that asks to speak something else on its connection. */
export interface Upgrade {
  readonly request: IncomingMessage
  /** Without version and query. */
  readonly path: string
  readonly socket: Duplex
  readonly head: Uint8Array
  /** Answers in HTTP instead, and ends the connection. */
  readonly refuse: (status: number, message: string) => void
  /** Puts into the audit what it came to. */
  readonly note: (status: number, did?: string) => void
  /** Whether it would still be let in. With `inUse` it keeps a session from ending for want of use. */
  readonly isStillIn: (inUse: boolean) => boolean
}

/** What becomes of a request that the Engine carries out but that may name something of ours. */
export type Verdict =
  | { readonly _tag: "Pass"; readonly rewrite?: Rewrite }
  | { readonly _tag: "Answer"; readonly status: number; readonly message: string }

export interface Interceptor {
  /** Whether the request must be looked at before it is passed on; `path` is without version and query. */
  readonly wants: (method: string, path: string) => boolean
  /** `url` is the whole path and query as sent. */
  readonly judge: (method: string, url: string, body: Uint8Array) => Effect.Effect<Verdict>
}

/**
 * Requests that offer an upgrade which the path does not have (some HTTP libraries offer h2c on everything) are
 * handed to our own door once more without the offer.
 */
const withoutUpgrade = ["upgrade", "connection", "http2-settings", "keep-alive"]
const speaksH2c = /^\/(session|grpc)$/

export interface ListenerOptions {
  readonly routes: ReadonlyArray<RouteSet>
  readonly interceptor?: Interceptor
  readonly proxy: PassThrough
  /** The Engine's newest API version, if one is known. */
  readonly engineVersion: () => string | undefined
  /** Headers that every answer of ours carries. */
  readonly headers: () => Readonly<Record<string, string>>
}

/** Asked before anything else becomes of a request. */
export interface Admission {
  readonly judge: (request: IncomingMessage, path: string, isUpgrade: boolean) => Admitted
  /** Told of every request that was turned away, and of every change once it was answered, and of every upgrade that goes to the Engine. */
  readonly note?: (
    request: IncomingMessage,
    path: string,
    admitted: Admitted,
    status: number,
    did?: string
  ) => void
  /** Judges an upgrade once more, long after: whether what it came in by is still good. */
  readonly isStillIn?: (request: IncomingMessage, path: string, inUse: boolean) => boolean
}

const isChange = ({ method }: IncomingMessage): boolean => method !== "GET" && method !== "HEAD"

export interface Listener {
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void
  /**
   * Gives what is being answered here so long to end, and cuts it off. What was passed on to the Engine goes on, as do
   * events and what is answered only when this node serves again.
   */
  readonly end: (withinMs: number) => Promise<void>
}

const outlivesLife = (method: string, path: string): boolean =>
  (method === "GET" && path === "/events") ||
  (method === "POST" && /^\/swarm\/(init|join|leave|unlock)$/.test(path))

// The bodies we look into are container and network settings; the Engine's own answer to more is to run out of memory.
const longestBody = 16 * 1024 * 1024

/**
 * `admission` guards the door; `drop` names request headers that are meant for us and not for the Engine; `self` leads
 * to this same door.
 */
export function makeListener(
  options: ListenerOptions,
  admission: Admission,
  drop: ReadonlyArray<string>,
  self: Pick<PassThrough, "tunnel">
): Listener {
  const askers = new WeakMap<IncomingMessage, Identity>()
  const own = options.routes.map((set) => ({
    owns: set.owns,
    upgrade: set.upgrade,
    // The default would replace the process's own Response class.
    listen: getRequestListener(
      (request, { incoming }) => {
        const identity = askers.get(incoming as IncomingMessage)
        if (identity !== undefined) identify(request, identity)
        return set.fetch(request)
      },
      { overrideGlobalObjects: false }
    )
  }))
  const dropping: Rewrite = drop.length > 0 ? { drop } : {}

  /** Answers under way, and their connections. */
  const running = new Map<ServerResponse | Duplex, Duplex>()
  let onIdle = (): void => {}
  /** Until it closes, or what is returned is called. */
  const run = (answer: ServerResponse | Duplex, connection: Duplex): (() => void) => {
    running.set(answer, connection)
    const stop = (): void => {
      answer.off("close", stop)
      if (running.delete(answer) && running.size === 0) onIdle()
    }
    answer.once("close", stop)
    return stop
  }

  const tell = (response: ServerResponse, status: number, message: string, more = {}): void =>
    say(response, status, message, { ...options.headers(), ...more })

  const healthy = (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.method !== "GET" || splitVersion(request.url ?? "/").path !== "/healthz") return false
    response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8", "Content-Length": "3" })
    response.end("ok\n")
    return true
  }

  const look = (interceptor: Interceptor, request: IncomingMessage, response: ServerResponse): void => {
    const looked = run(response, request.socket)
    const parts: Array<Buffer> = []
    let size = 0
    request.on("data", (part: Buffer) => {
      size += part.length
      if (size <= longestBody) parts.push(part)
    })
    request.on("end", () => {
      if (size > longestBody) {
        tell(response, 413, `request body too large: ${size} bytes, at most ${longestBody} are taken`)
        return
      }
      const body = Buffer.concat(parts)
      const url = request.url ?? "/"
      const judged = Effect.runCallback(interceptor.judge(request.method ?? "GET", url, body), {
        onExit: (exit) => {
          looked()
          if (Exit.isFailure(exit)) {
            if (!Cause.hasInterruptsOnly(exit.cause)) tell(response, 500, Cause.pretty(exit.cause))
          } else if (exit.value._tag === "Answer") {
            tell(response, exit.value.status, exit.value.message)
          } else {
            options.proxy.forward(request, response, { body, ...dropping, ...exit.value.rewrite })
          }
        }
      })
      response.on("close", () => judged())
    })
  }

  return {
    onRequest: (request, response) => {
      if (healthy(request, response)) return
      const method = request.method ?? "GET"
      const { path, version } = splitVersion(request.url ?? "/")
      const admitted = admission.judge(request, path, false)
      if (admitted._tag === "Out") {
        request.resume()
        const more = admitted.status === 401 ? { "WWW-Authenticate": 'Bearer realm="troupe"' } : {}
        tell(response, admitted.status, admitted.message, more)
        admission.note?.(request, path, admitted, admitted.status)
        return
      }
      if (admitted.identity !== undefined) askers.set(request, admitted.identity)
      if (isChange(request)) {
        response.on("finish", () => admission.note?.(request, path, admitted, response.statusCode))
      }
      const wrong =
        version === undefined ? undefined : refuseVersion(version, offeredVersion(options.engineVersion()))
      if (wrong !== undefined) {
        request.resume()
        tell(response, 400, wrong)
        return
      }
      for (const set of own) {
        if (set.owns(method, path)) {
          if (!outlivesLife(method, path)) run(response, request.socket)
          void set.listen(request, response)
          return
        }
      }
      if (options.interceptor?.wants(method, path)) look(options.interceptor, request, response)
      else options.proxy.forward(request, response, dropping)
    },
    onUpgrade: (request, socket, head) => {
      const method = request.method ?? "GET"
      const { path, version } = splitVersion(request.url ?? "/")
      const admitted = admission.judge(request, path, true)
      const wrong =
        version === undefined ? undefined : refuseVersion(version, offeredVersion(options.engineVersion()))
      if (admitted._tag === "Out") {
        refuseUpgrade(socket, admitted.status, admitted.message)
        admission.note?.(request, path, admitted, admitted.status)
        return
      }
      if (wrong !== undefined) {
        refuseUpgrade(socket, 400, wrong)
        return
      }
      const upgrade: Upgrade = {
        request,
        path,
        socket,
        head,
        refuse: (status, message) => refuseUpgrade(socket, status, message),
        note: (status, did) => admission.note?.(request, path, admitted, status, did),
        isStillIn: (inUse) => admission.isStillIn?.(request, path, inUse) ?? true
      }
      if (own.some((set) => set.upgrade?.(upgrade))) {
        run(socket, socket)
        return
      }
      if (
        own.some((set) => set.owns(method, path)) ||
        options.interceptor?.wants(method, path) ||
        (/h2c/i.test(String(request.headers.upgrade)) && !speaksH2c.test(path))
      ) {
        self.tunnel(request, socket, head, { drop: withoutUpgrade })
      } else {
        // A shell is asked for by GET as well.
        admission.note?.(request, path, admitted, 101)
        options.proxy.tunnel(request, socket, head, dropping)
      }
    },
    end: (withinMs) =>
      new Promise((resolve) => {
        if (running.size === 0) return resolve()
        const late = setTimeout(() => {
          for (const connection of running.values()) connection.destroy()
          resolve()
        }, withinMs)
        onIdle = () => {
          clearTimeout(late)
          resolve()
        }
      })
  }
}
