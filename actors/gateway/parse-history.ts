/** What `GET /metrics/history` is asked: of whom, what, and since when. */
import { parseMoment } from "#actors/gateway/parse-until.ts"
import { type Kind, metricsOf } from "#actors/meter/figures.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface HistoryQuery {
  readonly kind: Kind
  /** An id or a name. */
  readonly name: string
  readonly metrics: ReadonlyArray<string>
  readonly since: number
}

const kinds = ["service", "node", "task"] as const
const usuallyMs = 15 * 60_000

export function parseHistory(query: URLSearchParams, now: number): HistoryQuery | Refusal {
  const given = kinds.filter((kind) => (query.get(kind) ?? "") !== "")
  const [kind] = given
  if (kind === undefined || given.length > 1) {
    return refuse(
      "invalidArgument",
      `expected one of service=, node= or task=, found ${given.length} of them`
    )
  }
  const known: ReadonlyArray<string> = metricsOf[kind]
  const metrics = query
    .getAll("metric")
    .flatMap((text) => text.split(","))
    .filter((name) => name !== "")
  const unknown = metrics.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    return refuse("invalidArgument", `invalid metric ${unknown}: expected ${known.join(", ")}`)
  }
  const text = query.get("since") ?? ""
  const since = text === "" ? now - usuallyMs : parseMoment(text, now)
  if (since === undefined) {
    return refuse("invalidArgument", `invalid since ${text}: expected 15m, RFC 3339, or seconds of the epoch`)
  }
  return { kind, name: query.get(kind) ?? "", metrics: metrics.length === 0 ? known : metrics, since }
}
