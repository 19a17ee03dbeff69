/**
 * The pass-through to the node's own Engine: whatever is not ours goes there and comes back byte for byte.
 *
 * It works on `node:http` and raw sockets rather than on Requests and Responses, because uploads, downloads and
 * hijacked connections (`docker exec -it`, BuildKit's sessions) need back-pressure, half-close and aborts that pass
 * through in both directions.
 */
import { Buffer } from "node:buffer"
import http, { type IncomingMessage, type ServerResponse } from "node:http"
import net, { type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { cannotConnect, connectOptions, type EngineAddress } from "#actors/drivers/engine/address.ts"
import { refuseUpgrade, say } from "#actors/gateway/say.ts"

/** What may differ between what the client asked and what the Engine is asked. */
export interface Rewrite {
  /** Path and query instead of the request's own. */
  readonly url?: string
  /** The whole body instead of the request's own, which must not have been read yet or be in here. */
  readonly body?: Uint8Array
  /** Names, in lower case, of request headers that were meant for us. */
  readonly drop?: ReadonlyArray<string>
}

export interface ProxyOptions {
  /** Absent on a node without an Engine: everything is answered with 503. */
  readonly engine: EngineAddress | undefined
  /** What `Api-Version` says on every answer. */
  readonly apiVersion: () => string
}

export interface PassThrough {
  readonly forward: (request: IncomingMessage, response: ServerResponse, rewrite?: Rewrite) => void
  /** For requests that ask to upgrade: after the head, the connection is a pipe in both directions. */
  readonly tunnel: (request: IncomingMessage, socket: Duplex, head: Uint8Array, rewrite?: Rewrite) => void
  /** Ends every tunnel and pending request. */
  readonly close: () => void
}

/** Belong to one connection, not to the message (RFC 9110 §7.6.1); `expect` was answered by our own server. */
const perConnection = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect"
])

type HeaderBag = Record<string, string | Array<string>>

function gather(raw: ReadonlyArray<string>, drop: ReadonlySet<string>): HeaderBag {
  const bag: HeaderBag = {}
  const spelled = new Map<string, string>()
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const lower = name.toLowerCase()
    if (drop.has(lower)) continue
    const key = spelled.get(lower)
    if (key === undefined) {
      spelled.set(lower, name)
      bag[name] = value
    } else {
      bag[key] = [bag[key] as string | Array<string>, value].flat()
    }
  }
  return bag
}

function setHeader(bag: HeaderBag, name: string, value: string): void {
  for (const key of Object.keys(bag)) if (key.toLowerCase() === name.toLowerCase()) delete bag[key]
  bag[name] = value
}

export function makeProxy(options: ProxyOptions): PassThrough {
  const { engine } = options
  const pending = new Set<{ destroy: () => unknown }>()
  const agent = new http.Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })

  const unavailable = (response: ServerResponse): void => {
    if (response.headersSent) {
      response.destroy()
      return
    }
    say(response, 503, cannotConnect(engine), { "Api-Version": options.apiVersion() })
  }

  const refuse = (client: Duplex): void =>
    refuseUpgrade(client, 503, cannotConnect(engine), { "Api-Version": options.apiVersion() })

  const forward: PassThrough["forward"] = (request, response, rewrite) => {
    if (engine === undefined) {
      request.resume()
      unavailable(response)
      return
    }
    const headers = gather(
      request.rawHeaders,
      rewrite?.drop === undefined ? perConnection : new Set([...perConnection, ...rewrite.drop])
    )
    if (rewrite?.body !== undefined) setHeader(headers, "Content-Length", String(rewrite.body.length))
    else if (request.headers["transfer-encoding"] !== undefined) headers["Transfer-Encoding"] = "chunked"
    const outgoing = http.request({
      ...connectOptions(engine),
      method: request.method ?? "GET",
      path: rewrite?.url ?? request.url ?? "/",
      headers,
      agent,
      setHost: false
    })
    pending.add(outgoing)
    const hasBody =
      rewrite?.body === undefined &&
      (request.headers["transfer-encoding"] !== undefined ||
        Number(request.headers["content-length"] ?? 0) > 0)

    outgoing.on("response", (incoming) => {
      const answer = gather(incoming.rawHeaders, perConnection)
      setHeader(answer, "Api-Version", options.apiVersion())
      response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, answer)
      response.flushHeaders()
      incoming.on("error", () => response.destroy())
      incoming.on("aborted", () => response.destroy())
      incoming.pipe(response)
    })
    outgoing.on("error", () => {
      pending.delete(outgoing)
      request.unpipe(outgoing)
      request.resume()
      unavailable(response)
    })
    outgoing.on("close", () => pending.delete(outgoing))
    response.on("close", () => {
      pending.delete(outgoing)
      if (!response.writableFinished) outgoing.destroy()
    })
    request.on("error", () => outgoing.destroy())

    if (rewrite?.body !== undefined) outgoing.end(rewrite.body)
    else if (hasBody) request.pipe(outgoing)
    else outgoing.end()
  }

  const tunnel: PassThrough["tunnel"] = (request, client, head, rewrite) => {
    client.on("error", () => client.destroy())
    if (engine === undefined) {
      refuse(client)
      return
    }
    client.pause()
    collectBody(request, client, head, (body, rest) => {
      const address = connectOptions(engine)
      const upstream: Socket = net.connect(
        "socketPath" in address
          ? { path: address.socketPath, allowHalfOpen: true }
          : { ...address, allowHalfOpen: true }
      )
      upstream.setNoDelay?.(true)
      pending.add(upstream)
      let answered = false
      upstream.on("connect", () => {
        upstream.write(requestHead(request, rewrite, body))
        const wanted = rewrite?.body ?? body
        if (wanted.length > 0) upstream.write(wanted)
        if (rest.length > 0) upstream.write(rest)
        client.pipe(upstream)
        client.resume()
      })
      onResponseHead(upstream, options.apiVersion, (responseHead, status, after) => {
        answered = true
        client.write(responseHead)
        if (after.length > 0) client.write(after)
        upstream.pipe(client)
        if (status !== 101) endAfterAnswer(client, upstream, responseHead, after.length)
      })
      upstream.on("error", () => {
        if (answered) client.destroy()
        else refuse(client)
      })
      upstream.on("close", () => {
        pending.delete(upstream)
        if (!client.writableEnded) client.end()
      })
      client.on("close", () => upstream.destroy())
    })
  }

  return {
    forward,
    tunnel,
    close: () => {
      for (const each of pending) each.destroy()
      agent.destroy()
    }
  }
}

