/** Imitated processes and their network break as they are told, and only as they are told. */
import { describe, expect, test } from "bun:test"
import { later } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { Fresh } from "#runtime/ids.ts"
import { type SimulatedProcess, Simulation } from "#runtime/simulation.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { Network } from "#runtime/transport/network.ts"
import type { Outcome } from "#runtime/wire.ts"
import { counter } from "#test/runtime/world.ts"

const at = (home: string) => address(home, "counter", "main")
const add = (amount: number) => ({ _tag: "Add", amount })
const doing = (action: object) => ({ _tag: "Do", action })

/** A counter in each of two processes. */
function pair() {
  const simulation = new Simulation({ seed: 1 })
  const boot = ({ system, name }: SimulatedProcess): void => {
    system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), name)
  }
  for (const name of ["n1", "n2"]) simulation.start(name, boot)
  const of = (name: string): SimulatedProcess => simulation.process(name) as SimulatedProcess
  /** What `from` hears within a second from the counter of `to`. */
  const ask = (from: string, to: string): Outcome | undefined => {
    let heard: Outcome | undefined
    of(from).system.askThen(at(to), { _tag: "Get" }, 1_000, (outcome) => {
      heard = outcome
    })
    simulation.advance(1_100)
    return heard
  }
  const sum = (name: string): number => {
    const outcome = ask(name, name)
    return outcome?._tag === "Answer" ? (outcome.value as { sum: number }).sum : Number.NaN
  }
  return { simulation, of, ask, sum }
}

describe("a process", () => {
  test("that crashes has forgotten everything, and is nobody until it starts again", () => {
    const { simulation, of, ask, sum } = pair()
    of("n2").system.tell(at("n2"), add(5))
    simulation.advance(10)
    simulation.crash("n2")
    expect(simulation.process("n2")).toBeUndefined()
    expect(ask("n1", "n2")?._tag).toBe("NotHere")
    expect(simulation.restart("n2").boots).toBe(2)
    expect(sum("n2")).toBe(0)
    expect(ask("n1", "n2")?._tag).toBe("Answer")
  })

  test("that crashes does nothing more, whatever it had under way", () => {
    const { simulation, of, sum } = pair()
    of("n2").system.tell(at("n2"), doing(later("a", 500, { _tag: "Explode" })))
    of("n2").system.askThen(at("n1"), { _tag: "Keep" }, 300, () => simulation.fail("it heard an answer"))
    simulation.advance(100)
    simulation.crash("n2")
    simulation.restart("n2")
    simulation.advance(2_000)
    expect(sum("n2")).toBe(0)
    expect(simulation.trace()).not.toContain("boom")
  })

  test("that sleeps answers nobody, and gets everything at once when it wakes up", () => {
    const { simulation, of, ask, sum } = pair()
    simulation.pause("n2", 3_000)
    for (let i = 0; i < 5; i++) of("n1").system.tell(at("n2"), add(1))
    expect(ask("n1", "n2")?._tag).toBe("TimedOut")
    expect(simulation.trace()).not.toContain("Add")
    simulation.advance(2_000)
    expect(sum("n2")).toBe(5)
  })

  test("that sleeps for long loses its connection, and what was sent to it meanwhile", () => {
    const { simulation, of, ask, sum } = pair()
    simulation.pause("n2", 20_000)
    simulation.advance(6_000)
    of("n1").system.tell(at("n2"), add(1))
    expect(ask("n1", "n2")?._tag).toBe("NotHere")
    simulation.advance(15_000)
    expect(sum("n2")).toBe(0)
    expect(ask("n1", "n2")?._tag).toBe("Answer")
  })

  test("whose clock is set keeps its timers and its deadlines", () => {
    const { simulation, of, sum } = pair()
    const heard: string[] = []
    of("n1").system.tell(at("n1"), doing(later("a", 1_000, add(1))))
    of("n1").system.askThen(at("n1"), { _tag: "Keep" }, 1_000, ({ _tag }) => heard.push(_tag))
    simulation.advance(900)
    simulation.skew("n1", -900)
    of("n1").system.askThen(at("n1"), { _tag: "Keep" }, 1_000, ({ _tag }) => heard.push(_tag))
    simulation.advance(50)
    expect(heard).toEqual([])
    simulation.advance(70)
    expect(heard).toEqual(["TimedOut"])
    expect(sum("n1")).toBe(1)
    expect(heard).toEqual(["TimedOut", "TimedOut"])
  })
})

