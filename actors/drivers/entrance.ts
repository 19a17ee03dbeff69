/** The HTTP entrance of this node: who listens for HTTP and leads requests to services' tasks by host and path. */
import { Context, Effect } from "effect"
import type { OverlayTable } from "#actors/network/table.ts"

export interface EntranceService {
  /** Leads by these tables, which are all there are. Yields what keeps requests from going where they should, in words. */
  readonly serve: (tables: ReadonlyArray<OverlayTable>) => Effect.Effect<ReadonlyArray<string>>
}

/** By default a node has none. */
export const Entrance = Context.Reference<EntranceService>("troupe/actors/drivers/Entrance", {
  defaultValue: () => ({ serve: () => Effect.succeed([]) })
})
