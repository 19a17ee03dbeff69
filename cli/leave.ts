/** How a node goes: what its leader is told, and, where it leaves the cluster, that nothing it had stays on this machine. */
import { execFile } from "node:child_process"
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { Deferred, Effect } from "effect"
import { stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { stopEntrance } from "#actors/drivers/entrance/live.ts"
import { Entrance } from "#actors/drivers/entrance.ts"
import { type ContainerState, Executor, type ExecutorService } from "#actors/drivers/executor.ts"
import { Kernel } from "#actors/drivers/kernel.ts"
import { mountsBelow } from "#actors/drivers/machine/mounts.ts"
import { isShuttingDown } from "#actors/drivers/machine/shutting-down.ts"
import { Names } from "#actors/drivers/names.ts"
import { removeRoot } from "#actors/drivers/secret-store/tmpfs.ts"
import { SecretStore } from "#actors/drivers/secret-store.ts"
import { VolumePlugins } from "#actors/drivers/volume-plugins.ts"
import type { FromNode } from "#actors/node/protocol.ts"
import type { SessionMessage } from "#actors/node/session/protocol.ts"
import { secretsRoot } from "#cli/drivers.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

/** Removes every task's container and every network of ours, devices and all, and unmounts volumes; for a node whose actors have stopped. */
export const removeTasks = Effect.gen(function* () {
  const executor = yield* Executor
  const kernel = yield* Kernel
  const names = yield* Names
  const containers = yield* executor.list
  yield* Effect.forEach(containers, ({ id }) => executor.remove(id), { concurrency: 8, discard: true })
  const networks = yield* executor.listNetworks
  yield* Effect.forEach(networks, (id) => executor.removeNetwork(id), { discard: true })
  const [laid, served] = [yield* kernel.lay([]), yield* names.serve([])]
  const stayed = yield* (yield* VolumePlugins).letGo
  for (const problem of [...laid.problems, ...served.problems, ...stayed]) yield* Effect.logWarning(problem)
})

const usualGraceMs = 10_000

/** Ends every task as its service asks for. */
export const stopTasks = Effect.fnUntraced(function* (executor: ExecutorService) {
  const end = ({ id, graceMs = usualGraceMs }: ContainerState) => executor.stop(id, graceMs)
  yield* Effect.forEach(yield* executor.list, end, { concurrency: "unbounded", discard: true })
})

/** Ends every task, when nobody is led to it from here any more, and removes what it had. */
export const endTasks = Effect.gen(function* () {
  const executor = yield* Executor
  const dataPlane = yield* DataPlane
  const entrance = yield* Entrance
  const kernel = yield* Kernel
  const secrets = yield* SecretStore
  yield* dataPlane.publish([])
  yield* entrance.serve([], [])
  yield* kernel.withdraw([], [])
  yield* stopTasks(executor)
  yield* removeTasks
  yield* secrets.sweep([])
})

/** What a node that left its cluster does last: nothing of it is to be found again. */
export const vanish = Effect.fnUntraced(function* (options: NodeOptions) {
  yield* stopDataPlane(options)
  yield* stopEntrance(options)
  yield* removeRoot(secretsRoot(options))
  for (const folder of [options.dataDir, options.runDir]) yield* removeFolder(folder, options.socket)
})

/** Not what is mounted in it: that is a volume's, and somebody's data. */
const removeFolder = Effect.fnUntraced(function* (folder: string, socket: string) {
  for (const point of mountsBelow(folder))
    yield* Effect.promise(() => promisify(execFile)("umount", [point]).catch(() => undefined))
  const [held] = mountsBelow(folder)
  if (held === undefined) removeAllBut(socket, folder)
  else yield* Effect.logError(`${folder} stays: ${held} is mounted in it, and could not be unmounted`)
})

/** The socket is the daemon's, which may go on without a cluster. */
function removeAllBut(spared: string, path: string): void {
  if (path === spared) return
  if (spared.startsWith(`${path}/`) && existsSync(spared))
    for (const name of readdirSync(path)) removeAllBut(spared, join(path, name))
  else rmSync(path, { recursive: true, force: true })
}

/** What a node that leaves waits for its leader to be told. */
const goodbyeMs = 500
/** What a process that ended in order has to be begun again before its tasks are replaced. */
const awayMs = 15_000

/** The leader need not find out by silence that nothing runs here any more. */
export const sayGoodbye = (system: SystemService, nodeId: string, reason: string) =>
  Effect.ignore(
    system.ask(
      address(nodeId, "session", "main"),
      { _tag: "Leave", reason } satisfies SessionMessage,
      goodbyeMs
    )
  )

/** What a node that has left waits for that to be known to be whole; else others are cautious with what it ran. */
const endedMs = 2_000

/** Nothing that it ran is there any more; its actors have stopped. */
export const sayEnded = (system: SystemService, nodeId: string) =>
  Effect.ignore(system.ask(address("leader", "node", nodeId), { _tag: "Ended" } satisfies FromNode, endedMs))

/** A process that is begun again leaves its tasks where they are; a machine that shuts down has them moved at once. */
export const announceAbsence = Effect.fnUntraced(function* (
  system: SystemService,
  nodeId: string,
  left: Deferred.Deferred<void>
) {
  if (yield* Deferred.isDone(left)) return
  if (yield* isShuttingDown) return yield* sayGoodbye(system, nodeId, "the machine is shutting down")
  const message = { _tag: "Away", forMs: awayMs } satisfies FromNode
  yield* Effect.ignore(system.ask(address("leader", "node", nodeId), message, goodbyeMs))
})
