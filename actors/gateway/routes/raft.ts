/**
 * `GET /raft`: this manager's own part in the Raft group. It asks nobody, so it is answered as well where there is no
 * leader, and where this manager takes no part.
 */
import type { RouteSet } from "#actors/gateway/listener.ts"
import type { LedgerStatus } from "#actors/ledger/service.ts"

export interface RaftRoutesOptions {
  /** Absent while this node is no manager. */
  readonly status: () => Partial<LedgerStatus> | undefined
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

export const raftRoutes = ({ status, headers }: RaftRoutesOptions): RouteSet => ({
  owns: (method, path) => (method === "GET" || method === "HEAD") && path === "/raft",
  fetch: ({ method }) => {
    const known = status()
    const body = known ?? { message: "This node is not a manager" }
    return new Response(method === "HEAD" ? null : JSON.stringify(body), {
      status: known === undefined ? 503 : 200,
      headers: { ...headers(), "Content-Type": "application/json", "Cache-Control": "no-store" }
    })
  }
})