/**
 * The body that comes before the upgraded stream, and the first bytes of that stream.
 *
 * Runtimes differ in where they put a body sent with `Connection: Upgrade`: Bun and Deno read it into the request
 * and leave in `head` only what follows; Node leaves everything in `head`. Where the body comes in a packet of its
 * own, after the head, Deno leaves it in the connection. Nothing else can be there yet: clients say no more before
 * they are answered.
 */
function collectBody(
  request: IncomingMessage,
  client: Duplex,
  head: Uint8Array,
  done: (body: Buffer, rest: Uint8Array) => void
): void {
  const chunked = request.headers["transfer-encoding"] !== undefined
  const length = Number(request.headers["content-length"] ?? 0)
  if (!chunked && length === 0) {
    done(Buffer.alloc(0), head)
    return
  }
  const parts: Array<Buffer> = []
  const later: Array<Uint8Array> = [head]
  let size = 0
  let laterSize = head.length
  let finished = false
  const finish = (): void => {
    if (finished) return
    finished = true
    client.off("data", onConnection)
    client.pause()
    const missing = chunked ? 0 : Math.max(0, length - size)
    const rest = Buffer.concat(later)
    done(Buffer.concat([...parts, rest.subarray(0, missing)]), rest.subarray(missing))
  }
  const onConnection = (part: Uint8Array): void => {
    later.push(part)
    laterSize += part.length
    if (size + laterSize >= length) finish()
  }
  request.on("data", (part: Buffer) => {
    parts.push(part)
    size += part.length
    if (!chunked && size >= length) finish()
  })
  request.on("end", finish)
  request.on("error", finish)
  if (chunked) return
  if (head.length >= length && request.complete) {
    finish()
    return
  }
  client.on("data", onConnection)
  client.resume()
}

/**
 * The Engine did not switch: it answered, and the connection is over with its answer. What a client sends after
 * that would be another request, and it must not get past us.
 */
function endAfterAnswer(client: Duplex, upstream: Socket, head: Buffer, seen: number): void {
  const text = head.toString("latin1")
  // Engines hijack with 200 where a client forgot to ask for the upgrade.
  if (/^content-type:.*raw-stream/im.test(text)) return
  client.unpipe(upstream)
  client.resume()
  const length = /^content-length: *(\d+)/im.exec(text)?.[1]
  if (length === undefined) return
  let missing = Number(length) - seen
  const count = (part: Uint8Array): void => {
    missing -= part.length
    if (missing <= 0) upstream.end()
  }
  upstream.on("data", count)
  if (missing <= 0) upstream.end()
}

function requestHead(request: IncomingMessage, rewrite: Rewrite | undefined, body: Uint8Array): string {
  const wanted = rewrite?.body ?? body
  let text = `${request.method} ${rewrite?.url ?? request.url} HTTP/1.1\r\n`
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] as string
    if (/^(content-length|transfer-encoding|expect)$/i.test(name)) continue
    if (rewrite?.drop?.includes(name.toLowerCase())) continue
    text += `${name}: ${request.rawHeaders[i + 1]}\r\n`
  }
  if (rewrite?.drop?.includes("connection")) text += "Connection: close\r\n"
  if (wanted.length > 0 || request.headers["content-length"] !== undefined) {
    text += `Content-Length: ${wanted.length}\r\n`
  }
  return `${text}\r\n`
}

/** Hands over the Engine's response head, with our `Api-Version` in it, and what came after it. */
function onResponseHead(
  upstream: Socket,
  apiVersion: () => string,
  found: (head: Buffer, status: number, after: Buffer) => void
): void {
  let seen = Buffer.alloc(0)
  const listen = (part: Buffer): void => {
    seen = Buffer.concat([seen, part])
    const end = seen.indexOf("\r\n\r\n")
    if (end === -1) {
      if (seen.length > 65_536) upstream.destroy()
      return
    }
    upstream.off("data", listen)
    upstream.pause()
    const head = seen
      .subarray(0, end)
      .toString("latin1")
      .replace(/^api-version:.*$/im, `Api-Version: ${apiVersion()}`)
    const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 502)
    found(Buffer.from(`${head}\r\n\r\n`, "latin1"), status, seen.subarray(end + 4))
  }
  upstream.on("data", listen)
}
