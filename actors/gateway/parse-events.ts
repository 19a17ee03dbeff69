/** The query of `GET /events`, as the Engine reads it. */
import { type Filters, parseFilters } from "#actors/gateway/parse-filters.ts"
import { parseSeconds } from "#actors/gateway/parse-query.ts"
import { isRefusal } from "#actors/gateway/response.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface EventQuery {
  /** Milliseconds since the epoch; absent for from now on. */
  readonly sinceMs?: number
  /** Milliseconds since the epoch; absent for as long as the client stays. */
  readonly untilMs?: number
  readonly filters: Filters
}

/** What is asked for, or what is wrong with it. */
export function parseEvents(query: URLSearchParams): EventQuery | Refusal {
  const since = parseSeconds(query, "since")
  if (isRefusal(since)) return since
  const until = parseSeconds(query, "until")
  if (isRefusal(until)) return until
  if (since.seconds !== undefined && until.seconds !== undefined && until.seconds < since.seconds) {
    return refuse(
      "invalidArgument",
      `\`since\` time (${query.get("since")}) cannot be after \`until\` time (${query.get("until")})`
    )
  }
  const text = query.get("filters") ?? ""
  const filters = parseFilters(text, keysIn(text))
  if (!(filters instanceof Map)) return filters as Refusal
  return {
    ...(since.seconds === undefined ? {} : { sinceMs: since.seconds * 1000 }),
    ...(until.seconds === undefined ? {} : { untilMs: until.seconds * 1000 }),
    filters
  }
}

/** The Engine takes any key here: one it does not know filters nothing. */
function keysIn(text: string): ReadonlyArray<string> {
  try {
    return Object.keys(JSON.parse(text) as object)
  } catch {
    return []
  }
}
