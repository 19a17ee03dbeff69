/**
 * Runs a supervision spec: starts top to bottom, stops bottom to top, and carries out what the judge says.
 *
 * Everything that happens sets marks on the children (to be stopped, to be started) and then `#pump` takes the next
 * steps that the marks allow; so restarts that overlap need no case of their own.
 */
import { Duration } from "effect"
import { describeError } from "#runtime/cell.ts"
import { cleanHistory, type History, judge, type Rules } from "#runtime/judge.ts"
import {
  actorPlace,
  byHand,
  type ChildHandle,
  GroupSlot,
  gaveUp,
  SingleSlot,
  type Slot,
  type SlotEvents,
  stoppedByHand,
  type TreeWorld
} from "#runtime/slots.ts"
import type { ChildSpec, Restart, SupervisorSpec } from "#runtime/supervisor.ts"
import { type Order, type OrderOutcome, TreeFailed, type TreeNode } from "#runtime/system.ts"

interface Child {
  readonly slot: Slot
  readonly significant: boolean
  /** `done`: ended, as its restart rule wants, or stopped by hand; starts again only with siblings or by hand. */
  status: "down" | "starting" | "up" | "stopping" | "done"
  wantStop: boolean
  wantStart: boolean
  /** Starts only after every child above it is up: at the first start, and when restarted together with those. */
  ordered: boolean
  /** Unknown to its supervisor until that starts anew from its spec: as OTP does with what is temporary. */
  deleted: boolean
  /** Who waits for it to be stopped by hand. */
  readonly stops: Array<() => void>
  cancelWait: (() => void) | undefined
  upSince: number
  restarts: number
}

/** A running supervisor. */
export class Branch implements Slot {
  readonly name: string
  readonly restart: Restart
  readonly #world: TreeWorld
  readonly #spec: SupervisorSpec
  readonly #rules: Rules
  readonly #events: SlotEvents
  readonly #parent: Branch | undefined
  readonly #children: ReadonlyArray<Child>
  /** Two ways down by itself: `ending` with its significant children, `failing` when it gives up. */
  #phase: "idle" | "starting" | "running" | "stopping" | "ending" | "failing" = "idle"
  #history: History = cleanHistory
  #whenDown: (() => void) | undefined
  #pumping = false
  #pumpAgain = false
  #lastError: string | undefined

