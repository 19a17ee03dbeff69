/**
 * `GET /dashboard/live`: the cluster as this manager knows it, as one stream of server-sent events. First everything
 * there is, then what has changed, several changes at a time and of each object its newest state only, so that who
 * reads slowly is sent less rather than remembered more. Whether there is a leader is said again and again: without one
 * this manager knows nothing new, and a stream that says nothing is dead.
 */
import type { Context } from "hono"
import { sessionCookies, sessionOf } from "#actors/gateway/access/admit.ts"
import type { Audit } from "#actors/gateway/access/audit.ts"
import type { Sessions } from "#actors/gateway/access/sessions.ts"
import { safe, sayNo } from "#actors/gateway/dashboard/answers.ts"
import type { EventFeed } from "#actors/gateway/event-feed.ts"
import { taskName } from "#actors/gateway/find.ts"
import { nodeText } from "#actors/gateway/shape/node.ts"
import { serviceText } from "#actors/gateway/shape/service.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import type { Node, Service, Task } from "#actors/model/objects.ts"

export interface LiveOptions {
  readonly ledger: () => LedgerService | undefined
  readonly feed: Pick<EventFeed, "past" | "follow">
  readonly audit: Pick<Audit, "recent" | "follow">
  readonly sessions: Sessions
  /** Ends streams when the gateway stops. */
  readonly stopping: AbortSignal
}

/** What of a task is drawn; its spec is its service's. */
const shownTask = (reader: LedgerReader, task: Task) => ({
  ID: task.ID,
  Name: taskName(reader, task).replace(`.${task.ID}`, ""),
  ServiceID: task.ServiceID,
  NodeID: task.NodeID ?? "",
  Slot: task.Slot ?? 0,
  State: task.Status.State,
  Desired: task.DesiredState,
  At: task.Status.Timestamp,
  Says: task.Status.Err || task.Status.Message || "",
  IsUnwell: Boolean(task.Status.Err),
  SpecVersion: task.SpecVersion,
  ...(task.Volumes !== undefined && { Volumes: task.Volumes.map(({ ID }) => ID) })
})

const shown = {
  node: (_: LedgerReader, node: Node): string => nodeText(node),
  service: (_: LedgerReader, service: Service): string => serviceText(service, {}),
  task: (reader: LedgerReader, task: Task): string => JSON.stringify(shownTask(reader, task))
}
type Shown = keyof typeof shown
const isShown = (kind: string): kind is Shown => kind in shown

/** Changes come in bursts; the eye wants ten pictures a second at most. In milliseconds. */
const pictureMs = 100
/** Pages take a stream for dead that has said nothing for two of these and more. */
const beatMs = 5_000
const eventsAtFirst = 200

export function live(context: Context, { ledger, feed, audit, sessions, stopping }: LiveOptions): Response {
  const source = ledger()
  if (source === undefined) return sayNo(context, "this node is no manager: ask one of the managers", 503)
  const { read } = source
  // Whoever came with a token has none.
  const cookie = context.req.header("authorization") === undefined ? context.req.header("cookie") : undefined
  const isStillIn = (): boolean =>
    sessionCookies(cookie).length === 0 || sessionOf(sessions.look, cookie) !== undefined
  let end = (): void => {}
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const encoder = new TextEncoder()
        const send = (event: string, json: string): void =>
          controller.enqueue(encoder.encode(`event: ${event}\ndata: ${json}\n\n`))
        const changed = new Map<string, { readonly kind: Shown; readonly id: string }>()
        let news: Array<string> = []

        const one = (kind: Shown, id: string): string | undefined => {
          const object = read.get(kind, id)
          return object === undefined ? undefined : shown[kind](read, object as never)
        }
        const all = (kind: Shown): string =>
          `[${[...read.all(kind)].map((object) => shown[kind](read, object as never)).join(",")}]`

        send("state", `{"node":${all("node")},"service":${all("service")},"task":${all("task")}}`)
        send("events", JSON.stringify(feed.past().slice(-eventsAtFirst)))
        send("audit", JSON.stringify(audit.recent().slice(-eventsAtFirst)))

        const picture = (): void => {
          // Whoever has not taken the last one yet gets a later one, with more in it.
          if ((controller.desiredSize ?? 0) <= 0 || (changed.size === 0 && news.length === 0)) return
          const parts = [...changed.values()].map(
            ({ kind, id }) =>
              `{"kind":"${kind}","id":${JSON.stringify(id)},"object":${one(kind, id) ?? "null"}}`
          )
          changed.clear()
          if (parts.length > 0) send("changes", `[${parts.join(",")}]`)
          if (news.length > 0) send("events", `[${news.slice(-eventsAtFirst).join(",")}]`)
          news = []
        }
        const follower = source.follow(({ changes }) => {
          for (const { kind, before, after } of changes) {
            const id = (after ?? before)?.ID
            if (isShown(kind) && id !== undefined) changed.set(`${kind} ${id}`, { kind, id })
          }
        })
        const events = feed.follow((event) => {
          news.push(JSON.stringify(event))
          if (news.length > 2 * eventsAtFirst) news = news.slice(-eventsAtFirst)
        })
        const noted = audit.follow((line) => {
          if ((controller.desiredSize ?? 0) > 0) send("audit", JSON.stringify([line]))
        })
        const standing = (): void => {
          const now = source.leadership()
          send("standing", `{"hasLeader":${now._tag === "Leading" || now.leader !== undefined}}`)
        }
        const close = (): void => {
          end()
          controller.close()
        }
        const leadership = source.onLeadership(standing)
        const pictures = setInterval(picture, pictureMs)
        // A node that is made a worker, or a manager anew, has another ledger or none.
        const isGood = (): boolean => ledger() === source && isStillIn()
        const beats = setInterval(() => (isGood() ? standing() : close()), beatMs)
        end = () => {
          clearInterval(pictures)
          clearInterval(beats)
          leadership.unsubscribe()
          follower.unsubscribe()
          events.unsubscribe()
          noted.unsubscribe()
          stopping.removeEventListener("abort", close)
        }
        stopping.addEventListener("abort", close)
      },
      cancel: () => end()
    },
    // In chunks: a few pictures may wait for a slow reader.
    { highWaterMark: 8 }
  )
  return new Response(stream, { headers: { ...safe, "Content-Type": "text/event-stream; charset=utf-8" } })
}
