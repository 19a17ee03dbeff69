/**
 * A random life of a cluster: services that come, change and go while everything breaks that may break. Everything is
 * drawn from the seed; at the end all is mended, and the cluster must come to what was asked for last.
 */
import { exclusiveLabel } from "#actors/model/exclusive.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Fresh } from "#runtime/ids.ts"
import { calm } from "#runtime/transport/network.ts"
import { unevenness } from "#test/simulation/problems.ts"
import {
  creation,
  labelling,
  removal,
  setting,
  template,
  updating,
  type Wish
} from "#test/simulation/wishes.ts"
import { World } from "#test/simulation/world.ts"

const second = 1e9

/**
 * Runs the world of this seed to its end; throws with the trace when a law is broken. `clocks`: machines' clocks are set,
 * too, and half of them are wrong to the end.
 */
export function run(seed: number, clocks = false): World {
  const mixture = new Mixture(seed, clocks)
  mixture.live()
  mixture.mend()
  return mixture.world
}

class Mixture {
  readonly world: World
  readonly #chance: Fresh
  /** Requests that are not acknowledged yet. */
  #open = 0
  #version = 1
  /** Whether two tasks of one slot of `web` may never run. Not drawn, so that seeds stay what they were. */
  readonly #exclusive: boolean
  /** Of its own, so that seeds stay what they were. */
  readonly #clocks: Fresh | undefined
  /** What was to be mended later is mended now, or never. */
  #mending = false

  constructor(seed: number, clocks: boolean) {
    this.#chance = Fresh.from(seed * 7_919 + 1)
    this.#clocks = clocks ? Fresh.from(seed * 7_907 + 1) : undefined
    this.#exclusive = seed % 3 === 0
    this.world = new World({
      seed,
      managers: this.#isLikely(0.5) ? 3 : 1,
      workers: 2 + this.#below(3),
      managerWorks: this.#isLikely(0.3)
    })
  }

