/**
 * One stream of `GET /events`: the Engine's lines as they are, and the cluster's own among them.
 *
 * It outlives the Engine: when that goes away the stream stays, goes on with ours alone, and joins the Engine's
 * again from where it broke off. It outlives the lives of the node, too, and has the cluster's events of each in which the
 * node is a manager.
 */
import type { IncomingMessage } from "node:http"
import { Effect, Exit, Scope } from "effect"
import type { EngineLink } from "#actors/gateway/engine-client-live.ts"
import type { EventFeed } from "#actors/gateway/event-feed.ts"
import type { EngineEvent } from "#actors/gateway/events.ts"
import type { HiddenNetworks } from "#actors/gateway/hidden-networks.ts"
import { matchEvent } from "#actors/gateway/match-event.ts"
import type { EventQuery } from "#actors/gateway/parse-events.ts"

export interface MergeOptions {
  readonly link: EngineLink
  readonly feed: EventFeed
  /** Our events of before, oldest first, where the query asks for some; nothing may happen between this and the start. */
  readonly past: ReadonlyArray<EngineEvent>
  readonly hidden: HiddenNetworks
  readonly query: EventQuery
  /** The request's own path and query, which the Engine is asked with. */
  readonly url: string
  /** The Engine's answer to that, when it gave one already. */
  readonly first: { readonly incoming: IncomingMessage; readonly scope: Scope.Closeable } | undefined
  readonly clock: () => number
  /** Ends every stream. */
  readonly closing: AbortSignal
}

// Replayed events of both sides are put in order; this long without another of the Engine's, and its past is over.
const pastIsOverMs = 100
// What a client may leave unread before it is cut off; events are some hundred bytes.
const mostUnread = 10_000

const encoder = new TextEncoder()

/** Newline-separated JSON until the time asked for, the client or the daemon ends it. */
export function mergeEvents(options: MergeOptions): ReadableStream<Uint8Array> {
  let stop = (): void => {}
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        stop = run(options, controller)
      },
      cancel: () => stop()
    },
    { highWaterMark: mostUnread }
  )
}

