/** The small process that carries published ports' traffic and answers names, so that a dead agent breaks neither. */
import { Context, type Effect, Schema } from "effect"
import type { Led } from "#actors/drivers/led.ts"
import type { Zone } from "#actors/network/names/zone.ts"
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
  /** The published TCP ports at which a connection waits for a task. */
  readonly held: Effect.Effect<ReadonlySet<number>, DataPlaneError>
  /** What it has led to tasks, or holds for them. Fails at once where it is away, or was told no ports yet. */
  readonly count: Effect.Effect<Led, DataPlaneError>
  /** Answers names from exactly these; the last ones survive a restart. Yields what keeps it from being asked. */
  readonly name: (zones: ReadonlyArray<Zone>) => Effect.Effect<ReadonlyArray<string>, DataPlaneError>
}

export class DataPlane extends Context.Service<DataPlane, DataPlaneService>()(
  "troupe/actors/drivers/DataPlane"
) {}
