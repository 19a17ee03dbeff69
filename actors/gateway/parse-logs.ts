/** The query of a request for logs, as the Engine reads it. */
import { isOn, parseSeconds } from "#actors/gateway/parse-query.ts"
import { isRefusal } from "#actors/gateway/response.ts"
import type { LogRequest } from "#actors/logs/protocol.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface LogQuery {
  readonly request: LogRequest
  readonly timestamps: boolean
  /** Each message in a frame, also what a terminal was shown; the Engine has no such parameter. */
  readonly framed: boolean
}

/** What is asked for, or what is wrong with it. */
export function parseLogs(query: URLSearchParams): LogQuery | Refusal {
  const stdout = isOn(query, "stdout")
  const stderr = isOn(query, "stderr")
  if (!stdout && !stderr) {
    return refuse("invalidArgument", "Bad parameters: you must choose at least one stream")
  }
  const since = parseSeconds(query, "since")
  if (isRefusal(since)) return since
  const until = parseSeconds(query, "until")
  if (isRefusal(until)) return until
  const tail = parseTail(query.get("tail") ?? "")
  if (tail !== undefined && typeof tail !== "number") return tail
  return {
    timestamps: isOn(query, "timestamps"),
    framed: isOn(query, "framed"),
    request: {
      stdout,
      stderr,
      follow: isOn(query, "follow"),
      details: isOn(query, "details"),
      since: since.seconds ?? 0,
      until: until.seconds ?? 0,
      ...(tail === undefined ? {} : { tail })
    }
  }
}

function parseTail(text: string): number | undefined | Refusal {
  if (text === "" || text === "all") return undefined
  if (/^-\d+$/.test(text)) return refuse("invalidArgument", "negative tail values not supported")
  if (/^\d{1,9}$/.test(text)) return Number(text)
  return refuse("invalidArgument", 'tail value must be a positive integer or "all"')
}
