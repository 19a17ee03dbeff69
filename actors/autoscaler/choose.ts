/**
 * How many tasks a service should have: the control law.
 *
 * Each target is asked on its own and the largest answer counts. Load that adds up over tasks is divided by one task's
 * share, so the answer depends on the load and not on how many tasks share it now: steady load gives one answer, however
 * often it is asked. Up at once on what the last seconds say, where they say much more; otherwise on the whole window.
 * Down only to the most that was wanted at any moment of the stabilisation time.
 */

import type { Measured, Memory } from "#actors/autoscaler/memory.ts"
import { scheduledAt } from "#actors/autoscaler/parse-schedule.ts"
import type { Policy, Target } from "#actors/autoscaler/policy.ts"

export interface Inputs {
  readonly now: number
  /** What the service's spec asks for. */
  readonly replicas: number
  /** Its tasks that run. */
  readonly running: number
  /** By target, what is measured now; absent where nothing is known. */
  readonly figures: ReadonlyMap<string, number>
  /** Requests are under way, or somebody waits for a first task: one is wanted at least. */
  readonly callers: boolean
  /** An update or a rollback is under way, or stands paused. */
  readonly rollout: boolean
  /** The most tasks that the nodes can hold, those included that are there. Asked only before going up. */
  readonly room: () => number
}

/** What one target says. */
export interface Vote {
  readonly target: string
  readonly goal: number
  /** Over the window, and over the last seconds; absent where nothing is known. */
  readonly mean?: number
  readonly recent?: number
  /** Absent where nothing is known, which holds the service where it is or above. */
  readonly wants?: number
  readonly panics: boolean
}

export interface Decision {
  readonly at: number
  readonly from: number
  readonly to: number
  readonly running: number
  readonly votes: ReadonlyArray<Vote>
  readonly scheduled?: number
  /** What all of them want, before bounds. */
  readonly wanted: number
  readonly why: string
}

/** The last seconds count alone where they ask for this many times what there is. */
const panicRatio = 1.2
/** A level may at most double the tasks at a time: what lies beyond is not in proportion any more. */
const mostLevelRatio = 2
const idleLevel = 0.5
/** So that 2.0000000001 is 2. */
const slack = 1e-9

export function choose(policy: Policy, memory: Memory, inputs: Inputs): Decision {
  const { now, replicas } = inputs
  const votes = policy.targets.map((target) => vote(policy, memory, target, inputs))
  const scheduled = schedule(policy, memory, now)
  const { wanted, by } = largest(policy, votes, scheduled, inputs)
  if (votes.some(({ panics }) => panics)) memory.panicUntil = now + policy.windowMs
  remember(policy, memory, now, wanted)
  const { to, why } = settle(policy, memory, inputs, wanted, by)
  return {
    at: now,
    from: replicas,
    to,
    running: inputs.running,
    votes,
    ...(scheduled !== undefined && { scheduled }),
    wanted,
    why
  }
}

function vote(policy: Policy, memory: Memory, target: Target, inputs: Inputs): Vote {
  const { now, replicas } = inputs
  const figures = memory.figures.get(target.name) ?? []
  memory.figures.set(target.name, figures)
  const value = inputs.figures.get(target.name)
  if (value !== undefined && Number.isFinite(value) && value >= 0) figures.push({ at: now, value })
  const first = figures.findIndex(({ at }) => at > now - policy.windowMs)
  figures.splice(0, first < 0 ? figures.length : first)
  const common = { target: target.name, goal: target.goal }
  const mean = meanSince(figures, now - policy.windowMs)
  const recent = meanSince(figures, now - policy.panicMs)
  if (mean === undefined || recent === undefined) return { ...common, panics: false }
  const slow = wants(policy, target, mean, inputs)
  const fast = wants(policy, target, recent, inputs)
  const panics = fast > replicas && fast >= replicas * panicRatio
  // What the last seconds want keeps what there is, also where it is not enough to add to it.
  return { ...common, mean, recent, wants: Math.max(slow, panics ? fast : Math.min(fast, replicas)), panics }
}

function meanSince(figures: ReadonlyArray<Measured>, after: number): number | undefined {
  let sum = 0
  let count = 0
  for (let at = figures.length - 1; at >= 0; at--) {
    const figure = figures[at]
    if (figure === undefined || figure.at <= after) break
    sum += figure.value
    count += 1
  }
  return count === 0 ? undefined : sum / count
}

