/**
 * One running actor, in plain code: its mailbox, its state, its timers, its watches and the actions it has under way.
 *
 * A cell outlives crashes: its memory goes, its mailbox stays, and its supervisor decides when it starts again.
 */
import type { CommonAction } from "#runtime/actions.ts"
import type { AnyActor } from "#runtime/actor.ts"
import { type Address, isToken, showAddress } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import type { Moment, ReplyTo, Step } from "#runtime/behaviour.ts"
import type { Cause } from "#runtime/envelope.ts"
import { Histogram } from "#runtime/histogram.ts"
import type { Host } from "#runtime/host.ts"
import type { Fresh } from "#runtime/ids.ts"
import type { Lookout } from "#runtime/lookout.ts"
import { type Letter, Mailbox, type Offer, ownLetter } from "#runtime/mailbox.ts"
import { type Notice, Notices } from "#runtime/notices.ts"
import type { DecisionObserver } from "#runtime/observer.ts"
import { Pace } from "#runtime/pace.ts"
import type { PerformExit, Performer } from "#runtime/performer.ts"
import type { KindStats } from "#runtime/telemetry.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** Actions that reach beyond the tree. */
export type Outward = Extract<CommonAction, { readonly _tag: "Tell" | "Reply" | "Announce" }>

/** What a cell needs from the system around it. */
export interface CellWorld {
  readonly host: Host
  readonly performer: Performer
  /** Carries out what reaches other actors. Throws to crash the actor. */
  readonly carry: (action: Outward, cell: Cell, letter: Letter | undefined) => void
  /** Calls `told` once, in a later turn, when `target` is over; what it returns takes that back. */
  readonly watch: (target: Address, told: () => void) => () => void
  /** A letter that will never be handled, and why. */
  readonly lost: (cell: Cell, letter: Letter, reason: string) => void
  /** Whoever asked this actor and has no answer yet will get none from it. */
  readonly abandoned: (cell: Cell, reason: string) => void
  /** Whether somebody still waits for the answer to an asked message. */
  readonly awaits: (asker: ReplyTo) => boolean
  /** Called before every decision with its input, for the simulator. */
  readonly deciding?: ((cell: Cell, letter: Letter | undefined, now: number) => void) | undefined
  /** Sees every decision before and after. */
  readonly observer?: DecisionObserver | undefined
  /** Is told what the thread is about, for the watchdog. */
  readonly lookout?: Lookout | undefined
  /** What is counted over all actors of a kind. */
  readonly stats: (kind: string) => KindStats
  /** The cause that an actor's message to itself hands on, given the one of the message that led to it. */
  readonly ownCause: (cell: Cell, message: unknown, cause: Cause | undefined, at: number) => Cause | undefined
}

/** What a cell tells its place in the tree; each is said in a turn of its own, never from inside a decision. */
export interface CellEvents {
  readonly crashed: (error: unknown) => void
  readonly ended: () => void
}

/** What all actors of one kind in one place of the tree have in common: there may be very many of them. */
export interface CellKind {
  readonly definition: AnyActor
  /** The source of each actor's own source of ids. */
  readonly fresh: Fresh
  readonly world: CellWorld
  readonly stats: KindStats
  /** The inbox of all to whom nothing ever came. */
  readonly untouched: Mailbox
  /** How long running actions may go on once the actor ends, in milliseconds; `kill` waits for nothing. */
  readonly stopWithinMs: number | "kill"
  /** The nearest `many` group of a kind, as seen from where the actor stands. */
  readonly findGroup: (kind: string) => Group | undefined
}

/** What `Spawn` and `Dismiss` come to. */
export interface Group {
  readonly spawn: (id: string, props: unknown) => void
  readonly dismiss: (id: string) => void
}

export type CellStatus = "idle" | "running" | "failed" | "stopping" | "closed"

/**
 * What one turn may do, in messages handled and actions started, beyond what waited when it began. Who tells much pays
 * for it, so that those who are told come to their turn before much waits for them.
 */
const batch = 512
/** One actor holds the thread no longer than this before the others are asked, in milliseconds. */
const turnMs = 2
/**
 * Messages handled between two looks at the clock while they are quick: a look costs as much as a small decision.
 * Slow ones are timed one by one, so that a turn ends in time; of quick ones, what is known is a mean over a few.
 */
