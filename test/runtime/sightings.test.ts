/** One publish that comes twice is handled once, however long the second one was held up. */
import { describe, expect, test } from "bun:test"
import { tell } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { Sightings } from "#runtime/sightings.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import type { Delivery } from "#runtime/transport.ts"
import { counter, World } from "#test/runtime/world.ts"

const id = (number: number, process = "n1-boot") => `${process}-${number.toString(36)}`

describe("an id", () => {
  test("is new once, in whatever order the ids of a process come", () => {
    const sightings = new Sightings()
    for (const number of [0, 1, 5, 300]) expect(sightings.see(id(number))).toBe("new")
    for (const number of [0, 1, 5, 300]) expect(sightings.see(id(number))).toBe("again")
    for (const number of [2, 299]) expect(sightings.see(id(number))).toBe("new")
    for (const number of [2, 299]) expect(sightings.see(id(number))).toBe("again")
  })

  test("is told from the same number of another process, and of the same node's next one", () => {
    const sightings = new Sightings()
    expect(["n1-boot", "n2-boot", "n1-next"].map((process) => sightings.see(id(7, process)))).toEqual([
      "new",
      "new",
      "new"
    ])
    expect(sightings.see(id(7, "n2-boot"))).toBe("again")
  })

  test("that is none of ours is always new", () => {
    const sightings = new Sightings()
    for (const foreign of [undefined, "", "unnamed", "job-17", "A-B-C"]) {
      expect([sightings.see(foreign), sightings.see(foreign)]).toEqual(["new", "new"])
    }
  })

  test("is known among the last 16,384; of an older one nothing can be told", () => {
    const sightings = new Sightings()
    // Every second one comes to us.
    for (let number = 0; number <= 60_000; number += 2) sightings.see(id(number))
    const oldest = 60_000 - 2 * (16 * 1024 - 1)
    expect(sightings.see(id(oldest))).toBe("again")
    expect(sightings.see(id(oldest + 1))).toBe("new")
    expect(sightings.see(id(oldest + 1))).toBe("again")
    expect(sightings.see(id(oldest - 2))).toBe("too late to tell")
  })

  test("of a node's last two processes is known, of an older one it is forgotten", () => {
    const sightings = new Sightings()
    for (const boot of ["a", "b", "a", "b"]) sightings.see(id(1, `n1-${boot}`))
    expect(["a", "b"].map((boot) => sightings.see(id(1, `n1-${boot}`)))).toEqual(["again", "again"])
    sightings.see(id(1, "n1-c"))
    expect(sightings.see(id(1, "n1-b"))).toBe("again")
    expect(sightings.see(id(1, "n1-a"))).toBe("new")
  })

  test("of the node known longest is forgotten once there are more than a thousand", () => {
    const sightings = new Sightings()
    for (let node = 0; node <= 1_024; node++) sightings.see(id(1, `n${node}-boot`))
    expect(sightings.see(id(1, "n1024-boot"))).toBe("again")
    expect(sightings.see(id(1, "n0-boot"))).toBe("new")
  })
})

test("a tell that a frozen server hands on once more is not handled again, what is told later is", () => {
  const world = new World()
  const [near, far] = [world.process("n1"), world.process("n2")]
  const to = address("n2", "counter", "main")
  const teller = actor<undefined, null, { _tag: "Go" }, never>({
    kind: "teller",
    start: () => stay(null),
    decide: (state) => stay(state, tell(to, { _tag: "Add", amount: 1 }))
  })
  near.system.startTree(supervisor({ name: "top", children: [permanent(teller)] }), "n1")
  far.system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n2")
  const frozen: Delivery[] = []
  const server = world.bus.connect("server")
  server.subscribe("troupe.v1.blue.n2.*.*.in", {}, (delivery) => frozen.push(delivery))
  for (let i = 0; i < 3; i++) {
    near.system.tell(address("n1", "teller", "main"), { _tag: "Go" })
    world.host.advance(10)
  }
  expect(frozen).toHaveLength(3)
  for (const { subject, headers, body } of [...frozen]) server.publish(subject, headers, body)
  near.system.tell(address("n1", "teller", "main"), { _tag: "Go" })
  world.host.advance(10)
  expect(world.ask(far.system, to, { _tag: "Get" })).toEqual({ _tag: "Answer", value: { sum: 4 } })
})