/** Within tolerance of the goal what there is is right. */
function wants({ tolerance }: Policy, { metric, goal }: Target, value: number, inputs: Inputs): number {
  const { replicas, running } = inputs
  if (metric === "p95") {
    const ratio = value / goal
    if (ratio > 1 + tolerance) return Math.max(replicas, Math.ceil(running * Math.min(ratio, mostLevelRatio)))
    // How a level falls with tasks is not known: one fewer, and then another look.
    return ratio < idleLevel ? Math.max(0, replicas - 1) : replicas
  }
  const needed = Math.ceil(value / goal - slack)
  return Math.abs(value / (replicas * goal) - 1) <= tolerance ? replicas : needed
}

function schedule(policy: Policy, memory: Memory, now: number): number | undefined {
  if (policy.schedule.length === 0) return undefined
  if (now >= memory.scheduled.until) memory.scheduled = scheduledAt(policy.schedule, now)
  return memory.scheduled.replicas
}

function largest(
  policy: Policy,
  votes: ReadonlyArray<Vote>,
  scheduled: number | undefined,
  { replicas, callers }: Inputs
): { readonly wanted: number; readonly by: string } {
  let wanted = policy.min
  let by = "the least there may be"
  if (scheduled !== undefined && scheduled > wanted) {
    wanted = scheduled
    by = "the schedule"
  }
  if (callers && wanted === 0) {
    wanted = 1
    by = "somebody asks"
  }
  for (const one of votes) {
    if (one.wants !== undefined && one.wants > wanted) {
      wanted = one.wants
      by = saying(one)
    }
  }
  const unknown = votes.find((one) => one.wants === undefined)
  // What is not known must not be read as no load.
  if (unknown !== undefined && wanted < replicas)
    return { wanted: replicas, by: `nothing is known of ${unknown.target}` }
  return { wanted, by }
}

function saying({ target, goal, mean = 0, recent = 0, panics }: Vote): string {
  const value = panics ? recent : mean
  return `${target} ${round(value)} with ${round(goal)} ${target === "p95" ? "wanted" : "a task"}${panics ? ", rising fast" : ""}`
}
const round = (value: number): number => Number(value.toPrecision(3))

function remember(policy: Policy, memory: Memory, now: number, replicas: number): void {
  const { wanted } = memory
  while (wanted.length > 0 && (wanted.at(-1)?.replicas ?? 0) <= replicas) wanted.pop()
  wanted.push({ at: now, replicas })
  const first = wanted.findIndex(({ at }) => at >= now - policy.stabiliseMs)
  wanted.splice(0, Math.max(0, first))
}

function settle(
  policy: Policy,
  memory: Memory,
  { now, replicas, callers, rollout, room }: Inputs,
  wanted: number,
  by: string
): { readonly to: number; readonly why: string } {
  const hold = (why: string) => ({ to: replicas, why })
  if (replicas === 0 && policy.min > 0) return hold("scaled to 0 by hand: scale it to 1 to go on")
  const { bounded, bound } = within(policy, wanted)
  const because = bound === "" ? by : `${by}; ${bound}`
  // An update of no task ends when there is one.
  if (rollout && !(callers && replicas === 0))
    return hold(bounded === replicas ? because : `${because}; waits for the update to end`)
  if (bounded > replicas) {
    const most = Math.max(replicas, room())
    if (bounded <= most) return { to: bounded, why: because }
    return { to: most, why: `${because}; the nodes can hold no more than ${most}` }
  }
  // Bounds are not load: there is nothing to wait for.
  if (replicas > policy.max) return { to: policy.max, why: `${by}; no more than ${policy.max}` }
  if (bounded === replicas) return hold(because)
  if (now < memory.panicUntil) return hold("load rose fast a moment ago")
  if (now - memory.since < policy.stabiliseMs) return hold("has not watched for long enough to go down")
  const held = within(policy, memory.wanted[0]?.replicas ?? replicas).bounded
  if (held >= replicas) return hold("more was wanted within the stabilisation time")
  return { to: held, why: because }
}

function within({ min, max }: Policy, wanted: number): { readonly bounded: number; readonly bound: string } {
  if (wanted > max) return { bounded: max, bound: `no more than ${max}` }
  return { bounded: Math.max(min, wanted), bound: "" }
}
