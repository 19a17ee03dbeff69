/**
 * The gateway's two doors: a unix socket for the docker CLI, guarded by its file mode, and HTTP on a loopback
 * address, guarded by a token. What stands behind them is in `listener.ts`.
 */

import { Buffer } from "node:buffer"
import fs from "node:fs/promises"
import http, { type IncomingMessage, type Server } from "node:http"
import net, { type AddressInfo, type Socket } from "node:net"
import path from "node:path"
import process from "node:process"
import { Effect, Schema, type Scope } from "effect"
import type { EngineAddress } from "#actors/drivers/engine/address.ts"
import { admit, csrfHeader } from "#actors/gateway/access/admit.ts"
import type { Audit } from "#actors/gateway/access/audit.ts"
import { local } from "#actors/gateway/access/role.ts"
import type { Sessions } from "#actors/gateway/access/sessions.ts"
import type { Tokens } from "#actors/gateway/access/tokens.ts"
import { type Admission, type ListenerOptions, makeListener } from "#actors/gateway/listener.ts"
import { offeredVersion, splitVersion } from "#actors/gateway/negotiate.ts"
import { type HostPort, isLoopback, parseHostPort } from "#actors/gateway/parse-host-port.ts"
import { makeProxy, type PassThrough } from "#actors/gateway/proxy.ts"
import { bracketed } from "#actors/network/ip.ts"

/** A door cannot be opened. `flag` is the option to change, `value` what it was. */
export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", {
  flag: Schema.String,
  value: Schema.String,
  message: Schema.String
}) {}

export interface DoorOptions extends Omit<ListenerOptions, "proxy"> {
  /** The unix socket's path; absent for none. */
  readonly socket?: string
  /** `127.0.0.1:4500`; port 0 takes any free one; absent for none. */
  readonly http?: string
  /** The node's own for `http`, and all that open it. */
  readonly token: string
  readonly tokens: Pick<Tokens, "identify">
  /** Where everything goes that is not ours; absent on a node without an Engine. */
  readonly engine: EngineAddress | undefined
  readonly sessions: Sessions
  readonly audit: Pick<Audit, "note">
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Told first when the gateway stops, to end streams that would otherwise go on. */
  readonly onStop?: () => void
}

export interface Doors {
  readonly socket?: string
  /** `http://127.0.0.1:4500`, with the port that was really taken. */
  readonly url?: string
  readonly token?: string
}

/**
 * Answered only when this node serves again, after these doors have closed: the connection stays open so long, and is
 * closed with its answer.
 */
const outlastsDoors = (request: IncomingMessage): boolean =>
  request.method === "POST" &&
  /^\/swarm\/(init|join|leave|unlock)$/.test(splitVersion(request.url ?? "/").path)

// Answers under way when we stop; streams were told already, and nobody waits longer for a list.
const graceMs = 1_000

/** Opens the doors until the scope closes; then new requests are refused and running ones get a second to end. */
export const serveGateway = Effect.fn("gateway.serve")(function* (
  options: DoorOptions
): Effect.fn.Return<Doors, CannotListen, Scope.Scope> {
  const apiVersion = (): string => offeredVersion(options.engineVersion())
  const proxy = yield* Effect.acquireRelease(
    Effect.sync(() => makeProxy({ engine: options.engine, apiVersion })),
    (made) => Effect.sync(() => made.close())
  )
  const listenerOptions: ListenerOptions = { ...options, proxy }
  const doors: { socket?: string; url?: string; token?: string } = {}

  if (options.socket !== undefined) {
    const file = options.socket
    yield* prepareSocket(file)
    const self = selfProxy({ _tag: "Unix", path: file }, apiVersion)
    yield* open(
      listenerOptions,
      self,
      { judge: () => ({ _tag: "In", identity: local }) },
      [],
      "--socket",
      file,
      (server, ready) => {
        // Only the umask makes the mode right from the first moment on.
        const before = process.umask(0o117)
        try {
          server.listen(file, ready)
        } finally {
          process.umask(before)
        }
      }
    )
    yield* Effect.addFinalizer(() => Effect.promise(() => fs.rm(file, { force: true })))
    yield* Effect.promise(() => protectSocket(file))
    doors.socket = file
  }

  if (options.http !== undefined) {
    const { host, port } = yield* parseHttpAddress(options.http)
    const admission = guard(options)
    const here: { _tag: "Tcp"; host: string; port: number } = { _tag: "Tcp", host, port }
    const self = selfProxy(here, apiVersion)
    const server = yield* open(
      listenerOptions,
      self,
      admission,
      ["authorization", "cookie", csrfHeader],
      "--http",
      options.http,
      (made, ready) => made.listen(port, host, ready)
    )
    here.port = (server.address() as AddressInfo).port
    doors.url = `http://${bracketed(host)}:${here.port}`
    doors.token = options.token
  }
  // Finalizers run last to first: this one comes before the doors close.
  yield* Effect.addFinalizer(() => Effect.sync(() => options.onStop?.()))
  return doors
})

