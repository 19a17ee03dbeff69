/**
 * The live view of `troupe tree --watch`, without a terminal: what is shown follows from snapshots and keys alone.
 *
 * A frame is a list of lines that fit the screen; drawing it is the driver's, in `commands/tree-watch.ts`.
 */
import { micros } from "#cli/print/trace.ts"
import { showAddress } from "#runtime/address.ts"
import type { Details } from "#runtime/inspect.ts"
import type { ChildRef, Order, TreeNode } from "#runtime/system.ts"

export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface View {
  readonly nodeId: string
  readonly trees: ReadonlyArray<TreeNode>
  /** When the trees were read, in milliseconds. */
  readonly at: number
  /** Messages per second since the snapshot before, by path. */
  readonly rates: ReadonlyMap<string, number>
  /** The path of the line under the cursor. */
  readonly cursor: string
  readonly collapsed: ReadonlySet<string>
  /** Expanded by hand, however many children. */
  readonly expanded: ReadonlySet<string>
  readonly filter: string
  readonly mode:
    | { readonly _tag: "Tree" }
    | { readonly _tag: "Filter" }
    | { readonly _tag: "Confirm"; readonly order: Order; readonly path: string }
    | { readonly _tag: "Details"; readonly details: Details; readonly scroll: number }
  /** The last word about an order or an error. */
  readonly notice: string
}

/** What a key asks of the world. */
export type Wish =
  | { readonly _tag: "Quit" }
  | { readonly _tag: "Order"; readonly order: Order; readonly child: ChildRef; readonly name: string }
  | { readonly _tag: "Inspect"; readonly node: TreeNode }

export type Key =
  | "up"
  | "down"
  | "left"
  | "right"
  | "page-up"
  | "page-down"
  | "enter"
  | "escape"
  | "backspace"
  | string

interface Row {
  readonly path: string
  readonly names: ReadonlyArray<string>
  readonly depth: number
  readonly node: TreeNode
  readonly isOpen: boolean
}

/** More children than this are shown only when asked for. */
const manyChildren = 30
const separator = "\u0000"

export const emptyView = (nodeId: string): View => ({
  nodeId,
  trees: [],
  at: 0,
  rates: new Map(),
  cursor: "",
  collapsed: new Set(),
  expanded: new Set(),
  filter: "",
  mode: { _tag: "Tree" },
  notice: ""
})

/** The view after a new snapshot, with rates since the one before. */
export function withTrees(view: View, trees: ReadonlyArray<TreeNode>, at: number): View {
  const before = new Map<string, number>()
  each(view.trees, (node, path) => before.set(path, totalHandled(node)))
  const seconds = (at - view.at) / 1_000
  const rates = new Map<string, number>()
  each(trees, (node, path) => {
    const known = before.get(path)
    // A new cell at the same place begins to count anew.
    if (known !== undefined && seconds > 0) rates.set(path, Math.max(0, totalHandled(node) - known) / seconds)
  })
  const next = { ...view, trees, at, rates }
  const rows = rowsOf(next)
  return rows.some(({ path }) => path === view.cursor) ? next : { ...next, cursor: nearest(view, rows) }
}

/** Where the cursor goes when its line is gone: the closest line above that is still there. */
function nearest(before: View, rows: ReadonlyArray<Row>): string {
  const old = rowsOf(before).map(({ path }) => path)
  const present = new Set(rows.map(({ path }) => path))
  for (let i = old.indexOf(before.cursor); i >= 0; i--)
    if (present.has(old[i] as string)) return old[i] as string
  return rows[0]?.path ?? ""
}

const totalHandled = (node: TreeNode): number =>
  node.children.reduce((sum, child) => sum + totalHandled(child), node.handled ?? 0)

