/**
 * The leader's whole tree on imitated time: the real runtime and decisions over the real tables, a log that takes
 * a millisecond, and nodes that hold a session and do what they are told.
 */

import type { Schema } from "effect"
import type { AlertsAction, AlertsMessage } from "#actors/alerts/protocol.ts"
import type { KeymasterAction, KeymasterMessage } from "#actors/authority/keymaster/protocol.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import type { WriteOutcome } from "#actors/ledger/service.ts"
import { type Propose, type Proposed, propose } from "#actors/ledger/writer.ts"
import type { FeedMessage } from "#actors/manager/feed.ts"
import type { MembersAction } from "#actors/manager/members/actor.ts"
import { leaderTree } from "#actors/manager/tree.ts"
import type { TaskState } from "#actors/model/objects.ts"
import { isBefore, isTerminal } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import type { AssignedTask, FromLeader, FromNode, ToNodeAnswer } from "#actors/node/protocol.ts"
import { FromLeader as FromLeaderSchema } from "#actors/node/protocol.ts"
import { aloneAs } from "#actors/raft/protocol.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { type LocalSystem, makeSystem, type TreeHandle } from "#runtime/live.ts"
import type { Performer } from "#runtime/performer.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus, type MemoryTransport } from "#runtime/transport/memory.ts"
import { Book } from "#test/support/ledger.ts"

type Assign = Extract<FromLeader, { _tag: "Assign" }>
type Asked = Extract<FromNode, { _tag: "Register" | "Heartbeat" | "Report" }>

export class LeaderWorld {
  readonly host = new VirtualHost(11)
  readonly bus = new MemoryBus(this.host)
  readonly book = new Book()
  readonly system: LocalSystem
  readonly crashes: Array<string> = []
  /** Proposals are answered with this instead of being applied. */
  answer: WriteOutcome | undefined
  /** Proposals are applied, but nobody is told. */
  forgetful = false
  /** How many `Propose` actions each kind of actor asked for. */
  readonly proposals = new Map<string, number>()
  readonly #followers = new Set<(set: ChangeSet) => void>()
  #tree: TreeHandle | undefined
  #claim: { readonly release: () => void } | undefined
  readonly nodes = new Map<string, FakeNode>()

  constructor(ids: ReadonlyArray<string> = ["n1"]) {
    this.book.time = this.host.now()
    this.book.cluster()
    // The founder runs no node here: a ready one that never beats would count among the silent.
    this.book.must({
      type: "node.observe",
      v: 1,
      nodes: [{ id: "manager", status: { State: "unknown" } }]
    })
    for (const id of ids) this.book.node(id, { Status: { State: "unknown" } })
    this.book.changes()
    this.system = makeSystem({
      cluster: "c1",
      nodeId: "manager",
      host: this.host,
      transport: this.bus.connect("manager"),
      report: (event) => {
        if (event._tag === "Crashed") this.crashes.push(`${event.name}: ${String(event.error)}`)
      }
    })
  }

  get ledger(): LedgerReader {
    return this.book.tables
  }

  /** Begins to lead, as the manager that Raft chose. */
  lead(term = 1): this {
    this.#claim = this.system.claim("leader", { term })
    const spec = leaderTree({
      ledger: this.ledger,
      term,
      clusterId: "c1",
      nodeId: "manager",
      raftId: "manager"
    })
    this.#tree = this.system.startTree(spec, "leader", { performer: this.#performer })
    this.host.settle()
    return this
  }

