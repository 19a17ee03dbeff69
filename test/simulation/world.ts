/**
 * A whole cluster in one thread: the real daemon's parts (ledger, leadership, leader's tree, nodes' trees, runtime) on
 * imitated time, network, log and Engines. The same seed gives the same run.
 */
import { Context, Effect, Schedule, Scope } from "effect"
import { OpenConsoles } from "#actors/console/open-consoles.ts"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { nothingLed } from "#actors/drivers/led.ts"
import { SecretStore } from "#actors/drivers/secret-store.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import type { Machine as LedgerMachine } from "#actors/ledger/machine.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import { foundingCommands } from "#actors/manager/found.ts"
import { leadership } from "#actors/manager/leadership.ts"
import type { Service, Task } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import type { PublishedPort } from "#actors/network/plan.ts"
import { nodeTree } from "#actors/node/tree.ts"
import type { OpenRaft } from "#actors/raft/protocol.ts"
import { type Address, showAddress } from "#runtime/address.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { Fresh } from "#runtime/ids.ts"
import { Life } from "#runtime/life.ts"
import { type LocalSystem, makeSystem } from "#runtime/live.ts"
import { effectPerformer } from "#runtime/performer.ts"
import { System, type TreeNode } from "#runtime/system.ts"
import { MemoryBus, type MemoryTransport } from "#runtime/transport/memory.ts"
import { Network } from "#runtime/transport/network.ts"
import { type Container, Engine } from "#test/simulation/engine.ts"
import { executorOf } from "#test/simulation/executor.ts"
import { SimulatedGroup } from "#test/simulation/group.ts"
import { Laws, short, showTask } from "#test/simulation/laws.ts"
import { SimulatedLog } from "#test/simulation/log.ts"
import { problemsOf } from "#test/simulation/problems.ts"
import { creation, removal, updating, type Wish } from "#test/simulation/wishes.ts"
import { Witness } from "#test/simulation/witness.ts"
import { someKeys, somePorts, someRoots } from "#test/support/trust.ts"

export interface WorldOptions {
  readonly seed: number
  /** Nodes beside the manager's; three unless told. */
  readonly workers?: number
  /** One on a log in memory, or several in a Raft group; one unless told. */
  readonly managers?: number
  /** Managers run tasks, too. */
  readonly managerWorks?: boolean
}

const clusterId = "c1"
/** The manager that founds the cluster. */
const founderId = "manager-1"

/** A machine with an Engine, and what outlives the processes on it. */
export interface Machine {
  readonly name: string
  readonly engine: Engine
  /** Tasks with files in memory. */
  readonly secrets: Set<string>
  ports: ReadonlyArray<PublishedPort>
  process: Process | undefined
  /** How far its clock is ahead, in milliseconds. */
  aheadMs: number
}

interface Process {
  readonly life: Life
  readonly transport: MemoryTransport
  readonly system: LocalSystem
  ledger?: LedgerService
}

export class World {
  /** How long nodes take to let published ports lead elsewhere. */
  publishMs = 2
  readonly seed: number
  readonly host: VirtualHost
  readonly chance: Fresh
  readonly network: Network
  readonly log: SimulatedLog | SimulatedGroup
  readonly managers: ReadonlyArray<string>
  readonly bus: MemoryBus
  readonly laws: Laws
  readonly machines = new Map<string, Machine>()
  /** Crashes of actors that were not asked for. */
  readonly crashes: Array<string> = []
  /** What happened last, for whoever has to understand a failure. */
  readonly #trace: Array<string> = []
  /** When something last happened that does not happen at rest. */
  #stirredAt = 0
  #stirredBy = ""
  readonly #witness: Witness
  readonly #works: boolean
  #boots = 0

