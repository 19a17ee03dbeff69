/**
 * What a node needs of whatever runs its tasks: a Docker Engine, or this host's own processes.
 *
 * Every call is idempotent where the thing it names already is as asked. Names and shapes are the Engine API's.
 */
import { Context, type Effect, Schema, type Scope, type Stream } from "effect"
import type { NodeDescription } from "#actors/model/objects.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"

/** The world said no. `temporary` failures (socket gone, timeouts, 5xx) are worth another try. */
export class ExecutorError extends Schema.TaggedError<ExecutorError>()("ExecutorError", {
  operation: Schema.String,
  status: Schema.optionalKey(Schema.Int),
  temporary: Schema.Boolean,
  /** The Engine's own words, without our prefix. */
  message: Schema.String
}) {}

/**
 * The body of the Engine's `POST /containers/create`, as `task/describe.ts` computes it. The process executor
 * carries out what a process can have (command, environment, directory, user, labels) and refuses the rest by name.
 */
export interface ContainerRequest {
  readonly Image: string
  readonly Labels: Readonly<Record<string, string>>
  readonly HostConfig: Readonly<Record<string, unknown>>
  /** By Engine network id. The first is given at creation, the rest are connected before start. */
  readonly Networks: ReadonlyArray<{
    readonly networkId: string
    readonly endpoint: Readonly<Record<string, unknown>>
  }>
  readonly [field: string]: unknown
}

export interface ContainerState {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly status: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead"
  readonly pid: number
  readonly exitCode: number
  readonly oomKilled: boolean
  /** The Engine's error text of a failed start, else empty. */
  readonly error: string
  readonly startedAt: string
  readonly finishedAt: string
  /** Absent when the container has no health check. */
  readonly health?: "starting" | "healthy" | "unhealthy"
  /** By Engine network id. */
  readonly addresses: Readonly<Record<string, string>>
  /** Host ports of `mode=host` publications. */
  readonly ports: ReadonlyArray<{ protocol: string; targetPort: number; publishedPort: number }>
  /** How long it was promised when it is stopped; absent where nothing was said of that. */
  readonly graceMs?: number
}

/** One run of a container's health check. */
export interface Probe {
  /** When it had ended, as the Engine wrote it. */
  readonly at: string
  readonly exitCode: number
  /** The beginning of what it wrote, as much as the Engine keeps. */
  readonly output: string
}

/** What a container's health check has come to. */
export interface ContainerHealth {
  readonly labels: Readonly<Record<string, string>>
  /** Absent when the container has no health check. */
  readonly status?: NonNullable<ContainerState["health"]>
  /** Those that the Engine keeps, the oldest first. */
  readonly probes: ReadonlyArray<Probe>
}

export type ContainerEvent =
  | { readonly _tag: "Started"; readonly containerId: string; readonly labels: Labels }
  | {
      readonly _tag: "Died"
      readonly containerId: string
      readonly labels: Labels
      readonly exitCode: number
    }
  | { readonly _tag: "OutOfMemory"; readonly containerId: string; readonly labels: Labels }
  | {
      readonly _tag: "Health"
      readonly containerId: string
      readonly labels: Labels
      readonly health: "healthy" | "unhealthy" | "starting"
    }
  | { readonly _tag: "Destroyed"; readonly containerId: string; readonly labels: Labels }
type Labels = Readonly<Record<string, string>>

export interface LogLine {
  readonly stream: "stdout" | "stderr"
  /** RFC 3339 with nanoseconds, as the Engine wrote it. */
  readonly timestamp: string
  /** The line with its newline, if it had one. */
  readonly line: Uint8Array
  /** `key=value,…` as the Engine gives it with `details=1`; empty when there are none. */
  readonly details: string
}

export interface LogOptions {
  readonly stdout: boolean
  readonly stderr: boolean
  readonly follow: boolean
  /** Seconds since the epoch, fractions allowed; 0 for all. */
  readonly since: number
  readonly until: number
  /** Number of lines from the end, or all. */
  readonly tail: number | "all"
  readonly details: boolean
}

