/** Watches tell exactly once, whatever breaks meanwhile, and not for nothing. */
import { describe, expect, test } from "bun:test"
import process from "node:process"
import { dismiss, spawn } from "#runtime/actions.ts"
import { type Address, address, showAddress } from "#runtime/address.ts"
import type { Cell } from "#runtime/cell.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import type { Registry } from "#runtime/registry.ts"
import { type SimulatedProcess, Simulation } from "#runtime/simulation.ts"
import { many, permanent, supervisor } from "#runtime/supervisor.ts"
import { Watches } from "#runtime/watches.ts"
import { counter } from "#test/runtime/world.ts"

const names = ["n1", "n2", "n3"]
const workers = ["w1", "w2", "w3"]
const boss = (home: string): Address => address(home, "boss", "main")
const worker = (home: string, id: string): Address => address(home, "worker", id)
const doing = (action: object) => ({ _tag: "Do", action })

/**
 * No word for five rounds of a second each, plus what a message takes; after that everybody has been told, also when
 * the notice of an end was lost.
 */
const boundMs = 7_000

interface Watch {
  readonly by: SimulatedProcess
  readonly target: Address
  readonly unwatch: () => void
  readonly reasons: string[]
  takenBack: boolean
}

function cluster(seed: number) {
  const simulation = new Simulation({ seed })
  const watches: Watch[] = []
  const boot = ({ system, name }: SimulatedProcess): void => {
    const children = [permanent(counter("boss")), many(counter("worker"), { restart: "transient" })]
    system.startTree(
      supervisor({ name: "top", tolerates: { crashes: 1_000, within: "1 second" }, children }),
      name
    )
  }
  for (const name of names) simulation.start(name, boot)
  /** In words of one process to its own boss, so that it is heard whatever the network does. */
  const order = (name: string, action: object): void =>
    simulation.process(name)?.system.tell(boss(name), doing(action))
  const watch = (name: string, target: Address): Watch | undefined => {
    const by = simulation.process(name)
    if (!by) return undefined
    const reasons: string[] = []
    const { unwatch } = by.system.watch(target, (reason) => {
      simulation.note(name, `is told: ${reason}`)
      reasons.push(reason)
    })
    simulation.note(name, `watches ${showAddress(target)}`)
    const made: Watch = { by, target, unwatch, reasons, takenBack: false }
    watches.push(made)
    return made
  }
  return { simulation, watches, order, watch }
}

const one = <Value>(simulation: Simulation, values: ReadonlyArray<Value>): Value =>
  values[simulation.chance.below(values.length)] as Value

/** Starts, ends, crashes and watches for half a minute while `trouble` breaks something now and then. */
function live(seed: number, trouble: (simulation: Simulation) => void) {
  const world = cluster(seed)
  const { simulation, watches, order, watch } = world
  const { chance } = simulation
  for (let step = 0; step < 150; step++) {
    simulation.advance(chance.below(400))
    if (chance.fraction() < 0.1) trouble(simulation)
    const [name, id, dice] = [one(simulation, names), one(simulation, workers), chance.below(12)]
    if (dice < 3) order(name, spawn("worker", id, undefined))
    else if (dice < 4) order(name, dismiss("worker", id))
    else if (dice < 5) simulation.process(name)?.system.tell(worker(name, id), { _tag: "Finish" })
    else if (dice < 6) simulation.process(name)?.system.tell(worker(name, id), { _tag: "Explode" })
    else if (dice < 11) watch(name, worker(one(simulation, names), id))
    else {
      const taken = watches.length > 0 ? one(simulation, watches) : undefined
      if (!taken?.by.life.alive || taken.by.life.paused || taken.reasons.length > 0) continue
      taken.unwatch()
      taken.takenBack = true
    }
  }
  return world
}

/** Mends everything, ends everybody, and sees that each watch that still counts has told once. */
function settle({ simulation, watches, order }: ReturnType<typeof cluster>): void {
  simulation.mend()
  simulation.advance(boundMs)
  for (const { by, target, takenBack, reasons } of watches) {
    if (takenBack || !by.life.alive || reasons.length > 0) continue
    const there = JSON.stringify(simulation.process(target.home)?.system.trees())
    if (!there.includes(`worker/${target.id}`)) {
      simulation.fail(`${by.name} was not told that ${showAddress(target)} is over`)
    }
  }
  for (const name of names) for (const id of workers) order(name, dismiss("worker", id))
  simulation.advance(boundMs)
  for (const { by, target, takenBack, reasons } of watches) {
    const wanted = takenBack ? [0] : by.life.alive ? [1] : [0, 1]
    if (wanted.includes(reasons.length)) continue
    simulation.fail(`${by.name} was told ${reasons.length} times about ${showAddress(target)}`)
  }
}

