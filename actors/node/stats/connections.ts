/** From what a node's counters say, again and again, to how many connections each endpoint of a service was asked for. */
import type { Endpoint, Led } from "#actors/drivers/led.ts"
import {
  type ConnectionFigures,
  type EndpointFigures,
  portColumns,
  vipColumns
} from "#actors/meter/figures.ts"

interface Counted {
  readonly at: number
  readonly led: Led
}

export interface Tally {
  /** What each of those who count said last. */
  readonly said: ReadonlyMap<string, Counted>
  /** Of all endpoints that counters stand for now; `total` is since this began, or since the endpoint did. */
  readonly endpoints: ReadonlyMap<string, EndpointFigures>
}

export const emptyTally: Tally = { said: new Map(), endpoints: new Map() }

const keyOf = (endpoint: Endpoint): string =>
  endpoint._tag === "Port"
    ? `${endpoint.serviceId} ${endpoint.mode ?? "ingress"} ${endpoint.protocol}/${endpoint.publishedPort}`
    : `${endpoint.serviceId} ${endpoint.networkId}`

/** `read` is by who counts; of one who could not be asked nothing is known, and what it says next is since it said something. */
export function countOn(tally: Tally, read: ReadonlyMap<string, Led>, at: number): Tally {
  const said = new Map(tally.said)
  for (const [who, led] of read) said.set(who, { at, led })
  const endpoints = new Map<string, EndpointFigures>()
  const add = (endpoint: Endpoint, count: number, rate: number): void => {
    const key = keyOf(endpoint)
    const before = endpoints.get(key)
    const total = before?.total ?? tally.endpoints.get(key)?.total ?? 0
    endpoints.set(key, { endpoint, rate: (before?.rate ?? 0) + rate, total: total + count })
  }
  for (const [who, { led }] of said) {
    const earlier = tally.said.get(who)
    const seconds = earlier === undefined ? 0 : (at - earlier.at) / 1_000
    for (const [counter, endpoint] of led.endpoints) {
      const [now, before] = [led.counts.get(counter) ?? 0, earlier?.led.counts.get(counter) ?? 0]
      // What was counted anew, since it began again, is all there is.
      const count = seconds <= 0 ? 0 : now < before ? now : now - before
      add(endpoint, count, seconds <= 0 ? 0 : count / seconds)
    }
  }
  return { said, endpoints }
}

/** Nothing where nobody was ever asked for. */
export function connectionFigures({ endpoints }: Tally): ConnectionFigures | undefined {
  const asked = [...endpoints.values()].filter(({ total }) => total > 0)
  if (asked.length === 0) return undefined
  const rounded = (value: number): number => Math.round(value * 1_000) / 1_000
  const ports = asked.flatMap(({ endpoint, rate, total }) =>
    endpoint._tag === "Port"
      ? [
          [
            endpoint.serviceId,
            endpoint.mode ?? "ingress",
            endpoint.protocol,
            endpoint.publishedPort,
            rounded(rate),
            total
          ]
        ]
      : []
  )
  const vips = asked.flatMap(({ endpoint, rate, total }) =>
    endpoint._tag === "VirtualIp" ? [[endpoint.serviceId, endpoint.networkId, rounded(rate), total]] : []
  )
  return { ports: { columns: portColumns, rows: ports }, vips: { columns: vipColumns, rows: vips } }
}
