/**
 * An imitated Docker Engine: containers that outlive the node's process, calls that take a while, answers that are
 * lost when it crashes.
 */
import { Effect } from "effect"
import {
  type ContainerEvent,
  type ContainerRequest,
  type ContainerState,
  ExecutorError
} from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"
import type { NodeDescription } from "#actors/model/objects.ts"
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { Fresh } from "#runtime/ids.ts"
import type { Life } from "#runtime/life.ts"

/**
 * What an image does, by the word before its colon: `web` runs until it is stopped, `job:300` ends well after 300 ms,
 * `crash:100` badly after 100 ms, `sick:1` turns unhealthy if it has a health check, `stubborn:1` ignores its stop
 * signal, `nostart:1` cannot be started, `missing:1` cannot be pulled.
 */
type Behaviour = "web" | "job" | "crash" | "sick" | "stubborn" | "nostart" | "missing"

export interface Container {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly image: string
  readonly networks: ReadonlyArray<string>
  readonly checked: boolean
  status: "created" | "running" | "exited"
  pid: number
  exitCode: number
  startedAt: number
  finishedAt: number
  health: ContainerState["health"]
  /** How often it was started; once, if all is well. */
  starts: number
  /** Somebody started it again: whatever it stands beside is not our doing. */
  byHand: boolean
  readonly ends: Set<() => void>
}

/** `unplugged`: it was to start, and a network that it needs was not there. */
export type Happening = "create" | "start" | "die" | "remove" | "unplugged"

export interface EngineOptions {
  readonly name: string
  readonly host: VirtualHost
  readonly chance: Fresh
  readonly nanoCpus: number
  readonly memoryBytes: number
  /** Hears of everything that happens to containers. */
  readonly onEvent: (what: Happening, container: Container) => void
}

export class Engine {
  readonly name: string
  readonly containers = new Map<string, Container>()
  readonly networks = new Set<string>()
  readonly #options: EngineOptions
  readonly #listeners = new Set<Listener>()
  #up = true
  /** Grows with every crash: what was asked of an earlier one is not done any more. */
  #boot = 0
  /** Cuts off each call under way. */
  readonly #calls = new Set<() => void>()
  /** Multiplies how long everything takes. */
  slowness = 1
  /** How likely a call fails without reason, as a loaded Engine's may. */
  moodiness = 0
  /** Calls that change something. */
  changes = 0

  constructor(options: EngineOptions) {
    this.name = options.name
    this.#options = options
  }

  /** How often it crashed. */
  get boot(): number {
    return this.#boot
  }

  get up(): boolean {
    return this.#up
  }

  running(): ReadonlyArray<Container> {
    return [...this.containers.values()].filter(({ status }) => status === "running")
  }

  of(taskId: string): Container | undefined {
    for (const container of this.containers.values())
      if (container.labels[taskLabel] === taskId) return container
    return undefined
  }

  /** Ends a container from outside, as `docker kill` does. */
  kill(container: Container, exitCode = 137): void {
    this.#end(container, exitCode)
  }

  /** `docker rm --force`. */
  destroy(container: Container): void {
    this.#end(container, 137)
    if (!this.containers.delete(container.id)) return
    this.#options.onEvent("remove", container)
    this.#tell({ _tag: "Destroyed", containerId: container.id, labels: container.labels })
  }

  /** `docker start` by someone's hand. */
  startAgain(container: Container): void {
    if (container.status !== "exited") return
    container.status = "running"
    container.pid = 999
    container.byHand = true
    this.#tell({ _tag: "Started", containerId: container.id, labels: container.labels })
    this.#endByItself(container)
  }