  constructor(
    world: TreeWorld,
    spec: SupervisorSpec,
    restart: Restart,
    events: SlotEvents,
    parent?: Branch | undefined
  ) {
    this.name = spec.name
    this.restart = restart
    this.#world = world
    this.#spec = spec
    this.#events = events
    this.#parent = parent
    this.#children = spec.children.map((child, place) => this.#place(child, place))
    this.#rules = {
      strategy: spec.strategy,
      crashes: spec.tolerates.crashes,
      withinMs: Duration.toMillis(spec.tolerates.within),
      restarts: this.#children.map((child) => child.slot.restart),
      autoShutdown: spec.autoShutdown,
      significant: this.#children.map((child) => child.significant)
    }
  }

  get home(): string {
    return this.#world.home
  }

  start(): void {
    this.#phase = "starting"
    this.#history = cleanHistory
    for (const child of this.#children) {
      child.status = "down"
      child.wantStart = true
      child.wantStop = false
      child.ordered = true
      child.deleted = false
    }
    this.#pump()
  }

  stop(stopped: () => void): void {
    this.#phase = "stopping"
    this.#bringDown(stopped)
  }

  release(reason: string): void {
    for (let place = this.#children.length - 1; place >= 0; place--)
      this.#children[place]?.slot.release(reason)
  }

  crash(reason: string): void {
    if (this.#isAlive()) this.#fail(new Error(reason))
  }

  /** Stops all of it and starts it again from its spec. False when it is not running. */
  renew(): boolean {
    if (!this.#isAlive()) return false
    this.stop(() => this.start())
    return true
  }

  child(name: string): ChildHandle | undefined {
    const child = this.#children.find(({ slot, deleted }) => !deleted && slot.name === name)
    return (
      child && {
        slot: child.slot,
        snapshot: () => child.slot.snapshot(child.cancelWait !== undefined, child.restarts),
        order: (order, stopped) => this.#order(child, order, stopped)
      }
    )
  }

  find(name: string): ChildHandle | undefined {
    const own = this.child(name)
    if (own) return own
    for (const { slot, deleted } of this.#children) {
      const found = deleted ? undefined : slot.find?.(name)
      if (found) return found
    }
    return undefined
  }

  snapshot(waiting = false, restarts = 0): TreeNode {
    const state = {
      idle: "stopped",
      starting: "starting",
      running: "running",
      stopping: "stopping",
      ending: "stopping",
      failing: "failed"
    } as const
    return {
      name: this.name,
      kind: "supervisor",
      state: waiting ? "restarting" : state[this.#phase],
      summary: this.#spec.strategy,
      restarts,
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
      children: this.#children
        .filter((child) => !child.deleted)
        .map((child) => child.slot.snapshot(child.cancelWait !== undefined, child.restarts))
    }
  }

  /** The nearest group of a kind as seen from here: own children first, then those of the supervisors above. */
  findGroup(kind: string): GroupSlot | undefined {
    for (const { slot } of this.#children) if (slot instanceof GroupSlot && slot.kind === kind) return slot
    return this.#parent?.findGroup(kind)
  }

  #place(spec: ChildSpec, place: number): Child {
    const events: SlotEvents = {
      started: () => this.#onStarted(place),
      crashed: (error) => this.#onEnd(place, { error }),
      ended: () => this.#onEnd(place, undefined)
    }
    const child: Child = {
      slot: this.#slotFor(spec, events),
      significant: spec._tag !== "Many" && spec.significant,
      status: "down",
      wantStop: false,
      wantStart: false,
      ordered: true,
      deleted: false,
      stops: [],
      cancelWait: undefined,
      upSince: Number.POSITIVE_INFINITY,
      restarts: 0
    }
    return child
  }

  #slotFor(spec: ChildSpec, events: SlotEvents): Slot {
    const findGroup = (kind: string): GroupSlot | undefined => this.findGroup(kind)
    switch (spec._tag) {
      case "Actor":
        return new SingleSlot(actorPlace(this.#world, spec, findGroup), spec.id, spec.props, events)
      case "Many":
        return new GroupSlot(this.#world, spec, events, findGroup)
      case "Supervisor":
        return new Branch(this.#world, spec.spec, spec.restart, events, this)
    }
  }

  #onStarted(place: number): void {
    const child = this.#children[place] as Child
    child.status = "up"
    child.upSince = this.#world.cell.host.monotonic()
    this.#pump()
  }

  #onEnd(place: number, crash: { readonly error: unknown } | undefined): void {
    const child = this.#children[place] as Child
    const { host } = this.#world.cell
    const now = host.monotonic()
    const aliveMs = Math.max(0, now - child.upSince)
    child.status = "down"
    child.upSince = Number.POSITIVE_INFINITY
    // It was about to be stopped anyway; whoever wanted that has also marked what comes after.
    if (child.wantStop || !this.#isAlive()) {
      this.#pump()
      return
    }

    const chance = host.random()
    const othersAlive = this.#children.some((other) => other !== child && other.significant && isAlive(other))
    const ending = { child: place, crashed: crash !== undefined, now, aliveMs, othersAlive, chance }
    const [verdict, history] = judge(this.#history, this.#rules, ending)
    this.#history = history
    if (crash) this.#reportCrash(child, crash.error, verdict._tag === "Restart" ? verdict.afterMs : undefined)
    switch (verdict._tag) {
      case "Leave":
        this.#lay(child, crash ? `it crashed: ${describeError(crash.error)}` : "it ended")
        if (verdict.endsSupervisor) {
          this.#phase = "ending"
          this.#bringDown(() => this.#events.ended())
          return
        }
        break
      case "Restart":
        child.restarts++
        this.#markRestart(verdict.stops, verdict.starts, verdict.afterMs)
        break
      case "Escalate":
        this.#giveUp(child, verdict.crashes, crash?.error)
        return
    }
    this.#pump()
  }

  #reportCrash(child: Child, error: unknown, restartInMs: number | undefined): void {
    // The supervisor below has said so itself when it gave up.
    if (error instanceof TreeFailed && child.slot instanceof Branch) return
    const name = `${this.#world.home}/${child.slot.name}`
    this.#world.report({ _tag: "Crashed", name, error, restartInMs })
  }

  #markRestart(stops: ReadonlyArray<number>, starts: ReadonlyArray<number>, afterMs: number): void {
    for (const place of stops) {
      const child = this.#children[place] as Child
      if (child.deleted) continue
      this.#endWait(child)
      child.wantStop = child.status !== "down" && child.status !== "done"
      // What is temporary is not brought back; but one that has not had its only life yet still waits for it.
      child.wantStart = starts.includes(place) || (child.status === "down" && child.wantStart)
      child.ordered = stops.length > 1
      if (child.status === "done" && child.wantStart) child.status = "down"
      if (child.wantStart) this.#wait(child, afterMs)
    }
  }

  #wait(child: Child, afterMs: number): void {
    child.cancelWait = this.#world.cell.host.after(afterMs, () => {
      child.cancelWait = undefined
      this.#pump()
    })
  }

  #endWait(child: Child): void {
    child.cancelWait?.()
    child.cancelWait = undefined
  }

  /** Ends the waits of all that come up together: one of them cannot come before those above it. */
  #hurry(child: Child): void {
    for (const other of this.#children) {
      if (other === child || (child.ordered && other.ordered)) this.#endWait(other)
    }
    this.#pump()
  }

  /** Puts a child that is down to rest: its address is free, and what is temporary is forgotten. */
  #lay(child: Child, reason: string): void {
    child.status = "done"
    child.slot.release(reason)
    if (child.slot.restart === "temporary") child.deleted = true
  }

  #order(child: Child, order: Order, stopped: () => void): OrderOutcome | undefined {
    if (child.deleted) return "not-found"
    if (!this.#isAlive()) return "supervisor-down"
    if (order === "stop") {
      child.stops.push(stopped)
      this.#endWait(child)
      child.wantStart = false
      child.wantStop = true
      this.#pump()
      return undefined
    }
    if (child.status === "stopping" && !child.wantStart) return order === "restart" ? "stopping" : "running"
    if (order === "restart") {
      this.#restartByHand(child)
      return "done"
    }
    if (child.wantStart) return "restarting"
    if (child.status !== "done") return "running"
    if (order === "start") {
      this.#startByHand(child)
      this.#pump()
    } else {
      child.deleted = true
    }
    return "done"
  }

  #restartByHand(child: Child): void {
    if (child.status === "up" || child.status === "starting") {
      child.slot.crash(byHand)
      return
    }
    if (child.status === "done") this.#startByHand(child)
    this.#hurry(child)
  }

  #startByHand(child: Child): void {
    child.status = "down"
    child.wantStart = true
    child.ordered = false
  }

  #isAlive(): boolean {
    return this.#phase === "starting" || this.#phase === "running"
  }

  #giveUp(child: Child, crashes: number, cause: unknown): void {
    const error = gaveUp(this.name, crashes, this.#rules.withinMs, child.slot.name, cause)
    this.#world.report({ _tag: "GaveUp", name: this.name, error })
    this.#fail(error)
  }

  #fail(error: Error): void {
    this.#lastError = describeError(error)
    this.#phase = "failing"
    this.#bringDown(() => this.#events.crashed(error))
  }

  #bringDown(whenDown: () => void): void {
    this.#whenDown = whenDown
    for (const child of this.#children) {
      this.#endWait(child)
      child.wantStart = false
      child.wantStop = true
    }
    this.#pump()
  }

  /** Takes every step that the marks allow now. Called from inside itself, it only notes to go round again. */
  #pump(): void {
    this.#pumpAgain = true
    if (this.#pumping) return
    this.#pumping = true
    while (this.#pumpAgain) {
      this.#pumpAgain = false
      const stopping = this.#stopNext()
      if (!stopping) this.#startNext()
    }
    this.#pumping = false
    this.#checkPhase()
  }

  /** Stops marked children from the bottom, one after the other. True while one of them is still on its way. */
  #stopNext(): boolean {
    for (let place = this.#children.length - 1; place >= 0; place--) {
      const child = this.#children[place] as Child
      if (!child.wantStop) continue
      if (child.status === "up" || child.status === "starting") {
        child.status = "stopping"
        child.slot.stop(() => {
          child.status = "down"
          child.upSince = Number.POSITIVE_INFINITY
          this.#pump()
        })
      }
      // Read anew: the slot may have stopped while it was asked to.
      if ((child.status as Child["status"]) === "stopping") return true
      child.wantStop = false
      this.#afterStop(child)
    }
    return false
  }

  #afterStop(child: Child): void {
    const stops = child.stops.splice(0)
    const staysDown = stops.length > 0 || child.slot.restart === "temporary"
    if (staysDown && child.status === "down" && !child.wantStart) {
      this.#lay(child, stops.length > 0 ? stoppedByHand : "it was stopped with its siblings")
    }
    for (const told of stops) told()
  }

  #startNext(): void {
    let allAboveUp = true
    for (const child of this.#children) {
      const mayStart = child.wantStart && child.status === "down" && child.cancelWait === undefined
      if (mayStart && (allAboveUp || !child.ordered)) {
        child.wantStart = false
        child.status = "starting"
        child.slot.start()
      }
      if (child.status !== "up" && child.status !== "done") allAboveUp = false
    }
  }

  #checkPhase(): void {
    if (this.#phase === "starting" && this.#children.every(isSettled)) {
      this.#phase = "running"
      this.#events.started()
      return
    }
    if (this.#isAlive() || this.#phase === "idle") return
    const whenDown = this.#whenDown
    if (!whenDown || !this.#children.every((child) => child.status === "down" || child.status === "done"))
      return
    this.#whenDown = undefined
    this.#phase = "idle"
    whenDown()
  }
}

/** Up, or coming up without anybody's doing. */
const isAlive = (child: Child): boolean =>
  child.wantStart || (!child.wantStop && (child.status === "up" || child.status === "starting"))

const isSettled = (child: Child): boolean => child.status === "up" || child.status === "done"
