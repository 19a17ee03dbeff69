/** Families of metrics as OTLP has them: https://opentelemetry.io/docs/specs/otlp/, its JSON encoding. */

import type { MetricsData } from "effect/observability/OtlpMetrics"
import { entriesToAttributes } from "effect/observability/OtlpResource"
import type { Family, HistogramSample } from "#runtime/openmetrics.ts"

type Metric = MetricsData["resourceMetrics"][number]["scopeMetrics"][number]["metrics"][number]

/** Counts since the process began. */
const cumulative = 2

/** Times are milliseconds since the epoch: when the process began to count, and now. */
export function toOtlp(families: ReadonlyArray<Family>, begunMs: number, nowMs: number): Array<Metric> {
  const [startTimeUnixNano, timeUnixNano] = [nanosOf(begunMs), nanosOf(nowMs)]
  return families.map((family): Metric => {
    const named = {
      name: family.name,
      description: family.help,
      ...(family.unit !== undefined && { unit: family.unit })
    }
    if (family.type === "histogram") {
      const dataPoints = family.samples.map((sample) => ({
        ...histogram(sample),
        attributes: entriesToAttributes(Object.entries(sample.labels)),
        startTimeUnixNano,
        timeUnixNano
      }))
      return { ...named, histogram: { dataPoints, aggregationTemporality: cumulative } }
    }
    // JSON has no word for what is not known.
    const known = family.samples.filter(({ value }) => Number.isFinite(value))
    const dataPoints = known.map(({ labels, value }) => ({
      attributes: entriesToAttributes(Object.entries(labels)),
      startTimeUnixNano,
      timeUnixNano,
      asDouble: value
    }))
    return family.type === "counter"
      ? { ...named, sum: { dataPoints, aggregationTemporality: cumulative, isMonotonic: true } }
      : { ...named, gauge: { dataPoints } }
  })
}

/** OTLP counts each bucket for itself, and the last one has no bound. */
function histogram({ buckets, count, sum }: HistogramSample) {
  let before = 0
  const counts = buckets.map(([, below]) => {
    const inside = below - before
    before = below
    return inside
  })
  return {
    explicitBounds: buckets.map(([bound]) => bound),
    bucketCounts: [...counts, count - before],
    count,
    sum
  }
}

const nanosOf = (ms: number): string => `${Math.round(ms)}000000`
