import { describe, expect, test } from "bun:test"
import { tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { openMetrics } from "#runtime/openmetrics.ts"
import { many, permanent, supervisor } from "#runtime/supervisor.ts"
import { counter, World } from "#test/runtime/world.ts"
import { readOpenMetrics } from "#test/support/openmetrics.ts"

const at = (id = "main") => address("n1", "counter", id)
const add = { _tag: "Add", amount: 1 }

describe("the OpenMetrics text of a process", () => {
  test("passes a strict reader, and counts by kind what its actors did", () => {
    const world = new World()
    const { system } = world.process("n1")
    system.startTree(supervisor({ name: "top", children: [permanent(counter())] }), "n1")
    for (let i = 0; i < 5; i++) system.tell(at(), add)
    system.tell(at(), { _tag: "Explode" })
    system.tell(at("nobody"), add)
    world.host.advance(10_000)
    system.tell(at(), add)
    world.host.advance(10_000)

    const families = readOpenMetrics(system.metrics())
    const value = (family: string, sample: string): number | undefined =>
      families.get(family)?.samples.get(sample)
    expect(value("troupe_actor_handled", 'troupe_actor_handled_total{kind="counter"}')).toBe(7)
    expect(value("troupe_actor_crashes", 'troupe_actor_crashes_total{kind="counter"}')).toBe(1)
    expect(value("troupe_actor_restarts", 'troupe_actor_restarts_total{kind="counter"}')).toBe(1)
    expect(value("troupe_actors", 'troupe_actors{kind="counter"}')).toBe(1)
    expect(value("troupe_actor_decide_seconds", 'troupe_actor_decide_seconds_count{kind="counter"}')).toBe(7)
    expect(value("troupe_dead_letters", 'troupe_dead_letters_total{reason="nobody was there"}')).toBe(1)
  })

  test("keeps counting what actors did that are gone", () => {
    const world = new World()
    const { system } = world.process("n1")
    const children = [many(counter()), permanent(counter("boss"))]
    system.startTree(supervisor({ name: "top", children }), "n1")
    const boss = address("n1", "boss", "main")
    const order = (action: unknown): void => system.tell(boss, { _tag: "Do", action })
    for (const id of ["a", "b"]) order({ _tag: "Spawn", kind: "counter", id, props: undefined })
    order(tell(at("a"), add))
    world.host.settle()
    order({ _tag: "Dismiss", kind: "counter", id: "a" })
    world.host.advance(1_000)
    const families = readOpenMetrics(system.metrics())
    const handled = families.get("troupe_actor_handled")?.samples
    expect(handled?.get('troupe_actor_handled_total{kind="counter"}')).toBe(1)
    expect(families.get("troupe_actors")?.samples.get('troupe_actors{kind="counter"}')).toBe(1)
  })

  test("an error's words never become a label: reasons stay few", () => {
    const world = new World()
    const { system } = world.process("n1")
    const children = [many(counter(), { restart: "temporary" }), permanent(counter("boss"))]
    system.startTree(supervisor({ name: "top", children }), "n1")
    const action = { _tag: "Spawn", kind: "counter", id: "a", props: undefined }
    system.tell(address("n1", "boss", "main"), { _tag: "Do", action })
    world.host.settle()
    for (const message of [{ _tag: "Explode" }, add, add]) system.tell(at("a"), message)
    world.host.advance(1_000)
    const reasons = [...(readOpenMetrics(system.metrics()).get("troupe_dead_letters")?.samples.keys() ?? [])]
    expect(reasons).toEqual(['troupe_dead_letters_total{reason="it crashed"}'])
  })
})

test("what stands in a label or a help text cannot break out of its line", () => {
  const text = openMetrics([
    {
      type: "gauge",
      name: "odd",
      help: 'two\nlines and a "quote"',
      samples: [{ labels: { reason: 'a"b\\c\nd' }, value: Number.NaN }]
    }
  ])
  expect([...(readOpenMetrics(text).get("odd")?.samples.keys() ?? [])]).toEqual([
    'odd{reason="a\\"b\\\\c\\nd"}'
  ])
})

test("the strict reader refuses what a scraper would", () => {
  const offences = [
    "# TYPE a counter\na_total 1\n",
    "# TYPE a counter\na 1\n# EOF\n",
    "# TYPE a counter\na_total -1\n# EOF\n",
    "# TYPE a gauge\na 1\na 2\n# EOF\n",
    "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
    '# TYPE a histogram\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n# EOF\n'
  ]
  for (const text of offences) expect(() => readOpenMetrics(text)).toThrow()
})
