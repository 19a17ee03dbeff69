/** `troupe top` as text: what nodes, services and tasks use now, sorted and filtered as the keys say. */
import { showBytes } from "#cli/print/autoscale.ts"
import { table } from "#cli/print/table.ts"
import type { Key, Size } from "#cli/print/tree-view.ts"

type Figure = number | null

interface Used {
  readonly ID: string
  readonly Name: string
  readonly cpu: Figure
  readonly memory: Figure
  readonly netRx: Figure
  readonly netTx: Figure
  readonly blockRead: Figure
  readonly blockWrite: Figure
  readonly pids: Figure
}
interface NodeUse extends Used {
  readonly cores: Figure
  readonly memoryTotal: Figure
  readonly load: Figure
  readonly diskFree: Figure
}
/** What HTTP entrances see of it; nothing where none leads to it. */
interface Asked extends Used {
  readonly rps: Figure
  readonly inflight: Figure
  readonly p95: Figure
}
interface ServiceUse extends Asked {
  readonly tasks: Figure
}
interface TaskUse extends Asked {
  readonly NodeID: string
}

/** As `GET /metrics/latest` answers. */
export interface Latest {
  readonly At: number
  readonly Nodes: ReadonlyArray<NodeUse>
  readonly Services: ReadonlyArray<ServiceUse>
  readonly Tasks: ReadonlyArray<TaskUse>
}

export const subjects = ["nodes", "services", "tasks"] as const
export type Subject = (typeof subjects)[number]
export const sorts = ["cpu", "memory", "net", "block", "pids", "requests", "name"] as const
export type Sort = (typeof sorts)[number]

export interface TopView {
  readonly latest: Latest
  readonly subject: Subject
  readonly sort: Sort
  readonly reversed: boolean
  readonly filter: string
  readonly typing: boolean
  readonly scroll: number
  /** Why what is shown is not of now. */
  readonly notice: string
}

export const emptyTop = (subject: Subject = "tasks", sort: Sort = "cpu", filter = ""): TopView => ({
  latest: { At: 0, Nodes: [], Services: [], Tasks: [] },
  subject,
  sort,
  reversed: false,
  filter,
  typing: false,
  scroll: 0,
  notice: "waits for the first figures"
})

const sortKeys: Readonly<Record<string, Sort>> = {
  c: "cpu",
  m: "memory",
  n: "net",
  b: "block",
  p: "pids",
  h: "requests",
  a: "name"
}

/** What a key makes of the view; nothing where it ends it. */
export function pressTop(view: TopView, key: Key, size: Size): TopView | undefined {
  if (key === "ctrl-c") return undefined
  if (view.typing) return typed(view, key)
  const page = Math.max(1, size.rows - 5)
  const scrolled = (by: number): TopView => ({ ...view, scroll: Math.max(0, view.scroll + by) })
  const place = ["1", "2", "3"].indexOf(key)
  const subject = subjects[key === "\t" ? (subjects.indexOf(view.subject) + 1) % subjects.length : place]
  if (subject !== undefined) return { ...view, subject, scroll: 0 }
  const sort = sortKeys[key]
  if (sort !== undefined) return { ...view, sort, scroll: 0 }
  switch (key) {
    case "q":
      return undefined
    case "r":
      return { ...view, reversed: !view.reversed, scroll: 0 }
    case "/":
      return { ...view, typing: true }
    case "escape":
      return { ...view, filter: "", scroll: 0 }
    case "up":
      return scrolled(-1)
    case "down":
      return scrolled(1)
    case "page-up":
      return scrolled(-page)
    case "page-down":
      return scrolled(page)
    default:
      return view
  }
}

function typed(view: TopView, key: Key): TopView {
  switch (key) {
    case "enter":
      return { ...view, typing: false }
    case "escape":
      return { ...view, typing: false, filter: "", scroll: 0 }
    case "backspace":
      return { ...view, filter: view.filter.slice(0, -1), scroll: 0 }
    default:
      return [...key].length === 1 ? { ...view, filter: view.filter + key, scroll: 0 } : view
  }
}

