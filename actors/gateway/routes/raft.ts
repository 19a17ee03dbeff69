/**
 * `GET /raft`: this manager's own part in the Raft group. It asks nobody, so it is answered as well where there is no
 * leader, and where this manager takes no part.
 */
import type { RouteSet } from "#actors/gateway/listener.ts"
import { statement } from "#actors/gateway/response.ts"
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
    return known === undefined
      ? statement(method, headers(), 503, { message: "This node is not a manager" })
      : statement(method, headers(), 200, known)
  }
})
