/** The query of a request for logs, as the Engine reads it. */
import type { LogRequest } from "#actors/logs/protocol.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface LogQuery {
  readonly request: LogRequest
  readonly timestamps: boolean
}

/** What is asked for, or what is wrong with it. */
export function parseLogs(query: URLSearchParams): LogQuery | Refusal {
  const stdout = isOn(query.get("stdout"))
  const stderr = isOn(query.get("stderr"))
  if (!stdout && !stderr) {
    return refuse("invalidArgument", "Bad parameters: you must choose at least one stream")
  }
  const since = parseSeconds(query, "since")
  if (typeof since !== "number") return since
  const until = parseSeconds(query, "until")
  if (typeof until !== "number") return until
  const tail = parseTail(query.get("tail") ?? "")
  if (tail !== undefined && typeof tail !== "number") return tail
  return {
    timestamps: isOn(query.get("timestamps")),
    request: {
      stdout,
      stderr,
      follow: isOn(query.get("follow")),
      details: isOn(query.get("details")),
      since,
      until,
      ...(tail === undefined ? {} : { tail })
    }
  }
}

/** Go's `httputils.BoolValue`: anything but an empty or negative word. */
const isOn = (text: string | null): boolean =>
  !["", "0", "no", "false", "none"].includes((text ?? "").trim().toLowerCase())

/** `1795381378` or `1795381378.083850297`; 0 when it is not there. */
function parseSeconds(query: URLSearchParams, name: "since" | "until"): number | Refusal {
  const text = query.get(name) ?? ""
  if (text === "") return 0
  if (/^\d{1,12}(\.\d{1,9})?$/.test(text)) return Number(text)
  return refuse(
    "invalidArgument",
    `invalid value for "${name}": ${JSON.stringify(text)}: expected seconds since the epoch, such as 1795381378.083850297`
  )
}

function parseTail(text: string): number | undefined | Refusal {
  if (text === "" || text === "all") return undefined
  if (/^-\d+$/.test(text)) return refuse("invalidArgument", "negative tail values not supported")
  if (/^\d{1,9}$/.test(text)) return Number(text)
  return refuse("invalidArgument", 'tail value must be a positive integer or "all"')
}
