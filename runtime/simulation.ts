/**
 * Several processes in one thread, on imitated time and an imitated network that break as they are told. One seed
 * gives one run, on any machine and under any JavaScript runtime; `traceHash` says so.
 *
 * Definitions, trees and decisions are those of production. A process is made by its `boot`, again at every restart,
 * and keeps nothing from one life to the next but what `boot` brings along.
 */
import { showAddress } from "#runtime/address.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { Fresh } from "#runtime/ids.ts"
import { Life } from "#runtime/life.ts"
import { type LocalSystem, makeSystem, type SystemOptions } from "#runtime/live.ts"
import { effectPerformer, type Performer } from "#runtime/performer.ts"
import { describeEvent, type TreeEvent } from "#runtime/slots.ts"
import { MemoryBus, type MemoryTransport } from "#runtime/transport/memory.ts"
import { Network } from "#runtime/transport/network.ts"

/** A process in its present life. */
export interface SimulatedProcess {
  readonly name: string
  /** 1 in its first life. */
  readonly boots: number
  readonly life: Life
  readonly transport: MemoryTransport
  readonly system: LocalSystem
}

/** Starts what runs in a process: claims homes, starts trees. */
export type Boot = (process: SimulatedProcess) => void

export interface SimulationOptions {
  readonly seed: number
  readonly cluster?: string
  /** Carries out actions in place of the definitions' own `perform`, which otherwise runs on the process's time. */
  readonly performer?: (name: string, life: Life) => Performer
  readonly report?: (name: string, event: TreeEvent) => void
}

/** Lines of the trace that are kept for a failure; more than anybody reads. */
const keptLines = 2_000
/** NATS cuts a client off that answers no ping for that long. */
const staleAfterMs = 5_000

interface Machine {
  readonly boot: Boot
  readonly system: Partial<SystemOptions>
  boots: number
  process: SimulatedProcess | undefined
  /** Grows with every pause and every end of one. */
  pauses: number
}

export class Simulation {
  readonly seed: number
  readonly host: VirtualHost
  /** For whoever writes the life that is simulated; draws nothing that the runtime draws. */
  readonly chance: Fresh
  readonly network: Network
  readonly bus: MemoryBus
  readonly #options: SimulationOptions
  readonly #chances: Fresh
  readonly #machines = new Map<string, Machine>()
  readonly #began: number
  #lines: string[] = []