  constructor({ seed, workers = 3, managers = 1, managerWorks = false }: WorldOptions) {
    this.seed = seed
    this.host = new VirtualHost(seed)
    this.chance = Fresh.from(seed).fork()
    this.network = new Network(this.chance.fork(), this.host)
    this.managers = Array.from({ length: managers }, (_, at) => `manager-${at + 1}`)
    this.#works = managerWorks
    const chance = this.chance.fork()
    this.log =
      managers === 1
        ? new SimulatedLog(chance)
        : new SimulatedGroup({
            host: this.host,
            chance,
            network: this.network,
            clusterId,
            founder: founderId,
            halted: (name, error) => this.crashes.push(`the log of ${name}: ${error.message}`)
          })
    this.bus = new MemoryBus(this.host, { link: this.network.link })
    this.laws = new Laws(
      () => [...this.machines.values()].map(({ engine }) => engine),
      () => this.host.now()
    )
    this.#witness = new Witness(
      (defect) => this.crashes.push(`a follower of the ledger: ${String(defect)}`),
      (law, facts) => this.laws.broken.push(`${law}: ${facts}`)
    )
    this.laws.ledger = this.#witness.machine.tables
    this.#witness.machine.follow((set) => this.#follow(set))
    this.host.onNote = (line) => {
      this.#trace.push(line)
      if (this.#trace.length > 2_000) this.#trace.splice(0, 1_000)
    }
    for (const name of this.managers) this.#build(name)
    for (let at = 1; at <= workers; at++) this.#build(`worker-${at}`)
    this.#startProcess(founderId)
    this.#until("the cluster is founded", () => this.#isFounded, 20_000)
    for (const name of this.machines.keys()) if (name !== founderId) this.#join(name)
    this.#until("every node is ready", () => this.#readyNodes() === this.machines.size, 20_000)
    if (managers > 1) this.#until("every manager is reachable", () => this.#reachable() === managers, 20_000)
  }

  /** What the group has committed. */
  get ledger(): LedgerReader {
    return this.#witness.machine.tables
  }

  get workers(): ReadonlyArray<string> {
    return [...this.machines.keys()].filter((name) => !this.isManager(name))
  }

  isManager(name: string): boolean {
    return this.managers.includes(name)
  }

  /** The manager that leads, as far as it knows; the founder where nobody does. */
  leader(): string {
    return this.log instanceof SimulatedGroup ? (this.log.leaders()[0] ?? founderId) : founderId
  }

  machine(name: string): Machine {
    const machine = this.machines.get(name)
    if (machine === undefined) throw new Error(`no machine ${name}`)
    return machine
  }

  // --- what people ask for ---------------------------------------------------------------------------------------

  /** Asks for a change and waits for the answer, again if there is none, as a client does. */
  write(wish: Wish): void {
    let settled = false
    this.ask(wish, () => {
      settled = true
    })
    this.#until("a write is acknowledged", () => settled, 60_000)
  }

  /** `write` without waiting. Asked again until it is applied, or refused for good. */
  ask(wish: Wish, settled: () => void = () => {}): void {
    const process = this.machine(this.managers[this.chance.below(this.managers.length)] ?? founderId).process
    const ledger = process?.ledger
    const again = (): void => {
      this.host.after(100, () => this.ask(wish, settled))
    }
    if (ledger === undefined || process === undefined) {
      again()
      return
    }
    const command = wish(this.ledger)
    if (command === undefined) {
      settled()
      return
    }
    const run = Effect.runForkWith(process.life.context)
    let open = true
    // A client whose manager died asks the next one.
    this.host.after(12_000, () => {
      if (open && !process.life.alive) again()
    })
    run(ledger.propose(command, { who: "client", why: "asked" })).addObserver((exit) => {
      open = false
      const outcome = exit._tag === "Success" ? exit.value : undefined
      const code = outcome?._tag === "Refused" ? outcome.refusal.code : ""
      this.note(`client: ${command.type} ${outcome?._tag} ${code}`)
      if (outcome?._tag === "Applied" || code === "notFound" || code === "alreadyExists") settled()
      else again()
    })
  }

  service(name: string): Service | undefined {
    return this.ledger.byName("service", name)
  }

  /** Creates a service that runs `web:1` unless `spec` says otherwise; restarts have no delay. */
  create(name: string, spec: ServiceSpec = {}): void {
    this.write(creation(name, spec))
  }

  update(name: string, change: (spec: ServiceSpec) => ServiceSpec): void {
    this.write(updating(name, change))
  }

  remove(name: string): void {
    this.write(removal(name))
  }

  /** Scales `name`, and creates it first when there is none. */
  scale(replicas: number, name = "web"): void {
    const mode = { Replicated: { Replicas: replicas } }
    if (this.service(name) === undefined) this.create(name, { Mode: mode })
    else this.update(name, (spec) => ({ ...spec, Mode: mode }))
  }

  // --- what goes wrong -------------------------------------------------------------------------------------------

  /** Ends one of the containers that run; `undefined` when none does. */
  killContainer(at = 0, serviceName?: string): Container | undefined {
    const running = this.containers().filter(
      ({ container }) =>
        container.status === "running" &&
        (serviceName === undefined || container.labels["com.docker.swarm.service.name"] === serviceName)
    )
    const chosen = running[at % Math.max(1, running.length)]
    if (chosen === undefined) return undefined
    this.note(`fault: container ${chosen.container.name} is killed`)
    chosen.engine.kill(chosen.container)
    return chosen.container
  }

