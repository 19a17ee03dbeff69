/**
 * `GET /history` and `GET /history/NAME`: what happened to every object, or to one, who asked for it and why. Not the
 * Engine's API. With `follow=1` a stream of server-sent events, each with its sequence as its id, which is what a
 * follower that was cut off goes on from.
 */
import { Cause, Effect, Exit } from "effect"
import { find } from "#actors/gateway/find.ts"
import { current, type Gateway, noManager, orRefuse } from "#actors/gateway/gateway.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { splitVersion } from "#actors/gateway/negotiate.ts"
import { type ChangesQuery, historyKinds, parseChanges } from "#actors/gateway/parse-changes.ts"
import { type Answer, isRefusal, okText, problem, refused, toResponse } from "#actors/gateway/response.ts"
import { comparePlaces, type Place, showPlace } from "#actors/history/describe.ts"
import {
  type Found,
  type HistoryKind,
  type Journal,
  type Kept,
  pastEntry,
  type Selection
} from "#actors/history/journal.ts"
import type { HistoryKeeper } from "#actors/history/keeper.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, type Refused, refuse } from "#actors/model/errors.ts"

export interface ChangeRoutesOptions {
  readonly gateway: Gateway
  /** `undefined` as long as this node is no manager. */
  readonly changes: () => HistoryKeeper | undefined
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
  /** Ends streams when the gateway stops. */
  readonly stopping: AbortSignal
}

const pattern = /^\/history(?:\/([^/]+))?$/
/** Proxies and sleeping laptops: a stream that says nothing is taken for dead. */
const beatMs = 15_000
const atOnce = 200

export function changeRoutes({ gateway, changes, headers, stopping }: ChangeRoutesOptions): RouteSet {
  const answer = Effect.fnUntraced(function* (request: Request): Effect.fn.Return<Response, Refused> {
    const url = new URL(request.url)
    const name = pattern.exec(splitVersion(url.pathname).path)?.[1]
    const reader = yield* current(gateway)
    const kept = changes()
    if (kept === undefined) return yield* noManager(gateway)
    const lastSeen = request.headers.get("Last-Event-ID") ?? undefined
    const query = yield* orRefuse(parseChanges(url.searchParams, lastSeen, gateway.clock()))
    yield* kept.earlier
    const named =
      name === undefined
        ? undefined
        : yield* orRefuse(resolve(reader, kept.journal, decodeURIComponent(name), query.kind))
    const selection = selectionOf(named, query)
    if (query.after !== undefined) {
      if (comparePlaces(query.after, pastEntry(reader.index)) > 0)
        return toResponse(ahead(query.after), headers())
      const found = kept.journal.from(query.after, selection, query.limit)
      if ("after" in found) return toResponse(lost(query.after, found.after), headers())
    }
    if (query.follow) {
      const headed = {
        ...headers(),
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store"
      }
      return new Response(follow(kept.journal, selection, query, stopping), { headers: headed })
    }
    return toResponse(okText(listed(kept.journal, named, selection, query)), headers())
  })
  return {
    owns: (method, path) => method === "GET" && pattern.test(path),
    fetch: async (request) => {
      const exit = await Effect.runPromiseExit(
        answer(request).pipe(
          Effect.catch(({ refusal }) => Effect.succeed(toResponse(refused(refusal), headers())))
        )
      )
      return Exit.isSuccess(exit) ? exit.value : toResponse(problem(500, Cause.pretty(exit.cause)), headers())
    }
  }
}

const lost = (asked: Place, after: Place): Answer =>
  problem(
    410,
    `Changes after ${showPlace(asked)} are no longer kept: ask without after, and go on from Newest; all after ${showPlace(after)} is there`
  )

/** As of another life of the cluster, whose log went further. */
const ahead = (asked: Place): Answer =>
  problem(
    410,
    `There is no change ${showPlace(asked)} yet, the cluster was begun anew: ask without after, and go on from Newest`
  )

/** The object that is meant, and others that were called so before. */
interface Named {
  readonly kind: HistoryKind
  readonly id: string
  readonly name: string
  readonly isGone: boolean
  readonly earlier: ReadonlyArray<string>
}

