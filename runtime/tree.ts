/**
 * Runs a supervision spec: starts top to bottom, stops bottom to top, and carries out what the judge says.
 *
 * Everything that happens sets marks on the children (to be stopped, to be started) and then `#pump` takes the next
 * steps that the marks allow; so restarts that overlap need no case of their own.
 */
import { Duration } from "effect"
import { describeError } from "#runtime/cell.ts"
import { cleanHistory, type History, judge, type Rules } from "#runtime/judge.ts"
import { ActorSlot, GroupSlot, gaveUp, type Slot, type SlotEvents, type TreeWorld } from "#runtime/slots.ts"
import type { ChildSpec, Restart, SupervisorSpec } from "#runtime/supervisor.ts"
import type { TreeNode } from "#runtime/system.ts"

interface Child {
  readonly slot: Slot
  /** `done`: ended for good, as its restart rule wants. */
  status: "down" | "starting" | "up" | "stopping" | "done"
  wantStop: boolean
  wantStart: boolean
  /** Starts only after every child above it is up: at the first start, and when restarted together with those. */
  ordered: boolean
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
  #phase: "idle" | "starting" | "running" | "stopping" | "failing" = "idle"
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
      restarts: this.#children.map((child) => child.slot.restart)
    }
  }

  start(): void {
    this.#phase = "starting"
    this.#history = cleanHistory
    for (const child of this.#children) {
      child.status = "down"
      child.wantStart = true
      child.wantStop = false
      child.ordered = true
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

  onHurry(): void {
    // A supervisor has no address by which it could be hurried.
  }

  snapshot(waiting = false, restarts = 0): TreeNode {
    const state = {
      idle: "stopped",
      starting: "starting",
      running: "running",
      stopping: "stopping",
      failing: "failed"
    } as const
    return {
      name: this.name,
      kind: "supervisor",
      state: waiting ? "restarting" : state[this.#phase],
      summary: this.#spec.strategy,
      restarts,
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
      children: this.#children.map((child) =>
        child.slot.snapshot(child.cancelWait !== undefined, child.restarts)
      )
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
      status: "down",
      wantStop: false,
      wantStart: false,
      ordered: true,
      cancelWait: undefined,
      upSince: Number.POSITIVE_INFINITY,
      restarts: 0
    }
    child.slot.onHurry(() => {
      if (child.cancelWait === undefined) return
      this.#endWait(child)
      this.#pump()
    })
    return child
  }

  #slotFor(spec: ChildSpec, events: SlotEvents): Slot {
    const findGroup = (kind: string): GroupSlot | undefined => this.findGroup(kind)
    switch (spec._tag) {
      case "Actor":
        return new ActorSlot(this.#world, spec, events, findGroup)
      case "Many":
        return new GroupSlot(this.#world, spec, events, findGroup)
      case "Supervisor":
        return new Branch(this.#world, spec.spec, spec.restart, events, this)
    }
  }

  #onStarted(place: number): void {
    const child = this.#children[place] as Child
    child.status = "up"
    child.upSince = this.#world.cell.host.now()
    this.#pump()
  }

  #onEnd(place: number, crash: { readonly error: unknown } | undefined): void {
    const child = this.#children[place] as Child
    const { host } = this.#world.cell
    const now = host.now()
    const aliveMs = Math.max(0, now - child.upSince)
    child.status = "down"
    child.upSince = Number.POSITIVE_INFINITY
    // It was about to be stopped anyway; whoever wanted that has also marked what comes after.
    if (child.wantStop || this.#phase === "stopping" || this.#phase === "failing") {
      this.#pump()
      return
    }

    const chance = host.random()
    const ending = { child: place, crashed: crash !== undefined, now, aliveMs, chance }
    const [verdict, history] = judge(this.#history, this.#rules, ending)
    this.#history = history
    if (crash) this.#reportCrash(child, crash.error, verdict._tag === "Restart" ? verdict.afterMs : undefined)
    switch (verdict._tag) {
      case "Leave":
        child.status = "done"
        child.slot.release(crash ? `it crashed: ${describeError(crash.error)}` : "it ended")
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
    if (child.slot instanceof Branch) return
    const name = `${this.#world.home}/${child.slot.name}`
    this.#world.report({ _tag: "Crashed", name, error, restartInMs })
  }

  #markRestart(stops: ReadonlyArray<number>, starts: ReadonlyArray<number>, afterMs: number): void {
    for (const place of stops) {
      const child = this.#children[place] as Child
      this.#endWait(child)
      child.wantStop = child.status !== "down" && child.status !== "done"
      child.wantStart = starts.includes(place)
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

  #giveUp(child: Child, crashes: number, cause: unknown): void {
    const error = gaveUp(this.name, crashes, this.#rules.withinMs, child.slot.name, cause)
    this.#lastError = describeError(error)
    this.#world.report({ _tag: "GaveUp", name: this.name, error })
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
      if (child.slot.restart === "temporary" && child.status === "down" && !child.wantStart) {
        child.status = "done"
        child.slot.release("it was stopped with its siblings")
      }
    }
    return false
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
    if (this.#phase !== "stopping" && this.#phase !== "failing") return
    const whenDown = this.#whenDown
    if (!whenDown || !this.#children.every((child) => child.status === "down" || child.status === "done"))
      return
    this.#whenDown = undefined
    this.#phase = "idle"
    whenDown()
  }
}

const isSettled = (child: Child): boolean => child.status === "up" || child.status === "done"
