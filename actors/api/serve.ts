/**
 * The cluster for other systems, over NATS: requests under `troupe.api.v1` answered by the HTTP API's own application
 * in process, and every change of state announced under `troupe.event.v1`.
 */
import { Effect, Schema, type Scope } from "effect"
import { describe } from "#actors/api/describe.ts"
import { EventRing } from "#actors/api/event-ring.ts"
import { type ClusterEvent, eventSubject, Sequence } from "#actors/api/events.ts"
import { failing, type MicroAnswer, type MicroEndpoint, serveMicro } from "#actors/api/micro.ts"
import { apiSubject, apiSubjectOf, askerOf } from "#actors/api/subjects.ts"
import { endpoints, paginate, readBody, type Translation } from "#actors/api/translate.ts"
import { refuseUntil } from "#actors/ledger/features.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { noLeader, plainWords } from "#actors/model/errors.ts"
import { toIso } from "#actors/model/time.ts"
import { isToken } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import type { Host } from "#runtime/host.ts"
import type { Headers, TransportService } from "#runtime/transport.ts"

export interface ApiOptions {
  /** Best a connection of its own, with `NatsServer.apiCredentials`: it answers where its clients tell it to. */
  readonly transport: TransportService
  readonly ledger: LedgerService
  /** The cluster's token in subjects. */
  readonly cluster: string
  readonly nodeId: string
  /** Of this program, semantic. */
  readonly version: string
  /** The HTTP API's application; `askerIn` says who asks. */
  readonly fetch: (request: Request) => Response | Promise<Response>
  /** Whether nats-server lets a client ask on no other's subjects; without, nobody knows who asks. */
  readonly named: boolean
  readonly host: Host
  /** Told of every change that was asked for, once it was answered. */
  readonly note?: (change: AskedChange) => void
  /** How many events are kept for those who missed some. */
  readonly keptEvents?: number
}

/** A change that was asked for over NATS, as the HTTP request that is the same. */
export interface AskedChange {
  /** ISO 8601. */
  readonly at: string
  /** See `askerIn`. */
  readonly who: string
  readonly method: string
  readonly path: string
  readonly status: number
}

const serviceName = "troupe"
const usuallyKept = 16_384
const mostEventsAtOnce = 1_000
/** What one answer with events may take, so that it passes in one message. */
const eventBytes = 768 * 1_024
const usualEvents = 500

/** Answers and announces until the scope closes. */
export const serveApi = Effect.fn("api.serve")(function* (
  options: ApiOptions
): Effect.fn.Return<void, never, Scope.Scope> {
  const { transport, ledger, host } = options
  assert(isToken(options.cluster) && isToken(options.nodeId), "cluster and node are tokens of subjects")
  const ring = new EventRing(options.keptEvents ?? usuallyKept, ledger.read.index)
  yield* Effect.acquireRelease(
    Effect.sync(() => announce(options, ring)),
    ({ stop }) => Effect.sync(stop)
  )
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      serveMicro(
        transport,
        {
          name: serviceName,
          id: options.nodeId,
          version: options.version,
          description: "Services, tasks, nodes and events of this cluster, with the Docker API's bodies",
          metadata: { cluster: options.cluster },
          endpoints: [
            ...endpoints.map((endpoint) => httpEndpoint(options, endpoint)),
            eventEndpoint(ring, ledger)
          ].map((endpoint) => (options.named ? alsoByName(ledger, endpoint) : endpoint))
        },
        { started: toIso(host.now()), monotonic: () => host.monotonic() }
      )
    ),
    ({ stop }) => Effect.sync(stop)
  )
})

/** What a client asks on its own subject counts once no manager's nats-server lets another ask there. */
const alsoByName = ({ read }: LedgerService, endpoint: MicroEndpoint): MicroEndpoint => ({
  ...endpoint,
  also: endpoint.subject.replace(apiSubject, apiSubjectOf("*")),
  handle: (body, headers, subject) => {
    const asker = askerOf(subject)
    const refusal =
      asker && refuseUntil(read, "nats clients by name", `Cannot answer on ${apiSubjectOf(asker)}`)
    return refusal ? failing(503, plainWords(refusal)) : endpoint.handle(body, headers, subject)
  }
})

/** Who makes a request, for the log; nothing that came over NATS writes it. */
const askerHeader = "Troupe-Client"

/** Who asks: `nats:` and the client's name, or `nats` where it asked on everybody's subject. */
export const askerIn = ({ headers }: Request): string => {
  const client = headers.get(askerHeader)
  return client === null ? "nats" : `nats:${client}`
}