/** Who may come in over HTTP, each with what their role allows; what came of it goes into the audit. */
const guard = ({ sessions, tokens, audit, clock }: DoorOptions): Admission => ({
  judge: ({ method = "GET", headers }, path, isUpgrade) =>
    admit({ tokens, sessions }, { method, path, headers, isUpgrade }),
  isStillIn: ({ method = "GET", headers }, path, inUse) => {
    const known = { tokens, sessions: { find: inUse ? sessions.find : sessions.look } }
    return admit(known, { method, path, headers, isUpgrade: true })._tag === "In"
  },
  note: ({ method = "GET" }, path, admitted, status, did) =>
    audit.note({
      at: new Date(clock()).toISOString(),
      who: admitted.identity?.who ?? "nobody",
      ...(admitted.identity && { role: admitted.identity.role }),
      method,
      path,
      status,
      ...(did !== undefined && { did }),
      ...(admitted._tag === "Out" && { refused: admitted.message })
    })
})

const selfProxy = (address: EngineAddress, apiVersion: () => string): PassThrough =>
  makeProxy({ engine: address, apiVersion })

const open = (
  options: ListenerOptions,
  self: PassThrough,
  admission: Admission,
  drop: ReadonlyArray<string>,
  flag: string,
  value: string,
  listen: (server: Server, ready: () => void) => void
): Effect.Effect<Server, CannotListen, Scope.Scope> => {
  const sockets = new Set<Socket>()
  const kept = new Set<Socket>()
  return Effect.acquireRelease(
    Effect.callback<Server, CannotListen>((resume) => {
      const listener = makeListener(options, admission, drop, self)
      // Streams may be quiet for days, and builds may upload for hours: no timeout but for heads.
      const server = http.createServer({ requestTimeout: 0, headersTimeout: 60_000 }, (request, response) => {
        if (outlastsDoors(request)) {
          response.setHeader("Connection", "close")
          kept.add(request.socket)
          response.on("close", () => kept.delete(request.socket))
        }
        listener.onRequest(request, response)
      })
      server.timeout = 0
      server.on("upgrade", listener.onUpgrade)
      server.on("connection", (socket: Socket) => {
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
      })
      const failed = (cause: Error): void =>
        resume(
          Effect.fail(
            new CannotListen({
              flag,
              value,
              message: `${flag} ${value}: cannot listen there: ${cause.message}`
            })
          )
        )
      server.once("error", failed)
      try {
        listen(server, () => {
          server.off("error", failed)
          server.on("error", () => {})
          resume(Effect.succeed(server))
        })
      } catch (cause) {
        failed(cause as Error)
      }
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        let ended = false
        const end = (): void => {
          if (ended) return
          ended = true
          clearTimeout(deadline)
          resume(Effect.void)
        }
        const deadline = setTimeout(() => {
          self.close()
          if (kept.size === 0) server.closeAllConnections()
          for (const socket of sockets) if (!kept.has(socket)) socket.destroy()
          end()
        }, graceMs)
        server.close(end)
        server.closeIdleConnections()
      })
  )
}

/** Replaces what a dead process left; refuses what a live one answers on, and anything that is no socket. */
const prepareSocket = Effect.fnUntraced(function* (file: string): Effect.fn.Return<void, CannotListen> {
  const refuse = (why: string): CannotListen =>
    new CannotListen({ flag: "--socket", value: file, message: `--socket ${file}: ${why}` })
  // The kernel's limit for a unix socket's path, less its final zero (unix(7)).
  if (Buffer.byteLength(file) > 107) {
    return yield* refuse(`a unix socket's path may have 107 bytes, this one has ${Buffer.byteLength(file)}`)
  }
  yield* Effect.tryPromise({
    try: () => fs.mkdir(path.dirname(file), { recursive: true, mode: 0o755 }),
    catch: (cause) => refuse(`cannot make its directory: ${(cause as Error).message}`)
  })
  const found = yield* Effect.promise(() => fs.lstat(file).catch(() => undefined))
  if (found === undefined) return
  if (!found.isSocket())
    return yield* refuse("something that is not a socket is there; remove it or choose another path")
  if (yield* Effect.promise(() => answers(file))) {
    return yield* refuse("another process answers there; stop it or choose another path")
  }
  yield* Effect.tryPromise({
    try: () => fs.rm(file, { force: true }),
    catch: (cause) => refuse(`cannot remove the stale socket: ${(cause as Error).message}`)
  })
})

const answers = (file: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = net.connect({ path: file })
    probe.on("connect", () => {
      probe.destroy()
      resolve(true)
    })
    probe.on("error", () => resolve(false))
  })

/** Mode 0660, and Docker's group where there is one and we may give it. */
async function protectSocket(file: string): Promise<void> {
  await fs.chmod(file, 0o660)
  const groups = await fs.readFile("/etc/group", "utf8").catch(() => "")
  const group = /^docker:[^:]*:(\d+):/m.exec(groups)?.[1]
  const owner = process.getuid?.()
  if (group !== undefined && owner !== undefined) await fs.chown(file, owner, Number(group)).catch(() => {})
}

/** Reads `HOST:PORT`; only loopback addresses pass, because the token would travel in the clear. */
const parseHttpAddress = Effect.fnUntraced(function* (
  text: string
): Effect.fn.Return<HostPort, CannotListen> {
  const refuse = (why: string): CannotListen =>
    new CannotListen({ flag: "--http", value: text, message: `--http ${text}: ${why}` })
  const address = parseHostPort(text)
  if (address === undefined) return yield* refuse("expected HOST:PORT, such as 127.0.0.1:4500")
  if (!isLoopback(address.host)) {
    return yield* refuse(
      "expected a loopback address, such as 127.0.0.1:4500: beyond it the token would travel in the clear"
    )
  }
  return address
})
