/** What is wrong in the cluster, each thing once: what, since when, and why. */
import type { Node, Service, Task } from "./objects.ts"

/** As `GET /alerts` tells them. */
export interface Alert {
  readonly Condition: string
  readonly Object: { readonly Kind: string; readonly ID: string; readonly Name: string }
  readonly Since: string
  readonly Says: string
}

export interface Problem {
  /** Where there is more of it. */
  readonly go: string
  readonly name: string
  readonly what: string
  readonly why: string
  /** Absent where nobody knows. */
  readonly since?: string
}

export interface Count {
  /** How many run; of a job, how many have done their work. */
  readonly reached: number
  readonly wanted: number
  readonly word: "running" | "done"
}

/** Also what is to start once its turn comes. */
export const isWanted = ({ Desired }: Task): boolean =>
  Desired === "ready" || Desired === "running" || Desired === "complete"

/** What of a job nobody tries again. */
const isSpent = ({ State, Desired }: Task): boolean =>
  Desired === "shutdown" && (State === "failed" || State === "rejected")

const failures = ["failed", "rejected", "orphaned"]
const hasFailed = ({ State }: Task): boolean => failures.includes(State)
export const hasEnded = (state: string): boolean =>
  ["complete", "shutdown", "remove", ...failures].includes(state)
const newest = (tasks: ReadonlyArray<Task>): Task | undefined =>
  tasks.reduce<Task | undefined>(
    (last, task) => (last === undefined || task.At > last.At ? task : last),
    undefined
  )
const oldest = (times: ReadonlyArray<string>): string | undefined => [...times].sort()[0]

export function count({ Spec }: Service, tasks: ReadonlyArray<Task>): Count {
  const { Replicated, ReplicatedJob, GlobalJob } = Spec.Mode
  const wanted = tasks.filter(isWanted)
  const inState = (wish: string): number => wanted.filter(({ State }) => State === wish).length
  if (ReplicatedJob !== undefined)
    return {
      reached: inState("complete"),
      wanted: ReplicatedJob.TotalCompletions ?? ReplicatedJob.MaxConcurrent ?? 1,
      word: "done"
    }
  if (GlobalJob !== undefined) {
    // Also the nodes where it failed for good.
    const nodes = new Set([...wanted, ...tasks.filter(isSpent)].map(({ ID, NodeID }) => NodeID || ID))
    return { reached: inState("complete"), wanted: nodes.size, word: "done" }
  }
  return { reached: inState("running"), wanted: Replicated?.Replicas ?? wanted.length, word: "running" }
}

/** How far a job has come since it was begun last. */
export interface Progress extends Count {
  readonly running: number
  /** Tasks that are on their way, or find no node. */
  readonly waiting: number
  readonly failures: number
  /** Nobody does any more of it. */
  readonly isOver: boolean
}

/** Absent for what is no job. */
export function progressOf(service: Service, tasks: ReadonlyArray<Task>): Progress | undefined {
  const found = count(service, tasks)
  if (found.word !== "done") return undefined
  const left = tasks.filter((task) => isWanted(task) && task.State !== "complete")
  const running = left.filter(({ State }) => State === "running").length
  const failures = tasks.filter((task) => hasFailed(task) && task.Desired !== "remove").length
  // Between two of its tasks there may be none.
  const isOver = left.length === 0 && tasks.length > 0 && (failures > 0 || found.reached >= found.wanted)
  return { ...found, running, waiting: left.length - running, failures, isOver }
}

/** Whether it is as asked, or a job that is still at work. */
export function standingOf(service: Service, tasks: ReadonlyArray<Task>): "good" | "waiting" | "bad" {
  const { reached, wanted } = count(service, tasks)
  if (reached >= wanted) return "good"
  return progressOf(service, tasks)?.isOver === false ? "waiting" : "bad"
}

