/**
 * Sends metrics and spans to a collector by OTLP over HTTP, in JSON. Loaded only where one is configured: what it needs
 * takes some megabytes. Effect's exporter gathers, tries again, and leaves a collector alone that does not answer.
 */
import { Context, Effect, Layer, type Scope, type Tracer } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpResource from "effect/observability/OtlpResource"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import type { Family } from "#runtime/openmetrics.ts"
import { toOtlp } from "#runtime/otlp-metrics.ts"

export interface OtlpOptions {
  /** `http://collector:4318`; `/v1/metrics` and `/v1/traces` are below it. */
  readonly endpoint: string
  readonly serviceName: string
  readonly serviceVersion: string
  /** More of who sends: `service.instance.id` and the like. */
  readonly attributes: Readonly<Record<string, string>>
  readonly families: () => ReadonlyArray<Family>
  readonly now: () => number
  /** How often, in milliseconds. */
  readonly everyMs?: number
}

const usualMs = 10_000

/** Until the scope closes, when what is left is sent. Gives the tracer whose spans are sent. */
export const exportOtlp = Effect.fn("otlp.export")(function* (
  options: OtlpOptions
): Effect.fn.Return<Tracer.Tracer, never, Scope.Scope> {
  const { serviceName, serviceVersion, attributes, families, now } = options
  const about = { serviceName, serviceVersion, attributes }
  const exportInterval = options.everyMs ?? usualMs
  const context = yield* Layer.build(
    Layer.mergeAll(FetchHttpClient.layer, OtlpSerialization.layerJson, OtlpExporter.layerFlusher)
  )
  const { metrics } = Context.get(context, OtlpSerialization.OtlpSerialization)
  const resource = OtlpResource.make(about)
  const begunMs = now()
  const scope = { name: serviceName, version: serviceVersion }
  yield* OtlpExporter.make({
    label: "metrics",
    url: `${options.endpoint}/v1/metrics`,
    headers: undefined,
    exportInterval,
    // Nothing is pushed: at each interval the figures are read as they are.
    exportEmpty: true,
    maxBatchSize: "disabled",
    shutdownTimeout: "1 second",
    body: () => [
      metrics({
        resourceMetrics: [
          { resource, scopeMetrics: [{ scope, metrics: toOtlp(families(), begunMs, now()) }] }
        ]
      }),
      Effect.void
    ]
  }).pipe(Effect.provideContext(context))
  return yield* OtlpTracer.make({
    url: `${options.endpoint}/v1/traces`,
    resource: about,
    exportInterval,
    shutdownTimeout: "1 second"
  }).pipe(Effect.provideContext(context))
})
