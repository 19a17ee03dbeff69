/** Leaving a cluster: nothing that it ran stays on this machine. */
import { Effect } from "effect"
import type { ExecutorService } from "#actors/drivers/executor.ts"
import type { KernelService } from "#actors/drivers/kernel.ts"
import type { NamesService } from "#actors/drivers/names.ts"

/** Removes every task's container and every network of ours, devices and all; for a node whose actors have stopped. */
export const removeTasks = Effect.fnUntraced(function* (
  executor: ExecutorService,
  { kernel, names }: { readonly kernel: KernelService; readonly names: NamesService }
) {
  const containers = yield* executor.list
  yield* Effect.forEach(containers, ({ id }) => executor.remove(id), { concurrency: 8, discard: true })
  const networks = yield* executor.listNetworks
  yield* Effect.forEach(networks, (id) => executor.removeNetwork(id), { discard: true })
  const [laid, served] = [yield* kernel.lay([]), yield* names.serve([])]
  for (const problem of [...laid.problems, ...served.problems]) yield* Effect.logWarning(problem)
})
