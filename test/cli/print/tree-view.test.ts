import { describe, expect, test } from "bun:test"
import { emptyView, frame, type Key, press, type View, withTrees } from "#cli/print/tree-view.ts"
import { address } from "#runtime/address.ts"
import type { Details } from "#runtime/inspect.ts"
import type { TreeNode } from "#runtime/system.ts"

const size = { columns: 90, rows: 12 }

const actor = (name: string, more: Partial<TreeNode> = {}): TreeNode => {
  const [kind = "", id = ""] = name.split("/")
  const decideMicros = { mean: 10, max: 2_000, p99: 1_500 }
  const own = { kind: "actor", address: address("n1", kind, id), state: "running" } as const
  return { name, ...own, depth: 0, handled: 0, restarts: 0, decideMicros, children: [], ...more }
}
const supervisor = (name: string, ...children: ReadonlyArray<TreeNode>): TreeNode => ({
  name,
  kind: "supervisor",
  state: "running",
  summary: "one-for-one",
  restarts: 0,
  children
})

const trees = (handled = 0): ReadonlyArray<TreeNode> => [
  supervisor(
    "node",
    actor("network/main", { summary: "2 networks" }),
    supervisor(
      "many task",
      actor("task/a", { handled, depth: 3 }),
      actor("task/b", { lastError: "boom", restarts: 2 })
    ),
    actor("logs/main")
  )
]

const opened = (): View => withTrees(emptyView("n1"), trees(), 1_000)
const typed = (view: View, ...keys: ReadonlyArray<Key>): View =>
  keys.reduce((before, key) => press(before, key, size).view, view)
