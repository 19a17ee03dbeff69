/** The service through which actors are reached: told, asked, watched, inspected, stopped. */
import { Context, type Effect, type Schema, type Scope } from "effect"
import type { Address } from "#runtime/address.ts"
import type { Absence } from "#runtime/errors.ts"
import type { StrayReport } from "#runtime/strays.ts"
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
  /** The id of the message that the last error came from, where it is known. */
  readonly lastMessage?: string
  readonly decideMicros?: { readonly mean: number; readonly max: number; readonly p99: number }
  /** Children left out because they are deeper than was asked for. */
  readonly folded?: number
  /** Children left out after the last one here, because one message did not carry them. */
  readonly hidden?: number
  readonly children: ReadonlyArray<TreeNode>
}

/** A child in a running tree: an actor's address, or names from the tree's top down, as `trees` gives them. */
export type ChildRef = Address | ReadonlyArray<string>

/** What people may ask about one child by hand. A child stopped by hand stays down until somebody starts it. */
export type Order = "stop" | "start" | "restart" | "delete"

/**
 * What came of an order: `not-found`, also for the top of a tree, which can be restarted only; `running` and
 * `restarting` when it would have to be stopped first; `stopping` when it is on its way out; `supervisor-down` when
 * the supervisor that would have to do it does not run.
 */
export type OrderOutcome = "done" | "not-found" | "running" | "restarting" | "stopping" | "supervisor-down"

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
  /**
   * Asks and waits; with `answers`, what another process answers is decoded, and `NotUnderstood` when it cannot be.
   *
   * In a `perform` that a question led to, what is left for that answer is all that is waited (`AnswerBy`). An ask that
   * is interrupted is taken back: a receiver in this process that has not come to it skips it, one elsewhere does when
   * the deadline has passed, and its answer finds nobody.
   */
  readonly ask: <Answer>(
    to: Address,
    message: unknown,
    withinMs: number,
    answers?: Schema.Codec<Answer, unknown>
  ) => Effect.Effect<Answer, Absence>
  /**
   * Asks, and asks again until there is an answer or no time left: while nobody is there, while the transport is down,
   * when an answer does not come. The receiver handles it at most once and answers repetitions from memory. `Stopped`
   * when that cannot be known any more, because who was asked first did not live to tell; `TimedOut` when it may have
   * been handled; any other absence when it was not.
   */
  readonly askOnce: SystemService["ask"]
  /**
   * Told once when the actor has ended for good (a restart by its supervisor is no end) or its process has died; at once
   * when it is not there; after four to six seconds when its node, or our own connection, is silent.
   */
  readonly watch: (target: Address, told: (reason: string) => void) => { readonly unwatch: () => void }
  /** Runs a tree at `home` until the scope closes; fails with the whole cause chain when its top gives up. */
  readonly run: (spec: SupervisorSpec, home: string) => Effect.Effect<RunningTree, never, Scope.Scope>
  /** Every tree that runs in this process. */
  readonly trees: () => ReadonlyArray<TreeNode>
  /** One child with all below it, as it is now. */
  readonly inspectChild: (child: ChildRef) => TreeNode | undefined
  /**
   * Restarts an actor, a `many` group or a supervisor as if it had crashed with "restarted by hand"; ends the wait of
   * one that is between two lives; starts one that was stopped. False when it is not here.
   */
  readonly restart: (child: ChildRef) => boolean
  /** Stops a child (OTP: terminate_child) and completes when it is down. What waits in its inbox is lost. */
  readonly stopChild: (child: ChildRef) => Effect.Effect<OrderOutcome>
  /** Starts a child that was stopped or has ended (OTP: restart_child); judged from then on like any other. */
  readonly startChild: (child: ChildRef) => Effect.Effect<OrderOutcome>
  /** Forgets a child that is down (OTP: delete_child), until its supervisor starts anew from its spec. */
  readonly deleteChild: (child: ChildRef) => Effect.Effect<OrderOutcome>
  /** Errors that reached nobody and could be laid at no running actor's door. */
  readonly strays: () => StrayReport
  readonly deadLetters: () => { readonly count: number; readonly samples: ReadonlyArray<string> }
  /** What monitoring is told, in the OpenMetrics text format. */
  readonly metrics: () => string
}

export interface RunningTree {
  /** Completes when the tree has ended by itself: with its significant children, or failing with the reason. */
  readonly ended: Effect.Effect<void, TreeFailed>
  readonly stop: Effect.Effect<void>
}

export class TreeFailed extends Error {
  override readonly name = "TreeFailed"
}

export class System extends Context.Service<System, SystemService>()("troupe/runtime/System") {}
