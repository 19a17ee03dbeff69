/**
 * Consoles: a terminal in a page, and a command in a task's container, joined by a WebSocket (`console-words.ts` has what is
 * said on it). It lasts as long as the command, the page, and the right of whoever opened it.
 */
import { Buffer } from "node:buffer"
import { Effect, type Fiber, Latch, Queue, type Scope } from "effect"
import { type WebSocket, WebSocketServer } from "ws"
import type { Console, ConsoleRequest, ExecutorError } from "#actors/drivers/executor.ts"
import {
  asTyped,
  consoleProtocol,
  type GatewayWords,
  mostAhead,
  readConsoleQuery,
  readPageWords
} from "#actors/gateway/dashboard/console-words.ts"
import { type ContainerPlace, placeContainer } from "#actors/gateway/dashboard/place-container.ts"
import type { Upgrade } from "#actors/gateway/listener.ts"
import { isRefusal, refused } from "#actors/gateway/response.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface ConsoleOptions {
  readonly ledger: () => LedgerService | undefined
  readonly nodeId: string
  readonly console: (
    place: ContainerPlace,
    request: ConsoleRequest
  ) => Effect.Effect<Console, ExecutorError, Scope.Scope>
  /** Runs what must have come to its end before the gateway is closed. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void, unknown>
}

/** One gateway holds them all in memory, and each is a process beside a task. */
const mostConsoles = 64
/** A page that is gone without a word, and a right that was taken back, are noticed within two of these. */
const lookEveryMs = 5_000
/** RFC 6455 §7.4.1. */
const codes = { done: 1000, away: 1001, policy: 1008, tooBig: 1009 } as const

const path = /^\/dashboard\/exec\/([^/]+)$/

export interface Consoles {
  /** Whether a console of this task can be had, and where. */
  readonly place: (taskId: string) => ContainerPlace | Refusal
  readonly upgrade: (upgrade: Upgrade) => boolean
}

export function makeConsoles(options: ConsoleOptions): Consoles {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: mostAhead.typed,
    handleProtocols: (offered) => (offered.has(consoleProtocol) ? consoleProtocol : false)
  })
  let open = 0

  const place: Consoles["place"] = (taskId) => {
    const ledger = options.ledger()
    return ledger === undefined
      ? refuse("unavailable", "this node is no manager: ask one of the managers")
      : placeContainer(ledger.read, options.nodeId, taskId, "consoles")
  }

  const judge = (taskId: string, query: URLSearchParams) => {
    const found = place(taskId)
    if (isRefusal(found)) return found
    const request = readConsoleQuery(query)
    if (isRefusal(request)) return request
    return open < mostConsoles
      ? { place: found, request }
      : refuse("unavailable", `this node has ${mostConsoles} consoles open already`)
  }

  return {
    place,
    upgrade: (upgrade) => {
      const { request, socket, head } = upgrade
      const taskId = path.exec(upgrade.path)?.[1]
      if (
        taskId === undefined ||
        request.method !== "GET" ||
        !/^websocket$/i.test(request.headers.upgrade ?? "")
      )
        return false
      const judged = judge(taskId, new URL(request.url ?? "", "http://node").searchParams)
      if (isRefusal(judged)) {
        const { status } = refused(judged)
        upgrade.refuse(status, judged.message)
        upgrade.note(status)
        return true
      }
      const did = `docker exec -it ${judged.place.name} ${asTyped(judged.request.command)}`
      server.handleUpgrade(request, socket, Buffer.from(head), (webSocket) => {
        upgrade.note(101, did)
        open += 1
        const running = options.fork(
          join(options.console(judged.place, judged.request), webSocket, upgrade).pipe(
            Effect.ensuring(
              Effect.sync(() => {
                open -= 1
                // Says nothing where it was closed with a better reason before.
                webSocket.close(codes.away)
              })
            )
          )
        )
        webSocket.on("close", () => running.interruptUnsafe())
        webSocket.on("error", () => webSocket.terminate())
      })
      return true
    }
  }
}

/** Until the command has ended; ends the command where it is interrupted. */
const join = (
  opening: Effect.Effect<Console, ExecutorError, Scope.Scope>,
  webSocket: WebSocket,
  { isStillIn }: Pick<Upgrade, "isStillIn">
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const say = (words: GatewayWords): void => webSocket.send(JSON.stringify(words))
    const over = yield* Latch.make(false)
    const end = (problem: string, code: number): void => {
      say({ problem })
      webSocket.close(code)
      // Without waiting for a page to agree.
      over.openUnsafe()
    }
    const typed = yield* Queue.unbounded<Uint8Array>()
    const mayPrint = yield* Latch.make(true)
    const ahead = { printed: 0, typed: 0 }
    let wanted = { columns: 0, rows: 0 }
    const resized = yield* Latch.make(false)
    let isInUse = true
    let isThere = true

    // Before anything is waited for, so that nothing that is said goes unheard.
    webSocket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) {
        isInUse = true
        ahead.typed += data.length
        if (ahead.typed > mostAhead.typed)
          end(`expected ${mostAhead.typed} bytes at most that are not taken yet`, codes.tooBig)
        else Queue.offerUnsafe(typed, data)
        return
      }
      const words = readPageWords(data.toString())
      if (words === undefined) end("expected taken, or columns and rows", codes.policy)
      else if ("taken" in words) {
        ahead.printed = Math.max(0, ahead.printed - words.taken)
        if (ahead.printed < mostAhead.printed) mayPrint.openUnsafe()
      } else {
        wanted = words
        resized.openUnsafe()
      }
    })
    webSocket.on("pong", () => {
      isThere = true
    })
    const looking = setInterval(() => {
      if (!isStillIn(isInUse)) end("whoever opened it is not signed in any more", codes.policy)
      else if (!isThere) webSocket.terminate()
      else webSocket.ping()
      isInUse = false
      isThere = false
    }, lookEveryMs)
    yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(looking)))

    const console = yield* opening
    const type = Effect.gen(function* () {
      while (true) {
        const part = yield* Queue.take(typed)
        yield* console.write(part)
        ahead.typed -= part.length
        say({ taken: part.length })
      }
    })
    const resize = Effect.gen(function* () {
      while (true) {
        yield* resized.await
        resized.closeUnsafe()
        yield* console.resize(wanted)
      }
    })
    const print = Effect.gen(function* () {
      while (true) {
        yield* mayPrint.await
        const part = yield* console.read
        if (part === undefined) break
        ahead.printed += part.length
        if (ahead.printed >= mostAhead.printed) mayPrint.closeUnsafe()
        webSocket.send(part)
      }
      const exitCode = yield* console.exitCode
      say({ ended: exitCode === undefined ? {} : { exitCode } })
      webSocket.close(codes.done)
    })
    yield* Effect.raceAllFirst([print, type, resize, over.await])
  }).pipe(
    Effect.catch(({ message }) =>
      Effect.sync(() => {
        webSocket.send(JSON.stringify({ problem: message } satisfies GatewayWords))
        webSocket.close(codes.done)
      })
    ),
    Effect.scoped
  )
