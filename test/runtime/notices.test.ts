/** What an actor is to get later: timers, and word of those it watches. */
import { describe, expect, test } from "bun:test"
import { cancel, every, later, unwatch, watch } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { permanent, supervisor, temporary } from "#runtime/supervisor.ts"
import { counter, World } from "#test/runtime/world.ts"

const at = (kind: string, home = "n1") => address(home, kind, "main")
const add = (amount: number) => ({ _tag: "Add", amount })
const doing = (action: object) => ({ _tag: "Do", action })

/** `boss` watches and sets timers; `one` beside it and `two` in another process may end. */
function cast() {
  const world = new World()
  const [near, far] = [world.process("n1"), world.process("n2")]
  const children = [permanent(counter("boss")), temporary(counter("one"))]
  near.system.startTree(supervisor({ name: "top", children }), "n1")
  far.system.startTree(supervisor({ name: "top", children: [temporary(counter("two"))] }), "n2")
  world.host.settle()
  const boss = (action: object): void => near.system.tell(at("boss"), doing(action))
  const sum = (): number => {
    const outcome = world.ask(near.system, at("boss"), { _tag: "Get" })
    return outcome?._tag === "Answer" ? (outcome.value as { sum: number }).sum : Number.NaN
  }
  return { world, near, far, boss, sum }
}

describe("watching", () => {
  test("brings an actor its message once, when the other has ended, here and elsewhere", () => {
    const { world, near, far, boss, sum } = cast()
    boss(watch(at("one"), add(1)))
    boss(watch(at("two", "n2"), add(10)))
    world.host.advance(3_000)
    expect(sum()).toBe(0)
    near.system.tell(at("one"), { _tag: "Finish" })
    far.system.tell(at("two", "n2"), { _tag: "Finish" })
    world.host.advance(30_000)
    expect(sum()).toBe(11)
  })

  test("of nobody brings it at once", () => {
    const { world, boss, sum } = cast()
    boss(watch(at("nobody"), add(1)))
    boss(watch(at("nobody", "n2"), add(10)))
    boss(watch(at("nobody", "n9"), add(100)))
    world.host.settle()
    expect(sum()).toBe(111)
  })

  test("a second watch of the same address replaces the message", () => {
    const { world, near, boss, sum } = cast()
    boss(watch(at("one"), add(1)))
    boss(watch(at("one"), add(10)))
    near.system.tell(at("one"), { _tag: "Finish" })
    world.host.advance(30_000)
    expect(sum()).toBe(10)
  })

  test("taken back brings nothing, and neither does one of an earlier life", () => {
    const { world, near, boss, sum } = cast()
    boss(watch(at("one"), add(1)))
    boss(unwatch(at("one")))
    boss(watch(at("two", "n2"), add(10)))
    world.host.settle()
    near.system.tell(at("boss"), { _tag: "Explode" })
    world.host.advance(1_000)
    near.system.tell(at("one"), { _tag: "Finish" })
    near.system.tell(at("two", "n2"), { _tag: "Finish" })
    world.host.advance(30_000)
    expect(sum()).toBe(0)
  })
})

describe("timers", () => {
  /** The boss sleeps while a message and a timer come, so that both wait for it in one turn. */
  const together = (first: object, timer: object) => {
    const { world, far, boss, sum } = cast()
    boss(timer)
    world.host.settle()
    world.simulation.pause("n1", 1_000)
    far.system.tell(at("boss"), first)
    world.host.advance(2_000)
    return sum()
  }

  test("that are taken back in the turn in which they are due do not come", () => {
    const timer = later("a", 500, add(1))
    expect(together(add(10), timer)).toBe(11)
    expect(together(doing(cancel("a")), timer)).toBe(0)
  })

  test("that are replaced in the turn in which they are due come once, as what replaced them", () => {
    expect(together(doing(later("a", 300, add(100))), later("a", 500, add(1)))).toBe(100)
  })

  test("that are due when their actor crashes are not for its next life", () => {
    expect(together({ _tag: "Explode" }, later("a", 500, add(1)))).toBe(0)
  })

  test("end with the life that set them", () => {
    const { world, near, boss, sum } = cast()
    boss(later("a", 500, add(1)))
    world.host.settle()
    near.system.tell(at("boss"), { _tag: "Explode" })
    world.host.advance(5_000)
    expect(sum()).toBe(0)
  })

  test("that repeat keep their pace however late a message is handled, and make up for none", () => {
    const next = (now: number): number => {
      const action = every("beat", 1_000, 250, now, add(1))
      return action._tag === "Later" ? now + action.afterMs : Number.NaN
    }
    expect(next(250)).toBe(1_250)
    expect(next(1_250.4)).toBe(2_250)
    expect(next(1_900)).toBe(2_250)
    // A pause of seven periods is one message, not seven.
    expect(next(9_000)).toBe(9_250)
    // A timer that came a millisecond early was for 3 250.
    expect(next(3_249)).toBe(4_250)
    // The clock was set back to before it began.
    expect(next(-100)).toBe(250)
  })
})
