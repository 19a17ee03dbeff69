import { expect, test } from "bun:test"
import { emptyTop, type Latest, pressTop, showTop, type TopView, topFrame } from "#cli/print/top-view.ts"

const used = (Name: string, cpu: number | null, memory: number) => ({
  ID: `id-${Name}`,
  Name,
  cpu,
  memory,
  netRx: 2048,
  netTx: 0,
  blockRead: null,
  blockWrite: 10,
  pids: 3
})
const unasked = { rps: null, inflight: null, p95: null }
const latest: Latest = {
  At: 1,
  Nodes: [
    {
      ...used("alpha", 1, 2 ** 30),
      ID: "n1",
      cores: 4,
      memoryTotal: 4 * 2 ** 30,
      load: 0.5,
      diskFree: 2 ** 40
    }
  ],
  Services: [{ ...used("web", 1.5, 2 ** 20), tasks: 2, rps: 120.4, inflight: 3, p95: 87.5 }],
  Tasks: [
    { ...used("web.2.b", 0.5, 3 * 2 ** 20), ...unasked, rps: 50, NodeID: "n1" },
    { ...used("web.10.c", null, 2 ** 20), ...unasked, rps: 70, NodeID: "n2" },
    { ...used("web.1.a", 1, 2 * 2 ** 20), ...unasked, NodeID: "n1" }
  ]
}
const view: TopView = { ...emptyTop(), latest, notice: "" }
const size = { columns: 100, rows: 8 }

function press(from: TopView, ...keys: ReadonlyArray<string>): TopView {
  return keys.reduce((now, key) => pressTop(now, key, size) ?? now, from)
}
const firstColumn = (from: TopView): ReadonlyArray<string> =>
  showTop(from)
    .split("\n")
    .map((line) => line.split(/ {3,}/)[0] ?? "")

test("tasks are listed by what they use most of, or by name as people count", () => {
  expect(firstColumn(view)).toEqual(["TASK", "web.1.a", "web.2.b", "web.10.c"])
  expect(firstColumn(press(view, "m"))).toEqual(["TASK", "web.2.b", "web.1.a", "web.10.c"])
  expect(firstColumn(press(view, "a"))).toEqual(["TASK", "web.1.a", "web.2.b", "web.10.c"])
  expect(firstColumn(press(view, "h"))).toEqual(["TASK", "web.10.c", "web.2.b", "web.1.a"])
  expect(firstColumn(press(view, "a", "r"))).toEqual(["TASK", "web.10.c", "web.2.b", "web.1.a"])
})

test("nodes show shares of what they have, services how many tasks they are", () => {
  const nodes = showTop(press(view, "1"))
  expect(nodes).toMatch(/^alpha +25.00% +1GiB \/ 4GiB +25.00% +2KiB \/ 0B +- \/ 10B +3 +0.50 +1TiB$/m)
  expect(showTop(press(view, "2"))).toMatch(/^web +2 +150.00% +1MiB .* 120 +3 +88ms$/m)
  expect(press(view, "\t").subject).toBe("nodes")
})

test("what is typed filters by name, id or node until Escape", () => {
  const typed = press(view, "/", "a", "l", "q")
  expect(topFrame(typed, size).at(-1)).toBe("/alq█")
  const filtered = press(typed, "backspace", "enter")
  expect(firstColumn(filtered)).toEqual(["TASK", "web.1.a", "web.2.b"])
  expect(firstColumn(press(filtered, "escape"))).toHaveLength(4)
})

test("a frame is as large as the terminal, and the end of the list stays in sight", () => {
  for (const columns of [20, 60, 200]) {
    const lines = topFrame(press(view, "down", "down", "down", "page-down"), { columns, rows: 6 })
    expect(lines).toHaveLength(6)
    const bare = lines.map((line) => line.replaceAll("\u001b[7m", "").replaceAll("\u001b[0m", ""))
    for (const line of bare) expect([...line].length).toBeLessThanOrEqual(columns)
    expect(lines.join("\n")).toContain("web.10.c")
  }
})

test("q and Ctrl-C end it, also while something is typed", () => {
  expect(pressTop(view, "q", size)).toBeUndefined()
  expect(pressTop(press(view, "/"), "q", size)).toBeDefined()
  expect(pressTop(press(view, "/"), "ctrl-c", size)).toBeUndefined()
})