const stride = 16
/** An interrupted action that has not ended by then is left behind: its finalizer hangs, the tree must not. */
const interruptWithinMs = 2_000

/** What an actor is about while its `start` runs, for the watchdog. */
const starting = { _tag: "(start)" } as const
/** Taken as far as the sender is concerned, who is told of the loss like of any other. */
const refusedByDefect: Offer = { _tag: "Taken" }

interface Running {
  interrupt: (() => void) | undefined
}

/** The end of one life: its actions are waited for, and then somebody is told. */
interface Settling {
  next: () => void
  /** It was asked for by `stop`, so that a second `stop` must not make the first one wait for ever. */
  stopped: boolean
  /** Takes back what limits the wait. */
  cancelGrace: (() => void) | undefined
}

/** What an actor has under way beside its messages; most have nothing. */
class Ongoing {
  timers: Notices | undefined
  watches: Notices | undefined
  performs: Set<Running> | undefined
  settling: Settling | undefined
}

const nothingMeasured = new Histogram()

/** A `Moment` whose source of ids is made when a decision first asks for it; most never do. */
class Turn implements Moment {
  readonly now: number
  readonly self: Address
  readonly from: Address | undefined
  readonly asker: ReplyTo | undefined
  readonly #cell: Cell

  constructor(cell: Cell, now: number, letter: Letter | undefined) {
    this.now = now
    this.self = cell.self
    this.from = letter?.from
    this.asker = letter?.asker
    this.#cell = cell
  }

  get fresh(): Fresh {
    return this.#cell.fresh
  }
}

/** What few actors need is made when it is needed: an idle one costs some hundred bytes. */
export class Cell {
  readonly self: Address
  status: CellStatus = "idle"
  handled = 0
  /** How often it has started. */
  life = 0
  /** Questions to this actor that nobody has answered yet; kept by who keeps the questions. */
  asked = 0
  /** The error that it crashed with last, and the id of the message that this came from, where it is known. */
  lastCrash: { readonly lastError: string; readonly lastMessage?: string } | undefined
  /** What an observer keeps about this actor. */
  observed: unknown
  /** The lookout's own, see `Watched`. */
  mark = 0
  /** The host's clock as of the decision that is made now or was made last. */
  now = 0

  readonly #kind: CellKind
  readonly #events: CellEvents
  #mailbox: Mailbox | undefined
  #pace: Pace | undefined
  #state: unknown
  #fresh: Fresh | undefined
  #ongoing: Ongoing | undefined
  #turn: (() => void) | undefined
  #scheduled = false

  constructor(kind: CellKind, self: Address, events: CellEvents) {
    this.#kind = kind
    this.#events = events
    this.self = self
  }

  /** Its inbox, to be looked at: what comes in goes through `deliver`. */
  get mailbox(): Mailbox {
    return this.#mailbox ?? this.#kind.untouched
  }

