/**
 * A stage for the leader's decisions: the real tables, allotment, placement and service decisions, nodes that do
 * what they are told in an instant, and a clock that moves when it is told to.
 */

import type { WriteOutcome } from "#actors/ledger/service.ts"
import type { Propose } from "#actors/ledger/writer.ts"
import type { Service, Task, TaskState } from "#actors/model/objects.ts"
import type { RestartPolicy, ServiceSpec } from "#actors/model/spec.ts"
import { isBefore, isTerminal, isWanted } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import { allot } from "#actors/network/allot.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { place } from "#actors/scheduler/place.ts"
import { decide, type ServiceState, start } from "#actors/service/decide.ts"
import { look, type ServiceMessage } from "#actors/service/protocol.ts"
import { byAge } from "#actors/service/slot.ts"
import { address } from "#runtime/address.ts"
import type { Moment, Step } from "#runtime/behaviour.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"

type ServiceStep = Step<ServiceState, Propose>

interface Actor {
  state: ServiceState
  wakeAt: number | undefined
  ended: boolean
}

export class Stage {
  readonly book: Book
  readonly fresh = Fresh.from(7)
  readonly #actors = new Map<string, Actor>()
  /** Tasks that do not do what they are told. */
  readonly stubborn = new Set<string>()
  /** Commands written by service actors. */
  proposals = 0

  constructor(nodes: ReadonlyArray<string> = ["n1"], book = new Book()) {
    this.book = book
    if (this.book.tables.cluster() === undefined) this.book.cluster()
    for (const id of nodes) this.book.node(id)
  }

  get now(): number {
    return this.book.time
  }

  moment(id: string): Moment {
    return { now: this.now, fresh: this.fresh, self: address("leader", "service", id) }
  }

  service(id: string): Service {
    const service = this.book.tables.get("service", id)
    if (service === undefined) throw new Error(`no service ${id}`)
    return service
  }

  /** Creates a service and lets it come to rest. */
  create(id: string, spec: ServiceSpec = {}): this {
    this.book.service(id, spec)
    return this.converge()
  }

  /** Changes a service's spec, as an API client does; nobody looks yet. */
  update(id: string, change: (spec: ServiceSpec) => ServiceSpec): this {
    const service = this.service(id)
    this.book.must({
      type: "service.update",
      v: 1,
      id,
      version: service.Version.Index,
      spec: change(service.Spec)
    })
    return this
  }

  scale(id: string, replicas: number): this {
    return this.update(id, (spec) => ({ ...spec, Mode: { Replicated: { Replicas: replicas } } }))
  }

  node(
    id: string,
    change: { availability?: "active" | "pause" | "drain"; labels?: Record<string, string> }
  ): this {
    const node = this.book.tables.get("node", id)
    if (node === undefined) throw new Error(`no node ${id}`)
    const { availability, labels } = change
    this.book.must({
      type: "node.update",
      v: 1,
      id,
      version: node.Version.Index,
      spec: {
        ...node.Spec,
        ...(availability === undefined ? {} : { Availability: availability }),
        ...(labels === undefined ? {} : { Labels: labels })
      }
    })
    return this
  }

  nodeIs(id: string, state: "ready" | "down" | "unknown"): this {
    this.book.must({ type: "node.observe", v: 1, nodes: [{ id, status: { State: state } }] })
    return this
  }

  task(id: string): Task {
    const task = this.book.tables.get("task", id)
    if (task === undefined) throw new Error(`no task ${id}`)
    return task
  }

  /** All tasks of a service, by slot, then oldest first. */
  tasks(id: string): ReadonlyArray<Task> {
    return [...this.book.tables.tasksOfService(id)].sort(
      (a, b) => (a.Slot ?? 0) - (b.Slot ?? 0) || byAge(a, b)
    )
  }

  wanted(id: string): ReadonlyArray<Task> {
    return this.tasks(id).filter(isWanted)
  }

  running(id: string): ReadonlyArray<Task> {
    return this.tasks(id).filter((task) => task.Status.State === "running" && isWanted(task))
  }

  desired(id: string): ReadonlyArray<TaskState> {
    return this.tasks(id).map((task) => task.DesiredState)
  }

  /** The task's node says how far it has come. */
  report(id: string, state: TaskState, extra: Partial<Task["Status"]> = {}): this {
    const task = this.task(id)
    this.book.must({
      type: "tasks.report",
      v: 1,
      node: task.NodeID ?? "",
      statuses: [{ id, status: { Timestamp: toIso(this.now), State: state, ...extra } }]
    })
    return this
  }

  /** One look of one service's actor, and what it leads to. Returns the commands it wrote. */
  look(id: string): number {
    const before = this.proposals
    const known = this.#actors.get(id)
    if (known?.ended) return 0
    const step =
      known === undefined ? start({ ledger: this.book.tables }, this.moment(id)) : this.#tell(id, look)
    this.#follow(id, step)
    return this.proposals - before
  }

  /** The actor's memory is lost, as when another manager begins to lead. */
  forget(id: string): this {
    this.#actors.delete(id)
    return this
  }

