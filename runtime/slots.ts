/**
 * The places in a running tree where actors stand: one actor, or any number of one kind.
 *
 * A place knows how to start, stop and describe what stands there. What to do about an end is its owner's business.
 */
import { Duration } from "effect"
import type { AnyActor } from "#runtime/actor.ts"
import { showAddress } from "#runtime/address.ts"
import { Cell, type CellEvents, type CellKind, type CellWorld, describeError } from "#runtime/cell.ts"
import type { Fresh } from "#runtime/ids.ts"
import { cleanHistory, type History, judge, type Rules } from "#runtime/judge.ts"
import { Mailbox } from "#runtime/mailbox.ts"
import type { Registry } from "#runtime/registry.ts"
import { type Restart, type StopWithin, stopWithinMs, type Tolerance } from "#runtime/supervisor.ts"
import { type Order, type OrderOutcome, TreeFailed, type TreeNode } from "#runtime/system.ts"

/** What happens in a tree that people may want to hear of. */
export type TreeEvent =
  | {
      readonly _tag: "Crashed"
      readonly name: string
      readonly error: unknown
      readonly restartInMs: number | undefined
    }
  | { readonly _tag: "GaveUp"; readonly name: string; readonly error: TreeFailed }
  /** An error that reached nobody. `name` is the actor whose work it came from, when it is known but lives no more. */
  | { readonly _tag: "Stray"; readonly name: string | undefined; readonly error: unknown }

/** The event in one line. */
export function describeEvent(event: TreeEvent): string {
  if (event._tag === "GaveUp") return describeError(event.error)
  if (event._tag === "Stray") {
    const owner = event.name === undefined ? "nobody known" : event.name
    return `An error of ${owner} reached nobody: ${describeError(event.error)}`
  }
  const next = event.restartInMs === undefined ? "" : `; it starts again in ${event.restartInMs} ms`
  return `${event.name} crashed: ${describeError(event.error)}${next}`
}

/** What every place in one tree shares. */
export interface TreeWorld {
  readonly home: string
  readonly cell: CellWorld
  readonly registry: Registry
  /** The source of every actor's own source of ids. */
  readonly fresh: Fresh
  readonly report: (event: TreeEvent) => void
}

/** What a place tells its owner. `started` and `crashed` may come while `start` is still being called. */
export interface SlotEvents {
  readonly started: () => void
  readonly crashed: (error: unknown) => void
  readonly ended: () => void
}

export interface Slot {
  readonly name: string
  readonly restart: Restart
  /** Calls `started` once everything in it runs, or `crashed`. */
  readonly start: () => void
  /** What waits in inboxes is kept for the next start. */
  readonly stop: (stopped: () => void) => void
  /** Gives up the addresses for good; only after it has stopped or ended. */
  readonly release: (reason: string) => void
  /** `waiting` is true between two lives. */
  readonly snapshot: (waiting: boolean, restarts: number) => TreeNode
  /** Ends what runs here as a crash would, for this reason; nothing when it does not run. */
  readonly crash: (reason: string) => void
  /** What people may handle below it: a child of its own, by its name. */
  readonly child?: (name: string) => ChildHandle | undefined
  /** The same anywhere below it. */
  readonly find?: (name: string) => ChildHandle | undefined
}

/** One child as people handle it. */
export interface ChildHandle {
  readonly slot: Slot
  readonly snapshot: () => TreeNode
  /** What came of the order; undefined when it takes its time, and `stopped` will be called. */
  readonly order: (order: Order, stopped: () => void) => OrderOutcome | undefined
}

/** Finds the group that a `Spawn` or `Dismiss` from one place in the tree is meant for. */
export type FindGroup = (kind: string) => GroupSlot | undefined

/** What actors that stand in one place share. */
export interface ActorPlace extends CellKind {
  readonly tree: TreeWorld
  readonly restart: Restart
}

export const actorPlace = (
  tree: TreeWorld,
  spec: {
    readonly definition: AnyActor
    readonly restart: Restart
    readonly stopWithin: StopWithin
  },
  findGroup: FindGroup
): ActorPlace => ({
  tree,
  definition: spec.definition,
  restart: spec.restart,
  stopWithinMs: stopWithinMs(spec.stopWithin),
  fresh: tree.fresh.fork(),
  world: tree.cell,
  stats: tree.cell.stats(spec.definition.kind),
  untouched: new Mailbox(spec.definition.mailbox),
  findGroup
})

