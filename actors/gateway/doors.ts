/**
 * The gateway's two doors: a unix socket for the docker CLI, guarded by its file mode, and HTTP on a loopback
 * address, guarded by a token. They are open as long as the daemon lives; who answers behind them changes, and
 * whoever comes while nobody does waits.
 */

import { Buffer } from "node:buffer"
import fs from "node:fs/promises"
import http, { type Server } from "node:http"
import net, { type AddressInfo, type Socket } from "node:net"
import path from "node:path"
import process from "node:process"
import { Effect, Schema, type Scope } from "effect"
import type { EngineAddress } from "#actors/drivers/engine/address.ts"
import { type Comer, type Door, graceMs, type Lead, makeHall } from "#actors/gateway/hall.ts"
import { offeredVersion } from "#actors/gateway/negotiate.ts"
import { type HostPort, isLoopback, parseHostPort } from "#actors/gateway/parse-host-port.ts"
import { makeProxy, type PassThrough } from "#actors/gateway/proxy.ts"
import { bracketed } from "#actors/network/ip.ts"

/** A door cannot be opened. `flag` is the option to change, `value` what it was. */
export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", {
  flag: Schema.String,
  value: Schema.String,
  message: Schema.String
}) {}

export interface DoorOptions {
  /** The unix socket's path; absent for none. */
  readonly socket?: string
  /** `127.0.0.1:4500`; port 0 takes any free one; absent for none. */
  readonly http?: string
  /** Where everything goes that is not ours; absent on a node without an Engine. */
  readonly engine: EngineAddress | undefined
  /** The Engine's newest API version, if one is known. */
  readonly engineVersion: () => string | undefined
}

export interface Doors {
  readonly socket?: string
  /** `http://127.0.0.1:4500`, with the port that was really taken. */
  readonly url?: string
  /** To the Engine. What has gone through goes on until the doors close, whoever answers meanwhile. */
  readonly proxy: PassThrough
  readonly lead: Lead
}

/** Opens the doors until the scope closes; then new requests are refused and running ones get a second to end. */
export const openDoors = Effect.fn("gateway.doors")(function* (
  options: DoorOptions
): Effect.fn.Return<Doors, CannotListen, Scope.Scope> {
  const apiVersion = (): string => offeredVersion(options.engineVersion())
  const proxyTo = (engine: EngineAddress | undefined) =>
    Effect.acquireRelease(
      Effect.sync(() => makeProxy({ engine, apiVersion })),
      (made) => Effect.sync(() => made.close())
    )
  const proxy = yield* proxyTo(options.engine)
  const hall = makeHall(apiVersion)
  let url: string | undefined

  if (options.socket !== undefined) {
    const file = options.socket
    yield* prepareSocket(file)
    const door: Door = { kind: "socket", self: yield* proxyTo({ _tag: "Unix", path: file }) }
    yield* open(hall.open(door), "--socket", file, (server, ready) => {
      // Only the umask makes the mode right from the first moment on.
      const before = process.umask(0o117)
      try {
        server.listen(file, ready)
      } finally {
        process.umask(before)
      }
    })
    yield* Effect.addFinalizer(() => Effect.promise(() => fs.rm(file, { force: true })))
    yield* Effect.promise(() => protectSocket(file))
  }

  if (options.http !== undefined) {
    const { host, port } = yield* parseHttpAddress(options.http)
    const here: { _tag: "Tcp"; host: string; port: number } = { _tag: "Tcp", host, port }
    const door: Door = { kind: "http", self: yield* proxyTo(here) }
    const server = yield* open(hall.open(door), "--http", options.http, (made, ready) =>
      made.listen(port, host, ready)
    )
    here.port = (server.address() as AddressInfo).port
    url = `http://${bracketed(host)}:${here.port}`
  }
  yield* Effect.addFinalizer(() => Effect.sync(hall.close))
  return {
    ...(options.socket !== undefined && { socket: options.socket }),
    ...(url !== undefined && { url }),
    proxy,
    lead: hall.lead
  }
})

const open = (
  { onRequest, onUpgrade }: Comer,
  flag: string,
  value: string,
  listen: (server: Server, ready: () => void) => void
): Effect.Effect<Server, CannotListen, Scope.Scope> => {
  const sockets = new Set<Socket>()
  return Effect.acquireRelease(
    Effect.callback<Server, CannotListen>((resume) => {
      // Streams may be quiet for days, and builds may upload for hours: no timeout but for heads.
      const server = http.createServer({ requestTimeout: 0, headersTimeout: 60_000 }, onRequest)
      server.timeout = 0
      server.on("upgrade", onUpgrade)
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
          server.closeAllConnections()
          for (const socket of sockets) socket.destroy()
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