const httpEndpoint = (
  { fetch, host, note = () => {} }: ApiOptions,
  { resource, verb, translate }: (typeof endpoints)[number]
): MicroEndpoint => ({
  name: `${resource}-${verb}`,
  subject: `${apiSubject}.${resource}.${verb}`,
  handle: async (body, headers, subject) => {
    const translation = translate(body)
    if ("mistake" in translation) return failing(400, `Cannot ${verb} ${resource}: ${translation.mistake}`)
    const request = requestOf(translation, headers, askerOf(subject))
    const response = await fetch(request)
    const { method, url } = request
    const { status } = response
    if (method !== "GET")
      note({ at: toIso(host.now()), who: askerIn(request), method, path: new URL(url).pathname, status })
    return answerOf(response, translation)
  }
})

function requestOf(
  { method, path, body }: Translation,
  headers: Headers,
  asker: string | undefined
): Request {
  const auth = Object.entries(headers).find(([name]) => name.toLowerCase() === "x-registry-auth")?.[1]
  return new Request(`http://troupe${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(asker === undefined ? {} : { [askerHeader]: asker }),
      ...(auth === undefined ? {} : { "X-Registry-Auth": auth }),
      ...(headers.traceparent === undefined ? {} : { traceparent: headers.traceparent })
    },
    ...(body === undefined ? {} : { body })
  })
}

const Problem = Schema.Struct({ message: Schema.String })

async function answerOf(response: Response, { page }: Translation): Promise<MicroAnswer> {
  const text = await response.text()
  if (!response.ok) {
    const problem = Schema.decodeUnknownResult(Schema.fromJsonString(Problem))(text)
    return failing(response.status, problem._tag === "Success" ? problem.success.message : text)
  }
  // What has no body over HTTP is an empty object here, so that every answer is JSON.
  if (text === "") return { body: "{}" }
  if (page === undefined || (page.after === undefined && page.limit === undefined)) return { body: text }
  return { body: JSON.stringify(paginate(JSON.parse(text), page)) }
}

const Catching = Schema.Struct({
  after: Schema.optionalKey(Sequence),
  limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostEventsAtOnce })))
})

/** What was announced before is to be in the answer: who asks may have heard it, and be told by a manager that has not. */
const caughtUp = ({ readIndex }: LedgerService): Promise<boolean> =>
  Effect.runPromise(
    readIndex.pipe(
      Effect.timeout("1 second"),
      Effect.as(true),
      Effect.catch(() => Effect.succeed(false))
    )
  )

/** Events after a place in the stream; without one, where the stream stands now. */
const eventEndpoint = (ring: EventRing, ledger: LedgerService): MicroEndpoint => ({
  name: "event-list",
  subject: `${apiSubject}.event.list`,
  handle: async (raw) => {
    const asked = readBody(Catching, raw)
    if ("mistake" in asked) return failing(400, `Cannot list event: ${asked.mistake}`)
    if (!(await caughtUp(ledger))) return failing(503, noLeader.message)
    const { after, limit = usualEvents } = asked.body
    if (after === undefined) return { body: JSON.stringify({ events: [], newest: ring.newest, more: false }) }
    if (after.index > ledger.read.index) {
      return failing(
        410,
        `There is no event ${after.index}.${after.position} yet: the cluster was begun anew; list what you need and follow from the newest`
      )
    }
    const caught = ring.after(after, limit)
    if (caught._tag === "Lost") {
      return failing(
        410,
        `Events after ${after.index}.${after.position} are no longer kept: list what you need and follow from the newest`
      )
    }
    const texts: Array<string> = []
    let bytes = 0
    for (const event of caught.events) {
      const text = JSON.stringify(event)
      bytes += text.length
      if (bytes > eventBytes && texts.length > 0) break
      texts.push(text)
    }
    const more = caught.more || texts.length < caught.events.length
    return { body: `{"events":[${texts.join(",")}],"newest":${JSON.stringify(ring.newest)},"more":${more}}` }
  }
})

/**
 * Keeps every change, and publishes it while this manager leads, in turns of their own: what follows the ledger is
 * not to hold it up, nor the answer to who wrote. What cannot be published is in the ring, and the gap is seen by its subscribers.
 */
function announce(options: ApiOptions, ring: EventRing): { readonly stop: () => void } {
  const { ledger, transport, cluster, host } = options
  let waiting: Array<ClusterEvent> = []
  const flush = (): void => {
    const events = waiting
    waiting = []
    for (const event of events) {
      try {
        transport.publish(eventSubject(cluster, event), {}, new TextEncoder().encode(JSON.stringify(event)))
      } catch {
        // NATS is away: nobody listens either.
        return
      }
    }
  }
  const following = ledger.follow((changes) => {
    const leads = ledger.leadership()._tag === "Leading"
    for (const event of describe(changes, ring.newest)) {
      ring.add(event)
      if (!leads) continue
      if (waiting.length === 0) host.after(0, flush)
      waiting.push(event)
    }
  })
  return { stop: () => following.unsubscribe() }
}
