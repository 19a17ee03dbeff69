/**
 * Supervision as data. Children start top to bottom and stop bottom to top; a child relies only on those above it.
 * The rules are OTP's: https://www.erlang.org/doc/apps/stdlib/supervisor.html
 */
import { Duration } from "effect"
import type { AnyActor } from "#runtime/actor.ts"
import { isToken } from "#runtime/address.ts"

const strategies = ["one-for-one", "one-for-all", "rest-for-one"] as const
export type Strategy = (typeof strategies)[number]

const restarts = ["permanent", "transient", "temporary"] as const
/** `permanent` always comes back, `transient` after a crash only, `temporary` never. */
export type Restart = (typeof restarts)[number]

const shutdowns = ["never", "any-significant", "all-significant"] as const
/**
 * Whether a supervisor ends, normally, with its significant children: with the first that ended by itself and stays
 * down, or with the last.
 */
export type AutoShutdown = (typeof shutdowns)[number]

/**
 * How long a child may take to end its running actions before they are interrupted, and two seconds more for what they
 * release then. `"infinity"` never interrupts them; `"kill"` interrupts them at once and waits for nothing.
 */
export type StopWithin = Duration.Input | "infinity" | "kill"

export interface ChildOptions {
  readonly restart?: Restart
  /** 5 seconds unless said otherwise. */
  readonly stopWithin?: StopWithin
}

interface MayBeSignificant {
  /** Its end may end its supervisor, see `AutoShutdown`. Never a permanent child's, which always comes back. */
  readonly significant?: boolean
}

export type ChildSpec =
  | {
      readonly _tag: "Actor"
      readonly definition: AnyActor
      readonly id: string
      readonly props: unknown
      readonly restart: Restart
      readonly stopWithin: StopWithin
      readonly significant: boolean
    }
  | {
      readonly _tag: "Many"
      readonly definition: AnyActor
      readonly restart: Restart
      readonly stopWithin: StopWithin
      readonly tolerates: Tolerance
    }
  | {
      readonly _tag: "Supervisor"
      readonly spec: SupervisorSpec
      readonly restart: Restart
      readonly significant: boolean
    }

export interface Tolerance {
  readonly crashes: number
  readonly within: Duration.Input
}

export interface SupervisorSpec {
  readonly name: string
  readonly strategy: Strategy
  /** More crashes than this within the period, and the supervisor itself crashes: its parent judges next. */
  readonly tolerates: Tolerance
  readonly autoShutdown: AutoShutdown
  readonly children: ReadonlyArray<ChildSpec>
}

/** A spec that no supervisor can follow; thrown where it is made. */
export class InvalidSpec extends Error {
  override readonly name = "InvalidSpec"
  /** The field at fault, as a path from the spec: `children[2].significant`. */
  readonly field: string

  constructor(of: string, field: string, problem: string) {
    super(`Cannot supervise ${of}: ${field} ${problem}`)
    this.field = field
  }
}

const fiveSeconds: Duration.Input = "5 seconds"
/** OTP's default of one in five seconds is for hand-tuned trees; ours back off between restarts instead. */
const usualTolerance: Tolerance = { crashes: 10, within: "1 minute" }

const child =
  (restart: Restart) =>
  (
    definition: AnyActor,
    options: { readonly id?: string; readonly props?: unknown } & Omit<ChildOptions, "restart"> &
      MayBeSignificant = {}
  ): ChildSpec =>
    checkedChild({
      _tag: "Actor",
      definition,
      id: options.id ?? "main",
      props: options.props,
      restart,
      stopWithin: options.stopWithin ?? fiveSeconds,
      significant: options.significant ?? false
    })

/** Each throws `InvalidSpec` when what it is given makes no child. */
export const permanent = child("permanent")
export const transient = child("transient")
export const temporary = child("temporary")

/**
 * Any number of actors of one kind, started by `Spawn` and ended by `Dismiss`, each judged on its own. Throws
 * `InvalidSpec`.
 */
export const many = (
  definition: AnyActor,
  options: ChildOptions & { tolerates?: Tolerance } = {}
): ChildSpec =>
  checkedChild({
    _tag: "Many",
    definition,
    restart: options.restart ?? "transient",
    stopWithin: options.stopWithin ?? fiveSeconds,
    tolerates: options.tolerates ?? usualTolerance
  })

