/** Tasks as containers of a Docker Engine. */
import { Effect, Layer } from "effect"
import { EngineClient } from "#actors/drivers/engine/client.ts"
import { openConsole } from "#actors/drivers/engine/console.ts"
import { asFilters, makeContainers } from "#actors/drivers/engine/containers.ts"
import { type ImageOptions, makePull } from "#actors/drivers/engine/images.ts"
import { makeNetworks } from "#actors/drivers/engine/networks.ts"
import { Info } from "#actors/drivers/engine/shapes.ts"
import { readLogs, watchEvents } from "#actors/drivers/engine/streams.ts"
import { translateInfo } from "#actors/drivers/engine/translate.ts"
import { understand } from "#actors/drivers/engine/understand.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"

export interface DockerExecutorOptions extends ImageOptions {
  /** `unix:///path`, `tcp://host:port` or `https://host:port`. */
  readonly dockerHost: string
  /**
   * Labels put on every container and network made, and expected of every one listed, so that two nodes can share
   * an Engine. A node gives its own id.
   */
  readonly own?: Readonly<Record<string, string>>
  /** Labels put on every container and network made, and expected of none. */
  readonly marks?: Readonly<Record<string, string>>
  /** How many containers may be created or started at once; 8 unless told. */
  readonly inFlight?: number
}

// Measured with 30 × create and start on 2 cores: 1 at a time takes 1.9 times as long as 8; from 6 to 30 there is no
// difference beyond noise. Each one keeps the Engine, its runtime and a new process busy, mostly waiting.
const defaultInFlight = 8

export const DockerExecutor = {
  /** Asks nothing of the Engine until it is used. Gives `EngineClient` as well, for the API version. */
  layer: (options: DockerExecutorOptions) =>
    Layer.effect(
      Executor,
      Effect.gen(function* () {
        const client = yield* EngineClient
        const { own = {}, marks = {} } = options
        const containers = makeContainers(client, own, marks, options.inFlight ?? defaultInFlight)
        const networks = makeNetworks(client, own, marks)
        const info = client.call({ operation: "describe", method: "GET", path: "/info" })
        return Executor.of({
          kind: "docker",
          ping: Effect.asVoid(
            client.call({ operation: "ping", method: "GET", path: "/_ping", within: "2 seconds" })
          ),
          describe: info.pipe(Effect.flatMap(understand("describe", Info)), Effect.map(translateInfo)),
          pull: makePull(client, options, yield* Effect.scope),
          create: containers.create,
          start: containers.start,
          stop: containers.stop,
          kill: containers.kill,
          remove: containers.remove,
          inspect: containers.inspect,
          health: containers.health,
          list: containers.list,
          events: watchEvents(client, [taskLabel, ...asFilters(own)]),
          logs: (id, logOptions) => readLogs(client, id, logOptions),
          console: (id, request) => openConsole(client, id, request),
          stats: containers.stats,
          ensureNetwork: networks.ensure,
          removeNetwork: networks.remove,
          listNetworks: networks.list
        })
      })
    ).pipe(Layer.provideMerge(EngineClient.layer(options)))
}