export interface ContainerSample {
  readonly at: number
  readonly cpuNanos: number
  readonly memoryBytes: number
  readonly rxBytes: number
  readonly txBytes: number
}

/** In characters. */
export interface ConsoleSize {
  readonly columns: number
  readonly rows: number
}

export interface ConsoleRequest {
  /** The program and its arguments. */
  readonly command: ReadonlyArray<string>
  readonly size: ConsoleSize
}

/** A command with a terminal of its own in a container. */
export interface Console {
  /** The next bytes of its output; `undefined` once there are no more. Nothing is read ahead. */
  readonly read: Effect.Effect<Uint8Array | undefined, ExecutorError>
  /** Completes when the bytes are on their way, so that whoever waits for it does not send too fast. */
  readonly write: (part: Uint8Array) => Effect.Effect<void, ExecutorError>
  readonly resize: (size: ConsoleSize) => Effect.Effect<void>
  /** After the end of its output; `undefined` where nobody knows. */
  readonly exitCode: Effect.Effect<number | undefined, ExecutorError>
}

export interface ExecutorService {
  readonly kind: "docker" | "process"
  /** Proves that the executor answers, and costs it next to nothing; fails within two seconds where it does not. */
  readonly ping: Effect.Effect<void, ExecutorError>
  /** What this machine offers. */
  readonly describe: Effect.Effect<NodeDescription, ExecutorError>
  /**
   * Makes the image present: pulls unless it is there by digest; when the pull fails but the image is here, that
   * is fine, as in Swarm. Fails with the registry's or the Engine's message otherwise.
   */
  readonly pull: (image: string, registryAuth: string | undefined) => Effect.Effect<void, ExecutorError>
  /** The new container's id, or the id of the one that already carries this task's label. */
  readonly create: (name: string, request: ContainerRequest) => Effect.Effect<string, ExecutorError>
  readonly start: (id: string) => Effect.Effect<void, ExecutorError>
  /** Sends the container's stop signal and waits at most `graceMs` before it kills. */
  readonly stop: (id: string, graceMs: number) => Effect.Effect<void, ExecutorError>
  readonly kill: (id: string) => Effect.Effect<void, ExecutorError>
  /** Removes the container with its anonymous volumes, running or not. */
  readonly remove: (id: string) => Effect.Effect<void, ExecutorError>
  readonly inspect: (id: string) => Effect.Effect<ContainerState | undefined, ExecutorError>
  readonly health: (id: string) => Effect.Effect<ContainerHealth | undefined, ExecutorError>
  /** Every container, running or not, that carries a task label of this node's cluster. */
  readonly list: Effect.Effect<ReadonlyArray<ContainerState>, ExecutorError>
  /** Events of task containers from now on; fails when the connection is lost. */
  readonly events: Stream.Stream<ContainerEvent, ExecutorError>
  readonly logs: (id: string, options: LogOptions) => Stream.Stream<LogLine, ExecutorError>
  /** Runs the command until it ends or the scope does. `id` is the container's own, not the beginning of it, nor a name. */
  readonly console: (
    id: string,
    request: ConsoleRequest
  ) => Effect.Effect<Console, ExecutorError, Scope.Scope>
  readonly stats: (id: string) => Effect.Effect<ContainerSample, ExecutorError>
  /** The Engine's id of the bridge that carries this overlay here; made when missing. */
  readonly ensureNetwork: (plan: NetworkPlan) => Effect.Effect<string, ExecutorError>
  /** Removes the bridge if nothing uses it. */
  readonly removeNetwork: (networkId: string) => Effect.Effect<void, ExecutorError>
  /** Ids of our networks that exist here. */
  readonly listNetworks: Effect.Effect<ReadonlyArray<string>, ExecutorError>
}

export class Executor extends Context.Service<Executor, ExecutorService>()(
  "troupe/actors/drivers/Executor"
) {}