  /** The node's process ends as by kill -9; its containers go on. */
  killAgent(name: string, how: "process" | "power" = "process"): void {
    const machine = this.machine(name)
    if (machine.process === undefined) return
    this.note(`fault: the process of ${name} is killed`)
    machine.process.life.kill()
    machine.process.transport.close()
    machine.process = undefined
    if (!this.isManager(name)) return
    if (this.log instanceof SimulatedGroup) this.log.crash(name, how)
    else this.log.crash()
  }

  startAgent(name: string): void {
    if (this.machine(name).process !== undefined) return
    this.note(`the process of ${name} starts`)
    this.#startProcess(name)
  }

  /** Its clock is set so far ahead of what it should be, or behind, as people and NTP do, and stays so. */
  setClock(name: string, aheadMs: number): void {
    const machine = this.machine(name)
    this.note(`fault: the clock of ${name} is set ${aheadMs} ms ahead`)
    machine.aheadMs = aheadMs
    this.laws.clocksAreSet = true
    if (machine.process !== undefined) machine.process.life.skewMs = aheadMs
  }

  /** The machine is switched off. */
  killNode(name: string): void {
    this.killAgent(name, "power")
    this.note(`fault: ${name} is switched off`)
    this.machine(name).engine.powerOff()
  }

  /** The machine is switched on: nothing of what ran before runs. */
  reviveNode(name: string): void {
    this.machine(name).engine.start()
    this.startAgent(name)
  }

  restartManager(afterMs = 300, name = this.leader()): void {
    this.killAgent(name)
    this.host.after(afterMs, () => this.startAgent(name))
  }

  /** The node's process is stopped for a while, as by SIGSTOP, and goes on where it was. */
  freeze(name: string, forMs: number): void {
    const life = this.machine(name).process?.life
    if (life === undefined || life.paused) return
    this.note(`fault: the process of ${name} is frozen`)
    life.pause()
    this.host.after(forMs, () => {
      if (!life.paused) return
      this.note(`the process of ${name} goes on`)
      life.resume()
    })
  }

  /** The manager loses the lead without dying: for a moment where it is alone, else to another one. */
  deposeLeader(forMs = 700): void {
    this.note("fault: the leader is deposed")
    this.log.stepDown(forMs)
  }

  crashEngine(name: string, liveRestore: boolean, forMs = 2_000): void {
    this.note(`fault: the Engine of ${name} crashes ${liveRestore ? "with" : "without"} live-restore`)
    const { engine } = this.machine(name)
    engine.crash(liveRestore)
    const before = engine.boot
    this.host.after(forMs, () => {
      if (engine.boot === before) engine.start()
    })
  }

  /** Nothing from or to this node arrives, and nobody is told. */
  partition(name: string): void {
    this.note(`fault: ${name} is cut off`)
    this.network.cut(name)
  }

  /** The transport of the node's process loses its connection, and notices. */
  disconnect(name: string, forMs: number): void {
    const transport = this.machine(name).process?.transport
    if (transport === undefined) return
    this.note(`fault: ${name} is disconnected`)
    transport.disconnect()
    this.host.after(forMs, () => {
      if (this.machine(name).process?.transport === transport) transport.reconnect()
    })
  }

  /** One actor of the node's process loses its memory; the manager's has the leader's tree, too. */
  restartActor(name: string, at: number): void {
    const system = this.machine(name).process?.system
    const addresses = system?.trees().flatMap(actorsOf) ?? []
    const chosen = addresses[at % Math.max(1, addresses.length)]
    if (system === undefined || chosen === undefined) return
    this.note(`fault: ${shortAddress(showAddress(chosen))} is restarted by hand`)
    system.restart(chosen)
  }

  heal(): void {
    this.note("healed")
    this.network.heal()
    this.log.doubt = 0
    for (const { engine, process } of this.machines.values()) {
      engine.slowness = 1
      engine.moodiness = 0
      process?.life.resume()
    }
  }

  // --- what there is ---------------------------------------------------------------------------------------------

  containers(): ReadonlyArray<{ readonly engine: Engine; readonly container: Container }> {
    return [...this.machines.values()].flatMap(({ engine }) =>
      [...engine.containers.values()].map((container) => ({ engine, container }))
    )
  }