function each(trees: ReadonlyArray<TreeNode>, visit: (node: TreeNode, path: string) => void): void {
  const walk = (node: TreeNode, above: string): void => {
    const path = above === "" ? node.name : above + separator + node.name
    visit(node, path)
    for (const child of node.children) walk(child, path)
  }
  for (const tree of trees) walk(tree, "")
}

const matches = (node: TreeNode, filter: string): boolean =>
  [node.name, node.summary ?? "", node.lastError ?? "", node.state].some((text) =>
    text.toLowerCase().includes(filter.toLowerCase())
  )

const hasMatch = (node: TreeNode, filter: string): boolean =>
  matches(node, filter) || node.children.some((child) => hasMatch(child, filter))

function rowsOf(view: View): ReadonlyArray<Row> {
  const rows: Row[] = []
  const walk = (node: TreeNode, above: ReadonlyArray<string>): void => {
    if (view.filter !== "" && !hasMatch(node, view.filter)) return
    const names = [...above, node.name]
    const path = names.join(separator)
    const isFolded =
      view.collapsed.has(path) || (node.children.length > manyChildren && !view.expanded.has(path))
    // What a filter looks for is shown wherever it is.
    const isOpen = node.children.length > 0 && (view.filter !== "" || !isFolded)
    rows.push({ path, names, depth: above.length, node, isOpen })
    if (isOpen) for (const child of node.children) walk(child, names)
  }
  for (const tree of view.trees) walk(tree, [])
  return rows
}

const tree = { _tag: "Tree" } as const

/** What a key does. */
export function press(view: View, key: Key, size: Size): { readonly view: View; readonly wish?: Wish } {
  if (key === "ctrl-c") return { view, wish: { _tag: "Quit" } }
  switch (view.mode._tag) {
    case "Filter":
      return { view: typeFilter(view, key) }
    case "Confirm":
      return confirm(view, view.mode, key)
    case "Details": {
      const { details, scroll } = view.mode
      const by = { up: -1, down: 1, "page-up": -size.rows + 4, "page-down": size.rows - 4 }[key]
      if (by === undefined) return { view: { ...view, mode: tree } }
      const most = Math.max(0, detailLines(details).length - (size.rows - 2))
      const next = Math.min(most, Math.max(0, scroll + by))
      return { view: { ...view, mode: { _tag: "Details", details, scroll: next } } }
    }
    case "Tree":
      return pressInTree({ ...view, notice: "" }, key, size)
  }
}

function pressInTree(view: View, key: Key, size: Size): { readonly view: View; readonly wish?: Wish } {
  const rows = rowsOf(view)
  const place = Math.max(
    0,
    rows.findIndex(({ path }) => path === view.cursor)
  )
  const row = rows[place]
  const goTo = (to: number): { readonly view: View } => ({
    view: { ...view, cursor: rows[Math.min(rows.length - 1, Math.max(0, to))]?.path ?? "" }
  })
  const ask = (order: Order): { readonly view: View } =>
    row ? { view: { ...view, mode: { _tag: "Confirm", order, path: row.path } } } : { view }
  switch (key) {
    case "q":
      return { view, wish: { _tag: "Quit" } }
    case "up":
    case "k":
      return goTo(place - 1)
    case "down":
    case "j":
      return goTo(place + 1)
    case "page-up":
      return goTo(place - bodyRows(size))
    case "page-down":
      return goTo(place + bodyRows(size))
    case "left":
      if (row?.isOpen) return { view: fold(view, row, true) }
      return goTo(rows.findIndex(({ path }) => path === row?.names.slice(0, -1).join(separator)))
    case "right":
      return row && row.node.children.length > 0 ? { view: fold(view, row, false) } : { view }
    case " ":
      return row && row.node.children.length > 0 ? { view: fold(view, row, row.isOpen) } : { view }
    case "/":
      return { view: { ...view, mode: { _tag: "Filter" } } }
    case "escape":
      return { view: { ...view, filter: "" } }
    case "r":
      return ask("restart")
    case "s":
      return ask("stop")
    case "S":
      return ask("start")
    case "enter":
      if (row?.node.address) return { view, wish: { _tag: "Inspect", node: row.node } }
      return row && row.node.children.length > 0 ? { view: fold(view, row, row.isOpen) } : { view }
    default:
      return { view }
  }
}