/** A place of one actor, which hears its cell's news itself: one object, because a group may have 100,000 of them. */
abstract class ActorSlot<Place extends ActorPlace = ActorPlace> implements Slot, CellEvents {
  props: unknown
  protected readonly place: Place
  #cell: Cell
  #registered = false

  constructor(place: Place, id: string, props: unknown) {
    this.props = props
    this.place = place
    this.#cell = new Cell(place, { home: place.tree.home, kind: place.definition.kind, id }, this)
  }

  get name(): string {
    const { kind, id } = this.#cell.self
    return `${kind}/${id}`
  }

  get id(): string {
    return this.#cell.self.id
  }

  get restart(): Restart {
    return this.place.restart
  }

  abstract started(): void
  abstract crashed(error: unknown): void
  abstract ended(): void

  start(): void {
    if (!this.#registered) {
      try {
        if (this.#cell.status === "closed") this.#cell = new Cell(this.place, this.#cell.self, this)
        this.place.tree.registry.add(this.#cell)
        this.#registered = true
      } catch (error) {
        this.crashed(error)
        return
      }
    }
    this.#cell.start(this.props)
    if (this.#cell.status === "running") this.started()
  }

  stop(stopped: () => void): void {
    this.#cell.stop(stopped)
  }

  release(reason: string): void {
    if (!this.#registered) return
    this.#registered = false
    this.#cell.close(reason)
    this.place.tree.registry.remove(this.#cell, reason)
  }

  crash(reason: string): void {
    if (this.#cell.status === "running") this.#cell.crashSoon(new Error(reason))
  }

  snapshot(waiting: boolean, restarts: number): TreeNode {
    const cell = this.#cell
    const { mailbox } = cell
    const summary = cell.summary()
    const oldestAt = mailbox.oldestAt
    return {
      name: this.name,
      kind: "actor",
      address: cell.self,
      state: waiting ? "restarting" : stateOf(cell),
      ...(summary !== undefined && { summary }),
      depth: mailbox.depth,
      ...(oldestAt !== undefined && { oldestMs: this.place.world.host.now() - oldestAt }),
      handled: cell.handled,
      performing: cell.performing,
      restarts,
      ...cell.lastCrash,
      ...(cell.handled > 0 && {
        decideMicros: {
          mean: round(cell.decide.sumMicros / Math.max(1, cell.decide.count)),
          max: round(cell.decide.maxMicros),
          p99: round(cell.decide.quantile(0.99))
        }
      }),
      children: []
    }
  }
}

/** One actor that stands in the tree by itself. */
export class SingleSlot extends ActorSlot {
  readonly #events: SlotEvents

  constructor(place: ActorPlace, id: string, props: unknown, events: SlotEvents) {
    super(place, id, props)
    this.#events = events
  }

  override started(): void {
    this.#events.started()
  }

  override crashed(error: unknown): void {
    this.#events.crashed(error)
  }

  override ended(): void {
    this.#events.ended()
  }
}

/** One actor of a group, with what its group remembers of it. */
class Member extends ActorSlot<GroupPlace> {
  status: "idle" | "running" | "waiting" | "stopping" | "ended" = "idle"
  history: History = cleanHistory
  restarts = 0
  upSince = Number.POSITIVE_INFINITY
  cancelWait: (() => void) | undefined
  /** It is to be gone for good once it has stopped. */
  dismissed = false
  /** It was asked for again while it was being dismissed. */
  again: { readonly props: unknown } | undefined

  override started(): void {
    this.place.members.started(this)
  }

  override crashed(error: unknown): void {
    this.place.members.ended(this, { error })
  }

  override ended(): void {
    this.place.members.ended(this, undefined)
  }
}

/** What the members of one group share. */
interface GroupPlace extends ActorPlace {
  readonly members: GroupEvents
}

/** What members tell their group. */
interface GroupEvents {
  readonly started: (member: Member) => void
  readonly ended: (member: Member, crash: { readonly error: unknown } | undefined) => void
}

/**
 * Any number of actors of one kind, each judged on its own; one that crashes more often than tolerated crashes the
 * group. A group that restarts starts the same actors again.
 */
export class GroupSlot implements Slot {
  readonly name: string
  readonly kind: string
  readonly restart: Restart = "permanent"
  readonly #world: TreeWorld
  readonly #place: GroupPlace
  readonly #rules: Rules
  readonly #events: SlotEvents
  readonly #members = new Map<string, Member>()
  /** Who waits for a member that is being stopped by hand. */
  readonly #stops = new Map<string, Array<() => void>>()
  /** How many members are on their way down: looking through all of them after each would not end with 100,000. */
  #stopping = 0
  #status: "idle" | "running" | "stopping" = "idle"
  #whenStopped: (() => void) | undefined
  #lastError: string | undefined

  constructor(
    world: TreeWorld,
    spec: {
      readonly definition: AnyActor
      readonly restart: Restart
      readonly stopWithin: StopWithin
      readonly tolerates: Tolerance
    },
    events: SlotEvents,
    findGroup: FindGroup
  ) {
    this.#world = world
    const members: GroupEvents = {
      started: (member) => {
        member.upSince = world.cell.host.monotonic()
      },
      ended: (member, crash) => this.#onEnd(member, crash)
    }
    this.#place = { ...actorPlace(world, spec, findGroup), members }
    this.kind = spec.definition.kind
    this.name = `many ${spec.definition.kind}`
    this.#rules = {
      strategy: "one-for-one",
      crashes: spec.tolerates.crashes,
      withinMs: Duration.toMillis(spec.tolerates.within),
      restarts: [spec.restart]
    }
    this.#events = events
  }

  start(): void {
    this.#status = "running"
    for (const member of this.#members.values()) {
      // With a clean slate, or the one that brought the group down would do so again at once.
      member.history = cleanHistory
      this.#startMember(member)
      // One that could not even start may have been the one too many.
      if (this.#status !== "running") return
    }
    this.#events.started()
  }

  stop(stopped: () => void): void {
    this.#status = "stopping"
    // Only once all have been asked: one that is down already must not speak for those that still run.
    this.#whenStopped = undefined
    for (const member of [...this.#members.values()]) this.#stopMember(member)
    this.#whenStopped = stopped
    this.#checkStopped()
  }

  release(reason: string): void {
    // They are remembered: a group that was stopped by hand starts the same actors again.
    for (const member of this.#members.values()) member.release(reason)
  }

  crash(reason: string): void {
    if (this.#status === "running") this.#fail(new Error(reason))
  }

  child(name: string): ChildHandle | undefined {
    const id = name.startsWith(`${this.kind}/`) ? name.slice(this.kind.length + 1) : ""
    const member = this.#members.get(id)
    return (
      member && {
        slot: member,
        snapshot: () => member.snapshot(member.status === "waiting", member.restarts),
        order: (order, stopped) => this.#order(member, order, stopped)
      }
    )
  }

  find(name: string): ChildHandle | undefined {
    return this.child(name)
  }

  /** Starts the actor, or keeps it for when the group starts. One that runs takes the props for its next life. */
  spawn(id: string, props: unknown): void {
    const present = this.#members.get(id)
    if (present) {
      if (present.dismissed) present.again = { props }
      else present.props = props
      return
    }
    const member = new Member(this.#place, id, props)
    this.#members.set(id, member)
    if (this.#status === "running") this.#startMember(member)
  }

  /** Ends the actor for good; nothing when it is not there. */
  dismiss(id: string): void {
    const member = this.#members.get(id)
    if (!member) return
    member.again = undefined
    if (member.dismissed) return
    member.dismissed = true
    this.#stopMember(member)
  }

  snapshot(waiting: boolean, restarts: number): TreeNode {
    return {
      name: this.name,
      kind: "supervisor",
      state: waiting ? "restarting" : this.#status === "idle" ? "stopped" : this.#status,
      summary: String(this.#members.size),
      restarts,
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
      children: [...this.#members.values()].map((member) =>
        member.snapshot(member.status === "waiting", member.restarts)
      )
    }
  }

  #order(member: Member, order: Order, stopped: () => void): OrderOutcome | undefined {
    const { id } = member
    if (this.#members.get(id) !== member) return "not-found"
    if (this.#status !== "running") return "supervisor-down"
    if (order === "stop") {
      const others = this.#stops.get(id)
      if (others) others.push(stopped)
      else this.#stops.set(id, [stopped])
      this.#stopMember(member)
      return undefined
    }
    if (member.status === "stopping") return order === "restart" ? "stopping" : "running"
    if (order === "restart") {
      if (member.status === "running") member.crash(byHand)
      else this.#startMember(member)
      return "done"
    }
    if (member.status !== "idle") return member.status === "waiting" ? "restarting" : "running"
    if (order === "start") this.#startMember(member)
    else this.#members.delete(id)
    return "done"
  }

  #startMember(member: Member): void {
    member.cancelWait?.()
    member.cancelWait = undefined
    if (member.dismissed || member.status === "running") return
    member.status = "running"
    member.upSince = Number.POSITIVE_INFINITY
    member.start()
  }

  #stopMember(member: Member): void {
    if (member.status === "stopping") return
    member.cancelWait?.()
    member.cancelWait = undefined
    if (member.status === "idle" || member.status === "waiting") {
      this.#memberStopped(member)
      return
    }
    member.status = "stopping"
    this.#stopping++
    member.stop(() => this.#memberStopped(member))
  }

  #memberStopped(member: Member): void {
    const { id } = member
    if (member.status === "stopping") this.#stopping--
    member.status = "idle"
    if (member.dismissed) {
      member.release("it was dismissed")
      this.#members.delete(id)
      if (member.again) this.spawn(id, member.again.props)
    } else if (this.#rules.restarts[0] === "temporary") {
      member.release("it was stopped")
      this.#members.delete(id)
    }
    const stops = this.#stops.get(id)
    if (stops) {
      this.#stops.delete(id)
      member.release(stoppedByHand)
      for (const told of stops) told()
    }
    this.#checkStopped()
  }

  #checkStopped(): void {
    const stopped = this.#whenStopped
    if (this.#status !== "stopping" || !stopped || this.#stopping > 0) return
    this.#whenStopped = undefined
    this.#status = "idle"
    stopped()
  }

  #onEnd(member: Member, crash: { readonly error: unknown } | undefined): void {
    const { id } = member
    const { host } = this.#world.cell
    const now = host.monotonic()
    member.status = "ended"
    const [verdict, history] = judge(member.history, this.#rules, {
      child: 0,
      crashed: crash !== undefined,
      now,
      aliveMs: Math.max(0, now - member.upSince),
      chance: host.random()
    })
    member.history = history
    const restartInMs = verdict._tag === "Restart" ? verdict.afterMs : undefined
    if (crash) {
      this.#world.report({ _tag: "Crashed", name: this.#show(id), error: crash.error, restartInMs })
    }
    if (verdict._tag === "Leave") {
      member.release(crash ? `it crashed: ${describeError(crash.error)}` : "it ended")
      this.#members.delete(id)
      return
    }
    member.restarts++
    if (verdict._tag === "Restart") {
      member.status = "waiting"
      member.cancelWait = host.after(verdict.afterMs, () => this.#startMember(member))
      return
    }
    member.status = "idle"
    this.#fail(gaveUp(this.name, verdict.crashes, this.#rules.withinMs, this.#show(id), crash?.error))
  }

  #fail(error: Error): void {
    this.#lastError = describeError(error)
    this.stop(() => this.#events.crashed(error))
  }

  #show(id: string): string {
    return showAddress({ home: this.#world.home, kind: this.kind, id })
  }
}

/** Why something was restarted that nothing was wrong with. */
export const byHand = "restarted by hand"
export const stoppedByHand = "it was stopped by hand"

/** Why a supervisor gave up, with the end that was one too many as its cause. */
export function gaveUp(
  name: string,
  crashes: number,
  withinMs: number,
  child: string,
  cause: unknown
): TreeFailed {
  const message = `${name} gave up after ${crashes} crashes of its children within ${withinMs} ms, the last of ${child}`
  return new TreeFailed(message, cause === undefined ? undefined : { cause })
}

function stateOf(cell: Cell): TreeNode["state"] {
  switch (cell.status) {
    case "idle":
    case "closed":
      return "stopped"
    default:
      return cell.status
  }
}

const round = (micros: number): number => Math.round(micros * 10) / 10