  /** Leads no longer; the next leader knows nothing but the ledger. */
  stepDown(): this {
    let gone = false
    this.#tree?.stop(() => {
      gone = true
    })
    this.host.runUntil(() => gone, 10_000)
    this.#claim?.release()
    return this
  }

  /** A node that runs and speaks. */
  join(id: string): FakeNode {
    const node = new FakeNode(this, id)
    this.nodes.set(id, node)
    node.register()
    this.host.advance(20)
    return node
  }

  /** Someone else writes, as the gateway does. */
  write(command: Parameters<Book["must"]>[0]): void {
    this.book.time = Math.max(this.book.time, this.host.now())
    this.book.must(command)
    this.#announce()
  }

  running(serviceId: string): number {
    let running = 0
    for (const task of this.ledger.tasksOfService(serviceId)) {
      if (task.Status.State === "running" && task.DesiredState === "running") running += 1
    }
    return running
  }

  /** Lets time pass until `holds`; throws when it does not come to hold. */
  until(what: string, holds: () => boolean, withinMs = 30_000): number {
    const began = this.host.now()
    if (!this.host.runUntil(holds, withinMs)) throw new Error(`not within ${withinMs} ms: ${what}`)
    return this.host.now() - began
  }

  readonly #performer: Performer = {
    perform: (definition, action, self, done) => {
      const asked = action as
        | Propose
        | MembersAction
        | KeymasterAction
        | AlertsAction
        | { readonly _tag: "Follow" }
      if (asked._tag === "Propose") {
        this.proposals.set(definition.kind, (this.proposals.get(definition.kind) ?? 0) + 1)
        const cancel = this.host.after(1, () => {
          const proposed: Proposed = { _tag: "Proposed", why: asked.why, outcome: this.#carryOut(asked) }
          if (!this.forgetful) done({ messages: [proposed] })
        })
        return {
          interrupt: () => {
            cancel()
            done({ messages: [] })
          }
        }
      }
      if (asked._tag === "View") {
        done({ messages: [{ _tag: "GroupSeen", group: aloneAs("manager").view() }] })
        return { interrupt: () => {} }
      }
      if (asked._tag === "Gather" || asked._tag === "Notify") {
        const gathered: AlertsMessage = { _tag: "Gathered", facts: { disks: [] } }
        done({ messages: asked._tag === "Gather" ? [gathered] : [] })
        return { interrupt: () => {} }
      }
      if (asked._tag === "Note") {
        const { commands, notices } = asked
        const isWritten = this.#carryOut(propose("alerts", commands))._tag === "Applied"
        done({ messages: [{ _tag: "Noted", isWritten, notices } satisfies AlertsMessage] })
        return { interrupt: () => {} }
      }
      if (asked._tag === "Look") {
        // A cluster without certificates.
        done({ messages: [{ _tag: "Looked" } satisfies KeymasterMessage] })
        return { interrupt: () => {} }
      }
      const say = (message: FeedMessage): void => this.system.tell(self, message)
      const follower = (set: ChangeSet): void => say({ _tag: "Happened", set })
      this.#followers.add(follower)
      say({ _tag: "Following" })
      return {
        interrupt: () => {
          this.#followers.delete(follower)
          done({ messages: [] })
        }
      }
    }
  }

  #carryOut({ commands }: Propose): WriteOutcome {
    if (this.answer !== undefined) return this.answer
    let outcome: WriteOutcome = { _tag: "Applied", applied: { index: this.ledger.index } }
    for (const command of commands) {
      this.book.time = Math.max(this.book.time, this.host.now())
      outcome = this.book.write(command)
      this.#announce()
      if (outcome._tag === "Refused") break
    }
    return outcome
  }

  #announce(): void {
    const set = this.book.changes()
    if (set.changes.length > 0) for (const follower of [...this.#followers]) follower(set)
  }
}

/** A node without an Engine: it registers, beats, and reports every task to be as far as it is wanted. */
export class FakeNode {
  readonly id: string
  readonly assigns: Array<Assign> = []
  readonly tasks = new Map<string, { task: AssignedTask; state: TaskState }>()
  session = ""
  applied = 0
  /** Does what it is told; otherwise only listens. */
  works = true
  /** Assignments that are lost on their way. */
  deaf = false
  readonly #world: LeaderWorld
  readonly #system: LocalSystem
  readonly transport: MemoryTransport
  #beating: (() => void) | undefined