  #tell(id: string, message: ServiceMessage): ServiceStep {
    const actor = this.#actors.get(id)
    if (actor === undefined) throw new Error(`no actor ${id}`)
    return decide(actor.state, message, this.moment(id))
  }

  #follow(id: string, first: ServiceStep): void {
    let step = first
    for (let turns = 0; ; turns++) {
      if (turns > 200) throw new Error(`service ${id} does not come to rest`)
      const actor: Actor = { state: step.state, wakeAt: undefined, ended: step.ends === true }
      this.#actors.set(id, actor)
      let asked: Propose | undefined
      for (const action of step.actions) {
        if (action._tag === "Propose") asked = action
        else if (action._tag === "Later") actor.wakeAt = this.now + action.afterMs
      }
      if (asked === undefined) return
      step = this.#tell(id, { _tag: "Proposed", why: asked.why, outcome: this.#write(asked) })
    }
  }

  #write({ commands }: Propose): WriteOutcome {
    let outcome: WriteOutcome = { _tag: "Applied", applied: { index: this.book.tables.index } }
    for (const command of commands) {
      this.proposals += 1
      const result = this.book.write(command)
      outcome = result
      if (result._tag === "Refused") break
    }
    return outcome
  }

  /** Every service looks once. */
  lookAll(): number {
    let written = 0
    const ids = new Set([...this.#actors.keys(), ...[...this.book.tables.all("service")].map(({ ID }) => ID)])
    for (const id of ids) written += this.look(id)
    return written
  }

  /** The allocator and the scheduler do their work. */
  place(): number {
    let written = 0
    const { tables } = this.book
    for (;;) {
      const commands = [...allot(tables)]
      const update = place(tables, { now: this.now, failures: new Failures(this.now) })
      if (update.length > 0) commands.push({ type: "tasks.change", v: 1, create: [], update, remove: [] })
      if (commands.length === 0) return written
      for (const command of commands) this.book.must(command)
      written += commands.length
    }
  }

  /** Every node brings every task as far as it is wanted. */
  work(): number {
    let reports = 0
    for (const task of [...this.book.tables.all("task")]) {
      const node = this.book.tables.get("node", task.NodeID ?? "")
      const { State } = task.Status
      if (node === undefined || node.Status.State !== "ready" || this.stubborn.has(task.ID)) continue
      if (isBefore(State, "assigned") || isTerminal(State)) continue
      const goal = isWanted(task) ? task.DesiredState : "shutdown"
      if (!isBefore(State, goal)) continue
      this.report(task.ID, goal, goal === "running" ? this.#opened(task) : {})
      reports += 1
    }
    return reports
  }

  /** Nodes say which ports a task's container has opened there. */
  #opened({ ServiceID }: Task): Partial<Task["Status"]> {
    const ports = this.book.tables.get("service", ServiceID)?.Spec.EndpointSpec?.Ports ?? []
    const Ports = ports.filter((port) => port.PublishMode === "host" && (port.PublishedPort ?? 0) !== 0)
    return Ports.length === 0 ? {} : { PortStatus: { Ports } }
  }

  /** Lets everyone act until nobody has anything left to do at this time. */
  converge(): this {
    for (let rounds = 0; rounds < 200; rounds++) {
      if (this.lookAll() + this.place() + this.work() === 0) return this
    }
    throw new Error("the stage does not come to rest")
  }

  /** Sets the leader's clock ahead, or back; timers go on as they were. */
  setClock(byMs: number): this {
    this.book.time += byMs
    for (const actor of this.#actors.values()) if (actor.wakeAt !== undefined) actor.wakeAt += byMs
    return this
  }

  /** Lets time go by, with every actor woken when it asked to be, and everyone acting in between. */
  pass(ms: number): this {
    const until = this.now + ms
    this.converge()
    for (;;) {
      let next = until
      for (const { wakeAt } of this.#actors.values()) if (wakeAt !== undefined) next = Math.min(next, wakeAt)
      this.book.time = Math.max(this.now, next)
      this.converge()
      if (this.now >= until) return this
      // A timer that fired and changed nothing must not hold the clock.
      this.book.time += 1
    }
  }
}

export const seconds = (count: number): number => count * 1_000_000_000

/** A job of that mode, which nobody has looked at yet. */
export function addJob(stage: Stage, Mode: NonNullable<ServiceSpec["Mode"]>, policy: RestartPolicy): Stage {
  stage.book.must({
    type: "service.create",
    v: 1,
    service: {
      ID: "job",
      SpecVersion: 1,
      Spec: { Name: "job", Mode, TaskTemplate: { RestartPolicy: policy } },
      JobStatus: { JobIteration: { Index: 0 } }
    }
  })
  return stage
}

/** A replicated job, looked at once. */
export function job(
  stage: Stage,
  MaxConcurrent: number,
  TotalCompletions: number,
  policy: RestartPolicy = { Delay: 0 }
): Stage {
  addJob(stage, { ReplicatedJob: { MaxConcurrent, TotalCompletions } }, policy).look("job")
  return stage
}
