/** Measures what the machine and its tasks use, and says so: `<node>/stats/main`. */
import { Clock, Context, Effect } from "effect"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { Entrance } from "#actors/drivers/entrance.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { Kernel } from "#actors/drivers/kernel.ts"
import type { Led, PortEndpoint } from "#actors/drivers/led.ts"
import { MachineLoad } from "#actors/drivers/machine/load.ts"
import { CgroupUsage } from "#actors/drivers/usage.ts"
import type { NodeFigures } from "#actors/meter/figures.ts"
import { decide, start, summary } from "#actors/node/stats/decide.ts"
import type { Reading, StatsAction, StatsMessage, Watched } from "#actors/node/stats/protocol.ts"
import { actor } from "#runtime/actor.ts"

/** Where figures go; by default nowhere. */
export const FiguresOutlet = Context.Reference<(figures: NodeFigures) => void>(
  "troupe/actors/node/stats/FiguresOutlet",
  { defaultValue: () => () => {} }
)

/** On the disk whose free space is told. */
export const DiskFolder = Context.Reference<string>("troupe/actors/node/stats/DiskFolder", {
  defaultValue: () => "/"
})

const cgroups = new CgroupUsage()
let machine: MachineLoad | undefined
/** An Engine that is busy answers late; the next reading is due by then. */
const patience = "2 seconds"
const atOnce = 8
/** So many containers between two turns of everything else: a millisecond. */
const inOneTurn = 16

const perform = (
  action: StatsAction
): Effect.Effect<StatsMessage | undefined, never, Executor | DataPlane> =>
  action._tag === "ReadNow"
    ? read(action)
    : FiguresOutlet.pipe(
        Effect.flatMap((announce) => Effect.sync(() => announce(action.figures))),
        Effect.as(undefined)
      )

const read = Effect.fn("stats.read")(function* ({
  tasks,
  counting,
  leading,
  hosted
}: Extract<StatsAction, { readonly _tag: "ReadNow" }>): Effect.fn.Return<
  StatsMessage,
  never,
  Executor | DataPlane
> {
  const readings: Array<Reading> = []
  const others: Array<Watched> = []
  for (const [index, task] of tasks.entries()) {
    if (index % inOneTurn === inOneTurn - 1) yield* Effect.yieldNow
    const used = cgroups.of(task.container, task.pid, task.scaled)
    if (used === undefined) others.push(task)
    else readings.push({ id: task.id, at: yield* Clock.currentTimeMillis, ...used })
  }
  cgroups.keep(new Set(tasks.map(({ container }) => container)))
  // Each costs the Engine a millisecond or more: beside those that are needed, a few in turn.
  const asked = yield* turnOf(others)
  if (asked.length > 0) readings.push(...(yield* askFor(asked)))
  machine ??= new MachineLoad(yield* DiskFolder)
  const entrance = counting ? yield* (yield* Entrance).count : undefined
  const led = leading ? yield* readLed(hosted) : undefined
  const at = yield* Clock.currentTimeMillis
  return {
    _tag: "Read",
    at,
    machine: machine.read(),
    readings,
    ...(entrance && { entrance }),
    ...(led && { led })
  }
})

const readLed = Effect.fnUntraced(function* (hosted: ReadonlyArray<PortEndpoint>) {
  const [kernel, dataPlane] = [yield* Kernel, yield* DataPlane]
  const said = yield* Effect.forEach(
    Object.entries({ kernel: kernel.count(hosted), dataPlane: dataPlane.count }),
    ([who, count]) =>
      count.pipe(
        Effect.timeout(patience),
        Effect.match({
          onSuccess: (led): ReadonlyArray<readonly [string, Led]> => (led === undefined ? [] : [[who, led]]),
          onFailure: () => []
        })
      ),
    { concurrency: 2 }
  )
  return new Map(said.flat())
})

let turn = 0
const turnOf = (others: ReadonlyArray<Watched>): Effect.Effect<ReadonlyArray<Watched>> =>
  Effect.sync(() => {
    const rest = others.filter(({ scaled }) => !scaled)
    turn = rest.length === 0 ? 0 : (turn + atOnce) % rest.length
    return [...others.filter(({ scaled }) => scaled), ...rest.slice(turn, turn + atOnce)]
  })

const askFor = Effect.fnUntraced(function* (tasks: ReadonlyArray<Watched>) {
  const executor = yield* Executor
  const found = yield* Effect.forEach(
    tasks,
    ({ id, container }) =>
      executor.stats(container).pipe(
        Effect.timeout(patience),
        Effect.map(({ at, cpuNanos, memoryBytes, rxBytes, txBytes }): ReadonlyArray<Reading> => {
          const unknown = {
            readBytes: Number.NaN,
            writtenBytes: Number.NaN,
            pids: Number.NaN,
            accepted: Number.NaN
          }
          return [{ id, at, cpuNanos, memoryBytes, rxBytes, txBytes, ...unknown }]
        }),
        // It has ended, or the Engine is away: both are told elsewhere.
        Effect.catch(() => Effect.succeed<ReadonlyArray<Reading>>([]))
      ),
    { concurrency: atOnce }
  )
  return found.flat()
})

export const stats = actor({ kind: "stats", start, decide, perform, summary })