  /** Containers that run for tasks of the service that are known and wanted to run. */
  running(name = "web"): number {
    return this.runningTasks(name).length
  }

  runningOutside(node: string, name = "web"): number {
    return this.runningTasks(name).filter((task) => task.NodeID !== node).length
  }

  runningTasks(name = "web"): ReadonlyArray<Task> {
    const service = this.service(name)
    if (service === undefined) return []
    return [...this.ledger.tasksOfService(service.ID)].filter(
      (task) =>
        task.Status.State === "running" &&
        task.DesiredState === "running" &&
        this.machine(task.NodeID ?? "").engine.of(task.ID)?.status === "running"
    )
  }

  // --- time ------------------------------------------------------------------------------------------------------

  /** Lets time pass until `holds`, for at most `withinMs`. Fails at the first law that is broken. */
  runUntil(holds: () => boolean, withinMs: number): boolean {
    const came = this.host.runUntil(() => {
      this.#assertLaws()
      return holds()
    }, withinMs)
    this.#assertLaws()
    return came
  }

  advance(ms: number): void {
    this.runUntil(() => false, ms)
  }

  /** Ends unless everything comes to be as it should within `withinMs`, and then stays so without anything to do. */
  settle(withinMs = 180_000): void {
    const until = this.host.now() + withinMs
    let problems = this.problems()
    while (problems.length > 0 && this.host.now() < until) {
      this.advance(200)
      problems = this.problems()
    }
    if (problems.length > 0)
      this.fail(`not as it should be after ${withinMs} ms:\n  ${problems.join("\n  ")}`)
    this.rest()
    problems = this.problems()
    if (problems.length > 0) this.fail(`not as it should be any more:\n  ${problems.join("\n  ")}`)
    this.laws.checkFeed()
    this.#assertLaws()
  }

  /** Ends unless nothing happens for `quietMs` but heartbeats, within `withinMs`. */
  rest(quietMs = 35_000, withinMs = 150_000): void {
    const until = this.host.now() + withinMs
    this.#stirredAt = this.host.now()
    while (this.host.now() < this.#stirredAt + quietMs) {
      if (this.host.now() > until) this.fail(`no rest within ${withinMs} ms: ${this.#stirredBy}`)
      this.advance(this.#stirredAt + quietMs - this.host.now())
    }
  }

  /** What is not as the specs ask for; empty when all is well. */
  problems(): ReadonlyArray<string> {
    return problemsOf(this)
  }

  // --- the trace -------------------------------------------------------------------------------------------------

  note(line: string): void {
    this.host.note(line)
  }

  /** The last lines of the trace, readable. */
  trace(lines = 150): string {
    const began = Date.UTC(2026, 0, 1)
    return this.#trace
      .slice(-lines)
      .map((line) => {
        const at = line.indexOf(" ")
        return `${((Number(line.slice(0, at)) - began) / 1_000).toFixed(3).padStart(9)}s${line.slice(at).trimEnd()}`
      })
      .join("\n")
  }

  fail(message: string): never {
    throw new Error(`seed ${this.seed}: ${message}\nThe last that happened:\n${this.trace()}`)
  }

  #assertLaws(): void {
    const [first] = this.laws.broken
    if (first !== undefined) this.fail(`a law is broken: ${first}`)
    const [crash] = this.crashes
    if (crash !== undefined) this.fail(`an actor crashed: ${crash}`)
  }

