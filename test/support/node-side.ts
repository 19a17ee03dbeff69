/** A node's tree on a real executor, as one life of a daemon, with a fake leader on the other end of a bus. */

import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect, Exit, Layer, Scope } from "effect"
import { OpenConsoles } from "#actors/console/open-consoles.ts"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { nothingLed } from "#actors/drivers/led.ts"
import { TmpfsSecretStore } from "#actors/drivers/secret-store/tmpfs.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import type { PublishedPort } from "#actors/network/plan.ts"
import { nodeTree } from "#actors/node/tree.ts"
import type { Host } from "#runtime/host.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { System } from "#runtime/system.ts"
import { MemoryBus, type MemoryTransport } from "#runtime/transport/memory.ts"
import { uniqueName } from "#test/support/engine.ts"
import { FakeLeader } from "#test/support/fake-leader.ts"

const run = promisify(execFile)

export interface NodeSideOptions {
  readonly dockerHost: string
  /** Fresh ones unless given; a second life of a killed process is given those of the first. */
  readonly cluster?: string
  readonly nodeId?: string
  readonly folder?: string
}

export class NodeSide {
  readonly cluster: string
  readonly nodeId: string
  readonly host: Host = makeLiveHost()
  readonly bus = new MemoryBus(this.host)
  readonly leader: FakeLeader
  /** The tables of ports that the data plane was given. */
  readonly published: Array<ReadonlyArray<PublishedPort>> = []
  readonly crashes: string[] = []
  transport: MemoryTransport | undefined
  readonly #options: NodeSideOptions
  readonly #folder: string
  #life: Scope.Closeable | undefined

  private constructor(options: NodeSideOptions, folder: string) {
    this.#options = options
    this.#folder = folder
    this.cluster = options.cluster ?? uniqueName("c").replace("-", "")
    this.nodeId = options.nodeId ?? uniqueName("n").replace("-", "")
    this.leader = new FakeLeader({
      host: this.host,
      transport: this.bus.connect("leader"),
      cluster: this.cluster,
      nodeId: this.nodeId
    })
  }

  /** Made but not started. */
  static async make(options: NodeSideOptions): Promise<NodeSide> {
    return new NodeSide(options, options.folder ?? (await mkdtemp(join(tmpdir(), "troupe-node-"))))
  }

  /** Below this, a directory per task. */
  get secretRoot(): string {
    return join(this.#folder, "tasks")
  }

  /** Labels that all containers and networks of this node carry. */
  get own(): Readonly<Record<string, string>> {
    return { "io.troupe.cluster": this.cluster, "com.docker.swarm.node.id": this.nodeId }
  }

  get #memory() {
    return LogMemory.layer({
      folder: join(this.#folder, "logs"),
      maxBytes: 64 * 1024 * 1024,
      maxAgeMs: Number.POSITIVE_INFINITY,
      linesPerSecond: Number.POSITIVE_INFINITY
    })
  }

  /** Begins a life of the daemon. */
  async start(): Promise<void> {
    const transport = this.bus.connect("node")
    this.transport = transport
    const { cluster, nodeId, host } = this
    const system = makeSystem({
      cluster,
      nodeId,
      host,
      transport,
      report: (event) => this.crashes.push(`${event.name}: ${String(event.error)}`)
    })
    const layers = Layer.mergeAll(
      Layer.merge(LogReaders.layer, OpenConsoles.layer).pipe(
        Layer.provideMerge(this.#memory),
        Layer.provideMerge(DockerExecutor.layer({ dockerHost: this.#options.dockerHost, own: this.own }))
      ),
      TmpfsSecretStore.layer({ root: this.secretRoot }),
      Layer.succeed(System, system),
      Layer.succeed(DataPlane, {
        name: () => Effect.succeed([]),
        held: Effect.succeed(new Set<number>()),
        count: Effect.succeed(nothingLed),
        publish: (ports) =>
          Effect.sync(() => {
            this.published.push(ports)
            return []
          })
      })
    )
    const life = Scope.makeUnsafe()
    this.#life = life
    await Effect.runPromise(
      Effect.gen(function* () {
        const context = yield* Layer.buildWithScope(layers, life)
        yield* Scope.addFinalizer(
          life,
          Effect.sync(() => {
            system.close()
            transport.close()
          })
        )
        yield* system
          .run(nodeTree({ nodeId, clusterId: cluster, addr: "127.0.0.1" }), nodeId)
          .pipe(Effect.provide(context), Effect.provideService(Scope.Scope, life))
      })
    )
  }

  /** Ends this life of the daemon; containers are nobody's business. */
  async stop(): Promise<void> {
    if (this.#life) await Effect.runPromise(Scope.close(this.#life, Exit.void))
    this.#life = undefined
  }

  async close(): Promise<void> {
    await this.stop()
    this.leader.close()
    await run("umount", [this.secretRoot]).catch(() => {})
    await rm(this.#folder, { recursive: true, force: true })
  }
}
