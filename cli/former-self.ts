/**
 * A cluster that is begun anew from a backup has a new node on a machine that was a manager of it before. What that one
 * left on the Engine is in the new one's way, and nobody else would ever end it.
 */
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { type DataPlaneOptions, stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { readIfThere } from "#actors/drivers/machine/files.ts"
import { commandLines } from "#actors/drivers/machine/process-identity.ts"
import type { Node } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { groundOf } from "#cli/drivers.ts"
import { type Identity, identityFile } from "#cli/identity.ts"
import { removeTasks } from "#cli/leave.ts"
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
    yield* Effect.provideContext(removeTasks, ground)
    for (const place of dataPlanesOf(former)) yield* stopDataPlane(place)
    return true
  }).pipe(Effect.scoped)

/** Where a node of that name had another data directory than this one, its data plane still has the ports. */
export const dataPlanesOf = ({ nodeId }: Identity): ReadonlyArray<DataPlaneOptions> =>
  [...commandLines()].flatMap(({ words }) => {
    const after = (flag: string): string => words[words.indexOf(flag) + 1] ?? ""
    if (!words.includes("--data-dir") || !words.includes("--run-dir")) return []
    const [dataDir, runDir] = [after("--data-dir"), after("--run-dir")]
    const identity = readIfThere(join(dataDir, identityFile)) ?? ""
    return identity.includes(`"${nodeId}"`) ? [{ dataDir, runDir }] : []
  })