const chosen = process.env.SEED
const seeds = (count: number): ReadonlyArray<number> =>
  chosen === undefined ? Array.from({ length: count }, (_, at) => at + 1) : [Number(chosen)]

describe("a watch", () => {
  test("tells exactly once through crashes, cuts, sleeps, storms and clocks that are set", () => {
    for (const seed of seeds(60)) {
      settle(
        live(seed, (simulation) => {
          const { chance, network, host } = simulation
          const [name, other] = [one(simulation, names), one(simulation, names)]
          const ms = chance.below(2) === 0 ? chance.below(1_000) : chance.below(15_000)
          const trouble = chance.below(7)
          simulation.note(name, `has trouble ${trouble} with ${other} for ${ms} ms`)
          if (trouble === 0) {
            simulation.crash(name)
            host.after(ms, () => simulation.process(name) ?? simulation.restart(name))
          } else if (trouble === 1) simulation.pause(name, ms)
          else if (trouble === 2) simulation.disconnect(name, ms)
          else if (trouble === 3) {
            network.cut(name)
            host.after(ms, () => network.mend(name))
          } else if (trouble === 4) {
            network.cutWay(name, other)
            host.after(ms, () => network.mendWay(name, other))
          } else if (trouble === 5) simulation.skew(name, chance.below(60_000) - 30_000)
          else {
            const [loss, doubling] = [chance.fraction() * 0.5, chance.fraction() * 0.5]
            network.weather = { loss, doubling, leastMs: 1, mostMs: one(simulation, [1, 20, 700]) }
          }
        })
      )
    }
  }, 120_000)

  test("tells nothing of an actor that is there, for all the small trouble of a network", () => {
    for (const seed of seeds(20)) {
      const { simulation, watch, order } = cluster(seed)
      const { chance, network } = simulation
      for (const name of names) for (const id of workers) order(name, spawn("worker", id, undefined))
      simulation.advance(10)
      const made = names.flatMap((name) =>
        names.map((home) => watch(name, worker(home, one(simulation, workers))))
      )
      simulation.advance(100)
      network.weather = { loss: 0.03, doubling: 0.1, leastMs: 1, mostMs: 50 }
      for (let step = 0; step < 30; step++) {
        const [name, ms] = [one(simulation, names), chance.below(2_000)]
        const trouble = chance.below(4)
        simulation.note(name, `has trouble ${trouble} for ${ms} ms`)
        if (trouble === 0) simulation.disconnect(name, ms)
        else if (trouble === 1) simulation.pause(name, ms)
        else if (trouble === 2) simulation.skew(name, chance.below(60_000) - 30_000)
        else
          simulation.process(name)?.system.tell(worker(name, one(simulation, workers)), { _tag: "Explode" })
        simulation.advance(4_000)
      }
      if (made.some((each) => each?.reasons.length !== 0)) simulation.fail("somebody was told for nothing")
    }
  }, 120_000)

  test("tells of the end of one tenure though its notice is lost and another actor has the address already", () => {
    const { simulation, order, watch } = cluster(1)
    order("n1", spawn("worker", "w1", undefined))
    simulation.advance(10)
    const made = watch("n2", worker("n1", "w1"))
    simulation.advance(100)
    simulation.network.cutWay("n1", "n2")
    order("n1", dismiss("worker", "w1"))
    simulation.advance(100)
    order("n1", spawn("worker", "w1", undefined))
    simulation.advance(100)
    simulation.network.heal()
    expect(made?.reasons).toEqual([])
    simulation.advance(1_200)
    expect(made?.reasons).toEqual(["n1/worker/w1 has ended"])
  })

  test("of a process that starts again at once tells all the same: what was in its memory is gone", () => {
    const { simulation, order, watch } = cluster(1)
    const made = watch("n2", boss("n1"))
    order("n1", spawn("worker", "w1", undefined))
    simulation.advance(100)
    simulation.restart("n1")
    simulation.advance(3_000)
    expect(made?.reasons).toEqual(["n1/boss/main has ended"])
  })

  test("tells once that its own connection is gone, within six seconds, and nothing when it comes back", () => {
    const { simulation, watch } = cluster(1)
    const made = watch("n2", boss("n1"))
    simulation.advance(2_000)
    simulation.disconnect("n2", 30_000)
    simulation.advance(3_900)
    expect(made?.reasons).toEqual([])
    simulation.advance(2_200)
    expect(made?.reasons).toEqual(["the node of n1/boss/main does not answer"])
    simulation.advance(60_000)
    expect(made?.reasons).toHaveLength(1)
  })

  test("of a sleeper lasts through its sleep", () => {
    const { simulation, watch, order } = cluster(1)
    const made = watch("n2", boss("n1"))
    order("n1", spawn("worker", "w1", undefined))
    simulation.advance(100)
    const other = watch("n2", worker("n1", "w1"))
    simulation.advance(2_000)
    simulation.pause("n2", 60_000)
    simulation.advance(30_000)
    order("n1", dismiss("worker", "w1"))
    simulation.advance(40_000)
    expect(made?.reasons).toEqual([])
    expect(other?.reasons).toEqual(["n1/worker/w1 has ended"])
  })

  test("shares one message a second with all others of its home", () => {
    const { simulation, order, watch } = cluster(1)
    for (let i = 0; i < 500; i++) order("n1", spawn("worker", `x${i}`, undefined))
    simulation.advance(10)
    for (let i = 0; i < 500; i++) watch("n2", worker("n1", `x${i}`))
    simulation.advance(1_500)
    let heard = 0
    simulation.bus.connect("tap").subscribe("troupe.v1.simulated.n1.>", {}, () => heard++)
    simulation.advance(10_000)
    expect(heard).toBe(10)
  })

  test("of thousands at one home works the same", () => {
    const { simulation, order, watch } = cluster(1)
    for (let i = 0; i < 5_000; i++) order("n1", spawn("worker", `x${i}`, undefined))
    simulation.advance(10)
    const made = Array.from({ length: 5_000 }, (_, i) => watch("n2", worker("n1", `x${i}`)))
    simulation.advance(20_000)
    expect(made.filter((each) => each?.reasons.length !== 0)).toHaveLength(0)
    for (let i = 0; i < 5_000; i += 2) order("n1", dismiss("worker", `x${i}`))
    simulation.advance(boundMs)
    expect(made.filter((each) => each?.reasons.length === 1)).toHaveLength(2_500)
  }, 120_000)
})

