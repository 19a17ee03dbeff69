/**
 * What must hold at every moment of every run, and what must hold once everything has healed. Each law is one
 * sentence; breaking it is noted with that sentence and the facts.
 */
import { taskLabel } from "#actors/drivers/labels.ts"
import type { Change, ChangeSet, Kind, LedgerReader } from "#actors/ledger/reader.ts"
import { isExclusive } from "#actors/model/exclusive.ts"
import type { Node, Service, Task } from "#actors/model/objects.ts"
import { endedItself, isBefore, isLive, isTerminal, isWanted } from "#actors/model/task-state.ts"
import type { PublishedPort } from "#actors/network/plan.ts"
import type { Container, Engine, Happening } from "#test/simulation/engine.ts"

export const short = (id: string): string => id.slice(0, 6)
export const showTask = (task: Task): string =>
  `${short(task.ServiceID)}.${task.Slot ?? task.NodeID ?? "?"}.${short(task.ID)}`

const kinds: ReadonlyArray<Kind> = ["node", "service", "task", "network", "secret", "config"]

export class Laws {
  readonly broken: Array<string> = []
  /** What the change feed has told so far, by kind and id. */
  readonly #told = new Map<string, unknown>()
  #index = 0
  /** Waits may be shorter than they were to be. */
  clocksAreSet = false
  /** Milliseconds at which each node was last seen to be down. */
  readonly #downAt = new Map<string, number>()
  /** When a node was drained last, or last ceased to be. */
  readonly #drainedAt = new Map<string, number>()
  /** Tasks that were seen to run. */
  readonly #ran = new Set<string>()
  /** Tasks that ended by themselves while they were wanted. */
  readonly #tried = new Set<string>()
  /** Services with the versions that had failures while an update was under way. */
  readonly #triedAnew = new Set<string>()
  /** How far each task came, also after it was deleted. */
  readonly #furthest = new Map<string, Task>()
  /** When a task was first heard of: clocks of machines are not asked. */
  readonly #madeAt = new Map<string, number>()
  readonly #engines: () => Iterable<Engine>
  readonly #now: () => number
  ledger: LedgerReader | undefined

  constructor(engines: () => Iterable<Engine>, now: () => number) {
    this.#engines = engines
    this.#now = now
  }