/** A supervisor as another one's child. Its parent waits for its stop without limit. Throws `InvalidSpec`. */
export const subtree = (
  spec: SupervisorSpec,
  options: { readonly restart?: Restart } & MayBeSignificant = {}
): ChildSpec =>
  checkedChild({
    _tag: "Supervisor",
    spec,
    restart: options.restart ?? "permanent",
    significant: options.significant ?? false
  })

/** Throws `InvalidSpec` when no supervisor can follow it. */
export const supervisor = (
  spec: Pick<SupervisorSpec, "name" | "children"> & Partial<SupervisorSpec>
): SupervisorSpec =>
  checkedSupervisor({
    strategy: "one-for-one",
    tolerates: usualTolerance,
    autoShutdown: "never",
    ...spec
  })

/** What a child is called among its siblings, and in `troupe tree`. */
function childName(spec: ChildSpec): string {
  switch (spec._tag) {
    case "Actor":
      return `${spec.definition.kind}/${spec.id}`
    case "Many":
      return `many ${spec.definition.kind}`
    case "Supervisor":
      return spec.spec.name
  }
}

/** A child's `stopWithin` in milliseconds. */
export function stopWithinMs(within: StopWithin): number | "kill" {
  if (within === "kill") return within
  return within === "infinity" ? Number.POSITIVE_INFINITY : Duration.toMillis(within)
}

function checkedChild(spec: ChildSpec): ChildSpec {
  const name = childName(spec)
  if (spec._tag !== "Supervisor") {
    if (!isToken(spec.definition.kind)) throw new InvalidSpec(name, "kind", "cannot stand in a subject")
    if (!isDeadline(spec.stopWithin)) {
      throw new InvalidSpec(name, "stopWithin", `is no duration, "infinity" or "kill"`)
    }
  }
  checkOneOf(name, "restart", spec.restart, restarts)
  if (spec._tag === "Many") checkTolerance(name, spec.tolerates)
  else if (spec.significant && spec.restart === "permanent") {
    throw new InvalidSpec(name, "significant", "is not for permanent children: they always come back")
  }
  if (spec._tag === "Actor" && !isToken(spec.id)) {
    throw new InvalidSpec(name, "id", "cannot stand in a subject")
  }
  return spec
}

function checkedSupervisor(spec: SupervisorSpec): SupervisorSpec {
  const { name } = spec
  if (name === "") throw new InvalidSpec("a supervisor", "name", "is empty")
  checkOneOf(name, "strategy", spec.strategy, strategies)
  checkOneOf(name, "autoShutdown", spec.autoShutdown, shutdowns)
  checkTolerance(name, spec.tolerates)
  const names = new Set<string>()
  for (const [place, child] of spec.children.entries()) {
    const called = childName(child)
    if (names.has(called)) throw new InvalidSpec(name, `children[${place}]`, `is a second ${called}`)
    names.add(called)
    if (child._tag !== "Many" && child.significant && spec.autoShutdown === "never") {
      const problem = `of ${called} means nothing while autoShutdown is "never"`
      throw new InvalidSpec(name, `children[${place}].significant`, problem)
    }
  }
  return spec
}

function checkTolerance(of: string, { crashes, within }: Tolerance): void {
  if (!Number.isInteger(crashes) || crashes < 0) {
    throw new InvalidSpec(of, "tolerates.crashes", `is ${crashes}: it is a whole number from 0 up`)
  }
  const ms = millisOf(within)
  if (ms === undefined || !(ms > 0 && Number.isFinite(ms))) {
    throw new InvalidSpec(of, "tolerates.within", "is no duration longer than nothing")
  }
}

function checkOneOf(of: string, field: string, value: string, known: ReadonlyArray<string>): void {
  if (known.includes(value)) return
  throw new InvalidSpec(of, field, `is ${JSON.stringify(value)}: it is one of ${known.join(", ")}`)
}

function isDeadline(within: StopWithin): boolean {
  if (within === "infinity" || within === "kill") return true
  const ms = millisOf(within)
  return ms !== undefined && ms >= 0
}

function millisOf(input: Duration.Input): number | undefined {
  const duration = Duration.fromInput(input)
  return duration._tag === "Some" ? Duration.toMillis(duration.value) : undefined
}