  constructor(world: LeaderWorld, id: string) {
    this.#world = world
    this.id = id
    this.transport = world.bus.connect(id)
    this.#system = makeSystem({ cluster: "c1", nodeId: id, host: world.host, transport: this.transport })
    const session = actor<undefined, null, Assign, never>({
      kind: "session",
      accepts: FromLeaderSchema as Schema.Codec<FromLeader, unknown> as Schema.Codec<Assign, unknown>,
      start: () => stay(null),
      decide: (state, message) => {
        this.#take(message)
        return stay(state)
      }
    })
    this.#system.startTree(supervisor({ name: "node", children: [permanent(session)] }), id)
    world.host.settle()
  }

  ask(message: Asked, answered: (answer: ToNodeAnswer) => void = () => {}): void {
    this.#system.askThen(address("leader", "node", this.id), message, 2_000, (outcome) => {
      if (outcome._tag === "Answer") answered(outcome.value as ToNodeAnswer)
    })
  }

  say(message: Extract<FromNode, { _tag: "Used" | "Requests" | "Waiting" }>): void {
    this.#system.tell(address("leader", "node", this.id), message)
  }

  register(): void {
    const node = this.#world.ledger.get("node", this.id)
    if (node?.Description === undefined) throw new Error(`no node ${this.id}`)
    const description = node.Description
    this.ask({ _tag: "Register", boot: "b1", description, addr: "192.168.0.1" }, (answer) => {
      if (answer._tag !== "Registered") return
      this.session = answer.session
      this.applied = 0
      for (const assign of this.assigns.splice(0)) this.#take(assign)
      this.#beatIn(answer.heartbeatMs)
    })
  }

  #beatIn(ms: number): void {
    this.#beating?.()
    this.#beating = this.#world.host.after(ms, () => {
      this.#beatIn(ms)
      this.beat()
    })
  }

  beat(): void {
    this.ask({ _tag: "Heartbeat", session: this.session, applied: this.applied }, (answer) => {
      if (answer._tag === "SessionInvalid") this.register()
    })
  }

  /** The machine is gone: nothing is said any more. */
  die(): void {
    this.#beating?.()
    this.transport.disconnect()
  }

  revive(): void {
    this.transport.reconnect()
    this.register()
  }

  /** A task's container ends. */
  end(taskId: string, state: "failed" | "complete"): void {
    const held = this.tasks.get(taskId)
    if (held === undefined) throw new Error(`node ${this.id} has no task ${taskId}`)
    held.state = state
    this.report([[taskId, state]])
  }

  report(
    statuses: ReadonlyArray<readonly [string, TaskState]>,
    answered?: (answer: ToNodeAnswer) => void
  ): void {
    const Timestamp = toIso(this.#world.host.now())
    this.ask(
      {
        _tag: "Report",
        session: this.session,
        statuses: statuses.map(([id, State]) => ({ id, status: { Timestamp, State } }))
      },
      answered
    )
  }

  #take(assign: Assign): void {
    if (this.deaf) return
    this.assigns.push(assign)
    if (assign.session !== this.session) return
    if (!assign.complete && assign.seq !== this.applied + 1) return
    this.applied = assign.seq
    if (assign.complete) {
      const named = new Set(assign.tasks.map(({ id }) => id))
      for (const id of [...this.tasks.keys()]) if (!named.has(id)) this.tasks.delete(id)
    }
    for (const id of assign.removed) this.tasks.delete(id)
    const changed: Array<readonly [string, TaskState]> = []
    for (const task of assign.tasks) {
      const state = this.tasks.get(task.id)?.state ?? task.state
      const held = { task, state }
      this.tasks.set(task.id, held)
      const goal: TaskState = isBefore("complete", task.desired) ? "shutdown" : task.desired
      if (!this.works || isTerminal(state) || !isBefore(state, goal)) continue
      held.state = goal
      changed.push([task.id, goal])
    }
    if (changed.length > 0) this.#world.host.after(1, () => this.report(changed))
  }
}