function fold(view: View, { path }: Row, close: boolean): View {
  const collapsed = new Set(view.collapsed)
  const expanded = new Set(view.expanded)
  if (close) {
    collapsed.add(path)
    expanded.delete(path)
  } else {
    collapsed.delete(path)
    expanded.add(path)
  }
  return { ...view, collapsed, expanded }
}

function typeFilter(view: View, key: Key): View {
  if (key === "enter") return { ...view, mode: tree }
  if (key === "escape") return { ...view, filter: "", mode: tree }
  const filter =
    key === "backspace" ? view.filter.slice(0, -1) : [...key].length === 1 ? view.filter + key : view.filter
  const next = { ...view, filter }
  return { ...next, cursor: rowsOf(next).find(({ node }) => matches(node, filter))?.path ?? "" }
}

function confirm(
  view: View,
  { order, path }: Extract<View["mode"], { readonly _tag: "Confirm" }>,
  key: Key
): { readonly view: View; readonly wish?: Wish } {
  const back = { ...view, mode: tree }
  if (key !== "y") return { view: { ...back, notice: "nothing done" } }
  const row = rowsOf(view).find((one) => one.path === path)
  if (!row) return { view: { ...back, notice: "it is gone" } }
  const { node, names } = row
  const name = node.address ? showAddress(node.address) : node.name
  return { view: back, wish: { _tag: "Order", order, child: node.address ?? names, name } }
}

const columns = [
  ["STATE", 10],
  ["DEPTH", 7],
  ["MSG/S", 8],
  ["RESTARTS", 9],
  ["P99", 8]
] as const
const figuresWidth = columns.reduce((sum, [, width]) => sum + width, 0)
const bodyRows = ({ rows }: Size): number => Math.max(1, rows - 4)

/** The lines of the screen, none longer than it is wide, as many as it is high. */
export function frame(view: View, size: Size): ReadonlyArray<string> {
  const lines = view.mode._tag === "Details" ? detailsFrame(view.mode, size) : treeFrame(view, size)
  const cut = lines.slice(0, size.rows).map((line) => fitted(line, size.columns))
  return [...cut, ...Array.from({ length: size.rows - cut.length }, () => "")]
}

function treeFrame(view: View, size: Size): ReadonlyArray<string> {
  const rows = rowsOf(view)
  const cursor = Math.max(
    0,
    rows.findIndex(({ path }) => path === view.cursor)
  )
  const room = bodyRows(size)
  const first = Math.max(0, Math.min(cursor - Math.floor(room / 2), rows.length - room))
  const nameWidth = Math.max(16, Math.min(44, size.columns - figuresWidth - 20))
  const head = columns.map(([name, width]) => name.padStart(width)).join("")
  const body = rows.slice(first, first + room).map((row, i) => {
    const line = fitted(rowLine(view, row, nameWidth), size.columns)
    return first + i === cursor ? `\u001b[7m${line.padEnd(size.columns)}\u001b[0m` : line
  })
  const title = `troupe  node ${view.nodeId}  ${rows.length} lines${view.filter === "" ? "" : `  /${view.filter}`}`
  return [
    fitted(title, size.columns),
    `${"NAME".padEnd(nameWidth)}${head}  SUMMARY`,
    ...body,
    ...Array.from({ length: room - body.length }, () => ""),
    "",
    fitted(footer(view), size.columns)
  ]
}

