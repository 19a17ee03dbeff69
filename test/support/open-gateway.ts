/** The whole gateway on a socket of a test's own, over a real Engine, with a ledger and a transport in memory. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Layer, ManagedRuntime, Scope } from "effect"
import { consoles } from "#actors/console/actor.ts"
import { OpenConsoles } from "#actors/console/open-consoles.ts"
import { parseEngineAddress } from "#actors/drivers/engine/address.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { Executor } from "#actors/drivers/executor.ts"
import type { DoorOptions } from "#actors/gateway/doors.ts"
import { type EngineDoors, type OpenOptions, openEngineDoors, openGateway } from "#actors/gateway/open.ts"
import { logs } from "#actors/logs/actor.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { Fresh } from "#runtime/ids.ts"
import { type LocalSystem, makeSystem } from "#runtime/live.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { dockerHost } from "#test/support/engine.ts"
import { nodeId, TestGateway } from "#test/support/gateway.ts"

export interface OpenTestGateway extends EngineDoors {
  readonly token: string
  /** `unix:///…`, for the docker CLI. */
  readonly host: string
  readonly folder: string
  /** The ledger behind it: write to it as the orchestrator would. */
  readonly cluster: TestGateway
  readonly system: LocalSystem
  readonly close: () => Promise<void>
}

export interface OpenTestOptions
  extends Partial<Pick<OpenOptions, "membership" | "stacks"> & Pick<DoorOptions, "http">> {
  readonly engine?: string
  /** What all managers can; what this release can, unless told. */
  readonly level?: number
  /** The id of another node on the same Engine, which opens consoles beside its tasks. */
  readonly far?: string
}

export async function openTestGateway(options: OpenTestOptions = {}): Promise<OpenTestGateway> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-gateway-"))
  const engineHost = options.engine ?? dockerHost
  const engine = parseEngineAddress(engineHost)
  if ("message" in engine) throw engine
  const cluster = await TestGateway.start({}, undefined, {}, options.level)
  const host = makeLiveHost()
  const bus = new MemoryBus(host)
  const transport = bus.connect("node")
  const system = makeSystem({ cluster: "test", nodeId, host, transport })
  const { far: farId = "far" } = options
  const far = makeSystem({ cluster: "test", nodeId: farId, host, transport: bus.connect("far") })
  const executor = DockerExecutor.layer({ dockerHost: engineHost })
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(
      executor,
      Layer.merge(LogReaders.layer, OpenConsoles.layer).pipe(
        Layer.provide(Layer.mergeAll(executor, LogMemory.none))
      )
    )
  )
  const scope = Scope.makeUnsafe()
  const opened = await runtime.runPromise(
    Effect.gen(function* () {
      yield* system.run(
        supervisor({ name: "node", children: [permanent(logs), permanent(consoles)] }),
        nodeId
      )
      if (options.far !== undefined)
        yield* far.run(supervisor({ name: "node", children: [permanent(consoles)] }), options.far)
      const doors = yield* openEngineDoors({
        socket: join(folder, "docker.sock"),
        ...(options.http === undefined ? {} : { http: options.http }),
        engine
      })
      const gateway = yield* openGateway({
        doors,
        ...(options.stacks && { stacks: options.stacks }),
        dataDir: folder,
        executor: yield* Executor,
        ledger: () => cluster.ledger,
        membership: options.membership ?? (() => "active/manager"),
        system,
        nodeId,
        clock: Date.now,
        fresh: Fresh.from(7),
        newToken: () => "SWMTKN-1-test",
        newUnlockKey: () => "SWMKEY-1-test",
        version: "0.0.0-test"
      })
      return { ...doors, ...gateway }
    }).pipe(Scope.provide(scope))
  )
  return {
    ...opened,
    host: `unix://${opened.socket}`,
    folder,
    cluster,
    system,
    close: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await runtime.dispose()
      system.close()
      far.close()
      await rm(folder, { recursive: true, force: true })
    }
  }
}