describe("a failing run", () => {
  test("says its seed and what happened last, in seconds from its beginning", () => {
    const { simulation, of } = pair()
    simulation.advance(1_500)
    of("n1").system.tell(at("n2"), add(7))
    simulation.advance(10)
    simulation.crash("n1")
    expect(() => simulation.fail("the sum is wrong")).toThrow(
      [
        "Seed 1: the sum is wrong",
        "    0.000 n1 starts, life 1",
        "    0.000 n1 n1/counter/main ← start",
        "    0.000 n2 starts, life 1",
        "    0.000 n2 n2/counter/main ← start",
        '    1.501 n2 n2/counter/main ← {"_tag":"Add","amount":7}',
        "    1.510 n1 crashes"
      ].join("\n")
    )
  })
})

describe("the network", () => {
  const network = () => new Network(Fresh.from(1), new VirtualHost(1))
  const delays = (of: Network, times = 1_000): ReadonlyArray<ReadonlyArray<number>> =>
    Array.from({ length: times }, () => of.link("a", "b", "s"))

  test("loses, doubles and delays as often as it is told", () => {
    const stormy = network()
    stormy.weather = { loss: 0.2, doubling: 0.5, leastMs: 5, mostMs: 30 }
    const seen = delays(stormy)
    const share = (copies: number): number => seen.filter(({ length }) => length === copies).length / 1_000
    expect(share(0)).toBeCloseTo(0.2, 1)
    expect(share(2)).toBeCloseTo(0.4, 1)
    expect(Math.min(...seen.flat())).toBe(5)
    expect(Math.max(...seen.flat())).toBe(30)
  })

  test("lets messages overtake each other, unless they are to stay in order", () => {
    const jittery = network()
    const weather = { loss: 0, doubling: 0, leastMs: 1, mostMs: 50 }
    jittery.weather = weather
    const inOrder = (seen: ReadonlyArray<number>): boolean => seen.every((ms, i) => ms >= (seen[i - 1] ?? 0))
    expect(inOrder(delays(jittery).flat())).toBe(false)
    jittery.weather = { ...weather, inOrder: true }
    expect(inOrder(delays(jittery).flat())).toBe(true)
  })

  test("is cut in both directions, in one, or between two sides, until it is mended", () => {
    const split = network()
    const reaches = (from: string, to: string): boolean => split.link(from, to, "s").length > 0
    split.cut("a")
    expect([reaches("a", "b"), reaches("b", "a"), reaches("b", "c"), reaches("a", "a")]).toEqual([
      false,
      false,
      true,
      true
    ])
    split.mend("a")
    split.cutWay("a", "b")
    expect([reaches("a", "b"), reaches("b", "a"), reaches("a", "c")]).toEqual([false, true, true])
    split.mendWay("a", "b")
    split.partition(["a", "b"], ["c"])
    expect([reaches("a", "b"), reaches("b", "c"), reaches("c", "a")]).toEqual([true, false, false])
    split.heal()
    expect(reaches("c", "a")).toBe(true)
  })

  test("has weather of its own for a way that is told so", () => {
    const mixed = network()
    mixed.setWeather("a", "b", { loss: 0, doubling: 0, leastMs: 9, mostMs: 9 })
    expect([mixed.link("a", "b", "s"), mixed.link("b", "a", "s")]).toEqual([[9], [1]])
    mixed.setWeather("a", "b", undefined)
    expect(mixed.link("a", "b", "s")).toEqual([1])
  })
})
