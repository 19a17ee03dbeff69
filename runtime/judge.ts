/**
 * What a supervisor does about a child that ended: nothing, restart some children after a while, or give up.
 *
 * Pure: the history and one chance number come in, the verdict and the next history go out. The rules are OTP's,
 * with exponential back-off between restarts: https://www.erlang.org/doc/apps/stdlib/supervisor.html
 */
import type { AutoShutdown, Restart, Strategy } from "#runtime/supervisor.ts"

/** What a supervisor remembers of its children's ends. */
export interface History {
  /** When ends that counted happened, in milliseconds, oldest first, none older than the period. */
  readonly ends: ReadonlyArray<number>
  /** How many times in a row each child ended without having been healthy in between, by its place. */
  readonly streaks: ReadonlyMap<number, number>
}

export const cleanHistory: History = { ends: [], streaks: new Map() }

/** The rules of one supervisor. */
export interface Rules {
  readonly strategy: Strategy
  readonly crashes: number
  readonly withinMs: number
  /** The restart rule of each child, by its place. */
  readonly restarts: ReadonlyArray<Restart>
  /** `never` when absent. */
  readonly autoShutdown?: AutoShutdown
  /** Whether each child is significant, by its place; none is when absent. */
  readonly significant?: ReadonlyArray<boolean>
}

/** One child's end. `aliveMs` is how long it had been up; 0 when it never came up. */
export interface Ending {
  readonly child: number
  readonly crashed: boolean
  readonly now: number
  readonly aliveMs: number
  /** Whether another significant child is up, or will be without anybody's doing. */
  readonly othersAlive?: boolean
  /** From 0 up to, but not including, 1. */
  readonly chance: number
}

export type Verdict =
  /** It stays down, and that is right. */
  | { readonly _tag: "Leave"; readonly endsSupervisor: boolean }
  /** Children by place, ascending. All of `stops` are stopped first; those of `starts` start after `afterMs`. */
  | {
      readonly _tag: "Restart"
      readonly stops: ReadonlyArray<number>
      readonly starts: ReadonlyArray<number>
      readonly afterMs: number
    }
  | { readonly _tag: "Escalate"; readonly crashes: number }

/** The first wait; a crash that a second try cures is cured before anyone notices. */
export const firstBackOffMs = 100
/** Long enough to leave a broken dependency alone, short enough that its return is noticed. */
export const longestBackOffMs = 30_000
/** A child that was up this long has recovered: its next crash is a new trouble, not the old one. */
export const healthyAfterMs = 30_000

/** The verdict about one end, and the history from then on. */
export function judge(history: History, rules: Rules, ending: Ending): readonly [Verdict, History] {
  const restart = rules.restarts[ending.child]
  if (restart === undefined || restart === "temporary" || (restart === "transient" && !ending.crashed)) {
    return [{ _tag: "Leave", endsSupervisor: endsSupervisor(rules, ending) }, history]
  }

  // As in OTP, an end that lies exactly one period back still counts.
  const ends = [...history.ends.filter((at) => at >= ending.now - rules.withinMs), ending.now]
  const before = ending.aliveMs >= healthyAfterMs ? 0 : (history.streaks.get(ending.child) ?? 0)
  const next: History = { ends, streaks: new Map(history.streaks).set(ending.child, before + 1) }
  if (ends.length > rules.crashes) return [{ _tag: "Escalate", crashes: ends.length }, next]

  const stops = affected(rules, ending.child)
  // What is temporary goes with its siblings, and nobody brings it back.
  const starts = stops.filter((place) => rules.restarts[place] !== "temporary")
  return [{ _tag: "Restart", stops, starts, afterMs: backOffMs(before, ending.chance) }, next]
}

/**
 * How long to wait before a restart that follows `before` others in a row, in milliseconds.
 *
 * Jitter only lengthens: one child that crashes for ever then ends at most ten times a minute, which the usual
 * tolerance bears, so that one broken dependency does not end a tree. Many of them together do.
 */
export function backOffMs(before: number, chance: number): number {
  const base = Math.min(longestBackOffMs, firstBackOffMs * 2 ** Math.min(before, 20))
  return Math.round(base * (1 + chance / 2))
}

function endsSupervisor(rules: Rules, { child, othersAlive }: Ending): boolean {
  if (!rules.significant?.[child]) return false
  return (
    rules.autoShutdown === "any-significant" || (rules.autoShutdown === "all-significant" && !othersAlive)
  )
}

function affected(rules: Rules, child: number): ReadonlyArray<number> {
  if (rules.strategy === "one-for-one") return [child]
  const from = rules.strategy === "one-for-all" ? 0 : child
  return Array.from({ length: rules.restarts.length - from }, (_, offset) => from + offset)
}
