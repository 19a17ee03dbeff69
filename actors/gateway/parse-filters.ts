/**
 * `?filters=` in both forms that clients send: `{"label":{"a=b":true}}` and, from old ones, `{"label":["a=b"]}`.
 */
import { type Refusal, refuse } from "#actors/model/errors.ts"

/** The values asked for by key; a key may be there without values, which then filters nothing. */
export type Filters = ReadonlyMap<string, ReadonlySet<string>>

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const notFilters = refuse("invalidArgument", "invalid filter")

/** The filters of a list request, or why not: not JSON, or a key that is not among `accepted`. */
export function parseFilters(text: string | undefined, accepted: ReadonlyArray<string>): Filters | Refusal {
  if (text === undefined || text === "") return new Map()
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch {
    return notFilters
  }
  if (raw === null) return new Map()
  if (!isObject(raw)) return notFilters
  const filters = new Map<string, ReadonlySet<string>>()
  for (const [key, values] of Object.entries(raw)) {
    const parsed = parseValues(values)
    if (parsed === undefined) return notFilters
    if (!accepted.includes(key)) return refuse("invalidArgument", `invalid filter '${key}'`)
    filters.set(key, parsed)
  }
  return filters
}

function parseValues(values: unknown): ReadonlySet<string> | undefined {
  if (values === null) return new Set()
  if (Array.isArray(values)) {
    return values.every((value) => typeof value === "string") ? new Set(values) : undefined
  }
  if (!isObject(values)) return undefined
  const found = new Set<string>()
  for (const [value, asked] of Object.entries(values)) {
    if (typeof asked !== "boolean") return undefined
    // The Engine looks at the names alone; clients send nothing but `true`.
    found.add(value)
  }
  return found
}

export const valuesOf = (filters: Filters, key: string): ReadonlyArray<string> => [
  ...(filters.get(key) ?? [])
]

/** True when nothing was asked under `key`, or `text` begins with any of the values. */
export function hasPrefix(filters: Filters, key: string, text: string): boolean {
  const values = filters.get(key)
  if (values === undefined || values.size === 0) return true
  for (const value of values) if (text.startsWith(value)) return true
  return false
}

/** True when nothing was asked under `key`, or `text` is one of the values. */
export function isOneOf(filters: Filters, key: string, text: string): boolean {
  const values = filters.get(key)
  return values === undefined || values.size === 0 || values.has(text)
}

/** True when `labels` has every label asked for under `key`; `k` asks that it exists, `k=v` for its value. */
export function hasLabels(
  filters: Filters,
  key: string,
  labels: Readonly<Record<string, string>> | undefined
): boolean {
  for (const wanted of filters.get(key) ?? []) {
    const at = wanted.indexOf("=")
    const name = at === -1 ? wanted : wanted.slice(0, at)
    if (labels === undefined || !Object.hasOwn(labels, name)) return false
    if (at !== -1 && at !== wanted.length - 1 && labels[name] !== wanted.slice(at + 1)) return false
  }
  return true
}
