/** One seed, and what is said about it when it fails. */
import { Broken } from "#test/simulation/raft/broken.ts"
import type { Marks } from "#test/simulation/raft/marks.ts"
import { planOf, showPlan } from "#test/simulation/raft/plan.ts"
import { World } from "#test/simulation/raft/world.ts"

const tailLines = Number(process.env.LINES ?? 80)

export interface Ran {
  /** Equal for two runs that went the same way. */
  readonly hash: string
  readonly marks: Marks
  /** Entries that were committed. */
  readonly committed: number
  readonly problem: Broken | undefined
  readonly trace: ReadonlyArray<string>
}

/** Runs a seed; `traced` keeps the end of its trace. What breaks is an answer, not an exception. */
export function runSeed(seed: number, traced = false): Ran {
  const world = new World(planOf(seed))
  const trace: Array<string> = []
  if (traced) {
    world.host.onNote = (line) => {
      trace.push(line.trimEnd())
      if (trace.length > 4 * tailLines) trace.splice(0, 3 * tailLines)
    }
  }
  let problem: Broken | undefined
  try {
    world.run()
  } catch (error) {
    problem = error instanceof Broken ? error : new Broken("P", String((error as Error).stack))
  }
  return {
    hash: world.host.traceHash(),
    marks: world.marks,
    committed: world.observer.committed.length,
    problem,
    trace: trace.slice(-tailLines)
  }
}

/** Everything there is to say about a seed that fails: it is run again for its trace. */
export function explain(seed: number): string {
  const { problem, trace } = runSeed(seed, true)
  return [
    `seed ${seed}: ${showPlan(planOf(seed))}`,
    ...trace,
    problem?.message ?? "it went well this time",
    `Replay with: SEED=${seed} bun test test/simulation/raft.test.ts`
  ].join("\n")
}
