/**
 * A new node on a machine that was another node of the same cluster before: the cluster was begun anew from a backup, or the
 * data directory was lost, and the machine joined again. What the other one left on the Engine is in the new one's way, and
 * nobody else would ever end it.
 */
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { type DataPlaneOptions, stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import { EngineClient } from "#actors/drivers/engine/client.ts"
import { EngineNetworks, Listed } from "#actors/drivers/engine/shapes.ts"
import { understand } from "#actors/drivers/engine/understand.ts"
import { Executor, type ExecutorError, type ExecutorService } from "#actors/drivers/executor.ts"
import { clusterLabel, homeLabel, nodeLabel } from "#actors/drivers/labels.ts"
import { readIfThere } from "#actors/drivers/machine/files.ts"
import { commandLines } from "#actors/drivers/machine/process-identity.ts"
import type { VolumePluginsService } from "#actors/drivers/volume-plugins.ts"
import type { Node } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { groundOf, markOf } from "#cli/drivers.ts"
import { type Identity, identityFile } from "#cli/identity.ts"
import { removeTasks, stopTasks } from "#cli/leave.ts"
import type { NodeOptions } from "#cli/node-options.ts"

/** Managers that were where `node` is now: it listens at their address and ports, so none of them lives. */
export const formerSelves = (
  nodes: Iterable<Node>,
  node: Pick<Node, "ID" | "ManagerStatus">
): Array<Node> => {
  const { Addr, Ports } = node.ManagerStatus ?? {}
  return [...nodes].filter(
    ({ ID, ManagerStatus: place }) =>
      ID !== node.ID && place !== undefined && place.Addr === Addr && equal(place.Ports, Ports)
  )
}

/**
 * Ends and removes what a node of before has on this Engine. False where it has nothing here: then its Engine may be another,
 * whose tasks still run.
 */
export const removeFormer = (options: NodeOptions, former: Identity): Effect.Effect<boolean, Error> =>
  Effect.gen(function* () {
    const ground = yield* Layer.build(groundOf(options, former))
    const executor = Context.get(ground, Executor)
    const [containers, networks] = [yield* executor.list, yield* executor.listNetworks]
    if (containers.length + networks.length === 0) return false
    yield* stopTasks(executor)
    yield* Effect.provideContext(removeTasks, ground)
    for (const place of dataPlanesOf(former)) yield* stopDataPlane(place)
    return true
  }).pipe(Effect.scoped)

/**
 * `executor`, which says what this machine offers, so that it is given tasks, only when nothing of a former life runs here any
 * more: of a node of the same cluster whose data lay where that of `identity` lies now. Where such a life is not ended, it
 * is tried again whenever the machine is described.
 */
export function afterFormerLives(
  options: NodeOptions,
  identity: Identity,
  executor: ExecutorService,
  plugins: VolumePluginsService
): ExecutorService {
  const home = markOf(options)
  if (executor.kind !== "docker" || home === undefined) return executor
  let isAlone = false
  let isFirst = true
  const endThem = Effect.gen(function* () {
    if (isAlone) return
    let areGone = true
    const lives = yield* livesAt(options, identity, home)
    for (const nodeId of lives) {
      yield* Effect.logInfo(
        `Node ${nodeId} had its data in ${options.dataDir} before: what it left on this machine is ended`
      )
      yield* removeFormer(options, { ...identity, nodeId }).pipe(
        Effect.catch(({ message }) => {
          areGone = false
          return Effect.logWarning(`What node ${nodeId} left on this machine stays: ${message}`)
        })
      )
    }
    // Later some of what is mounted may be this life's.
    const problems = isFirst && lives.size > 0 ? yield* plugins.letGo : []
    for (const problem of problems) yield* Effect.logWarning(problem)
    isFirst = false
    isAlone = areGone
  })
  return { ...executor, describe: Effect.andThen(endThem, executor.describe) }
}

/** The other nodes of the cluster that have something on the Engine and had their data at `home`. */
const livesAt = (
  { dockerHost }: NodeOptions,
  { clusterId, nodeId }: Identity,
  home: string
): Effect.Effect<ReadonlySet<string>, ExecutorError> =>
  Effect.gen(function* () {
    const client = yield* EngineClient
    const filters = JSON.stringify({ label: [`${clusterLabel}=${clusterId}`, `${homeLabel}=${home}`] })
    const look = (path: string) =>
      client.call({ operation: "look for a former life", method: "GET", path, query: { all: true, filters } })
    const containers = yield* look("/containers/json").pipe(Effect.flatMap(understand("list", Listed)))
    const networks = yield* look("/networks").pipe(Effect.flatMap(understand("list", EngineNetworks)))
    const owners = [...containers, ...networks].flatMap(({ Labels }) => Labels?.[nodeLabel] ?? [])
    return new Set(owners.filter((owner) => owner !== nodeId))
  }).pipe(Effect.provide(EngineClient.layer({ dockerHost })))

/** Where a node of that name had another data directory than this one, its data plane still has the ports. */
export const dataPlanesOf = ({ nodeId }: Identity): ReadonlyArray<DataPlaneOptions> =>
  [...commandLines()].flatMap(({ words }) => {
    const after = (flag: string): string => words[words.indexOf(flag) + 1] ?? ""
    if (!words.includes("--data-dir") || !words.includes("--run-dir")) return []
    const [dataDir, runDir] = [after("--data-dir"), after("--run-dir")]
    const identity = readIfThere(join(dataDir, identityFile)) ?? ""
    return identity.includes(`"${nodeId}"`) ? [{ dataDir, runDir }] : []
  })