/** What there is goes before what there was. */
function resolve(reader: LedgerReader, journal: Journal, input: string, kind?: HistoryKind): Named | Refusal {
  const living: Array<Pick<Named, "kind" | "id" | "name">> = []
  for (const one of historyKinds) {
    if (one === "cluster" || (kind !== undefined && one !== kind)) continue
    const found = find(reader, one, input)
    if (!isRefusal(found)) living.push({ kind: one, id: found.ID, name: input })
    else if (found.code !== "notFound") return found
  }
  const known = journal.find(input, kind)
  const candidates = living.length > 0 ? living : known
  const [first] = candidates
  if (first === undefined) {
    const what = kind ?? "object"
    return refuse("notFound", `no ${what} is or was called ${input}, as far back as the history goes`)
  }
  const kinds = new Set(candidates.map((one) => one.kind))
  if (kinds.size > 1) {
    return refuse(
      "invalidArgument",
      `${input} means a ${[...kinds].join(" and a ")}: expected kind= to say which`
    )
  }
  const earlier = known.filter((one) => one.kind === first.kind && one.id !== first.id)
  return {
    ...first,
    name: journal.find(first.id)[0]?.name ?? first.name,
    isGone: living.length === 0,
    earlier: earlier.map(({ id }) => id)
  }
}

function selectionOf(named: Named | undefined, { kind, tasks, sinceMs, untilMs }: ChangesQuery): Selection {
  const within = {
    ...(sinceMs !== undefined && { sinceMs }),
    ...(untilMs !== undefined && { untilMs })
  }
  if (named === undefined) return { ...within, ...(kind !== undefined && { kinds: new Set([kind]) }) }
  return { ...within, id: named.id, kinds: new Set(tasks ? [named.kind, "task"] : [named.kind]) }
}

function listed(
  journal: Journal,
  named: Named | undefined,
  selection: Selection,
  { after, limit }: ChangesQuery
): string {
  const { changes, more } =
    after === undefined
      ? journal.newestOf(selection, limit)
      : (journal.from(after, selection, limit) as Found)
  const about = named && {
    Object: { Kind: named.kind, ID: named.id, Name: named.name, Gone: named.isGone },
    Earlier: named.earlier
  }
  const rest = {
    ...about,
    /** Of a list that was cut, the place to go on from. */
    Newest: showPlace((more && after !== undefined ? changes.at(-1)?.place : undefined) ?? journal.newest),
    After: showPlace(journal.after(selection)),
    More: more
  }
  return `{"Changes":[${changes.map(({ text }) => text).join(",")}],${JSON.stringify(rest).slice(1)}`
}

/** Reads on from its place whenever the client has taken what it was sent: nobody is remembered more for. */
function follow(
  journal: Journal,
  selection: Selection,
  { after, limit }: ChangesQuery,
  stopping: AbortSignal
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const encode = ({ place, text }: Kept): string => `id: ${showPlace(place)}\ndata: ${text}\n\n`
  let place = after ?? journal.newest
  let wake = (): void => {}
  let end = (): void => {}
  let isOver = false
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const followed = journal.follow(() => wake())
      const beats = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(": on\n\n"))
      }, beatMs)
      const close = (): void => {
        end()
        controller.close()
      }
      end = () => {
        isOver = true
        followed.unsubscribe()
        clearInterval(beats)
        stopping.removeEventListener("abort", close)
        wake()
      }
      stopping.addEventListener("abort", close)
      // Without a place, what was last goes before what comes.
      const past = after === undefined ? journal.newestOf(selection, limit).changes.map(encode).join("") : ""
      controller.enqueue(encoder.encode(`: on\n\n${past}`))
    },
    async pull(controller) {
      while (!isOver) {
        const found = journal.from(place, selection, atOnce)
        if ("after" in found) {
          const after = JSON.stringify({ After: showPlace(found.after) })
          controller.enqueue(encoder.encode(`event: lost\ndata: ${after}\n\n`))
          end()
          controller.close()
          return
        }
        place = (found.more ? found.changes.at(-1)?.place : undefined) ?? journal.newest
        if (found.changes.length > 0) {
          controller.enqueue(encoder.encode(found.changes.map(encode).join("")))
          return
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    cancel: () => end()
  })
}
