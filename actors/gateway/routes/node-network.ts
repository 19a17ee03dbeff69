/** `GET /network`: what this node knows of its overlays, and how its kernel was found. Asks no leader. */
import { Effect } from "effect"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { askNetworkView } from "#actors/gateway/network-view.ts"
import { statement } from "#actors/gateway/response.ts"
import type { SystemService } from "#runtime/system.ts"

export interface NodeNetworkOptions {
  readonly nodeId: string
  readonly system: Pick<SystemService, "ask">
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

const withinMs = 2_000

export const nodeNetworkRoutes = ({ nodeId, system, headers }: NodeNetworkOptions): RouteSet => ({
  owns: (method, path) => (method === "GET" || method === "HEAD") && path === "/network",
  fetch: ({ method }) => {
    const answer = askNetworkView(system, nodeId, withinMs).pipe(
      Effect.map((view) => statement(method, headers(), 200, view)),
      Effect.catch(({ message }) => Effect.succeed(statement(method, headers(), 503, { message })))
    )
    return Effect.runPromise(answer)
  }
})
