/** `troupe why` in words. */
import type { Diagnosis } from "#actors/scheduler/diagnose.ts"
import { table } from "#cli/print/table.ts"

export interface WhyTask {
  readonly ID: string
  readonly Name: string
  readonly State: string
  readonly DesiredState: string
  /** When it came to that state, or last said why it stays. */
  readonly Since?: string
  readonly Says: string
  /** Whether what it says is an error. */
  readonly Failing?: boolean
  readonly Node?: string
  readonly StartAfter?: string
  readonly Reason?: { readonly Rejected: Readonly<Record<string, string>>; readonly Rank: string }
  readonly Diagnosis?: Diagnosis
  /** How many more of the service's tasks wait for the same. */
  readonly Alike?: number
}

/** What the API says of a service. */
export interface WhyService {
  readonly Service: string
  readonly Tasks: ReadonlyArray<WhyTask>
  /** Where its last update did not simply come through. */
  readonly Update?: { readonly State: string; readonly Message?: string }
  /** What is wrong beside its tasks. */
  readonly Warnings?: ReadonlyArray<string>
  readonly Ended?: ReadonlyArray<WhyTask & { readonly At: string }>
}

/** What waits of it and why, how its last update ended, what else is wrong, and what went wrong with its tasks. */
export function showWhyService({ Service, Tasks, Update, Warnings = [], Ended = [] }: WhyService): string {
  const waits = Tasks.length === 0 ? [`no task of ${Service} waits`] : Tasks.map(showWhy)
  const update = Update && [`its update: ${Update.State}${Update.Message ? `: ${Update.Message}` : ""}`]
  const rows = Ended.map((task) => [
    task.At.slice(0, 19),
    task.Name + alike(task),
    task.Node ?? "",
    task.State,
    task.Says
  ])
  const ends = rows.length > 0 && [table(["ENDED", "TASK", "NODE", "STATE", "WHY"], rows)]
  return [...waits, ...(update ?? []), ...Warnings, ...(ends || [])].join("\n\n")
}

const mostNames = 5
const namesOf = (names: ReadonlyArray<string>): string =>
  names.length <= mostNames
    ? names.join(", ")
    : `${names.slice(0, mostNames).join(", ")} and ${names.length - mostNames} more`

export const alike = ({ Alike = 0 }: WhyTask): string => (Alike > 0 ? ` (and ${Alike} alike)` : "")

export function showWhy(task: WhyTask): string {
  const lines = [`${task.Name}${alike(task)} is ${task.State}, wanted ${task.DesiredState}${saying(task)}`]
  if (task.Diagnosis !== undefined) lines.push(...showDiagnosis(task.Diagnosis))
  else if (task.State === "new") lines.push("It waits for its addresses, or for the networks that it names.")
  else if (task.State === "assigned" && task.Failing !== true)
    lines.push(
      `Its node has not begun with it: troupe doctor says on ${task.Node ?? "it"} what is wrong there.`
    )
  if (task.Reason !== undefined) lines.push(...showReason(task.Node ?? "a node that is gone", task.Reason))
  if (task.State === "ready" && task.StartAfter !== undefined) {
    lines.push(`It may start at ${task.StartAfter}, or when the task before it has stopped.`)
  }
  return lines.join("\n")
}

const saying = ({ Says }: WhyTask): string => (Says === "" ? "" : `: ${Says}`)

function showDiagnosis({ TurnedAway, Suitable, Changes }: Diagnosis): ReadonlyArray<string> {
  const lines: Array<string> = []
  if (TurnedAway.length > 0) {
    const rows = TurnedAway.map(({ Filter, Reason, Nodes }) => [
      Filter,
      Reason,
      `${Nodes.length}`,
      namesOf(Nodes)
    ])
    lines.push("", table(["FILTER", "REASON", "NODES", "WHICH"], rows))
  }
  if (Suitable.length > 0) lines.push("", `It can be placed on ${namesOf(Suitable)}, and is about to be.`)
  else if (Changes.length > 0)
    lines.push("", "The smallest change that would help:", ...Changes.map((change) => `  ${change}`))
  else lines.push("", "There is no node: docker swarm join-token worker says how to add one.")
  return lines
}

function showReason(node: string, { Rank, Rejected }: NonNullable<WhyTask["Reason"]>): ReadonlyArray<string> {
  const lines = [`It is on ${node}, which ranked first with ${Rank} when it was placed.`]
  const losers = Object.entries(Rejected)
  if (losers.length > 0) {
    lines.push(
      "",
      table(
        ["FILTER", "SAID OF OTHERS"],
        losers.map(([filter, said]) => [filter, said])
      )
    )
  }
  return lines
}