  /** Kill -9: calls under way get no answer, and nobody hears of what happens. With live-restore, containers go on. */
  crash(liveRestore: boolean): void {
    this.#up = false
    this.#boot++
    for (const listener of [...this.#listeners]) listener.lose()
    this.#listeners.clear()
    const calls = [...this.#calls]
    this.#calls.clear()
    for (const cut of calls) cut()
    if (!liveRestore) for (const container of this.running()) this.#end(container, 137)
  }

  start(): void {
    this.#up = true
  }

  /** The machine is gone, and everything that ran on it. */
  powerOff(): void {
    this.crash(false)
  }

  listen(): Listener {
    const listener = new Listener(() => this.#listeners.delete(listener))
    if (this.#up) this.#listeners.add(listener)
    else listener.lose()
    return listener
  }

  /** Between `least` and ten times as many milliseconds, mostly near `least`. */
  latency(least: number): number {
    const spread = this.#options.chance.fraction()
    return Math.ceil(least * this.slowness * (1 + 9 * spread * spread * spread))
  }

  /**
   * One request: `work` happens half-way through, whether or not anyone still waits for the answer. It may return a
   * function that calls back later, for answers that have to be waited for.
   */
  call<A>(
    life: Life,
    operation: string,
    leastMs: number,
    work: () => A | ExecutorError | Later<A>
  ): Effect.Effect<A, ExecutorError> {
    return Effect.callback<A, ExecutorError>((resume) => {
      const { host, chance } = this.#options
      if (!life.alive) return
      const half = this.latency(leastMs) / 2
      const fail = life.whileAlive((why: string) =>
        resume(Effect.fail(refusal(operation, `Cannot talk to the Docker Engine at ${this.name}: ${why}`)))
      )
      if (!this.#up) {
        host.after(half, () => fail("connection refused"))
        return
      }
      const boot = this.#boot
      const cut = (): void => fail("connection reset")
      this.#calls.add(cut)
      const answer = (outcome: A | ExecutorError): void => {
        if (!this.#calls.delete(cut) || !life.alive) return
        resume(outcome instanceof ExecutorError ? Effect.fail(outcome) : Effect.succeed(outcome))
      }
      host.after(half, () => {
        if (this.#boot !== boot) return
        if (this.moodiness > 0 && chance.fraction() < this.moodiness) {
          host.after(half, () => answer(refusal(operation, "the Engine is busy", 500, true)))
          return
        }
        const outcome = work()
        if (outcome instanceof Later) outcome.begin((value) => host.after(half, () => answer(value)))
        else host.after(half, () => answer(outcome))
      })
    })
  }

  create(name: string, request: ContainerRequest): string | ExecutorError {
    const taskId = request.Labels[taskLabel]
    const known = taskId === undefined ? undefined : this.of(taskId)
    if (known !== undefined) return known.id
    for (const other of this.containers.values()) {
      if (other.name !== name) continue
      return refusal("create", `Conflict. The container name "/${name}" is already in use`, 409, false)
    }
    const { chance } = this.#options
    const container: Container = {
      id: `${chance.id()}${chance.id()}`,
      name,
      labels: request.Labels,
      image: request.Image,
      networks: request.Networks.map(({ networkId }) => networkId),
      checked: request.Healthcheck !== undefined,
      status: "created",
      pid: 0,
      exitCode: 0,
      startedAt: 0,
      finishedAt: 0,
      health: undefined,
      starts: 0,
      byHand: false,
      ends: new Set()
    }
    this.changes++
    this.containers.set(container.id, container)
    this.#options.onEvent("create", container)
    return container.id
  }

  startContainer(id: string): undefined | ExecutorError {
    const container = this.find(id)
    if (container === undefined) return refusal("start", `No such container: ${id}`, 404, false)
    if (container.status === "running") return undefined
    for (const network of container.networks) {
      if (this.networks.has(network)) continue
      this.#options.onEvent("unplugged", container)
      return refusal("start", `network ${network} not found`, 404, false)
    }
    const { host, chance } = this.#options
    const [behaviour] = behaviourOf(container.image)
    if (behaviour === "nostart") {
      return refusal("start", `exec: "nothing": executable file not found in $PATH`, 400, false)
    }
    this.changes++
    container.starts++
    container.status = "running"
    container.pid = 1_000 + chance.below(30_000)
    container.startedAt = host.now()
    if (container.checked) this.#probe(container, behaviour === "sick")
    this.#options.onEvent("start", container)
    this.#tell({ _tag: "Started", containerId: container.id, labels: container.labels })
    this.#endByItself(container)
    return undefined
  }

  /** Calls back when the container has ended. */
  stopContainer(id: string, graceMs: number): undefined | Later<undefined> {
    const container = this.find(id)
    if (container === undefined || container.status !== "running") return undefined
    this.changes++
    const { host } = this.#options
    const [behaviour] = behaviourOf(container.image)
    const takes = behaviour === "stubborn" ? graceMs : Math.min(graceMs, this.latency(3))
    host.after(takes, () => this.#end(container, takes < graceMs ? 143 : 137))
    return new Later((ended) => container.ends.add(() => ended(undefined)))
  }

  removeContainer(id: string): void {
    const container = this.find(id)
    if (container === undefined) return
    this.changes++
    this.destroy(container)
  }

  /** Takes a name as well as an id. */
  find(reference: string): Container | undefined {
    const known = this.containers.get(reference)
    if (known !== undefined) return known
    for (const container of this.containers.values()) if (container.name === reference) return container
    return undefined
  }

  pull(image: string): undefined | ExecutorError {
    if (behaviourOf(image)[0] !== "missing") return undefined
    return refusal("pull", `pull access denied for ${image}, repository does not exist`, 404, false)
  }

  removeNetwork(network: string): undefined | ExecutorError {
    const user = this.running().find(({ networks }) => networks.includes(network))
    if (user !== undefined)
      return refusal("remove network", `network ${network} has active endpoints`, 403, false)
    if (this.networks.delete(network)) this.changes++
    return undefined
  }

  describe(): NodeDescription {
    const { nanoCpus, memoryBytes } = this.#options
    return {
      Hostname: this.name,
      Platform: { OS: "linux", Architecture: "x86_64" },
      Resources: { NanoCPUs: nanoCpus, MemoryBytes: memoryBytes },
      Engine: { EngineVersion: "20.10.24" },
      Executor: "docker"
    }
  }

  #endByItself(container: Container): void {
    const [behaviour, afterMs] = behaviourOf(container.image)
    if (behaviour !== "job" && behaviour !== "crash") return
    this.#options.host.after(afterMs, () => this.#end(container, behaviour === "job" ? 0 : 1))
  }

  #probe(container: Container, sick: boolean): void {
    const { host } = this.#options
    container.health = "starting"
    host.after(this.latency(30), () => {
      if (container.status !== "running") return
      const health = sick ? ("unhealthy" as const) : ("healthy" as const)
      container.health = health
      this.#tell({ _tag: "Health", containerId: container.id, labels: container.labels, health })
    })
  }

  #end(container: Container, exitCode: number): void {
    if (container.status !== "running") return
    container.status = "exited"
    container.pid = 0
    container.exitCode = exitCode
    container.finishedAt = this.#options.host.now()
    container.health = undefined
    this.#options.onEvent("die", container)
    this.#tell({ _tag: "Died", containerId: container.id, labels: container.labels, exitCode })
    const waiting = [...container.ends]
    container.ends.clear()
    for (const told of waiting) told()
  }

  #tell(event: ContainerEvent): void {
    if (!this.#up) return
    for (const listener of this.#listeners) {
      // In order: one connection carries them all.
      this.#options.host.after(1, () => listener.push(event))
    }
  }
}

/** An answer that comes when something else has happened. */
class Later<A> {
  readonly begin: (done: (value: A) => void) => void
  constructor(begin: (done: (value: A) => void) => void) {
    this.begin = begin
  }
}

/** One connection for events. */
class Listener {
  readonly #waiting: Array<ContainerEvent> = []
  readonly #leave: () => void
  #lost = false
  #resume: (() => void) | undefined

  constructor(leave: () => void) {
    this.#leave = leave
  }

  push(event: ContainerEvent): void {
    if (this.#lost) return
    this.#waiting.push(event)
    this.#wake()
  }

  lose(): void {
    this.#lost = true
    this.#wake()
  }

  close(): void {
    this.#leave()
  }

  /** The next event; fails once the connection is lost and everything before that was told. */
  readonly next: Effect.Effect<ContainerEvent, ExecutorError> = Effect.callback((resume) => {
    const answer = (): void => {
      this.#resume = undefined
      const event = this.#waiting.shift()
      if (event !== undefined) resume(Effect.succeed(event))
      else if (this.#lost) resume(Effect.fail(refusal("events", "the event stream ended")))
      else this.#resume = answer
    }
    answer()
  })

  #wake(): void {
    this.#resume?.()
  }
}

export const refusal = (
  operation: string,
  message: string,
  status?: number,
  temporary = true
): ExecutorError =>
  new ExecutorError({ operation, message, temporary, ...(status !== undefined && { status }) })

function behaviourOf(image: string): readonly [Behaviour, number] {
  const [word = "web", number = "0"] = image.split(":")
  return [word as Behaviour, Number.parseInt(number, 10) || 0]
}