/** Of services, what began last comes first. */
export function judge(known: {
  readonly services: ReadonlyArray<Service>
  readonly nodes: ReadonlyArray<Node>
  readonly tasksOf: (service: Service) => ReadonlyArray<Task>
  readonly alerts: ReadonlyArray<Alert>
  readonly nowMs: number
}): ReadonlyArray<Problem> {
  const { services, nodes, tasksOf, alerts, nowMs } = known
  const told = Map.groupBy(alerts, ({ Object: { ID } }) => ID)
  const cluster = alerts
    .filter(({ Object: { Kind } }) => Kind === "cluster")
    .map(({ Since, Says }) => ({
      go: "#/nodes",
      name: "cluster",
      what: "in danger",
      why: Says,
      since: Since
    }))
  return [
    ...cluster,
    ...nodes.flatMap((node) => judgeNode(node, told.get(node.ID) ?? [])),
    ...services
      .flatMap((service) => judgeService(service, tasksOf(service), told.get(service.ID) ?? [], nowMs))
      .sort((a, b) => (b.since ?? "").localeCompare(a.since ?? ""))
  ]
}

function judgeNode({ ID, Description, Status }: Node, told: ReadonlyArray<Alert>): ReadonlyArray<Problem> {
  const about = { go: `#/node/${ID}`, name: Description?.Hostname || ID }
  const others = told
    .filter(({ Condition }) => Condition !== "node-down")
    .map(({ Condition, Since, Says }) => ({
      ...about,
      what: Condition.replaceAll("-", " "),
      why: Says,
      since: Since
    }))
  if (Status.State === "ready") return others
  const since = told.find(({ Condition }) => Condition === "node-down")?.Since
  const what = `node ${Status.State ?? "unknown"}`
  return [{ ...about, what, why: Status.Message ?? "", ...(since !== undefined && { since }) }, ...others]
}

/** What is told of a service whose tasks may all run. */
const besides: Readonly<Record<string, string>> = {
  "certificate-ends": "certificate ends",
  "load-unknown": "load unknown"
}

/** As the leader's `crash-loop` has it. */
const crashWindowMs = 5 * 60_000

function judgeService(
  service: Service,
  tasks: ReadonlyArray<Task>,
  told: ReadonlyArray<Alert>,
  nowMs: number
): ReadonlyArray<Problem> {
  const about = { go: `#/service/${service.ID}`, name: service.Spec.Name }
  const { reached, wanted, word } = count(service, tasks)
  const failed = tasks.filter(hasFailed)
  const last = newest(failed)
  const homeless = tasks.filter((task) => isWanted(task) && task.NodeID === "" && task.IsUnwell)
  const others = told.flatMap(({ Condition, Since, Says }) => {
    const what = besides[Condition]
    return what === undefined ? [] : [{ ...about, what, why: Says, since: Since }]
  })
  const counted = told.filter(({ Condition }) => !(Condition in besides)).map(({ Since }) => Since)
  const problem = (what: string, why = "", ...times: ReadonlyArray<string | undefined>) => {
    const since = oldest([...counted, ...times.filter((time) => time !== undefined)])
    return [{ ...about, what, why, ...(since !== undefined && { since }) }, ...others]
  }
  const missing = `${reached} of ${wanted} ${word}`

  const { State: update = "", Message, StartedAt } = service.UpdateStatus ?? {}
  if (update.includes("paused"))
    return problem(
      `${update.startsWith("rollback") ? "rollback" : "update"} paused, ${missing}`,
      last?.Says || Message,
      StartedAt
    )
  if (homeless.length > 0)
    return problem(`${homeless.length} without a node`, homeless[0]?.Says, ...homeless.map(({ At }) => At))
  const recent = failed.filter(({ At }) => Date.parse(At) > nowMs - crashWindowMs)
  const isLooping = told.some(({ Condition }) => Condition === "crash-loop")
  if (isLooping || (recent.length > 1 && reached < wanted && word === "running"))
    return problem(`fails again and again, ${missing}`, last?.Says, ...recent.map(({ At }) => At))
  if (told.some(({ Condition }) => Condition === "service-short")) {
    const late = tasks.find((task) => isWanted(task) && task.State !== "running")
    return problem(missing, late === undefined ? last?.Says : `${late.State}: ${late.Says}`)
  }
  if (progressOf(service, tasks)?.isOver === true && reached < wanted && last !== undefined)
    return problem(`job failed, ${missing}`, last.Says, last.At)
  return others
}