  #break(law: string, facts: string): void {
    this.broken.push(`${law}: ${facts}`)
  }

  // --- the ledger ------------------------------------------------------------------------------------------------

  changed(set: ChangeSet): void {
    if (set.index <= this.#index)
      this.#break("the change feed only goes on", `${set.index} after ${this.#index}`)
    this.#index = set.index
    for (const change of set.changes) this.#hear(change)
    for (const change of set.changes) {
      if (change.kind === "task" && change.after !== undefined) {
        this.#checkSlot(change.after)
        if (change.after.NodeID !== undefined && change.before?.NodeID === undefined)
          this.#checkRoom(change.after.NodeID)
      }
    }
  }

  #hear(change: Change): void {
    if (change.kind === "cluster") return
    const { kind, before, after } = change
    const id = after?.ID ?? before?.ID ?? ""
    const key = `${kind} ${id}`
    const told = this.#told.get(key)
    const isSame = before === told || plain(kind, before) === plain(kind, told)
    if (!isSame) this.#break("the change feed leaves no change out", `${key} at ${this.#index}`)
    if (after === undefined) this.#told.delete(key)
    else this.#told.set(key, after)
    if (change.kind === "task") this.#hearTask(change.before, change.after)
    if (change.kind === "node" && change.after !== undefined && change.after.Status.State !== "ready")
      this.#downAt.set(id, this.#now())
    const isDrained = (node?: Node): boolean => node?.Spec.Availability === "drain"
    if (change.kind === "node" && (isDrained(change.before) || isDrained(change.after)))
      this.#drainedAt.set(id, this.#now())
  }

  #hearTask(before: Task | undefined, after: Task | undefined): void {
    if (after === undefined) {
      const isOurs = before !== undefined && this.ledger?.get("service", before.ServiceID) !== undefined
      if (before !== undefined && isOurs && isWanted(before))
        this.#break("no wanted task of a service is deleted", showTask(before))
      return
    }
    const known = this.#furthest.get(after.ID)
    this.#furthest.set(after.ID, after)
    if (known === undefined) {
      this.#madeAt.set(after.ID, this.#now())
      this.#noteUpdate(after)
    }
    if (after.Status.State === "running") this.#ran.add(after.ID)
    if (endedItself(after) && (known === undefined || !endedItself(known))) {
      // One that was given up before has been replaced for another reason, however it ends.
      if (known === undefined || isWanted(known)) this.#tried.add(after.ID)
      this.#checkBudget(after)
    }
    if (known === undefined) return
    const name = showTask(after)
    const step = `${name} from ${known.Status.State} to ${after.Status.State}`
    if (before === undefined) this.#break("a task's id is used once", name)
    if (isBefore(after.Status.State, known.Status.State))
      this.#break("a task's observed state never goes back", step)
    if (isBefore(after.DesiredState, known.DesiredState)) {
      this.#break(
        "a task's desired state never goes back",
        `${name} from ${known.DesiredState} to ${after.DesiredState}`
      )
    }
    if (
      isTerminal(known.Status.State) &&
      known.Status.State !== after.Status.State &&
      after.Status.State !== "orphaned"
    )
      this.#break("an ended task stays as it ended", step)
    if (known.NodeID !== undefined && known.NodeID !== after.NodeID)
      this.#break("a task stays on its node", `${name} from ${known.NodeID} to ${after.NodeID}`)
  }

  /**
   * A slot has one task that runs and is to run. Where updates start the next before they stop the last, it has two
   * for a while, of different versions; and where the last is on a drained node.
   */
  #checkSlot(task: Task): void {
    const { ledger } = this
    const service = ledger?.get("service", task.ServiceID)
    if (ledger === undefined || service === undefined) return
    if (task.Status.State !== "running" || task.DesiredState !== "running") return
    const running: Array<Task> = []
    for (const other of ledger.tasksOfService(task.ServiceID)) {
      if (other.Status.State === "running" && other.DesiredState === "running" && sameSlot(task, other))
        running.push(other)
    }
    const versions = new Set(running.map(({ SpecVersion }) => SpecVersion))
    if (running.length <= (startsFirst(service) ? Math.min(2, versions.size) : 1)) return
    if (running.length === 2 && !isExclusive(service.Spec) && running.some((one) => this.#wasDrained(one)))
      return
    this.#break("one task at a time fills a slot", running.map(showTask).join(" and "))
  }

  /** A slot's tasks fail no more often than its policy lets them be tried; those that were replaced for another reason do not count. */
  #checkBudget(task: Task): void {
    const { ledger } = this
    const policy = ledger?.taskSpec(task.ServiceID, task.SpecVersion)?.RestartPolicy
    if (policy?.MaxAttempts === undefined || policy.MaxAttempts === 0 || (policy.Window ?? 0) > 0) return
    this.#noteUpdate(task)
    if (this.#triedAnew.has(`${task.ServiceID} ${task.SpecVersion}`)) return
    let failed = 0
    let others = 0
    for (const other of this.#furthest.values()) {
      if (!sameSlot(task, other) || other.SpecVersion !== task.SpecVersion) continue
      if (!isBefore(other.DesiredState, "remove")) return
      if (this.#tried.has(other.ID)) failed++
      else others++
    }
    if (failed > policy.MaxAttempts + 1 + others)
      this.#break(
        "a slot is tried no more often than its policy allows",
        `${showTask(task)}: ${failed} failed`
      )
  }

  /**
   * An update gives each slot a fresh start, and so does going back to the spec before it: what is made or fails under one
   * counts never.
   */
  #noteUpdate(task: Task): void {
    const update = this.ledger?.get("service", task.ServiceID)?.UpdateStatus?.State
    if (update !== undefined && update !== "completed")
      this.#triedAnew.add(`${task.ServiceID} ${task.SpecVersion}`)
  }

  /** What the tasks of a node reserve fits into it. */
  #checkRoom(nodeId: string): void {
    const { ledger } = this
    const resources = ledger?.get("node", nodeId)?.Description?.Resources
    if (ledger === undefined || resources === undefined) return
    let cpus = 0
    let memory = 0
    for (const task of ledger.tasksOfNode(nodeId)) {
      if (!isLive(task.Status.State) || isBefore(task.Status.State, "assigned")) continue
      const asked = ledger.taskSpec(task.ServiceID, task.SpecVersion)?.Resources?.Reservations
      cpus += asked?.NanoCPUs ?? 0
      memory += asked?.MemoryBytes ?? 0
    }
    if (cpus > (resources.NanoCPUs ?? 0) || memory > (resources.MemoryBytes ?? 0))
      this.#break("a node's tasks reserve no more than it has", `${nodeId}: ${cpus} CPUs, ${memory} bytes`)
  }

  // --- containers ------------------------------------------------------------------------------------------------

  happened(engine: Engine, what: Happening, container: Container): void {
    const task = this.#furthest.get(container.labels[taskLabel] ?? "")
    if (what === "unplugged" && task !== undefined && isWanted(task))
      this.#break("a wanted task's networks are there before it starts", showTask(task))
    if (what === "create") this.#checkTwins(container)
    if (what === "start") this.#checkStart(engine, container)
  }

  #checkTwins(container: Container): void {
    const taskId = container.labels[taskLabel]
    let count = 0
    for (const engine of this.#engines()) {
      for (const other of engine.containers.values()) if (other.labels[taskLabel] === taskId) count++
    }
    if (count > 1) this.#break("a task has one container", container.name)
    if (this.#ran.has(taskId ?? "")) this.#break("a task that ran gets no second container", container.name)
  }

  #checkStart(engine: Engine, container: Container): void {
    if (container.starts > 1) this.#break("no container is started twice", container.name)
    const task = this.#furthest.get(container.labels[taskLabel] ?? "")
    const service = task && this.ledger?.get("service", task.ServiceID)
    if (task === undefined || service === undefined) return
    if (task.NodeID !== engine.name)
      this.#break("a task runs on its own node", `${showTask(task)} on ${engine.name}`)
    if (startsFirst(service)) return
    for (const elsewhere of this.#engines()) {
      for (const other of elsewhere.running()) {
        if (other.byHand) continue
        const rival = this.#furthest.get(other.labels[taskLabel] ?? "")
        if (rival === undefined || rival.ID === task.ID || !sameSlot(task, rival)) continue
        const mayNever = isExclusive(service.Spec)
        if (!mayNever && (this.#isExcused(rival) || this.#isExcused(task))) continue
        this.#break(
          "a container starts when the one before it in its slot has stopped",
          `${showTask(task)} on ${engine.name} beside ${showTask(rival)} on ${elsewhere.name}`
        )
      }
    }
  }

  #wasDrained({ ID, NodeID = "" }: Task): boolean {
    return (this.#drainedAt.get(NodeID) ?? 0) >= (this.#madeAt.get(ID) ?? 0)
  }

  /**
   * Its node was given up while it ran there, so nobody waited for it; or drained, and another took its place first; or
   * it was given a minute, and took longer: by a clock that was set ahead that is no time at all.
   */
  #isExcused(rival: Task): boolean {
    if (this.clocksAreSet) return true
    if (this.#wasDrained(rival)) return true
    if ((this.#downAt.get(rival.NodeID ?? "") ?? 0) >= (this.#madeAt.get(rival.ID) ?? 0)) return true
    if (rival.Status.Message === "task rejected by constraint enforcer") return true
    return rival.DesiredState === "remove" || this.ledger?.get("service", rival.ServiceID) === undefined
  }

  published(node: string, ports: ReadonlyArray<PublishedPort>): void {
    for (const { serviceName, backends } of ports) {
      for (const { taskId } of backends) {
        if (!this.#ran.has(taskId))
          this.#break(
            "published ports lead to tasks that ran",
            `${serviceName} to ${short(taskId)} on ${node}`
          )
      }
    }
  }

  /** What all told, by the feed, is what there is. */
  checkFeed(): void {
    const { ledger } = this
    if (ledger === undefined) return
    let count = 0
    for (const kind of kinds) {
      for (const object of ledger.all(kind)) {
        count++
        const told = this.#told.get(`${kind} ${object.ID}`)
        if (told !== object && plain(kind, told) !== plain(kind, object))
          this.#break("the change feed leaves no change out", `${kind} ${object.ID}`)
      }
    }
    if (count !== this.#told.size)
      this.#break("the change feed leaves no change out", `${this.#told.size} told, ${count} there`)
  }
}

/** Comparable; without what is written of nodes without being told. */
function plain(kind: string, object: unknown): string {
  if (kind !== "node" || object === undefined) return JSON.stringify(object)
  const { LastSeen: _seen, Version: _version, UpdatedAt: _updated, ...node } = object as Node
  return JSON.stringify(Object.entries(node).sort(([a], [b]) => (a < b ? -1 : 1)))
}

const sameSlot = (a: Task, b: Task): boolean =>
  a.ServiceID === b.ServiceID &&
  (a.Slot === undefined ? b.Slot === undefined && a.NodeID === b.NodeID : a.Slot === b.Slot)

const startsFirst = (service: Service): boolean =>
  !isExclusive(service.Spec) &&
  [service.Spec, service.PreviousSpec].some(
    (spec) => spec?.UpdateConfig?.Order === "start-first" || spec?.RollbackConfig?.Order === "start-first"
  )
