/** The imitated Engine as one life of a node's process sees it. */
import { Effect, Stream } from "effect"
import type { ContainerState, ExecutorService } from "#actors/drivers/executor.ts"
import type { Life } from "#runtime/life.ts"
import { type Container, type Engine, refusal } from "#test/simulation/engine.ts"

const iso = (ms: number): string => (ms === 0 ? "0001-01-01T00:00:00Z" : new Date(ms).toISOString())

const stateOf = (container: Container): ContainerState => ({
  id: container.id,
  name: container.name,
  labels: container.labels,
  status: container.status,
  pid: container.pid,
  exitCode: container.exitCode,
  oomKilled: false,
  error: "",
  startedAt: iso(container.startedAt),
  finishedAt: iso(container.finishedAt),
  ...(container.health !== undefined && { health: container.health }),
  addresses: {},
  ports: []
})

/** The Engine as one life of a node's process sees it. */
export function executorOf(engine: Engine, life: Life): ExecutorService {
  return {
    kind: "docker",
    ping: engine.call(life, "ping", 1, () => undefined),
    describe: engine.call(life, "describe", 2, () => engine.describe()),
    pull: (image) => engine.call(life, "pull", 8, () => engine.pull(image)),
    create: (name, request) => engine.call(life, "create", 12, () => engine.create(name, request)),
    start: (id) => engine.call(life, "start", 15, () => engine.startContainer(id)),
    stop: (id, graceMs) => engine.call(life, "stop", 2, () => engine.stopContainer(id, graceMs)),
    kill: (id) =>
      engine.call(life, "kill", 2, () => {
        const container = engine.find(id)
        if (container !== undefined) engine.kill(container)
        return undefined
      }),
    remove: (id) => engine.call(life, "remove", 5, () => engine.removeContainer(id)),
    inspect: (id) =>
      engine.call(life, "inspect", 1, () => {
        const container = engine.find(id)
        return container === undefined ? undefined : stateOf(container)
      }),
    health: (id) => Effect.fail(refusal("health", `Container ${id} is imitated`, 409, false)),
    list: engine.call(life, "list", 3, () => [...engine.containers.values()].map(stateOf)),
    events: Stream.unwrap(
      Effect.acquireRelease(
        Effect.sync(() => engine.listen()),
        (listener) => Effect.sync(() => listener.close())
      ).pipe(Effect.map((listener) => Stream.fromEffectRepeat(listener.next)))
    ),
    logs: () => Stream.empty,
    console: (id) => Effect.fail(refusal("console", `Container ${id} is imitated`, 409, false)),
    stats: (id) => Effect.fail(refusal("stats", `Container ${id} is imitated`, 409, false)),
    ensureNetwork: ({ id }) =>
      engine.call(life, "ensure network", 4, () => {
        const bridge = bridgeOf(id)
        if (!engine.networks.has(bridge)) engine.changes++
        engine.networks.add(bridge)
        return bridge
      }),
    removeNetwork: (id) => engine.call(life, "remove network", 3, () => engine.removeNetwork(bridgeOf(id))),
    listNetworks: engine.call(life, "list networks", 1, () =>
      [...engine.networks].map((bridge) => bridge.slice("bridge-".length))
    )
  }
}

const bridgeOf = (networkId: string): string => `bridge-${networkId}`
