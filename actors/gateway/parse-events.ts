/** The query of `GET /events`, as the Engine reads it. */
import { type Filters, parseFilters } from "#actors/gateway/parse-filters.ts"
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
  const since = parseTime(query, "since")
  if (isRefusal(since)) return since
  const until = parseTime(query, "until")
  if (isRefusal(until)) return until
  if (since.ms !== undefined && until.ms !== undefined && until.ms < since.ms) {
    return refuse(
      "invalidArgument",
      `\`since\` time (${query.get("since")}) cannot be after \`until\` time (${query.get("until")})`
    )
  }
  const text = query.get("filters") ?? ""
  const filters = parseFilters(text, keysIn(text))
  if (!(filters instanceof Map)) return filters as Refusal
  return {
    ...(since.ms === undefined ? {} : { sinceMs: since.ms }),
    ...(until.ms === undefined ? {} : { untilMs: until.ms }),
    filters
  }
}

function parseTime(
  query: URLSearchParams,
  name: "since" | "until"
): { readonly ms: number | undefined } | Refusal {
  const text = query.get(name) ?? ""
  if (text === "") return { ms: undefined }
  if (/^\d{1,12}(\.\d{1,9})?$/.test(text)) return { ms: Number(text) * 1000 }
  return refuse(
    "invalidArgument",
    `invalid value for "${name}": ${JSON.stringify(text)}: expected seconds since the epoch, such as 1795381378.083850297`
  )
}

/** The Engine takes any key here: one it does not know filters nothing. */
function keysIn(text: string): ReadonlyArray<string> {
  try {
    return Object.keys(JSON.parse(text) as object)
  } catch {
    return []
  }
}
