/** The service through which actors are reached: told, asked, watched, inspected, stopped. */
import { Context, type Effect, type Schema, type Scope } from "effect"
import type { Address } from "#runtime/address.ts"
import type { Absence } from "#runtime/errors.ts"
import type { SupervisorSpec } from "#runtime/supervisor.ts"

/** One line of the live tree. Times are milliseconds; `decideMicros` are microseconds spent in `decide`, in all. */
export interface TreeNode {
  readonly name: string
  readonly kind: "supervisor" | "actor"
  readonly address?: Address
  readonly state: "starting" | "running" | "restarting" | "stopping" | "stopped" | "failed"
  readonly summary?: string
  readonly depth?: number
  readonly oldestMs?: number
  readonly handled?: number
  readonly performing?: number
  readonly restarts: number
  readonly lastError?: string
  readonly decideMicros?: { readonly mean: number; readonly max: number; readonly p99: number }
  readonly children: ReadonlyArray<TreeNode>
}

export interface SystemService {
  readonly cluster: string
  readonly nodeId: string
  /**
   * Homes beside the node's own id that this process answers for now: `manager` on managers, `leader` while it
   * leads. Claiming subscribes to the home's subjects; releasing ends that. `term` is the leader's: it travels with
   * everything said from home `leader`, and receivers drop what comes with an older one than they have seen.
   */
  readonly claim: (home: string, options?: { readonly term?: number }) => { readonly release: () => void }
  /** Sends and forgets; what cannot be delivered is counted as a dead letter. */
  readonly tell: (to: Address, message: unknown) => void
  /** Asks and waits; with `answers`, what another process answers is decoded, and `NotUnderstood` when it cannot be. */
  readonly ask: <Answer>(
    to: Address,
    message: unknown,
    withinMs: number,
    answers?: Schema.Codec<Answer, unknown>
  ) => Effect.Effect<Answer, Absence>
  /** Told once when the actor ends or its node is gone; at once when it is not there. */
  readonly watch: (target: Address, told: (reason: string) => void) => { readonly unwatch: () => void }
  /** Runs a tree at `home` until the scope closes; fails with the whole cause chain when its top gives up. */
  readonly run: (spec: SupervisorSpec, home: string) => Effect.Effect<RunningTree, never, Scope.Scope>
  /** Every tree that runs in this process. */
  readonly trees: () => ReadonlyArray<TreeNode>
  /** Restarts one actor as if it had crashed with "restarted by hand". False when it is not here. */
  readonly restart: (target: Address) => boolean
  readonly deadLetters: () => { readonly count: number; readonly samples: ReadonlyArray<string> }
}

export interface RunningTree {
  /** Completes when the tree has ended by itself; its error is the reason. */
  readonly ended: Effect.Effect<never, TreeFailed>
  readonly stop: Effect.Effect<void>
}

export class TreeFailed extends Error {
  override readonly name = "TreeFailed"
}

export class System extends Context.Service<System, SystemService>()("troupe/runtime/System") {}
