/** The drivers of this machine, as its flags choose them: whatever of the world a node's actors reach. */
import { Effect, Layer } from "effect"
import { OpenConsoles } from "#actors/console/open-consoles.ts"
import { Connections, kernelConnections } from "#actors/drivers/connections.ts"
import { DataPlaneLive } from "#actors/drivers/data-plane/live.ts"
import { EngineClient } from "#actors/drivers/engine/client.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { layer as entranceLayer } from "#actors/drivers/entrance/live.ts"
import { LiveKernel } from "#actors/drivers/kernel/live.ts"
import { clusterLabel, homeLabel, nodeLabel } from "#actors/drivers/labels.ts"
import { homeOf } from "#actors/drivers/machine/mounts.ts"
import { LiveNames } from "#actors/drivers/names/live.ts"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"
import { RefusingSecretStore, TmpfsSecretStore } from "#actors/drivers/secret-store/tmpfs.ts"
import { csiPlugins } from "#actors/drivers/volume-plugins/csi.ts"
import { VolumePlugins } from "#actors/drivers/volume-plugins.ts"
import { LogCopies } from "#actors/logs/copies/keep.ts"
import { CopyStore } from "#actors/logs/copies/store.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import type { Identity } from "#cli/identity.ts"
import type { NodeOptions } from "#cli/node-options.ts"

/** In memory, and gone with it. */
export const secretsRoot = ({ runDir }: NodeOptions): string => `${runDir}/tasks`

const weekMs = 7 * 86_400_000

/** Where copies of other nodes' logs are kept; `undefined` where none are. */
export const copiesOf = ({
  dataDir,
  logCopiesBytes: maxBytes,
  logMemory
}: NodeOptions): CopyStore | undefined =>
  maxBytes === 0
    ? undefined
    : new CopyStore({ folder: `${dataDir}/log-copies`, maxBytes, maxAgeMs: logMemory?.maxAgeMs ?? weekMs })

/** By what a later life of this machine's node knows what it has on the Engine; not where the Engine is another machine. */
export const markOf = ({ dockerHost, dataDir }: Pick<NodeOptions, "dockerHost" | "dataDir">) =>
  dockerHost.startsWith("unix://") ? homeOf(dataDir) : undefined

/** What runs tasks of the node `identity` and carries their traffic: all of it that a node leaves on a machine. */
export const groundOf = (options: NodeOptions, { clusterId, nodeId }: Identity) => {
  const { executor, dockerHost, dataDir } = options
  const dataPlane = DataPlaneLive.layer(options)
  if (executor === "process")
    return Layer.merge(ProcessExecutor.layer({ folder: `${dataDir}/processes` }), dataPlane)
  const own = { [clusterLabel]: clusterId, [nodeLabel]: nodeId }
  const home = markOf(options)
  const marks: Readonly<Record<string, string>> = home === undefined ? {} : { [homeLabel]: home }
  const controlPorts = controlPortsOf(options)
  return Layer.mergeAll(
    DockerExecutor.layer({ dockerHost, own, marks }),
    LiveKernel.layer({ nodeId, dockerHost, dataDir, controlPorts }),
    LiveNames.layer({ nodeId, dockerHost }).pipe(Layer.provideMerge(dataPlane))
  )
}

/** `copies` are those of other nodes' logs, which readers look into. */
export const driversOf = (options: NodeOptions, identity: Identity, copies?: CopyStore) => {
  const isLocal = options.dockerHost.startsWith("unix://")
  const ground = groundOf(options, identity)
  const secrets =
    options.executor === "process" || isLocal
      ? TmpfsSecretStore.layer({ root: secretsRoot(options) })
      : RefusingSecretStore.layer(
          `The Engine at ${options.dockerHost} is another machine: secrets are kept in this machine's memory only`
        )
  const memory =
    options.logMemory === undefined
      ? LogMemory.none
      : LogMemory.layer({ folder: `${options.dataDir}/logs`, ...options.logMemory })
  const readers = LogReaders.layer.pipe(
    Layer.provide(Layer.succeed(LogCopies, copies)),
    Layer.provideMerge(memory),
    Layer.provideMerge(ground)
  )
  const connections =
    options.executor === "docker" ? Layer.succeed(Connections, kernelConnections) : Layer.empty
  const entrance =
    options.entrancePorts.length + options.entranceTlsPorts.length === 0
      ? Layer.empty
      : entranceLayer({ ...options, ports: options.entrancePorts, tlsPorts: options.entranceTlsPorts })
  const consoles = OpenConsoles.layer.pipe(Layer.provide(ground))
  return Layer.mergeAll(readers, consoles, secrets, connections, entrance, volumePlugins(options, isLocal))
}

/** What a plugin mounts here an Engine of another machine does not see. */
const volumePlugins = (options: NodeOptions, isLocal: boolean) => {
  const places = { sockets: options.csiPlugins, mounts: `${options.runDir}/volumes` }
  if (options.executor === "process") return Layer.succeed(VolumePlugins, csiPlugins(places))
  if (!isLocal) return Layer.empty
  const { dockerHost } = options
  return Layer.effect(
    VolumePlugins,
    EngineClient.pipe(Effect.map((engine) => csiPlugins({ ...places, engine })))
  ).pipe(Layer.provide(EngineClient.layer({ dockerHost })))
}

/** Those that are known ahead: 0 stands for any. */
const controlPortsOf = ({ joinPort, natsPort, routePort, http }: NodeOptions): ReadonlyArray<number> =>
  [joinPort, natsPort, routePort, Number(/:(\d+)$/.exec(http)?.[1] ?? 0)].filter((port) => port > 0)