  #until(what: string, holds: () => boolean, withinMs: number): void {
    if (!this.runUntil(holds, withinMs)) this.fail(`not within ${withinMs} ms: ${what}`)
  }

  #stir(by: string): void {
    this.#stirredAt = this.host.now()
    this.#stirredBy = by
  }

  // --- building --------------------------------------------------------------------------------------------------

  #build(name: string): void {
    const engine: Engine = new Engine({
      name,
      host: this.host,
      chance: this.chance.fork(),
      nanoCpus: 4e9,
      memoryBytes: 8e9,
      onEvent: (what, container) => {
        this.note(`${name}: ${what} ${container.name}`)
        this.#stir(`${what} ${container.name} on ${name}`)
        this.laws.happened(engine, what, container)
      }
    })
    this.machines.set(name, { name, engine, secrets: new Set(), ports: [], process: undefined, aheadMs: 0 })
  }

  /** A machine is let into the cluster, and its process starts. */
  #join(name: string): void {
    const isManager = this.isManager(name)
    this.write(() => ({
      type: "node.register",
      v: 1,
      node: {
        ID: name,
        Spec: {
          Role: isManager ? "manager" : "worker",
          Availability: isManager && !this.#works ? "drain" : "active",
          Labels: {}
        },
        Description: this.machine(name).engine.describe(),
        Status: { State: "unknown" },
        ...(isManager && {
          ManagerStatus: { Reachability: "unknown" as const, Addr: `${name}.local:2377`, Ports: somePorts }
        })
      }
    }))
    this.#startProcess(name)
  }

  #startProcess(name: string): void {
    const machine = this.machine(name)
    const life = new Life(this.host)
    life.skewMs = machine.aheadMs
    const transport = life.transport(this.bus.connect(name))
    const system = makeSystem({
      cluster: clusterId,
      nodeId: name,
      host: life.host,
      transport,
      report: (event) => {
        this.note(`${name}: ${event.name} ${event._tag}: ${String(event.error)}`)
        if (!String(event.error).includes("restarted by hand"))
          this.crashes.push(`${name}/${event.name}: ${event.error}`)
      },
      deciding: (self, message) => this.#hear(showAddress(self), message)
    })
    const process: Process = { life, transport, system }
    machine.process = process
    const services = Context.empty().pipe(
      Context.add(Executor, executorOf(machine.engine, life)),
      Context.add(SecretStore, this.#secretsOf(machine)),
      Context.add(DataPlane, this.#dataPlaneOf(machine, life)),
      Context.add(LogReaders, noLogs),
      Context.add(OpenConsoles, noConsoles),
      Context.add(LogMemory, LogMemory.remembersNothing),
      Context.add(System, system)
    )
    const context = Context.merge(life.context, services)
    const startNode = (): void => {
      system.startTree(nodeTree({ nodeId: name, clusterId, addr: `${name}.local` }), name, {
        performer: effectPerformer(context as Context.Context<never>)
      })
    }
    if (!this.isManager(name)) {
      startNode()
      return
    }
    Effect.runForkWith(context)(
      this.#manage(name, process).pipe(Effect.provideService(Scope.Scope, Scope.makeUnsafe()))
    ).addObserver((exit) => {
      if (exit._tag === "Failure") this.crashes.push(`${name}: ${String(exit.cause)}`)
      else startNode()
    })
  }

  /** The manager's part of the daemon: the ledger, a new cluster if there is none, and leadership. */
  readonly #manage = Effect.fnUntraced(
    { self: this as World },
    function* (this: World, name: string, process: Process) {
      const { life, system } = process
      this.#boots++
      const ledger = yield* openLedger({
        openRaft: this.#openRaft(name, life),
        directory: "",
        clusterId,
        nodeId: name,
        host: life.host,
        boot: `boot-${this.#boots}`,
        onDefect: (defect) => this.crashes.push(`a follower of the ledger: ${String(defect)}`)
      })
      process.ledger = ledger
      if (name === founderId && !this.#isFounded) yield* this.#found(ledger)
      system.claim("manager")
      Effect.runForkWith(life.context)(
        Effect.scoped(leadership({ clusterId, nodeId: name })).pipe(
          Effect.provideService(Ledger, ledger),
          Effect.provideService(System, system)
        )
      )
    }
  )

  /** The log as a manager opens it, with everything that it applies witnessed. */
  #openRaft(name: string, life: Life): OpenRaft<never> {
    const open = this.log.openIn(life)
    return (options) =>
      open({ ...options, machine: this.#witness.watch(name, options.machine as LedgerMachine) })
  }

  readonly #found = Effect.fnUntraced(
    { self: this as World },
    function* (this: World, ledger: LedgerService) {
      yield* ledger.readIndex.pipe(Effect.retry(Schedule.spaced("100 millis")))
      const commands = foundingCommands({
        clusterId,
        ingressId: "ingress",
        addrPool: ["10.0.0.0/8"],
        node: {
          id: founderId,
          addr: `${founderId}.local`,
          keys: someKeys,
          ports: somePorts,
          availability: this.#works ? "active" : "drain",
          description: this.machine(founderId).engine.describe()
        },
        roots: someRoots,
        tokens: { Worker: "worker", Manager: "manager" }
      })
      for (const command of commands) yield* ledger.propose(command, { who: "local", why: "a new cluster" })
    }
  )

  get #isFounded(): boolean {
    return this.ledger.get("network", "ingress") !== undefined
  }

  #secretsOf(machine: Machine): SecretStore["Service"] {
    return {
      keep: (taskId, files) =>
        Effect.sync(() => {
          machine.secrets.add(taskId)
          return Object.fromEntries(files.map(({ key }) => [key, `/memory/${taskId}/${key}`]))
        }),
      forget: (taskId) => Effect.sync(() => void machine.secrets.delete(taskId)),
      sweep: (taskIds) =>
        Effect.sync(() => {
          const kept = new Set(taskIds)
          for (const id of [...machine.secrets]) if (!kept.has(id)) machine.secrets.delete(id)
        })
    }
  }

  #dataPlaneOf(machine: Machine, life: Life): DataPlane["Service"] {
    return {
      name: () => Effect.succeed([]),
      held: Effect.succeed(new Set<number>()),
      count: Effect.succeed(nothingLed),
      publish: (ports) =>
        Effect.callback((resume) => {
          this.host.after(this.publishMs, () => {
            this.laws.published(machine.name, ports)
            machine.ports = ports
            if (life.alive) resume(Effect.succeed([]))
          })
        })
    }
  }

  #follow(set: ChangeSet): void {
    this.laws.changed(set)
    for (const change of set.changes) {
      if (change.kind === "task") {
        const { before, after } = change
        const task = after ?? before
        if (task === undefined) continue
        const state = after === undefined ? "deleted" : `${after.Status.State}, wanted ${after.DesiredState}`
        const error = after?.Status.Err === undefined ? "" : ` (${after.Status.Err})`
        this.note(
          `ledger ${set.index}: task ${showTask(task)} on ${task.NodeID ?? "no node"} is ${state}${error}`
        )
      } else if (change.kind === "node") {
        this.note(`ledger ${set.index}: node ${change.after?.ID} is ${change.after?.Status.State}`)
      } else if (change.kind === "service") {
        const { after, before } = change
        const name = (after ?? before)?.Spec.Name
        this.note(
          `ledger ${set.index}: service ${name} ${after === undefined ? "removed" : (after.UpdateStatus?.State ?? "")}`
        )
      } else this.note(`ledger ${set.index}: ${change.kind}`)
      this.#stir(`entry ${set.index}, ${change.kind}`)
    }
  }

  /** Everything that any actor hears is part of the trace; what is not routine keeps the world from being at rest. */
  #hear(self: string, message: unknown): void {
    const tag = message === undefined ? "starts" : (message as { _tag: string })._tag
    this.note(`${shortAddress(self)} ← ${tag}`)
    if (!routine.has(tag)) this.#stir(`${self} ← ${tag}`)
  }

  #reachable(): number {
    let reachable = 0
    for (const node of this.ledger.all("node"))
      if (node.ManagerStatus?.Reachability === "reachable") reachable++
    return reachable
  }

  #readyNodes(): number {
    let ready = 0
    for (const node of this.ledger.all("node")) if (node.Status.State === "ready") ready++
    return ready
  }
}

