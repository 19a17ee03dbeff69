/** The cluster as the stream of the gateway tells it, and what follows from it for all pages. */
import { computed, signal } from "@preact/signals"
import { learnSession } from "./api.ts"
import { type Alert, type Count, count, judge, standingOf } from "./judge.ts"
import type { Node, Service, Task } from "./objects.ts"
import { usePolled } from "./poll.ts"

export interface ClusterEvent {
  readonly Type: string
  readonly Action: string
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> }
  readonly timeNano: number
}

export interface AuditLine {
  readonly at: string
  readonly who: string
  readonly role?: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly did?: string
  readonly refused?: string
}

const tables = {
  node: signal<ReadonlyMap<string, Node>>(new Map()),
  service: signal<ReadonlyMap<string, Service>>(new Map()),
  task: signal<ReadonlyMap<string, Task>>(new Map())
}
export const isLive = signal(false)
/** Why what is shown may be old, and from when it is, in milliseconds since the epoch. */
export const trouble = signal<{ readonly what: "silence" | "no leader"; readonly since: number } | undefined>(
  undefined
)
export const events = signal<ReadonlyArray<ClusterEvent>>([])
export const audit = signal<ReadonlyArray<AuditLine>>([])

const clockFormat = new Intl.DateTimeFormat([], { timeStyle: "medium", hourCycle: "h23" })
export const clock = (ms: number): string => (Number.isNaN(ms) ? "" : clockFormat.format(ms))
const byName = (name: string, other: string): number => name.localeCompare(other, "en", { numeric: true })
export const nodeName = (node: Node | undefined): string =>
  node?.Description?.Hostname || node?.ID || "nowhere"

export const nodes = computed(() =>
  [...tables.node.value.values()].sort((a, b) => byName(nodeName(a), nodeName(b)))
)
export const services = computed(() =>
  [...tables.service.value.values()].sort((a, b) => byName(a.Spec.Name, b.Spec.Name))
)
export const tasks = computed(() => [...tables.task.value.values()])
export const serviceOf = (id: string): Service | undefined => tables.service.value.get(id)
export const taskOf = (id: string): Task | undefined => tables.task.value.get(id)
export const nodeOf = (id: string): Node | undefined => tables.node.value.get(id)

const grouped = (key: (task: Task) => string) =>
  computed(() => {
    const found = new Map<string, Array<Task>>()
    for (const task of tasks.value) {
      const group = found.get(key(task))
      if (group === undefined) found.set(key(task), [task])
      else group.push(task)
    }
    return found as ReadonlyMap<string, ReadonlyArray<Task>>
  })
export const tasksByService = grouped(({ ServiceID }) => ServiceID)
export const tasksByNode = grouped(({ NodeID }) => NodeID)

export const tasksOf = ({ ID }: Service): ReadonlyArray<Task> => tasksByService.value.get(ID) ?? []
export const countOf = (service: Service): Count => count(service, tasksOf(service))
export const isStanding =
  (wanted: ReturnType<typeof standingOf>) =>
  (service: Service): boolean =>
    standingOf(service, tasksOf(service)) === wanted

const alerts = signal<ReadonlyArray<Alert>>([])
export const problems = computed(() =>
  judge({ services: services.value, nodes: nodes.value, tasksOf, alerts: alerts.value, nowMs: Date.now() })
)
/** What the leader holds to be wrong, or held when there last was one; what is plain to see is judged without it. */
export const followAlerts = (): void =>
  usePolled<ReadonlyArray<Alert>>("/alerts", 5_000, (found) => {
    if (found !== undefined) alerts.value = found
  })

/** The node says something every five seconds. */
const quietMs = 12_000
const againMs = 1_000
/** Leaders follow one another within less. */
const electionMs = 2_000

type Kind = keyof typeof tables
interface Change {
  readonly kind: Kind
  readonly id: string
  readonly object: unknown
}

/** Follows the stream until the returned function is called, and asks for it anew where it breaks off or says nothing. */
export function follow(): () => void {
  let source: EventSource | undefined
  let heardAt = Date.now()
  let silence: ReturnType<typeof setTimeout> | undefined
  let again: ReturnType<typeof setTimeout> | undefined
  let leaderless: ReturnType<typeof setTimeout> | undefined
  let isOver = false

  const stop = (): void => {
    source?.close()
    for (const timer of [silence, again, leaderless]) clearTimeout(timer)
    leaderless = undefined
  }
  const listen = (): void => {
    clearTimeout(silence)
    silence = setTimeout(lose, quietMs)
  }
  const lose = (): void => {
    stop()
    isLive.value = false
    if (trouble.value?.what !== "silence") trouble.value = { what: "silence", since: heardAt }
    again = setTimeout(connect, againMs)
    // The session may have ended.
    void learnSession().catch(() => {})
  }
  const connect = (): void => {
    if (isOver) return
    const next = new EventSource("/dashboard/live")
    source = next
    listen()
    next.onerror = lose
    const on = <A>(name: string, take: (found: A) => void): void =>
      next.addEventListener(name, (event) => {
        heardAt = Date.now()
        listen()
        take(JSON.parse((event as MessageEvent<string>).data) as A)
      })
    on<Record<Kind, ReadonlyArray<{ readonly ID: string }>>>("state", (state) => {
      for (const kind of Object.keys(tables) as ReadonlyArray<Kind>)
        tables[kind].value = new Map(state[kind].map((object) => [object.ID, object])) as never
      events.value = []
      audit.value = []
      isLive.value = true
      trouble.value = undefined
    })
    on<{ readonly hasLeader: boolean }>("standing", ({ hasLeader }) => {
      if (hasLeader) {
        clearTimeout(leaderless)
        leaderless = undefined
        trouble.value = undefined
      } else
        leaderless ??= setTimeout(() => (trouble.value = { what: "no leader", since: heardAt }), electionMs)
    })
    on<ReadonlyArray<Change>>("changes", (changes) => {
      const changed: Partial<Record<Kind, Map<string, unknown>>> = {}
      for (const { kind, id, object } of changes) {
        changed[kind] ??= new Map<string, unknown>(tables[kind].value as ReadonlyMap<string, unknown>)
        if (object === null) changed[kind]?.delete(id)
        else changed[kind]?.set(id, object)
      }
      for (const [kind, table] of Object.entries(changed)) tables[kind as Kind].value = table as never
    })
    on<ReadonlyArray<ClusterEvent>>("events", (more) => {
      events.value = [...events.value, ...more].slice(-400)
    })
    on<ReadonlyArray<AuditLine>>("audit", (more) => {
      audit.value = [...audit.value, ...more].slice(-400)
    })
  }
  connect()
  return () => {
    isOver = true
    stop()
  }
}
