/** `GET /network`: what this node knows of its overlays, and how its kernel was found. Asks no leader. */
import { Effect } from "effect"
import type { RouteSet } from "#actors/gateway/listener.ts"
import type { NetworkMessage, NetworkView } from "#actors/network/protocol.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

export interface NodeNetworkOptions {
  readonly nodeId: string
  readonly system: Pick<SystemService, "ask">
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

const withinMs = 2_000
const show: NetworkMessage = { _tag: "Show" }

export const nodeNetworkRoutes = ({ nodeId, system, headers }: NodeNetworkOptions): RouteSet => ({
  owns: (method, path) => (method === "GET" || method === "HEAD") && path === "/network",
  fetch: ({ method }) => {
    const answer = system.ask<NetworkView>(address(nodeId, "network", "main"), show, withinMs).pipe(
      Effect.map((view) => ({ status: 200, body: view as unknown })),
      Effect.catch(({ message }) => Effect.succeed({ status: 503, body: { message } as unknown })),
      Effect.map(
        ({ status, body }) =>
          new Response(method === "HEAD" ? null : JSON.stringify(body), {
            status,
            headers: { ...headers(), "Content-Type": "application/json", "Cache-Control": "no-store" }
          })
      )
    )
    return Effect.runPromise(answer)
  }
})
