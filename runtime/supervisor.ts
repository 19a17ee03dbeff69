/**
 * Supervision as data. Children start top to bottom and stop bottom to top; a child relies only on those above it.
 * The rules are OTP's: https://www.erlang.org/doc/apps/stdlib/supervisor.html
 */
import type { Duration } from "effect"
import type { AnyActor } from "#runtime/actor.ts"

export type Strategy = "one-for-one" | "one-for-all" | "rest-for-one"

/** `permanent` always comes back, `transient` after a crash only, `temporary` never. */
export type Restart = "permanent" | "transient" | "temporary"

export interface ChildOptions {
  readonly restart?: Restart
  /** How long a child may take to end its running actions before they are interrupted; default 5 seconds. */
  readonly stopWithin?: Duration.Input
}

export type ChildSpec =
  | {
      readonly _tag: "Actor"
      readonly definition: AnyActor
      readonly id: string
      readonly props: unknown
      readonly restart: Restart
      readonly stopWithin: Duration.Input
    }
  | {
      readonly _tag: "Many"
      readonly definition: AnyActor
      readonly restart: Restart
      readonly stopWithin: Duration.Input
      readonly tolerates: Tolerance
    }
  | { readonly _tag: "Supervisor"; readonly spec: SupervisorSpec; readonly restart: Restart }

export interface Tolerance {
  readonly crashes: number
  readonly within: Duration.Input
}

export interface SupervisorSpec {
  readonly name: string
  readonly strategy: Strategy
  /** More crashes than this within the period, and the supervisor itself crashes: its parent judges next. */
  readonly tolerates: Tolerance
  readonly children: ReadonlyArray<ChildSpec>
}

const fiveSeconds: Duration.Input = "5 seconds"
/** OTP's default of one in five seconds is for hand-tuned trees; ours back off between restarts instead. */
const usualTolerance: Tolerance = { crashes: 10, within: "1 minute" }

const child =
  (restart: Restart) =>
  (
    definition: AnyActor,
    options: { readonly id?: string; readonly props?: unknown } & Omit<ChildOptions, "restart"> = {}
  ): ChildSpec => ({
    _tag: "Actor",
    definition,
    id: options.id ?? "main",
    props: options.props,
    restart,
    stopWithin: options.stopWithin ?? fiveSeconds
  })

export const permanent = child("permanent")
export const transient = child("transient")
export const temporary = child("temporary")

/** Any number of actors of one kind, started by `Spawn` and ended by `Dismiss`, each judged on its own. */
export const many = (
  definition: AnyActor,
  options: ChildOptions & { tolerates?: Tolerance } = {}
): ChildSpec => ({
  _tag: "Many",
  definition,
  restart: options.restart ?? "transient",
  stopWithin: options.stopWithin ?? fiveSeconds,
  tolerates: options.tolerates ?? usualTolerance
})

export const subtree = (spec: SupervisorSpec, restart: Restart = "permanent"): ChildSpec => ({
  _tag: "Supervisor",
  spec,
  restart
})

export const supervisor = (
  spec: Omit<SupervisorSpec, "tolerates" | "strategy"> &
    Partial<Pick<SupervisorSpec, "tolerates" | "strategy">>
): SupervisorSpec => ({ strategy: "one-for-one", tolerates: usualTolerance, ...spec })
