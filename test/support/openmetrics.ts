/** A strict reader of the OpenMetrics text format, for tests: what a scraper could stumble over is an error. */

export interface ReadFamily {
  readonly type: string
  readonly samples: Map<string, number>
}

const nameToken = "[a-zA-Z_:][a-zA-Z0-9_:]*"
const metadata = new RegExp(`^# (TYPE|UNIT|HELP) (${nameToken}) (.+)$`)
const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"'
const sample = new RegExp(
  `^(${nameToken})(\\{${label}(?:,${label})*\\})? (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?\\d+)?)$`
)
const suffixes: Readonly<Record<string, ReadonlyArray<string>>> = {
  counter: ["_total"],
  gauge: [""],
  histogram: ["_bucket", "_count", "_sum"]
}

/** The families by name; samples by their full name with labels. Throws at the first offence. */
export function readOpenMetrics(text: string): ReadonlyMap<string, ReadFamily> {
  if (!text.endsWith("\n# EOF\n")) throw new Error("the text does not end with # EOF and a line feed")
  const families = new Map<string, ReadFamily>()
  let current = ""
  for (const line of text.slice(0, -"# EOF\n".length - 1).split("\n")) {
    const [, keyword, name = "", rest = ""] = metadata.exec(line) ?? []
    if (keyword === "TYPE") {
      if (families.has(name)) throw new Error(`${name} comes twice`)
      if (!(rest in suffixes)) throw new Error(`${name} has the unknown type ${rest}`)
      families.set(name, { type: rest, samples: new Map() })
      current = name
    } else if (keyword !== undefined) {
      if (name !== current) throw new Error(`${keyword} of ${name} stands within ${current}`)
      if (keyword === "UNIT" && !name.endsWith(`_${rest}`))
        throw new Error(`${name} does not end with its unit ${rest}`)
    } else readSample(line, current, families.get(current))
  }
  for (const [name, family] of families) if (family.type === "histogram") checkHistogram(name, family)
  return families
}

function readSample(line: string, name: string, family: ReadFamily | undefined): void {
  const [, full = "", labels = "", value = ""] = sample.exec(line) ?? []
  if (full === "" || !family) throw new Error(`not a line of the format: ${line}`)
  if (!suffixes[family.type]?.some((suffix) => full === name + suffix)) {
    throw new Error(`${full} does not belong to ${name}, a ${family.type}`)
  }
  if (family.samples.has(full + labels)) throw new Error(`${full}${labels} comes twice`)
  const figure = value.endsWith("Inf") ? Number.POSITIVE_INFINITY : Number(value)
  if (family.type !== "gauge" && !(figure >= 0)) throw new Error(`${full} is ${value}`)
  family.samples.set(full + labels, figure)
}

/** Buckets ascend in bound and count, and the last one is +Inf and equals the count. */
function checkHistogram(name: string, { samples }: ReadFamily): void {
  const series = new Map<string, Array<readonly [number, number]>>()
  for (const [full, count] of samples) {
    const [, before = "", bound = ""] = /^.*_bucket\{(.*?),?le="([^"]+)"\}$/.exec(full) ?? []
    if (bound === "") continue
    const buckets = series.get(before) ?? []
    buckets.push([bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound), count])
    series.set(before, buckets)
  }
  for (const [labels, buckets] of series) {
    for (const [i, [bound, count]] of buckets.entries()) {
      const [lower, fewer] = buckets[i - 1] ?? [Number.NEGATIVE_INFINITY, 0]
      if (bound <= lower || count < fewer) throw new Error(`${name}{${labels}} does not ascend at ${bound}`)
    }
    const [last, count] = buckets.at(-1) ?? [0, 0]
    const counted = samples.get(`${name}_count${labels === "" ? "" : `{${labels}}`}`)
    if (last !== Number.POSITIVE_INFINITY || count !== counted) {
      throw new Error(`${name}{${labels}} does not end with +Inf and its count`)
    }
  }
}