/** What goes on for ever in a cluster at rest. */
const routine = new Set([
  "Heartbeat",
  "GroupSeen",
  "Looked",
  "Heard",
  "BeatNow",
  "Answered",
  "Check",
  "NoteSeen",
  "Proposed",
  "DescribeAgain",
  "Described",
  "LookAgain",
  "Laid",
  "Gathered",
  "Measure",
  "ReadAgain",
  "Read",
  "PingAgain",
  "Pinged",
  "Surveyed",
  // A node that has no WireGuard looks for it every minute.
  "MakeKey",
  "Keyed",
  // No logs are imitated: whoever follows them comes to their end.
  "Followed",
  "Observed",
  "Reported"
])

const shortAddress = (address: string): string =>
  address
    .split("/")
    .map((part) => (part.length === 25 ? short(part) : part))
    .join("/")

const actorsOf = (node: TreeNode): ReadonlyArray<Address> => [
  ...(node.address === undefined ? [] : [node.address]),
  ...node.children.flatMap(actorsOf)
]

const noConsoles: OpenConsoles["Service"] = {
  begin: () => Effect.succeed("consoles are not imitated"),
  examine: () => Effect.succeed({ _tag: "Refused", message: "health checks are not imitated" }),
  read: () => Effect.succeed({ _tag: "Output", ended: {} }),
  write: () => Effect.void,
  resize: () => Effect.void,
  shut: () => Effect.void,
  shutAll: Effect.void
}

const noLogs: LogReaders["Service"] = {
  kept: () => Effect.succeed({ _tag: "Kept", tasks: [] }),
  readOn: () => Effect.succeed({ lines: [], ended: true }),
  shut: () => Effect.void,
  shutAll: Effect.void
}