/** The lines of one screen, none wider than it. */
export function topFrame(view: TopView, size: Size): ReadonlyArray<string> {
  const [head = "", ...rows] = showTop(view).split("\n")
  const room = Math.max(1, size.rows - 4)
  const first = Math.min(view.scroll, Math.max(0, rows.length - room))
  const { latest, filter, typing, sort, reversed, notice } = view
  const counts = `${latest.Nodes.length} nodes, ${latest.Services.length} services, ${latest.Tasks.length} tasks`
  const state = `${view.subject} by ${sort}${reversed ? ", least first" : ""}${filter === "" ? "" : `, with ${filter}`}`
  const below = typing
    ? `/${filter}█`
    : notice ||
      "1 nodes  2 services  3 tasks  c cpu  m memory  n net  b block  p pids  h requests  a name  r reverse  / filter  q quit"
  const cut = (line: string): string => [...line].slice(0, size.columns).join("")
  return [
    cut(`${counts}: ${state}`),
    "",
    `\u001b[7m${cut(head).padEnd(size.columns)}\u001b[0m`,
    ...rows.slice(first, first + room).map(cut),
    ...Array.from({ length: Math.max(0, room - rows.length) }, () => ""),
    cut(below)
  ]
}

/** One table, as `docker stats` has it. */
export function showTop({ latest, subject, sort, reversed, filter }: TopView): string {
  const names = new Map(latest.Nodes.map(({ ID, Name }) => [ID, Name]))
  const nodeOf = ({ NodeID }: TaskUse): string => names.get(NodeID) ?? NodeID
  const found = <A extends Used>(all: ReadonlyArray<A>, more: (one: A) => string = () => "") =>
    sorted(
      all.filter((one) => `${one.Name} ${one.ID} ${more(one)}`.includes(filter)),
      sort,
      reversed
    )
  switch (subject) {
    case "nodes":
      return table(
        ["NODE", "CPU", "MEM USAGE / TOTAL", "MEM", ...shared, "LOAD", "DISK FREE"],
        found(latest.Nodes).map((node) => [
          node.Name,
          percent(node.cpu, node.cores ?? 1),
          `${bytes(node.memory)} / ${bytes(node.memoryTotal)}`,
          percent(node.memory, node.memoryTotal ?? Number.POSITIVE_INFINITY),
          ...sharedOf(node),
          node.load === null ? "-" : node.load.toFixed(2),
          bytes(node.diskFree)
        ])
      )
    case "services":
      return table(
        ["SERVICE", "TASKS", "CPU", "MEM USAGE", ...shared, ...requests],
        found(latest.Services).map((service) => [
          service.Name,
          `${service.tasks ?? "-"}`,
          percent(service.cpu, 1),
          bytes(service.memory),
          ...sharedOf(service),
          ...requestsOf(service)
        ])
      )
    case "tasks":
      return table(
        ["TASK", "NODE", "CPU", "MEM USAGE", ...shared, ...requests],
        found(latest.Tasks, nodeOf).map((task) => [
          task.Name,
          nodeOf(task),
          percent(task.cpu, 1),
          bytes(task.memory),
          ...sharedOf(task),
          ...requestsOf(task)
        ])
      )
  }
}

const shared = ["NET I/O PER S", "BLOCK I/O PER S", "PIDS"]
const sharedOf = ({ netRx, netTx, blockRead, blockWrite, pids }: Used): ReadonlyArray<string> => [
  `${bytes(netRx)} / ${bytes(netTx)}`,
  `${bytes(blockRead)} / ${bytes(blockWrite)}`,
  pids === null ? "-" : `${Math.round(pids)}`
]

const requests = ["REQUESTS PER S", "NOW", "P95"]
const requestsOf = ({ rps, inflight, p95 }: Asked): ReadonlyArray<string> => [
  whole(rps),
  whole(inflight),
  p95 === null ? "-" : `${Math.round(p95)}ms`
]

const whole = (value: Figure): string => (value === null ? "-" : `${Math.round(value)}`)
const bytes = (value: Figure): string => (value === null ? "-" : showBytes(value))
const percent = (value: Figure, of: number): string =>
  value === null ? "-" : `${((value / of) * 100).toFixed(2)}%`

const figures: Readonly<Record<Exclude<Sort, "name">, (used: Used & Partial<Asked>) => number>> = {
  cpu: ({ cpu }) => cpu ?? -1,
  memory: ({ memory }) => memory ?? -1,
  net: ({ netRx, netTx }) => (netRx ?? 0) + (netTx ?? 0),
  block: ({ blockRead, blockWrite }) => (blockRead ?? 0) + (blockWrite ?? 0),
  pids: ({ pids }) => pids ?? -1,
  requests: ({ rps }) => rps ?? -1
}

function sorted<A extends Used>(all: ReadonlyArray<A>, sort: Sort, reversed: boolean): ReadonlyArray<A> {
  const byName = (a: A, b: A): number => a.Name.localeCompare(b.Name, "en", { numeric: true })
  const by = sort === "name" ? byName : (a: A, b: A) => figures[sort](b) - figures[sort](a) || byName(a, b)
  const found = [...all].sort(by)
  return reversed ? found.reverse() : found
}