describe("whoever owns what is watched lets go of it", () => {
  /** An owner of two workers, and the watches that its registry holds. */
  function owner() {
    const host = new VirtualHost(1)
    const held: string[] = []
    const registry: Pick<Registry, "find" | "watch" | "unwatch"> = {
      find: (target) => cells.get(showAddress(target)),
      watch: (target) => held.push(showAddress(target)) > 0,
      unwatch: (target) => void held.splice(held.indexOf(showAddress(target)), 1)
    }
    const cells = new Map(["w1", "w2"].map((id) => [`n1/worker/${id}`, {} as Cell]))
    const watches = new Watches({
      host,
      nodeId: "n1",
      registry: registry as Registry,
      ask: () => {},
      tell: () => {},
      tellNode: () => {}
    })
    const first = watches.onWatch(worker("n1", "w1"), "n2", "k1")
    watches.onWatch(worker("n1", "w2"), "n2", "k2")
    /** What n2 says every second: that it watches w1, and whether that is all. */
    const says = (all: boolean) =>
      watches.onWatching("n1", {
        _tag: "Watching",
        watcher: "n2",
        all,
        watches: [{ key: "k1", kind: "worker", id: "w1", tenure: first }]
      })
    return { host, held, says }
  }

  test("when its watcher names all that it watches, and this is not among it", () => {
    const { held, says } = owner()
    says(false)
    expect(held).toEqual(["n1/worker/w1", "n1/worker/w2"])
    says(true)
    expect(held).toEqual(["n1/worker/w1"])
  })

  test("when its watcher has been silent for ten seconds, counted from its last word", () => {
    const { host, held, says } = owner()
    host.advance(9_000)
    says(true)
    host.advance(9_000)
    expect(held).toEqual(["n1/worker/w1"])
    host.advance(1_001)
    expect(held).toEqual([])
  })
})
