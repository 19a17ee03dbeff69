/** Points in time as the Engine takes them: a duration back from now, seconds since the epoch, or a date. */
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { toMs } from "#actors/model/time.ts"

const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000
}

/** Go's `1h30m` in milliseconds, or `undefined`. */
function parseDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined
  let ms = 0
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    ms += Number(count) * (units[unit ?? ""] ?? 0)
  }
  return ms
}

/** A point in time in milliseconds since the epoch, or `undefined`. */
export function parseMoment(text: string, now: number): number | undefined {
  const duration = parseDuration(text)
  if (duration !== undefined) return now - duration
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  const date = toMs(text)
  return date > 0 ? date : undefined
}

/** The one `until` of a filter in milliseconds since the epoch; `now` likewise. */
export function parseUntil(
  values: ReadonlyArray<string>,
  now: number
): { readonly before?: number } | Refusal {
  const [text] = values
  if (text === undefined) return {}
  if (values.length > 1) return refuse("invalidArgument", "more than one until filter specified")
  const before = parseMoment(text, now)
  return before !== undefined
    ? { before }
    : refuse("invalidArgument", `invalid value for until filter: ${text}`)
}