function rowLine(view: View, { path, depth, node, isOpen }: Row, nameWidth: number): string {
  const sign = node.children.length === 0 ? "  " : isOpen ? "▾ " : "▸ "
  const count = !isOpen && node.children.length > 0 ? ` (${node.children.length})` : ""
  const name = fitted(`${"  ".repeat(depth)}${sign}${node.name}${count}`, nameWidth - 1).padEnd(nameWidth)
  const rate = view.rates.get(path)
  const figures = [
    node.state,
    node.depth === undefined ? "" : String(node.depth),
    rate === undefined ? "" : rate < 10 ? rate.toFixed(1) : String(Math.round(rate)),
    node.restarts > 0 ? String(node.restarts) : "",
    node.decideMicros === undefined ? "" : micros(node.decideMicros.p99)
  ]
  const cells = columns.map(([, width], i) => (figures[i] ?? "").padStart(width)).join("")
  const words = [node.lastError === undefined ? "" : `! ${node.lastError}`, node.summary ?? ""]
  return `${name}${cells}  ${words.filter((one) => one !== "").join("  ")}`
}

function footer(view: View): string {
  switch (view.mode._tag) {
    case "Filter":
      return `/${view.filter}█  enter keeps it, esc clears it`
    case "Confirm":
      return `${view.mode.order} ${view.mode.path.split(separator).at(-1)}? y for yes, any other key for no`
    default:
      if (view.notice !== "") return view.notice
      return "↑↓ move  ←→ fold  enter inspect  r restart  s stop  S start  / filter  q quit"
  }
}

function detailsFrame(
  { details, scroll }: Extract<View["mode"], { readonly _tag: "Details" }>,
  size: Size
): ReadonlyArray<string> {
  const room = Math.max(1, size.rows - 2)
  const body = detailLines(details).slice(scroll, scroll + room)
  return [
    ...body,
    ...Array.from({ length: room - body.length }, () => ""),
    "",
    "↑↓ scroll  any other key goes back"
  ]
}

function detailLines(details: Details): ReadonlyArray<string> {
  const { decideMicros: decide } = details
  return [
    `${showAddress(details.address)} on ${details.nodeId}`,
    `${details.state}, life ${details.life}${details.summary === undefined ? "" : `: ${details.summary}`}`,
    "",
    `handled     ${details.handled}`,
    `mailbox     ${details.depth} of ${details.capacity}`,
    `timers      ${details.timers.length === 0 ? "none" : details.timers.join(", ")}`,
    `under way   ${details.performing} actions`,
    `decide      mean ${micros(decide.mean)}, p50 ${micros(decide.p50)}, p99 ${micros(decide.p99)}, max ${micros(decide.max)}`,
    ...(details.lastError === undefined ? [] : ["", "last error", ...causeLines(details)]),
    ...section(
      "waiting",
      details.waiting.map(
        ({ tag, ageMs, from, id }) =>
          `${tag}  ${Math.round(ageMs)} ms${from === undefined ? "" : `  from ${from}`}${id === undefined ? "" : `  ${id}`}`
      )
    ),
    ...section(
      "messages",
      details.messages.map(
        ({ id, tag, from, outcome }) => `${tag}  ${outcome}  from ${from ?? "outside"}  ${id}`
      )
    ),
    ...section("flight recorder", details.recorded)
  ]
}

/** The chain of causes, one below the other. */
function causeLines({ lastError = "", lastMessage }: Details): ReadonlyArray<string> {
  const causes = lastError.split(": ").map((words, depth) => `${"  ".repeat(depth + 1)}${words}`)
  return lastMessage === undefined ? causes : [...causes, `  from message ${lastMessage}`]
}

const section = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)]

/** Cut to `width` characters; what another process says never controls this terminal. */
function fitted(line: string, width: number): string {
  if (line.startsWith("\u001b[7m")) return line
  const characters = [...line.replaceAll(controls, "·")]
  return characters.length <= width
    ? characters.join("")
    : `${characters.slice(0, Math.max(0, width - 1)).join("")}…`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach the terminal
const controls = /[\u0000-\u001f\u007f-\u009f]/g
