/** Leaving a cluster: nothing that it ran stays on this machine. */
import { Effect } from "effect"
import type { ExecutorService } from "#actors/drivers/executor.ts"
import type { KernelService } from "#actors/drivers/kernel.ts"

/** Removes every task's container and every network of ours, devices and all; for a node whose actors have stopped. */
export const removeTasks = Effect.fnUntraced(function* (executor: ExecutorService, kernel: KernelService) {
  const containers = yield* executor.list
  yield* Effect.forEach(containers, ({ id }) => executor.remove(id), { concurrency: 8, discard: true })
  const networks = yield* executor.listNetworks
  yield* Effect.forEach(networks, (id) => executor.removeNetwork(id), { discard: true })
  const { problems } = yield* kernel.lay([])
  for (const problem of problems) yield* Effect.logWarning(problem)
})