function run(options: MergeOptions, controller: ReadableStreamDefaultController<Uint8Array>): () => void {
  const { query, feed, link } = options
  let ended = false
  const undo: Array<() => void> = []
  const stop = (): void => {
    if (ended) return
    ended = true
    for (const each of undo) each()
  }
  const end = (): void => {
    if (ended) return
    stop()
    controller.close()
  }
  const send = (line: string): void => {
    if (ended) return
    if ((controller.desiredSize ?? 0) <= 0) {
      stop()
      controller.error(new Error("the client does not read its events"))
      return
    }
    controller.enqueue(encoder.encode(`${line}\n`))
  }

  // Ours from the past, until the Engine's past has gone by.
  const waiting: Array<EngineEvent> = replayed(options.past, query)
  const flush = (upToNano: number): void => {
    while (waiting[0] !== undefined && waiting[0].timeNano <= upToNano) {
      send(JSON.stringify(waiting.shift()))
    }
  }
  let inPast = true
  let quiet: ReturnType<typeof setTimeout> | undefined
  const pastIsOver = (): void => {
    inPast = false
    flush(Number.POSITIVE_INFINITY)
  }
  const restartQuiet = (): void => {
    clearTimeout(quiet)
    if (inPast) quiet = setTimeout(pastIsOver, pastIsOverMs)
  }
  undo.push(() => clearTimeout(quiet))

  const onlyPast = query.untilMs !== undefined && query.untilMs < options.clock()
  if (!onlyPast) {
    const followed = feed.follow((event) => {
      if (!matchEvent(event, query.filters)) return
      if (inPast) waiting.push(event)
      else send(JSON.stringify(event))
    })
    undo.push(followed.unsubscribe)
    if (query.untilMs !== undefined) {
      // setTimeout's own limit; nobody waits for more than 24 days.
      const ms = Math.min(query.untilMs - options.clock(), 2 ** 31 - 1)
      const timer = setTimeout(() => {
        pastIsOver()
        end()
      }, ms)
      undo.push(() => clearTimeout(timer))
    }
  }
  const stopped = (): void => end()
  options.closing.addEventListener("abort", stopped)
  undo.push(() => options.closing.removeEventListener("abort", stopped))

  let lastNano = 0
  const onLine = async (line: string): Promise<void> => {
    const event = parse(line)
    if (event !== undefined) {
      lastNano = Math.max(lastNano, event.timeNano)
      if (event.Type === "network" && (await options.hidden.isHidden(event))) return
      if (inPast) flush(event.timeNano)
    }
    send(line)
  }
  // One line after the other, also where one must be looked up.
  let turn: Promise<void> = Promise.resolve()
  const read = (incoming: IncomingMessage, over: () => void): void => {
    let rest = ""
    incoming.setEncoding("utf8")
    incoming.on("data", (text: string) => {
      restartQuiet()
      const lines = (rest + text).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) if (line !== "") turn = turn.then(() => onLine(line))
    })
    let told = false
    const ended = (): void => {
      if (told) return
      told = true
      turn = turn.then(over)
    }
    incoming.on("end", ended)
    incoming.on("close", ended)
    incoming.on("error", ended)
    incoming.on("aborted", ended)
    restartQuiet()
  }

  const join = (joined: NonNullable<MergeOptions["first"]>): void => {
    const leave = (): void => {
      Effect.runFork(Scope.close(joined.scope, Exit.void))
    }
    undo.push(leave)
    read(joined.incoming, () => {
      undo.splice(undo.indexOf(leave), 1)
      leave()
      if (onlyPast) {
        pastIsOver()
        end()
      } else if (!ended) rejoin()
    })
  }
  /** When the Engine is back: its events after the last one that we passed on. */
  const rejoin = (): void => {
    let cancelled = false
    const attempt = (): void => {
      heard.unsubscribe()
      Effect.runCallback(openEvents(link, resumedUrl(options.url, lastNano)), {
        onExit: (exit) => {
          if (Exit.isFailure(exit)) {
            if (!cancelled && !ended) rejoin()
          } else if (cancelled || ended) Effect.runFork(Scope.close(exit.value.scope, Exit.void))
          else join(exit.value)
        }
      })
    }
    const heard = link.onConnected(attempt)
    undo.push(() => {
      cancelled = true
      heard.unsubscribe()
    })
    // It may be back already: whoever learns of the break last must not miss the news.
    if (link.isConnected()) setTimeout(() => link.isConnected() && !cancelled && attempt(), pastIsOverMs)
  }

  if (options.first !== undefined) join(options.first)
  else {
    pastIsOver()
    if (onlyPast) end()
    else rejoin()
  }
  return stop
}

function replayed(
  past: ReadonlyArray<EngineEvent>,
  { sinceMs, untilMs, filters }: EventQuery
): Array<EngineEvent> {
  return past.filter((event) => {
    const ms = event.timeNano / 1_000_000
    return ms >= (sinceMs ?? 0) && ms <= (untilMs ?? Number.POSITIVE_INFINITY) && matchEvent(event, filters)
  })
}

/** The Engine's answer to a request for events, in a scope of its own. */
export const openEvents = Effect.fnUntraced(function* (link: EngineLink, url: string) {
  const scope = yield* Scope.make()
  const incoming = yield* link.open(url).pipe(
    Scope.provide(scope),
    Effect.onError(() => Scope.close(scope, Exit.void))
  )
  return { incoming, scope }
})

function resumedUrl(url: string, lastNano: number): string {
  const at = url.indexOf("?")
  const query = new URLSearchParams(at === -1 ? "" : url.slice(at + 1))
  if (lastNano === 0) query.delete("since")
  else {
    // Nanoseconds beyond what a number holds: the next millisecond may repeat nothing and lose next to nothing.
    const ms = Math.floor(lastNano / 1_000_000) + 1
    query.set("since", `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, "0")}`)
  }
  const text = query.toString()
  return (at === -1 ? url : url.slice(0, at)) + (text === "" ? "" : `?${text}`)
}

export interface EngineLine {
  readonly Type: string
  readonly Action: string
  readonly id: string
  readonly timeNano: number
}

function parse(line: string): EngineLine | undefined {
  try {
    const event = JSON.parse(line) as {
      readonly Type?: string
      readonly Action?: string
      readonly Actor?: { readonly ID?: string }
      readonly timeNano?: number
    }
    return {
      Type: event.Type ?? "",
      Action: event.Action ?? "",
      id: event.Actor?.ID ?? "",
      timeNano: event.timeNano ?? 0
    }
  } catch {
    return undefined
  }
}
