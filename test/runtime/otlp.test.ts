/** What a collector gets, by OTLP over HTTP in JSON. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import http from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Exit, Scope } from "effect"
import { readTraceparent } from "#runtime/envelope.ts"
import type { Family } from "#runtime/openmetrics.ts"
import { exportOtlp } from "#runtime/otlp.ts"
import { toOtlp } from "#runtime/otlp-metrics.ts"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

const received: Array<{ readonly path: string; readonly body: unknown }> = []
const collector = http.createServer((request, response) => {
  let text = ""
  request.on("data", (part) => {
    text += part
  })
  request.on("end", () => {
    received.push({ path: request.url ?? "", body: JSON.parse(text) })
    response.end("{}")
  })
})
let endpoint = ""
beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve))
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
})
afterAll(() => void collector.close())

const families: ReadonlyArray<Family> = [
  { name: "troupe_handled", help: "h", type: "counter", samples: [{ labels: { kind: "node" }, value: 7 }] },
  {
    name: "troupe_depth",
    help: "d",
    type: "gauge",
    samples: [
      { labels: {}, value: 2.5 },
      { labels: {}, value: Number.NaN }
    ]
  },
  {
    name: "troupe_decide_seconds",
    help: "s",
    unit: "seconds",
    type: "histogram",
    samples: [
      {
        labels: {},
        buckets: [
          [0.1, 2],
          [1, 5]
        ],
        count: 9,
        sum: 12
      }
    ]
  }
]

test("counters, gauges and histograms are what OTLP calls them, each bucket counted for itself", () => {
  const times = { startTimeUnixNano: "1000000000", timeUnixNano: "3500000000" }
  expect(toOtlp(families, 1_000, 3_500)).toEqual([
    {
      name: "troupe_handled",
      description: "h",
      sum: {
        dataPoints: [
          { attributes: [{ key: "kind", value: { stringValue: "node" } }], ...times, asDouble: 7 }
        ],
        aggregationTemporality: 2,
        isMonotonic: true
      }
    },
    {
      name: "troupe_depth",
      description: "d",
      gauge: { dataPoints: [{ attributes: [], ...times, asDouble: 2.5 }] }
    },
    {
      name: "troupe_decide_seconds",
      description: "s",
      unit: "seconds",
      histogram: {
        dataPoints: [
          { attributes: [], ...times, explicitBounds: [0.1, 1], bucketCounts: [2, 3, 4], count: 9, sum: 12 }
        ],
        aggregationTemporality: 2
      }
    }
  ])
})

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly attributes: ReadonlyArray<{
    readonly key: string
    readonly value: { readonly intValue?: unknown }
  }>
}

test("a collector gets the figures, and a span of each request below the caller's, with what it waited for below that", async () => {
  const scope = Scope.makeUnsafe()
  const options = { endpoint, serviceName: "troupe", serviceVersion: "1", attributes: { "host.name": "h1" } }
  const tracer = await Effect.runPromise(
    Scope.provide(exportOtlp({ ...options, families: () => families, now: () => 5, everyMs: 60_000 }), scope)
  )
  const gateway = await TestGateway.start({ tracer })
  const [trace, caller] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"]
  const created = await gateway.post("/services/create", serviceBody("web"), {
    traceparent: `00-${trace}-${caller}-01`
  })
  expect(created.status).toBe(201)
  expect((await gateway.get("/services/nobody")).status).toBe(404)
  await Effect.runPromise(Scope.close(scope, Exit.void))

  const of = (path: string) => received.filter((one) => one.path === path).map(({ body }) => body)
  expect(of("/v1/metrics")).toMatchObject([
    {
      resourceMetrics: [
        {
          resource: {
            attributes: expect.arrayContaining([
              { key: "host.name", value: { stringValue: "h1" } },
              { key: "service.name", value: { stringValue: "troupe" } }
            ])
          },
          scopeMetrics: [{ metrics: [{ name: "troupe_handled" }, {}, {}] }]
        }
      ]
    }
  ])
  const spans = of("/v1/traces").flatMap(
    (body) =>
      (
        body as {
          resourceSpans: ReadonlyArray<{ scopeSpans: ReadonlyArray<{ spans: ReadonlyArray<Span> }> }>
        }
      ).resourceSpans[0]?.scopeSpans[0]?.spans ?? []
  )
  const named = (name: string): ReadonlyArray<Span> => spans.filter((span) => span.name === name)
  const [create] = named("POST /services/create")
  expect(create).toMatchObject({ traceId: trace, parentSpanId: caller })
  const below = (span: Span): ReadonlyArray<string> => {
    const parent = spans.find(({ spanId }) => spanId === span.parentSpanId)
    return parent === undefined ? [span.name] : [...below(parent), span.name]
  }
  const [propose] = named("ledger.propose")
  expect(propose?.traceId).toBe(trace)
  expect(propose && below(propose)).toEqual(["POST /services/create", "ledger.propose"])
  const [inspect] = named("GET /services/:id")
  expect(inspect?.traceId).not.toBe(trace)
  expect(inspect?.attributes).toContainEqual({ key: "http.response.status_code", value: { intValue: 404 } })
})

test("a trace context that is none begins nothing", () => {
  expect(readTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")).toEqual({
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    spanId: "00f067aa0ba902b7",
    flags: "01"
  })
  for (const text of ["", "00-0-0-01", `00-${"0".repeat(32)}-00f067aa0ba902b7-01`, null])
    expect(readTraceparent(text)).toBeUndefined()
})
