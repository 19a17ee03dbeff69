/** Leaving a cluster: nothing that it ran stays on this machine. */
import { Effect } from "effect"
import type { ExecutorService } from "#actors/drivers/executor.ts"

/** Removes every task's container and every network of ours; for a node whose actors have stopped. */
export const removeTasks = Effect.fnUntraced(function* (executor: ExecutorService) {
  const containers = yield* executor.list
  yield* Effect.forEach(containers, ({ id }) => executor.remove(id), { concurrency: 8, discard: true })
  const networks = yield* executor.listNetworks
  yield* Effect.forEach(networks, (id) => executor.removeNetwork(id), { discard: true })
})