// biome-ignore lint/suspicious/noControlCharactersInRegex: what marks the cursor's line
const styles = /\u001b\[\d*m/g
/** Without what marks the cursor's line. */
const plain = (view: View): ReadonlyArray<string> =>
  frame(view, size).map((line) => line.replaceAll(styles, "").trimEnd())
const cursorLine = (view: View): string =>
  frame(view, size)
    .find((line) => line.startsWith("\u001b[7m"))
    ?.slice(4)
    .trim() ?? ""

describe("a frame", () => {
  test("shows a line an actor: state, depth, rate, restarts, p99, the last error first", () => {
    expect(plain(withTrees(opened(), trees(50), 3_000))).toEqual([
      "troupe  node n1  6 lines",
      "NAME                             STATE  DEPTH   MSG/S RESTARTS     P99  SUMMARY",
      "▾ node                         running             25                   one-for-one",
      "    network/main               running      0     0.0           1.5 ms  2 networks",
      "  ▾ many task                  running             25                   one-for-one",
      "      task/a                   running      3      25           1.5 ms",
      "      task/b                   running      0     0.0        2  1.5 ms  ! boom",
      "    logs/main                  running      0     0.0           1.5 ms",
      "",
      "",
      "",
      "↑↓ move  ←→ fold  enter inspect  r restart  s stop  S start  / filter  q quit"
    ])
  })

  test("fits the screen, however small, and follows the cursor", () => {
    const many = [supervisor("top", ...Array.from({ length: 25 }, (_, i) => actor(`task/${i}`)))]
    let view = withTrees(emptyView("n1"), many, 1)
    for (let i = 0; i < 20; i++) {
      view = press(view, "down", { columns: 40, rows: 8 }).view
      const lines = frame(view, { columns: 40, rows: 8 })
      expect(lines).toHaveLength(8)
      for (const line of lines) expect([...line.replaceAll(styles, "")].length).toBeLessThanOrEqual(40)
      expect(lines.some((line) => line.includes(`task/${i} `) && line.startsWith("\u001b[7m"))).toBe(true)
    }
  })

  test("never lets an actor's words control the terminal", () => {
    const evil = [actor("task/a", { summary: "\u001b[2Jgone\u0007", lastError: "a\nb" })]
    const text = frame(withTrees(emptyView("n1"), evil, 1), size).join("")
    expect(text.replaceAll("\u001b[7m", "").replaceAll("\u001b[0m", "")).not.toContain("\u001b")
    expect(text).not.toContain("\n")
  })
})

describe("keys", () => {
  test("move the cursor, fold and unfold", () => {
    expect(cursorLine(typed(opened(), "down", "down"))).toStartWith("▾ many task")
    const folded = typed(opened(), "down", "down", "left")
    expect(cursorLine(folded)).toStartWith("▸ many task (2)")
    expect(plain(folded).join("\n")).not.toContain("task/a")
    expect(plain(typed(folded, "right")).join("\n")).toContain("task/a")
    expect(cursorLine(typed(opened(), "down", "down", "down", "left"))).toStartWith("▾ many task")
  })

  test("restart, stop and start only after a yes", () => {
    const onTask = typed(opened(), "down", "down", "down")
    for (const [key, order] of [
      ["r", "restart"],
      ["s", "stop"],
      ["S", "start"]
    ] as const) {
      const asked = press(onTask, key, size)
      expect(asked.wish).toBeUndefined()
      expect(plain(asked.view).at(-1)).toBe(`${order} task/a? y for yes, any other key for no`)
      expect(press(asked.view, "n", size).wish).toBeUndefined()
      const child = address("n1", "task", "a")
      expect(press(asked.view, "y", size).wish).toEqual({ _tag: "Order", order, child, name: "n1/task/a" })
    }
    const group = press(typed(opened(), "down", "down", "r"), "y", size)
    expect(group.wish).toMatchObject({ child: ["node", "many task"] })
  })

  test("filter to what matches, with what is above it", () => {
    const view = typed(opened(), "/", "b", "o", "o", "m", "enter")
    expect(
      plain(view)
        .slice(2, 6)
        .map((line) => line.split(/ {2,}/).filter(Boolean)[0])
    ).toEqual(["▾ node", "▾ many task", "task/b", undefined as never])
    expect(cursorLine(view)).toStartWith("task/b")
    expect(plain(typed(view, "escape"))[0]).toBe("troupe  node n1  6 lines")
  })

  test("leave", () => {
    expect(press(opened(), "q", size).wish).toEqual({ _tag: "Quit" })
    expect(press(typed(opened(), "/"), "ctrl-c", size).wish).toEqual({ _tag: "Quit" })
    expect(press(typed(opened(), "/"), "q", size).wish).toBeUndefined()
  })
})

test("the cursor goes to what is above when its line is gone", () => {
  const onTask = typed(opened(), "down", "down", "down", "down")
  const without = [supervisor("node", actor("network/main"), supervisor("many task"), actor("logs/main"))]
  expect(cursorLine(withTrees(onTask, without, 2_000))).toStartWith("many task")
})

test("an actor's details show its error as a chain of causes, what waits and what was recorded", () => {
  const details: Details = {
    nodeId: "n1",
    address: address("n1", "task", "a"),
    state: "running",
    life: 3,
    handled: 7,
    depth: 1,
    capacity: 16,
    performing: 2,
    timers: ["look"],
    lastError: "Cannot start: no such image",
    lastMessage: "n1-x-7",
    decideMicros: { mean: 1, p50: 1, p99: 2, max: 3 },
    waiting: [{ tag: "Look", ageMs: 12, from: "n1/session/main" }],
    messages: [],
    recorded: ["12:00:00.000 started, life 3"]
  }
  const view: View = { ...opened(), mode: { _tag: "Details", details, scroll: 0 } }
  const shown = frame(view, { columns: 80, rows: 30 }).join("\n")
  expect(shown).toContain("  Cannot start\n    no such image\n  from message n1-x-7")
  expect(shown).toContain("timers      look")
  expect(shown).toContain("Look  12 ms  from n1/session/main")
  expect(shown).toContain("12:00:00.000 started, life 3")
  expect(press(view, "q", size).view.mode._tag).toBe("Tree")
})
