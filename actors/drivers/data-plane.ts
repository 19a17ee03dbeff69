/** The small process that carries published ports' traffic, so that a dead agent breaks no connection. */
import { Context, type Effect, Schema } from "effect"
import type { PublishedPort } from "#actors/network/plan.ts"

export class DataPlaneError extends Schema.TaggedError<DataPlaneError>()("DataPlaneError", {
  message: Schema.String
}) {}

/** A port that could not be opened on this node: its own problem, not the cluster's. */
export interface PortProblem {
  readonly protocol: string
  readonly publishedPort: number
  readonly message: string
}

export interface DataPlaneService {
  /** Makes exactly these ports answer, leaving live connections alone; the last table survives a restart. */
  readonly publish: (
    ports: ReadonlyArray<PublishedPort>
  ) => Effect.Effect<ReadonlyArray<PortProblem>, DataPlaneError>
}

export class DataPlane extends Context.Service<DataPlane, DataPlaneService>()(
  "troupe/actors/drivers/DataPlane"
) {}
