/** What `troupe autoscale` and `troupe why` say of services that follow their load. */
import { table } from "#cli/print/table.ts"

export interface Vote {
  readonly Target: string
  readonly Goal: number
  readonly Mean?: number
  readonly Recent?: number
  readonly Wants?: number
  readonly Panics: boolean
}

export interface Decision {
  readonly At: string
  readonly From: number
  readonly To: number
  readonly Running: number
  readonly Wanted: number
  readonly Scheduled?: number
  readonly Why: string
  readonly Votes: ReadonlyArray<Vote>
}

/** One service, as `GET /autoscale` says it. */
export interface Scaled {
  readonly ID: string
  readonly Name: string
  readonly Replicas: number
  readonly Running: number
  readonly Min?: number
  readonly Max?: number
  readonly Targets: ReadonlyArray<{ readonly Name: string; readonly Metric: string; readonly Goal: number }>
  readonly Schedule: ReadonlyArray<{ readonly Pattern: string; readonly Replicas: number }>
  readonly Problem?: string
  readonly Now?: Decision
  readonly Changes: ReadonlyArray<Decision>
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"]

/** `1.5GiB`, as the docker CLI writes bytes. */
export function showBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${Number(value.toPrecision(value < 1000 ? 3 : 4))}${units[unit]}`
}

/** A figure of a target, or of its goal, with its unit. */
export const showValue = (target: string, value: number): string => {
  if (target === "memory") return showBytes(value)
  if (target === "p95") return `${Number(value.toPrecision(3))}ms`
  const number = String(Number(value.toPrecision(3)))
  return target === "cpu" ? `${number} cores` : number
}

const showGoals = ({ Targets, Schedule }: Scaled): string =>
  [
    ...Targets.map(({ Name, Metric, Goal }) => `${Name} ${showValue(Metric, Goal)}`),
    ...Schedule.map(({ Pattern, Replicas }) => `${Pattern} => ${Replicas}`)
  ].join("; ")

export function showScaled(services: ReadonlyArray<Scaled>): string {
  if (services.length === 0)
    return "no service follows its load: troupe autoscale NAME --max 10 --target cpu=70% lets one"
  const rows = services.map((service) => [
    service.Name,
    `${service.Running}/${service.Replicas}`,
    service.Min === undefined ? "" : `${service.Min}–${service.Max}`,
    showGoals(service),
    service.Problem ?? service.Now?.Why ?? "nothing is known of a decision"
  ])
  return table(["SERVICE", "TASKS", "BOUNDS", "ONE TASK IS FOR", "NOW"], rows)
}

/** The last decision with what it was made from, and the last changes, newest first. */
export function showDecisions(service: Scaled, changes = 10): string {
  const { Name, Replicas, Problem, Now, Changes } = service
  const lines: Array<string> = []
  if (Problem !== undefined) lines.push(`${Problem}; what was asked before it stays in force`)
  if (Now === undefined) lines.push(`${Name} has ${Replicas} replicas; its autoscaler has not decided yet.`)
  else {
    lines.push(`${Name} has ${Now.From} replicas, ${Now.Running} run, ${Now.Wanted} wanted: ${Now.Why}`)
    if (Now.Votes.length > 0) lines.push("", showVotes(Now.Votes))
  }
  if (Changes.length > 0) {
    const rows = Changes.slice(0, changes).map(({ At, From, To, Why }) => [At, `${From} → ${To}`, Why])
    lines.push("", table(["CHANGED AT", "REPLICAS", "WHY"], rows))
  }
  return lines.join("\n")
}

function showVotes(votes: ReadonlyArray<Vote>): string {
  const show = (target: string, value: number | undefined): string =>
    value === undefined ? "unknown" : showValue(target, value)
  const rows = votes.map(({ Target, Goal, Mean, Recent, Wants, Panics }) => [
    Target,
    show(Target, Mean),
    show(Target, Recent),
    show(Target, Goal),
    Wants === undefined ? "to stay" : `${Wants}${Panics ? " at once" : ""}`
  ])
  return table(["TARGET", "OVER THE WINDOW", "JUST NOW", "ONE TASK IS FOR", "WANTS"], rows)
}