  live(): void {
    const { world } = this
    world.write(() => ({
      type: "secret.create",
      v: 1,
      secret: { ID: "key", Spec: { Name: "key", Data: "c2VjcmV0" } }
    }))
    if (this.#isLikely(0.5)) world.network.weather = this.#weather()
    if (this.#isLikely(0.3)) world.log.doubt = this.#chance.fraction() * 0.4
    const names = ["web", "api", "agent", "sums", "picky", "fragile"].filter(
      (_, at) => at === 0 || this.#isLikely(0.5)
    )
    for (const name of names) this.#ask(creation(name, this.#spec(name)))
    const steps = 8 + this.#below(25)
    for (let step = 0; step < steps; step++) {
      world.advance(this.#isLikely(0.3) ? this.#below(4_000) : this.#below(400))
      if (this.#isLikely(0.35)) this.#want(this.#one(names))
      else this.#break()
      if (this.#clocks !== undefined && this.#clocks.fraction() < 0.3) this.#setClock(this.#clocks)
    }
  }

  #setClock(chance: Fresh): void {
    const names = [...this.world.machines.keys()]
    const name = chance.fraction() < 0.5 ? this.world.leader() : names[chance.below(names.length)]
    if (name !== undefined) this.world.setClock(name, clocksMs[chance.below(clocksMs.length)] ?? 0)
  }

  /** Everything works again, or is lost for good, and what cannot work is corrected. */
  mend(): void {
    const { world } = this
    const drawn = world.workers.length > 2 && this.#isLikely(0.3) ? this.#one(world.workers) : undefined
    // What runs there keeps its slot until somebody removes the node.
    const lost = this.#exclusive ? undefined : drawn
    if (lost !== undefined) world.killNode(lost)
    this.#mending = true
    if (this.#clocks !== undefined)
      for (const name of world.machines.keys())
        if (this.#clocks.fraction() < 0.5 && world.machine(name).aheadMs !== 0) world.setClock(name, 0)
    for (const [name, machine] of world.machines) {
      if (name === lost) continue
      machine.engine.start()
      world.startAgent(name)
    }
    world.heal()
    this.#settleRequests()
    for (const name of world.machines.keys()) {
      if (world.ledger.get("node", name)?.Spec.Availability === "pause") this.#ask(setting(name, "active"))
      if (!world.isManager(name)) this.#ask(setting(name, "active"))
    }
    for (const { Spec, PreviousSpec, UpdateStatus } of [...world.ledger.all("service")]) {
      const rests = UpdateStatus === undefined || UpdateStatus.State.endsWith("completed")
      if (rests && isSound(Spec) && isSound(PreviousSpec ?? {})) continue
      this.#ask(updating(Spec.Name ?? "", corrected))
    }
    const drained = lost === undefined && world.workers.length > 2 && this.#isLikely(0.4)
    if (drained) this.#ask(setting(this.#one(world.workers), "drain"))
    this.#settleRequests()
    world.settle()
    this.#spread()
  }

  /** A service that comes to a cluster at rest is spread evenly, and runs at once. */
  #spread(): void {
    const { world } = this
    const replicas = 1 + this.#below(9)
    world.scale(replicas, "even")
    if (!world.runUntil(() => world.running("even") === replicas, 20_000))
      world.fail(`${world.running("even")} of ${replicas} tasks of a new service run after 20 s`)
    const service = world.service("even")
    if (service !== undefined && unevenness(world, service) > 1)
      world.fail(`a new service's tasks are spread unevenly: ${unevenness(world, service)} apart`)
  }

  // --- what people ask for ---------------------------------------------------------------------------------------

  #spec(name: string): ServiceSpec {
    const update = {
      Parallelism: this.#below(3),
      Monitor: this.#below(2) * second,
      Delay: this.#below(2) * 0.3 * second,
      FailureAction: this.#one(["rollback", "continue"] as const),
      MaxFailureRatio: this.#one([0, 0.3]),
      Order: this.#one(["stop-first", "start-first"] as const)
    }
    const usual = {
      TaskTemplate: {
        ...template(this.#isLikely(0.2) ? "stubborn:1" : "web:1"),
        RestartPolicy: { Delay: this.#one([0, 0, 0.2 * second, 2 * second]) }
      },
      UpdateConfig: update,
      RollbackConfig: update
    }
    const container = usual.TaskTemplate.ContainerSpec
    switch (name) {
      case "agent":
        return { ...usual, Mode: { Global: {} } }
      case "sums":
        return {
          TaskTemplate: {
            ...template(`job:${50 + this.#below(900)}`),
            RestartPolicy: { Delay: 0, Condition: "on-failure" }
          },
          Mode: { ReplicatedJob: { MaxConcurrent: 1 + this.#below(3), TotalCompletions: 1 + this.#below(6) } }
        }
      case "picky":
        return {
          ...usual,
          Mode: { Replicated: { Replicas: 1 + this.#below(4) } },
          TaskTemplate: { ...usual.TaskTemplate, Placement: { Constraints: ["node.labels.zone==east"] } }
        }
      case "fragile":
        return {
          ...usual,
          Mode: { Replicated: { Replicas: 1 + this.#below(3) } },
          TaskTemplate: {
            ...template("crash:1"),
            RestartPolicy: { Delay: this.#one([0, 0.1 * second]), MaxAttempts: 1 + this.#below(3) }
          }
        }
      case "api":
        return {
          ...usual,
          Mode: { Replicated: { Replicas: this.#below(6) } },
          TaskTemplate: {
            ...usual.TaskTemplate,
            ContainerSpec: {
              ...container,
              Healthcheck: { Test: ["CMD", "true"] },
              StopGracePeriod: second,
              Secrets: [{ SecretID: "key", SecretName: "key", File: { Name: "key", Mode: 0o444 } }]
            },
            Resources: { Reservations: { NanoCPUs: this.#one([0.5e9, 1e9]), MemoryBytes: 1e8 } }
          }
        }
      default:
        return {
          ...usual,
          Mode: { Replicated: { Replicas: 1 + this.#below(8) } },
          ...(this.#exclusive && { Labels: { [exclusiveLabel]: "true" } }),
          EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" }] }
        }
    }
  }

  #want(name: string): void {
    const dice = this.#below(10)
    if (name === "picky" && dice < 6)
      this.#ask(labelling(this.#one(this.world.workers), this.#one([undefined, "east", "west"])))
    else if (name === "fragile" && dice < 9) this.#ask(updating(name, forced(++this.#version)))
    else if (name === "sums") {
      if (dice < 3) this.#ask(updating(name, forced(++this.#version)))
      else if (dice < 4) this.#replace(name)
    } else if (dice < 4 && name !== "agent") {
      const Replicas = this.#below(name === "api" ? 6 : 9)
      this.#ask(updating(name, (spec) => ({ ...spec, Mode: { Replicated: { Replicas } } })))
    } else if (dice < 7) this.#ask(updating(name, (spec) => withImage(spec, `web:${++this.#version}`)))
    else if (dice < 8) {
      const image = this.#one(["missing", "nostart", "crash", "sick"])
      this.#ask(updating(name, (spec) => withImage(spec, `${image}:${++this.#version}`)))
    } else if (dice < 9) this.#ask(updating(name, forced(++this.#version)))
    else this.#replace(name)
  }

  #replace(name: string): void {
    const spec = this.#spec(name)
    this.#ask(removal(name), () => this.#ask(creation(name, spec)))
  }

  #ask(wish: Wish, then: () => void = () => {}): void {
    this.#open++
    this.world.ask(wish, () => {
      this.#open--
      then()
    })
  }

  #settleRequests(): void {
    if (!this.world.runUntil(() => this.#open === 0, 60_000)) this.world.fail("requests are not acknowledged")
  }

  // --- what breaks -----------------------------------------------------------------------------------------------

  #break(): void {
    const { world } = this
    const name = this.#one([...world.machines.keys()])
    const worker = this.#one(world.workers)
    const forMs = this.#isLikely(0.5) ? 50 + this.#below(900) : this.#below(9_000)
    const later = (then: () => void): void => {
      world.host.after(forMs, () => {
        if (!this.#mending) then()
      })
    }
    const dice = this.#below(38)
    if (dice >= 30) this.#breakManagers(dice - 30, forMs, later)
    else if (dice < 8) world.killContainer(this.#below(50))
    else if (dice < 9) this.#touchContainer()
    else if (dice < 11) {
      world.killAgent(worker)
      for (let times = this.#below(4); times > 0; times--) this.#touchContainer()
      later(() => world.startAgent(worker))
    } else if (dice < 13) {
      world.killNode(worker)
      later(() => world.reviveNode(worker))
    } else if (dice < 15) {
      world.partition(worker)
      later(() => world.network.mend(worker))
    } else if (dice < 16) world.disconnect(worker, forMs)
    else if (dice < 18) world.crashEngine(name, this.#isLikely(0.5), forMs)
    else if (dice < 20) world.restartManager(20 + this.#below(3_000), this.#manager())
    else if (dice < 22) world.deposeLeader(20 + this.#below(2_000))
    else if (dice < 23) world.network.weather = this.#isLikely(0.3) ? calm : this.#weather()
    else if (dice < 24) world.log.doubt = this.#isLikely(0.4) ? 0 : this.#chance.fraction() * 0.5
    else if (dice < 26) this.#ask(setting(worker, this.#one(["active", "active", "drain", "pause"])))
    else if (dice < 27) world.log.compact()
    else if (dice < 29) world.restartActor(name, this.#below(100))
    else {
      world.machine(name).engine.slowness = this.#one([1, 3, 20])
      world.machine(name).engine.moodiness = this.#one([0, 0.1, 0.3])
    }
  }

  /** What leads is cut off, frozen or switched off, or more than half of all machines are. */
  #breakManagers(dice: number, forMs: number, later: (then: () => void) => void): void {
    const { world } = this
    const manager = this.#manager()
    if (dice < 2) {
      world.partition(manager)
      later(() => world.network.mend(manager))
    } else if (dice < 3) {
      world.network.cutWay(manager, "*")
      later(() => world.network.mendWay(manager, "*"))
    } else if (dice < 5) world.freeze(this.#isLikely(0.6) ? manager : this.#one(world.workers), forMs)
    else if (dice < 6) {
      world.killNode(manager)
      later(() => world.reviveNode(manager))
    } else if (dice < 7) {
      const names = [...world.machines.keys()].filter(() => this.#isLikely(0.7))
      for (const name of names) world.killNode(name)
      later(() => {
        for (const name of names) world.reviveNode(name)
      })
    } else {
      const side = [...world.machines.keys()].filter(() => this.#isLikely(0.5))
      const others = [...world.machines.keys()].filter((name) => !side.includes(name))
      world.note(`fault: ${side.join(", ")} are cut off from the others`)
      world.network.partition(side, others)
      later(() => {
        for (const one of side) {
          for (const other of others) {
            world.network.mendWay(one, other)
            world.network.mendWay(other, one)
          }
        }
      })
    }
  }

  /** Mostly the one that leads. */
  #manager(): string {
    return this.#isLikely(0.7) ? this.world.leader() : this.#one(this.world.managers)
  }

  /** What people do to containers behind our back. */
  #touchContainer(): void {
    const all = this.world.containers()
    if (all.length === 0) return
    const { engine, container } = this.#one(all)
    if (this.#isLikely(0.4)) {
      this.world.note(`fault: container ${container.name} is started by hand`)
      engine.startAgain(container)
    } else {
      this.world.note(`fault: container ${container.name} is removed by hand`)
      engine.destroy(container)
    }
  }

  #weather() {
    return {
      loss: this.#isLikely(0.5) ? this.#chance.fraction() * 0.3 : 0,
      doubling: this.#isLikely(0.5) ? this.#chance.fraction() * 0.5 : 0,
      leastMs: 1,
      mostMs: this.#one([1, 5, 60, 400])
    }
  }

  #below(limit: number): number {
    return this.#chance.below(limit)
  }

  #isLikely(chance: number): boolean {
    return this.#chance.fraction() < chance
  }

  #one<Value>(values: ReadonlyArray<Value>): Value {
    return values[this.#below(values.length)] as Value
  }
}

/** Where clocks are set to: right, off by seconds, minutes, an hour, a day. */
const clocksMs = [0, 5_000, -5_000, 300_000, -300_000, 3_600_000, -3_600_000, 86_400_000, -86_400_000]

const isSound = ({ TaskTemplate }: ServiceSpec): boolean =>
  /^(web|job|stubborn):/.test(TaskTemplate?.ContainerSpec?.Image ?? "web:1")

/** An image that works, and no way back to one that does not. */
const corrected = (spec: ServiceSpec): ServiceSpec => ({
  ...withImage(spec, "web:corrected"),
  UpdateConfig: { ...spec.UpdateConfig, FailureAction: "continue" }
})

const withImage = (spec: ServiceSpec, image: string): ServiceSpec => ({
  ...spec,
  TaskTemplate: {
    ...spec.TaskTemplate,
    ContainerSpec: { ...spec.TaskTemplate?.ContainerSpec, Image: image }
  }
})

const forced =
  (version: number) =>
  (spec: ServiceSpec): ServiceSpec => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: version }
  })
