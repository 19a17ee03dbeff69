/** The HTTP entrance of this node: who listens for HTTP and leads requests to services' tasks by host and path. */
import { Context, Effect } from "effect"
import type { OverlayTable } from "#actors/network/table.ts"
import type { AssignedFile } from "#actors/node/protocol.ts"

/** All but what is under way, since haproxy began; a task that comes again begins anew. */
export interface EntranceCounts {
  /** By service: requests that came, and those under way or waiting for a task. */
  readonly services: ReadonlyMap<string, { readonly asked: number; readonly inflight: number }>
  readonly tasks: ReadonlyMap<string, TaskCounts>
}

export interface TaskCounts {
  readonly serviceId: string
  readonly asked: number
  readonly inflight: number
  /** Answers of 1xx to 5xx. */
  readonly statuses: ReadonlyArray<number>
  /** Answers by how long they took, in the buckets of `latencyBounds`. */
  readonly took: ReadonlyArray<number>
}

export interface EntranceService {
  /**
   * Leads by these tables and shows these certificates, which are all there are. Yields what keeps requests from going
   * where they should, in words.
   */
  readonly serve: (
    tables: ReadonlyArray<OverlayTable>,
    certificates: ReadonlyArray<AssignedFile>
  ) => Effect.Effect<ReadonlyArray<string>>
  /** Nothing where there is no entrance, or it does not answer. */
  readonly count: Effect.Effect<EntranceCounts | undefined>
  /** The services, by id, whose requests wait for a task to come. */
  readonly waiting: Effect.Effect<ReadonlySet<string>>
}

/** By default a node has none. */
export const Entrance = Context.Reference<EntranceService>("troupe/actors/drivers/Entrance", {
  defaultValue: () => ({
    serve: () => Effect.succeed([]),
    count: Effect.succeed(undefined),
    waiting: Effect.succeed(new Set<string>())
  })
})
