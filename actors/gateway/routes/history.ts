/**
 * `GET /metrics/history` and `GET /metrics/latest`: what nodes, services and tasks use and used, out of this manager's
 * memory. Asks no leader: what was measured is known to each manager as well as to any other.
 */
import { find, taskName } from "#actors/gateway/find.ts"
import { type Gateway, noManager } from "#actors/gateway/gateway.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { splitVersion } from "#actors/gateway/negotiate.ts"
import { parseHistory } from "#actors/gateway/parse-history.ts"
import { type Answer, isRefusal, ok, refused, toResponse } from "#actors/gateway/response.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Kind, metricsOf } from "#actors/meter/figures.ts"
import type { History, Latest } from "#actors/meter/history.ts"
import type { Refusal } from "#actors/model/errors.ts"

export interface HistoryRoutesOptions {
  readonly gateway: Pick<Gateway, "ledger" | "membership" | "clock" | "problem">
  /** `undefined` as long as this node is no manager. */
  readonly history: () => History | undefined
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

const paths = new Set(["/metrics/history", "/metrics/latest"])

export function historyRoutes({ gateway, history, headers }: HistoryRoutesOptions): RouteSet {
  const answer = (url: URL): Answer | Refusal => {
    const kept = history()
    const ledger = gateway.ledger()
    if (kept === undefined || ledger === undefined) return noManager(gateway as Gateway).refusal
    const now = gateway.clock()
    return splitVersion(url.pathname).path === "/metrics/latest"
      ? ok(latestOf(ledger.read, kept, now))
      : courseOf(ledger.read, kept, url.searchParams, now)
  }
  return {
    owns: (method, path) => method === "GET" && paths.has(path),
    fetch: ({ url }) => {
      const answered = answer(new URL(url))
      const common = { ...headers(), "Cache-Control": "no-store" }
      return toResponse(isRefusal(answered) ? refused(answered) : answered, common)
    }
  }
}

function courseOf(
  reader: LedgerReader,
  kept: History,
  query: URLSearchParams,
  now: number
): Answer | Refusal {
  const asked = parseHistory(query, now)
  if (isRefusal(asked)) return asked
  const { kind, name, metrics, since } = asked
  const found = find(reader, kind, name)
  // What is gone is remembered for a while, by its id.
  const id = isRefusal(found) ? name : found.ID
  const course = kept.course({ kind, id, metrics, since, now })
  if (course === undefined && isRefusal(found)) return found
  return ok({
    Kind: kind,
    ID: id,
    Name: nameOf(reader, kind, id),
    StepMs: course?.stepMs ?? 1_000,
    Times: course?.times ?? [],
    Metrics: Object.fromEntries(
      metrics.map((metric, index) => [metric, (course?.values[index] ?? []).map(shown)])
    )
  })
}

function latestOf(reader: LedgerReader, kept: History, now: number): object {
  const rows = (kind: Kind, more: (id: string) => object = () => ({})): ReadonlyArray<object> =>
    [...kept.latest(kind, now)].map(([id, latest]) => ({
      ID: id,
      Name: nameOf(reader, kind, id),
      ...more(id),
      ...byName(kind, latest)
    }))
  return {
    At: now,
    Nodes: rows("node"),
    Services: rows("service"),
    Tasks: rows("task", (id) => {
      const whose = kept.whose(id)
      return { ServiceID: whose?.serviceId ?? "", NodeID: whose?.nodeId ?? "" }
    })
  }
}

const byName = (kind: Kind, { row }: Latest): Readonly<Record<string, number | null>> =>
  Object.fromEntries(metricsOf[kind].map((metric, column) => [metric, shown(row[column] ?? Number.NaN)]))

/** JSON has no word for what is not known; a single-precision figure has seven digits. */
const shown = (value: number): number | null =>
  Number.isNaN(value) ? null : Number.isInteger(value) ? value : Number(value.toPrecision(7))

function nameOf(reader: LedgerReader, kind: Kind, id: string): string {
  switch (kind) {
    case "node":
      return reader.get("node", id)?.Description?.Hostname ?? id
    case "service":
      return reader.get("service", id)?.Spec.Name ?? id
    case "task": {
      const task = reader.get("task", id)
      return task === undefined ? id : taskName(reader, task)
    }
  }
}
