/**
 * The OpenMetrics text format: https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * Own code because the figures are counted already: the libraries at hand want every duration told to them one by
 * one, keep a second registry, and write the older Prometheus format.
 */

export const openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly labels: Labels
  readonly value: number
}

export interface HistogramSample {
  readonly labels: Labels
  /** Upper bounds, ascending, and how many were at most that; the last one, `+Inf`, is `count`. */
  readonly buckets: ReadonlyArray<readonly [bound: number, count: number]>
  readonly count: number
  readonly sum: number
}

/** A counter's name is without `_total`; a name with a unit ends with it. */
export type Family = { readonly name: string; readonly help: string; readonly unit?: string } & (
  | { readonly type: "counter" | "gauge"; readonly samples: ReadonlyArray<Sample> }
  | { readonly type: "histogram"; readonly samples: ReadonlyArray<HistogramSample> }
)

export function openMetrics(families: ReadonlyArray<Family>): string {
  const lines: string[] = []
  for (const family of families) {
    const { name, help, unit, type } = family
    lines.push(`# TYPE ${name} ${type}`)
    if (unit !== undefined) lines.push(`# UNIT ${name} ${unit}`)
    lines.push(`# HELP ${name} ${escaped(help)}`)
    if (family.type === "histogram") {
      for (const sample of family.samples) lines.push(...histogramLines(name, sample))
    } else {
      const suffix = family.type === "counter" ? "_total" : ""
      for (const { labels, value } of family.samples)
        lines.push(`${name}${suffix}${show(labels)} ${number(value)}`)
    }
  }
  lines.push("# EOF\n")
  return lines.join("\n")
}

function histogramLines(
  name: string,
  { labels, buckets, count, sum }: HistogramSample
): ReadonlyArray<string> {
  return [
    ...buckets.map(
      ([bound, below]) => `${name}_bucket${show({ ...labels, le: bucketBound(bound) })} ${below}`
    ),
    `${name}_bucket${show({ ...labels, le: "+Inf" })} ${count}`,
    `${name}_count${show(labels)} ${count}`,
    `${name}_sum${show(labels)} ${number(sum)}`
  ]
}

function show(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}

const escaped = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')

const number = (value: number): string =>
  Number.isFinite(value) ? String(value) : Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf"

/** Bounds are written as floats, so that those who compare label values as texts find them again. */
const bucketBound = (bound: number): string => (Number.isInteger(bound) ? `${bound}.0` : String(bound))