  constructor(options: SimulationOptions) {
    const { seed } = options
    this.#options = options
    this.seed = seed
    this.host = new VirtualHost(seed)
    this.#began = this.host.now()
    this.#chances = Fresh.from(seed).fork()
    this.chance = this.#chances.fork()
    this.network = new Network(this.#chances.fork(), this.host)
    this.bus = new MemoryBus(this.host, { link: this.network.link })
    this.host.onNote = (line) => {
      this.#lines.push(line)
      if (this.#lines.length > 2 * keptLines) this.#lines = this.#lines.slice(-keptLines)
    }
  }

  /** Starts a process of this name, which is a node id too, for the first time; `system` holds in all its lives. */
  start(name: string, boot: Boot = () => {}, system: Partial<SystemOptions> = {}): SimulatedProcess {
    if (this.#machines.has(name)) throw new Error(`process ${name} has been started already`)
    const machine: Machine = { boot, system, boots: 0, process: undefined, pauses: 0 }
    this.#machines.set(name, machine)
    return this.#boot(name, machine)
  }

  /** Every process by name, also those that are down. */
  names(): ReadonlyArray<string> {
    return [...this.#machines.keys()]
  }

  /** The present life of a process; `undefined` while it is down. */
  process(name: string): SimulatedProcess | undefined {
    return this.#machine(name).process
  }

  /** Kill -9: its actors, its memory and what it had to say are gone. Nothing when it is down. */
  crash(name: string): void {
    const machine = this.#machine(name)
    if (!machine.process) return
    this.note(name, "crashes")
    machine.process.life.kill()
    machine.process.transport.close()
    machine.process = undefined
    machine.pauses++
  }

  /** Starts a process that is down with fresh memory; one that runs is crashed first. */
  restart(name: string): SimulatedProcess {
    this.crash(name)
    return this.#boot(name, this.#machine(name))
  }

  /** SIGSTOP for `ms`: the world goes on, and all that was due comes in a burst. NATS gives up on a long sleeper. */
  pause(name: string, ms: number): void {
    const machine = this.#machine(name)
    const { process } = machine
    if (!process) return
    this.note(name, `sleeps for ${ms} ms`)
    process.life.pause()
    const pause = ++machine.pauses
    this.host.after(Math.min(ms, staleAfterMs), () => {
      if (machine.pauses === pause && ms > staleAfterMs) process.transport.disconnect()
    })
    this.host.after(ms, () => machine.pauses === pause && this.resume(name))
  }

  /** Ends a pause before its time. */
  resume(name: string): void {
    const machine = this.#machine(name)
    const { process } = machine
    if (!process?.life.paused) return
    this.note(name, "wakes up")
    machine.pauses++
    process.life.resume()
    process.transport.reconnect()
  }

  /** Takes a process's connection away for `ms`, and it notices, as when its server ends. */
  disconnect(name: string, ms: number): void {
    const { process } = this.#machine(name)
    if (!process) return
    this.note(name, `is disconnected for ${ms} ms`)
    process.transport.disconnect()
    this.host.after(ms, () => {
      if (process.life.alive && !process.life.paused) process.transport.reconnect()
    })
  }

  /** Sets a process's clock this far ahead of the others', or behind, which it takes as any process does; until it restarts. */
  skew(name: string, ms: number): void {
    const { process } = this.#machine(name)
    if (!process) return
    this.note(name, `has its clock set ${ms} ms ahead`)
    process.life.skewMs = ms
  }

  /** All processes run, are awake and connected, and the network is whole. Those that were down start again. */
  mend(): void {
    this.note("*", "everything is mended")
    this.network.heal()
    for (const [name, machine] of this.#machines) {
      if (!machine.process) this.#boot(name, machine)
      this.resume(name)
      machine.process?.transport.reconnect()
    }
  }

  advance(ms: number): void {
    this.host.advance(ms)
  }

  /** Adds a line to the trace. */
  note(who: string, what: string): void {
    this.host.note(`${who} ${what}`)
  }

  traceHash(): string {
    return this.host.traceHash()
  }

  /** The last lines of the trace, each with the seconds since the beginning. */
  trace(lines = 100): string {
    return this.#lines
      .slice(-lines)
      .map((line) => {
        const space = line.indexOf(" ")
        const seconds = (Number(line.slice(0, space)) - this.#began) / 1_000
        return `${seconds.toFixed(3).padStart(9)} ${line.slice(space + 1)}`
      })
      .join("")
  }

  /** Throws with the seed and the end of the trace. */
  fail(problem: string): never {
    throw new Error(`Seed ${this.seed}: ${problem}\n${this.trace()}`)
  }

  #boot(name: string, machine: Machine): SimulatedProcess {
    const { performer, report, cluster = "simulated" } = this.#options
    const chance = this.#chances.fork()
    const life = new Life(this.host, { chance, lane: this.names().indexOf(name) + 1 })
    const transport = life.transport(this.bus.connect(name))
    machine.boots++
    this.note(name, `starts, life ${machine.boots}`)
    const system = makeSystem({
      cluster,
      nodeId: name,
      host: life.host,
      transport,
      performer: performer?.(name, life) ?? effectPerformer(life.context),
      report: (event) => {
        this.note(name, describeEvent(event))
        report?.(name, event)
      },
      deciding: (self, message) =>
        this.note(
          name,
          `${showAddress(self)} ← ${message === undefined ? "start" : JSON.stringify(message)}`
        ),
      ...machine.system
    })
    const process: SimulatedProcess = { name, boots: machine.boots, life, transport, system }
    machine.process = process
    machine.boot(process)
    return process
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name)
    if (!machine) throw new Error(`no process ${name}`)
    return machine
  }
}
