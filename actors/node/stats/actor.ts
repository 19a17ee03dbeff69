/** Measures what tasks use, for the services that follow their load: `<node>/stats/main`. */
import { Clock, Effect } from "effect"
import { Executor } from "#actors/drivers/executor.ts"
import { CgroupUsage } from "#actors/drivers/usage.ts"
import { decide, start, summary } from "#actors/node/stats/decide.ts"
import type { Reading, StatsAction, StatsMessage, Watched } from "#actors/node/stats/protocol.ts"
import { actor } from "#runtime/actor.ts"

const cgroups = new CgroupUsage()
/** An Engine that is busy answers late; the next reading is due by then. */
const patience = "2 seconds"
const atOnce = 8

const perform = Effect.fn("stats.read")(function* ({
  tasks
}: StatsAction): Effect.fn.Return<StatsMessage, never, Executor> {
  const readings: Array<Reading> = []
  const others: Array<Watched> = []
  const at = yield* Clock.currentTimeMillis
  for (const task of tasks) {
    const used = cgroups.of(task.container, task.pid)
    if (used === undefined) others.push(task)
    else readings.push({ id: task.id, at, ...used })
  }
  cgroups.keep(new Set(tasks.map(({ container }) => container)))
  if (others.length > 0) readings.push(...(yield* askFor(others)))
  return { _tag: "Read", readings }
})

const askFor = Effect.fnUntraced(function* (tasks: ReadonlyArray<Watched>) {
  const executor = yield* Executor
  const found = yield* Effect.forEach(
    tasks,
    ({ id, container }) =>
      executor.stats(container).pipe(
        Effect.timeout(patience),
        Effect.map(
          ({ at, cpuNanos, memoryBytes }): ReadonlyArray<Reading> => [{ id, at, cpuNanos, memoryBytes }]
        ),
        // It has ended, or the Engine is away: both are told elsewhere.
        Effect.catch(() => Effect.succeed<ReadonlyArray<Reading>>([]))
      ),
    { concurrency: atOnce }
  )
  return found.flat()
})

export const stats = actor({ kind: "stats", start, decide, perform, summary })
