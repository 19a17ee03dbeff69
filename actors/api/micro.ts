/**
 * A NATS micro service, so that `nats micro ls`, `info` and `stats` find us: endpoints that answer requests, and
 * the answers to $SRV.PING, INFO and STATS. The protocol is NATS ADR-32,
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md
 */
import type { Delivery, Headers, Subscription, TransportService } from "#runtime/transport.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** What an endpoint answers. With `problem` it counts as an error and carries the protocol's error headers. */
export interface MicroAnswer {
  readonly body: string
  readonly problem?: { readonly code: number; readonly message: string }
}

export interface MicroEndpoint {
  /** Letters, digits, dashes and underscores. */
  readonly name: string
  readonly subject: string
  /** Where it answers besides; it says so in the endpoint's metadata. */
  readonly also?: string
  readonly handle: (
    body: string,
    headers: Headers,
    /** The one it was asked at. */
    subject: string
  ) => MicroAnswer | Promise<MicroAnswer>
}

export interface MicroService {
  readonly name: string
  /** Tells the instances of one service apart. */
  readonly id: string
  /** Semantic version. */
  readonly version: string
  readonly description: string
  readonly metadata: Readonly<Record<string, string>>
  readonly endpoints: ReadonlyArray<MicroEndpoint>
}

interface Clocks {
  /** RFC 3339. */
  readonly started: string
  /** Milliseconds that never jump. */
  readonly monotonic: () => number
}

/** One instance of the service answers each request; the protocol's usual name for that. */
const queueGroup = "q"
/** Requests in progress; beyond that a request is refused at once rather than kept waiting behind all others. */
const mostAtOnce = 512

interface Counters {
  requests: number
  errors: number
  lastError: string
  processingNanos: number
}

/** Serves until it is stopped. */
export function serveMicro(
  transport: TransportService,
  service: MicroService,
  clocks: Clocks
): { readonly stop: () => void } {
  const { name, id, version, description, metadata, endpoints } = service
  const counters = new Map<MicroEndpoint, Counters>()
  const counted = (endpoint: MicroEndpoint): Counters => {
    const known = counters.get(endpoint)
    if (known !== undefined) return known
    const fresh = { requests: 0, errors: 0, lastError: "", processingNanos: 0 }
    counters.set(endpoint, fresh)
    return fresh
  }
  let underWay = 0

  const take = async (endpoint: MicroEndpoint, delivery: Delivery): Promise<void> => {
    const counter = counted(endpoint)
    const since = clocks.monotonic()
    counter.requests += 1
    underWay += 1
    const answer =
      underWay > mostAtOnce
        ? failing(503, `Too many requests at once: more than ${mostAtOnce} are under way, try again`)
        : await settle(endpoint, delivery)
    underWay -= 1
    counter.processingNanos += Math.round((clocks.monotonic() - since) * 1e6)
    const problem = respond(delivery, answer, transport.maxPayload())
    if (problem !== undefined) {
      counter.errors += 1
      counter.lastError = problem
    }
  }

  const identity = { name, id, version, metadata }
  const described = (endpoint: MicroEndpoint) => ({
    name: endpoint.name,
    subject: endpoint.subject,
    queue_group: queueGroup
  })
  const verbs: Readonly<Record<string, () => unknown>> = {
    PING: () => ({ type: "io.nats.micro.v1.ping_response", ...identity }),
    INFO: () => ({
      type: "io.nats.micro.v1.info_response",
      ...identity,
      description,
      endpoints: endpoints.map((endpoint) => ({
        ...described(endpoint),
        metadata: endpoint.also === undefined ? {} : { also: endpoint.also }
      }))
    }),
    STATS: () => ({
      type: "io.nats.micro.v1.stats_response",
      ...identity,
      started: clocks.started,
      endpoints: endpoints.map((endpoint) => {
        const { requests, errors, lastError, processingNanos } = counted(endpoint)
        return {
          ...described(endpoint),
          num_requests: requests,
          num_errors: errors,
          last_error: lastError,
          processing_time: processingNanos,
          average_processing_time: requests === 0 ? 0 : Math.round(processingNanos / requests)
        }
      })
    })
  }

  const subscriptions: Array<Subscription> = []
  for (const verb in verbs) {
    const tell = ({ respond: answer }: Delivery): void =>
      quietly(() => answer?.({}, encode(JSON.stringify(verbs[verb]?.()))))
    for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${id}`]) {
      subscriptions.push(transport.subscribe(subject, {}, tell))
    }
  }
  for (const endpoint of endpoints) {
    for (const subject of [endpoint.subject, ...(endpoint.also === undefined ? [] : [endpoint.also])]) {
      subscriptions.push(
        transport.subscribe(subject, { queue: queueGroup }, (delivery) => void take(endpoint, delivery))
      )
    }
  }
  return {
    stop: () => {
      for (const subscription of subscriptions) subscription.unsubscribe()
    }
  }
}

/** A refusal in the shape that the HTTP API's errors have, and their status beside it. */
export const failing = (code: number, message: string): MicroAnswer => ({
  body: JSON.stringify({ message, status: code }),
  problem: { code, message }
})

async function settle(endpoint: MicroEndpoint, delivery: Delivery): Promise<MicroAnswer> {
  try {
    return await endpoint.handle(new TextDecoder().decode(delivery.body), delivery.headers, delivery.subject)
  } catch (defect) {
    return failing(500, `internal error: ${wordsOf(defect)}`)
  }
}

/** Sends the answer. Yields what went wrong, with the request or with its answer. */
function respond(delivery: Delivery, answer: MicroAnswer, maxPayload: number): string | undefined {
  const body = encode(answer.body)
  const sent = body.length <= maxPayload - headroomBytes ? answer : tooLarge(body.length, maxPayload)
  quietly(() => delivery.respond?.(headersOf(sent), sent === answer ? body : encode(sent.body)))
  return sent.problem?.message
}

/** Room for the headers of an answer, which count as payload. */
const headroomBytes = 4_096

const tooLarge = (bytes: number, maxPayload: number): MicroAnswer =>
  failing(
    413,
    `The answer has ${bytes} bytes, and one message carries at most ${maxPayload}: ask for less with "filters", or in parts with "limit" and "after"`
  )

const longestHeader = 1_024

function headersOf({ problem }: MicroAnswer): Headers {
  if (problem === undefined) return {}
  return {
    // A header is one line of plain characters; the body has the whole text.
    "Nats-Service-Error": problem.message.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, longestHeader),
    "Nats-Service-Error-Code": String(problem.code)
  }
}

/** While NATS is away nobody can be answered; whoever asked is told by its own time-out. */
function quietly(send: () => void): void {
  try {
    send()
  } catch {
    // Nothing is kept for later: the asker is gone by then.
  }
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