  #inbox(): Mailbox {
    this.#mailbox ??= new Mailbox(this.definition.mailbox)
    return this.#mailbox
  }

  get definition(): AnyActor {
    return this.#kind.definition
  }

  /** This actor's own source of ids. */
  get fresh(): Fresh {
    this.#fresh ??= this.#kind.fresh.fork()
    return this.#fresh
  }

  /** Time spent on messages, the start of their actions included, over all lives. */
  get decide(): Histogram {
    return this.#pace ?? nothingMeasured
  }

  get #world(): CellWorld {
    return this.#kind.world
  }

  /** Begins a life with fresh memory. A start that throws is reported through `events.crashed`, like any crash. */
  start(props: unknown): void {
    assert(this.status === "idle", "only an idle actor starts")
    this.status = "running"
    this.life++
    if (this.life > 1) this.#kind.stats.restarts++
    const now = this.#world.host.now()
    this.now = now
    const { observer, lookout } = this.#world
    // A start may happen inside the turn of the actor that asked for it.
    const before = lookout?.enter(this)
    lookout?.about(starting)
    this.#world.deciding?.(this, undefined, now)
    observer?.starting(this, props, now)
    try {
      const step = this.definition.start(props, new Turn(this, now, undefined)) as Step<unknown, unknown>
      observer?.decided(this, step.state, step.actions)
      this.#follow(step, undefined)
    } catch (error) {
      this.#crash(error)
    }
    if (before !== undefined) lookout?.leave(before)
    this.#schedule()
  }

  /** Puts a message into the inbox; a cell between two lives keeps it for the next one. */
  deliver(letter: Letter): Offer {
    let offer: Offer
    try {
      offer = this.#inbox().offer(letter)
    } catch (error) {
      // Its own `latest` has thrown: that is this actor's defect, and no concern of whoever sent the message.
      this.#world.lost(this, letter, "its mailbox could not key it")
      this.#crash(error)
      return refusedByDefect
    }
    if (offer._tag === "Taken" && offer.lost && !this.#isSuperseded(offer.lost)) {
      this.#world.lost(this, offer.lost, "pushed out by a newer message")
    }
    this.#schedule()
    return offer
  }

  /** Tells the actor what it asked to hear itself; its mailbox takes that however full it is. */
  deliverOwn(message: unknown, cause: Cause | undefined, notice?: Notice): void {
    const at = this.#world.host.now()
    const own = this.#world.ownCause(this, message, cause, at)
    this.#inbox().offer(ownLetter(message, at, own, notice, this.life))
    this.#schedule()
  }

  /** A goal that a newer one replaced, as its actor declared, is no loss unless somebody waits for its answer. */
  #isSuperseded(letter: Letter): boolean {
    return typeof this.definition.mailbox?.overflow === "object" && letter.asker === undefined
  }

  /** Crashes the actor with this error before its next message, as its supervisor may ask at any time. */
  crashSoon(error: unknown): void {
    this.#inbox().offerSys(ownLetter(error, this.#world.host.now(), undefined, undefined, this.life))
    this.#schedule()
  }

  /** Takes no more messages; running actions get their time, are then interrupted; then `stopped` is called. */
  stop(stopped: () => void): void {
    if (this.status === "idle" || this.status === "closed") {
      stopped()
      return
    }
    this.status = "stopping"
    this.#forget()
    this.#world.abandoned(this, "it was stopped")
    const settling = this.#ongoing?.settling
    const earlier = settling?.stopped ? settling.next : undefined
    const idle = (): void => {
      this.status = "idle"
      earlier?.()
      stopped()
    }
    if (!settling) {
      this.#settle(this.#kind.stopWithinMs, idle, true)
      return
    }
    // After a crash or a normal end its actions are being settled already: this only takes over what follows.
    settling.next = idle
    settling.stopped = true
  }

  /** Ends the cell for good: what still waits in the inbox is lost. */
  close(reason: string): void {
    if (this.status === "closed") return
    this.status = "closed"
    this.#kind.stats.retire(this)
    this.#forget()
    for (const letter of this.mailbox.drain()) this.#world.lost(this, letter, reason)
    this.#world.abandoned(this, reason)
  }

  /** The keys of its timers. */
  get timers(): ReadonlyArray<string> {
    return this.#ongoing?.timers?.keys() ?? []
  }

  get #going(): Ongoing {
    this.#ongoing ??= new Ongoing()
    return this.#ongoing
  }

  get performing(): number {
    return this.#ongoing?.performs?.size ?? 0
  }

  /** The definition's one line about the present state, or what went wrong in making it. */
  summary(): string | undefined {
    if (this.status !== "running" || !this.definition.summary) return undefined
    try {
      return this.definition.summary(this.#state)
    } catch (error) {
      return `no summary: ${wordsOf(error)}`
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.status !== "running" || this.mailbox.depth === 0) return
    this.#scheduled = true
    this.#turn ??= () => this.#drain()
    this.#world.host.defer(this.#turn)
  }

  #drain(): void {
    this.#scheduled = false
    const { lookout } = this.#world
    if (!lookout) {
      this.#takeTurn()
      return
    }
    const before = lookout.enter(this)
    try {
      this.#takeTurn()
    } finally {
      lookout.leave(before)
    }
  }

  #takeTurn(): void {
    const { host } = this.#world
    const began = host.monotonic()
    const beganAt = host.now()
    this.now = beganAt
    this.#pace ??= new Pace()
    const pace = this.#pace
    let since = began
    let untimed = 0
    // All that waits now is taken in this turn: an inbox stays short, and its letters cost no more than to make them.
    let due = this.mailbox.depth
    let work = 0
    while ((work < batch || due > 0) && this.status === "running") {
      const order = this.mailbox.takeSys()
      if (order) {
        this.#crash(order.message)
        break
      }
      const letter = this.mailbox.take()
      if (!letter) break
      work += this.#isWanted(letter) ? 1 + this.#handle(letter) : 1
      due--
      untimed++
      if (!pace.isSlow && untimed < stride) continue
      const at = host.monotonic()
      pace.took(at - since, untimed)
      untimed = 0
      if (at - began > turnMs) break
      since = at
      this.now = beganAt + Math.floor(at - began)
    }
    if (untimed > 0) pace.took(host.monotonic() - since, untimed)
    this.#schedule()
  }

  /** Whether there is still a point in handling it. */
  #isWanted(letter: Letter): boolean {
    const { asker, cause, notice, life } = letter
    // What an earlier life asked for is of no use to one that knows nothing of it, and its answer may be another's.
    if ((life !== undefined && life !== this.life) || (notice && !notice.take())) {
      cause?.mark?.("taken back")
      return false
    }
    if (!asker) return true
    if (asker.deadline <= this.now) {
      this.#world.lost(this, letter, "its deadline had passed")
      return false
    }
    if (this.#world.awaits(asker)) return true
    // Whoever asked has taken the question back: nothing is lost by not answering it.
    cause?.mark?.("taken back")
    return false
  }

  /** Decides about it and starts what follows: how many actions that were. */
  #handle(letter: Letter): number {
    const { host, observer } = this.#world
    const { now } = this
    const { cause } = letter
    this.handled++
    this.#world.lookout?.about(letter.message)
    this.#world.deciding?.(this, letter, now)
    observer?.deciding(this, letter, now, this.#state)
    const began = cause?.mark ? host.monotonic() : 0
    try {
      const moment = new Turn(this, now, letter)
      const step = this.definition.decide(this.#state, letter.message, moment) as Step<unknown, unknown>
      if (cause?.mark) cause.mark("handled", (host.monotonic() - began) * 1_000)
      observer?.decided(this, step.state, step.actions)
      this.#follow(step, letter)
      return step.actions.length
    } catch (error) {
      cause?.mark?.("crashed")
      this.#crash(error, cause?.id)
      return 0
    }
  }

  #follow(step: Step<unknown, unknown>, letter: Letter | undefined): void {
    this.#state = step.state
    for (const action of step.actions) {
      // An action of this very step may have failed at once; what it asked for after that is part of the loss.
      if (this.status !== "running") return
      this.#carryOut(action as CommonAction, letter)
    }
    if (step.ends && this.status === "running") this.#end()
  }

  #carryOut(action: CommonAction, letter: Letter | undefined): void {
    switch (action._tag) {
      case "Tell":
      case "Reply":
      case "Announce":
        this.#world.carry(action, this, letter)
        return
      case "Later":
        this.#later(action.key, action.afterMs, action.message)
        return
      case "Cancel":
        this.#ongoing?.timers?.drop(action.key)
        return
      case "Watch":
        this.#watch(action.target, action.message)
        return
      case "Unwatch":
        this.#ongoing?.watches?.drop(showAddress(action.target))
        return
      case "Spawn":
        if (!isToken(action.id)) assert(false, `actor id ${JSON.stringify(action.id)} can stand in a subject`)
        this.#group(action.kind).spawn(action.id, action.props)
        return
      case "Dismiss":
        this.#group(action.kind).dismiss(action.id)
        return
      default:
        this.#perform(action, letter)
    }
  }

  #group(kind: string): Group {
    const group = this.#kind.findGroup(kind)
    if (group) return group
    assert(false, `there is a group of kind ${kind} beside or above ${showAddress(this.self)}`)
  }

  #later(key: string, afterMs: number, message: unknown): void {
    const ongoing = this.#going
    ongoing.timers ??= new Notices()
    ongoing.timers.add(key, (notice) =>
      this.#world.host.after(afterMs, () => this.deliverOwn(message, undefined, notice))
    )
  }

  #watch(target: Address, message: unknown): void {
    const ongoing = this.#going
    ongoing.watches ??= new Notices()
    ongoing.watches.add(showAddress(target), (notice) =>
      this.#world.watch(target, () => this.deliverOwn(message, undefined, notice))
    )
  }

  #perform(action: unknown, letter: Letter | undefined): void {
    assert(
      this.definition.perform !== undefined,
      `actor ${this.definition.kind} can perform what it asks for`
    )
    const running: Running = { interrupt: undefined }
    let done = false
    const ongoing = this.#going
    ongoing.performs ??= new Set()
    ongoing.performs.add(running)
    const told = (exit: PerformExit): void => {
      if (done) return
      done = true
      this.#performed(running, exit, letter)
    }
    try {
      const { performer } = this.#world
      const handle = performer.perform(
        this.definition,
        action,
        this.self,
        told,
        letter?.cause,
        letter?.asker?.deadline,
        this.life
      )
      if (!done) running.interrupt = () => handle.interrupt()
    } catch (error) {
      ongoing.performs.delete(running)
      throw error
    }
  }

  #performed(running: Running, exit: PerformExit, letter: Letter | undefined): void {
    // No longer there when it was left behind or belongs to an earlier life: nobody waits for it.
    if (!this.#ongoing?.performs?.delete(running)) return
    if (this.status === "running") {
      if ("error" in exit) this.#crash(exit.error, letter?.cause?.id)
      else for (const message of exit.messages) this.deliverOwn(message, letter?.cause)
    }
    if (this.#ongoing.settling && this.performing === 0) this.#world.host.defer(() => this.#finishSettling())
  }

  #crash(error: unknown, message?: string): void {
    if (this.status !== "running") return
    this.status = "failed"
    const lastError = describeError(error)
    this.lastCrash = message === undefined ? { lastError } : { lastError, lastMessage: message }
    this.#kind.stats.crashes++
    this.#world.observer?.crashed(this, error)
    this.#forget()
    this.#world.abandoned(this, `it crashed: ${lastError}`)
    this.#settle(0, () => {
      this.status = "idle"
      this.#events.crashed(error)
    })
  }

  #end(): void {
    this.status = "stopping"
    this.#ongoing?.timers?.clear()
    this.#ongoing?.watches?.clear()
    this.#settle(this.#kind.stopWithinMs, () => {
      this.status = "idle"
      this.#forget()
      this.#world.abandoned(this, "it ended")
      this.#events.ended()
    })
  }

  /** Memory, timers and watches go, and orders to a life that is over; the mailbox stays. */
  #forget(): void {
    this.#mailbox?.clearSys()
    this.#state = undefined
    this.#ongoing?.timers?.clear()
    this.#ongoing?.watches?.clear()
  }

  /** Gives running actions `graceMs`, interrupts them, and calls `next` when none is left, in a turn of its own. */
  #settle(graceMs: number | "kill", next: () => void, stopped = false): void {
    const ongoing = this.#going
    const { host } = this.#world
    const settling: Settling = { next, stopped, cancelGrace: undefined }
    ongoing.settling = settling
    if (this.performing === 0) {
      host.defer(() => this.#finishSettling())
      return
    }
    const interrupt = (): void => {
      // The next life may have begun meanwhile; its actions are not ours to end.
      if (ongoing.settling !== settling) return
      settling.cancelGrace = host.after(interruptWithinMs, () => {
        ongoing.performs?.clear()
        this.#finishSettling()
      })
      for (const running of [...(ongoing.performs ?? [])]) running.interrupt?.()
    }
    const kill = (): void => {
      if (ongoing.settling !== settling) return
      for (const running of [...(ongoing.performs ?? [])]) running.interrupt?.()
      ongoing.performs?.clear()
      this.#finishSettling()
    }
    // An action that fails inside the call that started it must not be interrupted from inside itself.
    if (graceMs === "kill") host.defer(kill)
    else if (graceMs <= 0) host.defer(interrupt)
    else if (graceMs < Number.POSITIVE_INFINITY) settling.cancelGrace = host.after(graceMs, interrupt)
  }

  #finishSettling(): void {
    const ongoing = this.#going
    const { settling } = ongoing
    if (!settling || this.performing > 0) return
    ongoing.settling = undefined
    settling.cancelGrace?.()
    settling.next()
  }
}

/** An error in one line, with the causes it carries, `causes` of them at most. Anything can be thrown, so this never throws. */
export function describeError(error: unknown, causes = 16): string {
  try {
    if (!(error instanceof Error)) {
      if (typeof error === "object" && error !== null && "message" in error) return String(error.message)
      return String(error)
    }
    const named = error.name === "Error" ? error.message : `${error.name}: ${error.message}`
    if (error.cause === undefined || causes === 0) return named
    return `${named}: ${describeError(error.cause, causes - 1)}`
  } catch {
    return "an error that cannot be put into words"
  }
}
