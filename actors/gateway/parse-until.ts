/** Points in time as the Engine takes them: a duration back from now, seconds since the epoch, or a date. */
import { parseDuration } from "#actors/model/duration.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { toMs } from "#actors/model/time.ts"

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
