import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { inspector } from "#runtime/inspect.ts"
import { fitTrees, selectTrees } from "#runtime/select-tree.ts"
import { many, permanent, subtree, supervisor } from "#runtime/supervisor.ts"
import type { TreeNode } from "#runtime/system.ts"
import { encodeBody } from "#runtime/wire.ts"
import { counter, World } from "#test/runtime/world.ts"

const node = (name: string, ...children: ReadonlyArray<TreeNode>): TreeNode => ({
  name,
  kind: children.length > 0 ? "supervisor" : "actor",
  state: "running",
  restarts: 0,
  children
})

const top = node("top", node("left", node("deep", node("leaf"))), node("leaf"))

describe("a query for a part of the tree", () => {
  test("finds the nearest of that name, then goes on below it", () => {
    expect(selectTrees([top], { under: ["leaf"] })?.[0]).toBe(top.children[1] as TreeNode)
    expect(selectTrees([top], { under: ["left", "leaf"] })?.[0]?.name).toBe("leaf")
    expect(selectTrees([top], { under: ["left", "nobody"] })).toBeUndefined()
  })

  test("says how many children are below its depth", () => {
    expect(selectTrees([top], { depth: 1 })?.[0]?.children.map(({ folded }) => folded)).toEqual([
      1,
      undefined
    ])
  })
})

test("an answer that is cut says where, and how much is missing", () => {
  const leaves = Array.from({ length: 1_000 }, (_, i) => node(`leaf/${i}`))
  const { trees, omitted } = fitTrees([node("top", node("many", ...leaves))], 10_000)
  expect(encodeBody(trees).length).toBeLessThan(10_000)
  const cut = trees[0]?.children[0]
  expect(cut?.hidden).toBe(1_000 - (cut?.children.length ?? 0))
  expect(omitted).toBe(cut?.hidden as number)
})

test("a tree of thousands of actors comes whole over messages that carry a few hundred each", async () => {
  const world = new World()
  const { system } = world.process("n1")
  const inner = supervisor({ name: "inner", children: [many(counter()), permanent(counter("single"))] })
  system.startTree(supervisor({ name: "top", children: [subtree(inner), permanent(counter("boss"))] }), "n1")
  const spawner = { home: "n1", kind: "single", id: "main" }
  for (let i = 0; i < 8_000; i++) {
    system.tell(spawner, {
      _tag: "Do",
      action: { _tag: "Spawn", kind: "counter", id: `c${i}`, props: undefined }
    })
  }
  world.host.advance(1_000)

  const small = world.bus.connect("cli")
  const asked = inspector(small, "blue")
  const wholeTo = (depth?: number) => Effect.runPromise(asked.wholeTree("n1", { depth }))
  const [first, whole] = [Effect.runPromise(asked.tree("n1")), wholeTo()]
  const [toGroup, toLeaves] = [wholeTo(2), wholeTo(3)]
  for (let i = 0; i < 2_000; i++) {
    world.host.advance(1)
    await Promise.resolve()
  }
  expect((await first).omitted).toBeGreaterThan(1_000)
  const [tree] = await whole
  const group = tree?.children[0]?.children[0]
  expect(group?.children.length).toBe(8_000)
  expect(new Set(group?.children.map(({ name }) => name)).size).toBe(8_000)
  expect(JSON.stringify(tree)).not.toContain('"hidden"')
  expect((await toLeaves)[0]?.children[0]?.children[0]?.children.length).toBe(8_000)
  expect((await toGroup)[0]?.children[0]?.children[0]).toMatchObject({ folded: 8_000, children: [] })
})
