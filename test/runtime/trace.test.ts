import { describe, expect, test } from "bun:test"
import { Effect, Exit } from "effect"
import { tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { inspector } from "#runtime/inspect.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { TraceRing } from "#runtime/trace.ts"
import { TraceSearch } from "#runtime/trace-join.ts"
import { counter, World } from "#test/runtime/world.ts"

const doing = (action: unknown) => ({ _tag: "Do", action })
const at = (home: string, kind = "counter") => address(home, kind, "main")
const add = { _tag: "Add", amount: 1 }

function twoNodes() {
  const world = new World()
  const [near, far] = [world.process("n1", { trace: {} }), world.process("n2", { trace: {} })]
  const children = [permanent(counter()), permanent(counter("second"))]
  for (const [home, { system }] of [
    ["n1", near],
    ["n2", far]
  ] as const) {
    system.startTree(supervisor({ name: "top", children }), home)
  }
  world.host.settle()
  return { world, near, far }
}

describe("a traced message", () => {
  test("is followed through actors of one process and over to another", () => {
    const { world, near, far } = twoNodes()
    const last = tell(at("n2", "second"), add)
    near.system.tell(at("n1"), doing(tell(at("n1", "second"), doing(tell(at("n2"), doing(last))))))
    world.host.settle()
    const [first] = near.system.traced(at("n1"), 10)
    const [second] = near.system.traced(at("n1", "second"), 10)
    const [sent] = near.system.traced(at("n2"), 10)
    const [received] = far.system.traced(at("n2"), 10)
    const [end] = far.system.traced(at("n2", "second"), 10)
    expect(first?.cause).toBeUndefined()
    expect(second?.cause).toBe(first?.id as string)
    expect(sent).toMatchObject({ cause: second?.id, outcome: "sent", tag: "Do" })
    expect(received).toMatchObject({
      id: sent?.id,
      cause: second?.id,
      outcome: "handled",
      from: "n1/second/main"
    })
    expect(end).toMatchObject({ cause: received?.id, outcome: "handled", tag: "Add" })
  })

  test("says what became of it: crashed, nobody there, answered, refused", () => {
    const { world, near, far } = twoNodes()
    near.system.tell(at("n1"), { _tag: "Explode" })
    near.system.tell(at("n1", "nobody"), add)
    world.host.settle()
    world.ask(near.system, at("n2"), { _tag: "Get" })
    world.ask(near.system, at("n2", "nobody"), { _tag: "Get" })
    const outcome = (home: string, kind?: string) => near.system.traced(at(home, kind), 1)[0]?.outcome
    expect(outcome("n1")).toBe("crashed")
    expect(outcome("n1", "nobody")).toBe("nobody was there")
    expect(outcome("n2")).toBe("answered")
    expect(outcome("n2", "nobody")).toBe("NotHere")
    expect(far.system.traced(at("n2"), 1)[0]?.outcome).toBe("handled")
  })

  test("has its id in the dead letter, and in what its crash left in the tree", () => {
    const { world, near } = twoNodes()
    near.system.tell(at("n1", "nobody"), add)
    near.system.tell(at("n1"), { _tag: "Explode" })
    world.host.settle()
    const [lost] = near.system.traced(at("n1", "nobody"), 1)
    const [fatal] = near.system.traced(at("n1"), 1)
    expect(near.system.deadLetters().samples[0]).toEndWith(`[message ${lost?.id}]`)
    expect(near.system.trees()[0]?.children[0]?.lastMessage).toBe(fatal?.id as string)
  })
})

describe("a search through all nodes", () => {
  /** What `troupe trace` does: asks every node for what it has not asked for yet, until nothing new is heard of. */
  function search(id: string, { world, near, far }: ReturnType<typeof twoNodes>): TraceSearch {
    const found = new TraceSearch(id)
    const eye = inspector(far.transport, "blue")
    for (let next = found.next(); next.exact.length + next.ledBy.length > 0; next = found.next()) {
      for (const nodeId of [near.system.nodeId, far.system.nodeId]) {
        Effect.runCallback(eye.trace(nodeId, next.exact, next.ledBy), {
          onExit: (exit) => Exit.isSuccess(exit) && found.take(nodeId, exit.value.records)
        })
        world.host.settle()
      }
    }
    return found
  }

  test("puts a chain together from wherever its messages were, forwards and backwards, from any of them", () => {
    const nodes = twoNodes()
    const { world, near, far } = nodes
    const over = doing(tell(at("n2"), doing(tell(at("n2", "second"), add))))
    near.system.tell(at("n1"), doing(tell(at("n1", "second"), over)))
    world.host.settle()
    const [first] = near.system.traced(at("n1"), 1)
    const [last] = far.system.traced(at("n2", "second"), 1)
    const down = search(first?.id ?? "", nodes).chain()
    const up = search(last?.id ?? "", nodes).chain()
    const names: string[] = []
    for (let node = down?.node; node; node = node.children[0]) {
      names.push(
        node.pieces.map(({ nodeId, record }) => `${nodeId} ${record.to} ${record.outcome}`).join(", ")
      )
    }
    expect(names).toEqual([
      "n1 n1/counter/main handled",
      "n1 n1/second/main handled",
      "n1 n2/counter/main sent, n2 n2/counter/main handled",
      "n2 n2/second/main handled"
    ])
    expect(up?.ancestors.map(({ id }) => id)).toEqual([
      first?.id,
      down?.node.children[0]?.id,
      down?.node.children[0]?.children[0]?.id
    ] as string[])
    expect(search("nobody-1", nodes).chain()).toBeUndefined()
  })
})

describe("the ring", () => {
  test("begins no more chains than its budget in a tenth of a second, and again in the next", () => {
    const ring = new TraceRing({ rootsPerSecond: 50 })
    const begun = (at: number): number =>
      Array.from({ length: 20 }, () => ring.beginsAt(at)).filter(Boolean).length
    expect([begun(1_000), begun(1_050), begun(1_100)]).toEqual([5, 0, 5])
  })

  test("is not blind for long when the clock was put back", () => {
    const ring = new TraceRing({ rootsPerSecond: 10 })
    expect(ring.beginsAt(1_000_000)).toBe(true)
    expect(ring.beginsAt(1_000)).toBe(true)
  })

  test("keeps the newest entries, and only as many as it was given room for", () => {
    const world = new World()
    const { system } = world.process("n1", { trace: { entries: 8, rootsPerSecond: 1_000_000 } })
    system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n1")
    for (let i = 0; i < 20; i++) system.tell(at("n1"), add)
    world.host.settle()
    const kept = system.traced(at("n1"), 100)
    expect(kept).toHaveLength(8)
    expect(new Set(kept.map(({ id }) => id)).size).toBe(8)
  })
})

describe("a chain that does not end", () => {
  /** The traces of 200 messages of an actor to itself, each led to by the one before. */
  function chain(rootsPerSecond: number) {
    const world = new World()
    const { system } = world.process("n1", { trace: { rootsPerSecond } })
    system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n1")
    let message: unknown = add
    for (let i = 1; i < 200; i++) message = doing(tell(at("n1"), message))
    system.tell(at("n1"), message)
    world.host.settle()
    return system.traced(at("n1"), 1_000)
  }

  test("is traced no further than its first message's share once the budget is spent", () => {
    expect(chain(10)).toHaveLength(65)
  })

  test("is followed without a gap while the budget lasts", () => {
    const traced = chain(1_000)
    expect(traced).toHaveLength(200)
    expect(traced.slice(1).map(({ cause }) => cause)).toEqual(traced.slice(0, -1).map(({ id }) => id))
  })
})

test("without a ring nothing is remembered, and causes still travel", () => {
  const world = new World()
  const [near, far] = [world.process("n1"), world.process("n2", { trace: {} })]
  near.system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n1")
  far.system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n2")
  far.system.tell(at("n1"), doing(tell(at("n2"), add)))
  world.host.settle()
  expect(near.system.traced(at("n1"), 10)).toEqual([])
  const [asked] = far.system.traced(at("n1"), 10)
  expect(far.system.traced(at("n2"), 10)[0]?.cause).toBe(asked?.id as string)
})
