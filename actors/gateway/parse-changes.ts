/** What `GET /history` is asked: what of whom, since when, and from which place on. */

import { parseSwitch } from "#actors/gateway/parse-query.ts"
import { parseMoment } from "#actors/gateway/parse-until.ts"
import { isRefusal } from "#actors/gateway/response.ts"
import type { Place } from "#actors/history/describe.ts"
import { type HistoryKind, parsePlace } from "#actors/history/journal.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface ChangesQuery {
  readonly kind?: HistoryKind
  /** With a service also what became of its tasks. */
  readonly tasks: boolean
  readonly sinceMs?: number
  readonly untilMs?: number
  readonly after?: Place
  readonly limit: number
  /** As events of a stream that goes on. */
  readonly follow: boolean
}

export const historyKinds = [
  "service",
  "task",
  "node",
  "network",
  "secret",
  "config",
  "volume",
  "cluster"
] as const satisfies ReadonlyArray<HistoryKind>

const usuallyMost = 100
const atMost = 1_000

/** `lastSeen`: the header `Last-Event-ID`, with which a stream that broke off goes on. */
export function parseChanges(
  query: URLSearchParams,
  lastSeen: string | undefined,
  now: number
): ChangesQuery | Refusal {
  const kind = historyKinds.find((known) => known === query.get("kind"))
  if (kind === undefined && (query.get("kind") ?? "") !== "") {
    return refuse("invalidArgument", `invalid kind ${query.get("kind")}: expected ${historyKinds.join(", ")}`)
  }
  const [tasks, follow] = [parseSwitch(query, "tasks"), parseSwitch(query, "follow")]
  if (isRefusal(tasks)) return tasks
  if (isRefusal(follow)) return follow
  const [since, until] = [momentOf(query, "since", now), momentOf(query, "until", now)]
  if (isRefusal(since)) return since
  if (isRefusal(until)) return until
  const text = lastSeen ?? query.get("after") ?? ""
  const after = parsePlace(text)
  if (after === undefined && text !== "") {
    return refuse(
      "invalidArgument",
      `invalid after ${text}: expected the Sequence of a change, such as 812.1`
    )
  }
  const limit = (query.get("limit") ?? "") === "" ? usuallyMost : Number(query.get("limit"))
  if (!Number.isInteger(limit) || limit < 1 || limit > atMost) {
    return refuse("invalidArgument", `invalid limit ${query.get("limit")}: expected 1 to ${atMost}`)
  }
  return {
    ...(kind && { kind }),
    tasks: tasks.on,
    follow: follow.on,
    ...(since.ms !== undefined && { sinceMs: since.ms }),
    ...(until.ms !== undefined && { untilMs: until.ms }),
    ...(after && { after }),
    limit
  }
}

function momentOf(query: URLSearchParams, name: string, now: number): { readonly ms?: number } | Refusal {
  const text = query.get(name) ?? ""
  if (text === "") return {}
  const ms = parseMoment(text, now)
  return ms === undefined
    ? refuse("invalidArgument", `invalid ${name} ${text}: expected 15m, RFC 3339, or seconds of the epoch`)
    : { ms }
}
