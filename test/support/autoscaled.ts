/** A service under load and the control law over it, second by second: tasks take time to start, and can be full. */
import { choose, type Decision } from "#actors/autoscaler/choose.ts"
import { blank } from "#actors/autoscaler/memory.ts"
import type { Policy } from "#actors/autoscaler/policy.ts"

export interface Course {
  readonly policy: Policy
  readonly seconds: number
  readonly begin?: number
  readonly from?: number
  /** What would be used, in goals of one task. */
  readonly load: (second: number) => number
  /** How many goals one task can take at most; what is beyond it is not seen in its figures. */
  readonly full?: number
  readonly startSeconds?: number
  readonly room?: number
  readonly rollout?: (second: number) => boolean
  readonly callers?: (second: number) => boolean
  readonly known?: (second: number) => boolean
}

export interface Instant extends Decision {
  readonly second: number
  readonly load: number
}

export const policy = (changes: Partial<Policy> = {}): Policy => ({
  min: 1,
  max: 50,
  targets: [{ name: "rps", metric: "rps", goal: 100 }],
  schedule: [],
  tolerance: 0.1,
  panicMs: 3_000,
  windowMs: 30_000,
  stabiliseMs: 300_000,
  ...changes
})

export function follow(course: Course): ReadonlyArray<Instant> {
  const {
    begin = 0,
    full = Number.POSITIVE_INFINITY,
    startSeconds = 2,
    room = Number.POSITIVE_INFINITY
  } = course
  const goal = course.policy.targets[0]?.goal ?? 1
  const memory = blank(begin)
  const instants: Array<Instant> = []
  let replicas = course.from ?? course.policy.min
  let running = replicas
  let starts: Array<{ readonly at: number; readonly replicas: number }> = []
  for (let second = 0; second < course.seconds; second++) {
    for (const start of starts) if (start.at <= second) running = Math.min(start.replicas, replicas)
    starts = starts.filter(({ at }) => at > second)
    const load = course.load(second)
    const isKnown = course.known?.(second) ?? true
    const decision = choose(course.policy, memory, {
      now: begin + second * 1_000,
      replicas,
      running,
      figures: new Map(
        isKnown ? [[course.policy.targets[0]?.name ?? "", Math.min(load, full * running) * goal]] : []
      ),
      callers: course.callers?.(second) ?? false,
      rollout: course.rollout?.(second) ?? false,
      room: () => room
    })
    instants.push({ ...decision, second, load })
    replicas = decision.to
    if (replicas < running) running = replicas
    else if (replicas > decision.from) starts.push({ at: second + startSeconds, replicas })
  }
  return instants
}

export const changes = (course: ReadonlyArray<Instant>): ReadonlyArray<Instant> =>
  course.filter(({ from, to }) => from !== to)

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
