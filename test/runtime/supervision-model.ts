/**
 * The rules of supervision as a small, naive model: what must come of a tree in which things happen.
 *
 * Written from the manual (https://www.erlang.org/doc/apps/stdlib/supervisor.html) and our README, not from the code:
 * everything happens at once, a state is a word, and nothing is shared with what it judges.
 */
import type { AutoShutdown, Restart, Strategy } from "#runtime/supervisor.ts"
import type { Order, OrderOutcome } from "#runtime/system.ts"

interface Common {
  readonly name: string
  readonly restart: Restart
  readonly significant: boolean
}
export interface LeafPlan extends Common {
  readonly is: "leaf"
  /** Ids of the group below it that it spawns whenever it starts. */
  readonly spawns: ReadonlyArray<string>
}
export interface GroupPlan extends Common {
  readonly is: "group"
  readonly kind: string
  readonly members: Restart
  readonly crashes: number
  readonly withinMs: number
}
export interface SupervisorPlan extends Common {
  readonly is: "supervisor"
  readonly strategy: Strategy
  readonly crashes: number
  readonly withinMs: number
  readonly autoShutdown: AutoShutdown
  readonly children: ReadonlyArray<Plan>
}
export type Plan = LeafPlan | GroupPlan | SupervisorPlan

/**
 * `idle`: its supervisor is down. `pending`: starts when those above it are up. `failing`: its start has failed, and
 * its supervisor has not heard of it yet. `gone`: down and to stay so. `forgotten`: not a child any more.
 */
type State = "idle" | "pending" | "waiting" | "failing" | "starting" | "up" | "gone" | "forgotten"

interface Place {
  readonly plan: Plan
  readonly restart: Restart
  readonly parent: Place | undefined
  children: Place[]
  state: State
  ordered: boolean
  /** When its wait is over; `cause` tells apart what waits for different reasons. */
  wake: { readonly at: number; readonly sequence: number; readonly cause: number } | undefined
  upSince: number
  streak: number
  ends: number[]
}

const is = (place: Place, ...states: ReadonlyArray<State>): boolean => states.includes(place.state)

export class Model {
  now = 0
  outcome: "running" | "failed" | "ended" = "running"
  /** `+name` for every start, `-name` for every end of a life. */
  diary: string[] = []
  /** Several things came about in one moment, waits or failed starts: which is first, nobody promises. */
  tied = false
  readonly #root: Place
  readonly #failures = new Map<string, number>()
  readonly #heard: Array<() => void> = []
  #sequence = 0

  constructor(plan: SupervisorPlan) {
    this.#root = this.#place(plan, undefined)
    this.#start(this.#root)
    this.#hear()
  }

  /** The next `times` starts of this actor fail. */
  failStarts(name: string, times: number): void {
    this.#failures.set(name, times)
  }

  /** An actor that is up ends; nothing happens to one that is not. */
  end(name: string, crashed: boolean): void {
    const place = this.#find(name)
    if (!place || !is(place, "up")) return
    this.diary.push(`-${name}`)
    this.#ended(place, crashed)
    this.#hear()
  }

  spawn(boss: string, id: string): void {
    const place = this.#find(boss)
    if (place && is(place, "up")) this.#spawn(place, id)
    this.#hear()
  }

  dismiss(boss: string, id: string): void {
    const place = this.#find(boss)
    const group = place && is(place, "up") ? this.#groupOf(place) : undefined
    const member = group?.children.find(
      (each) => each.plan.name === `${(group.plan as GroupPlan).kind}/${id}`
    )
    if (group && member) {
      this.#stop(member)
      this.#forget(member)
    }
    this.#hear()
  }

  advance(ms: number): void {
    const until = this.now + ms
    for (;;) {
      const next = this.#all(this.#root)
        .filter((place) => is(place, "waiting") && (place.wake?.at ?? 0) <= until)
        .sort(
          (a, b) => (a.wake?.at ?? 0) - (b.wake?.at ?? 0) || (a.wake?.sequence ?? 0) - (b.wake?.sequence ?? 0)
        )[0]
      if (!next) break
      this.now = next.wake?.at ?? this.now
      this.tied ||= this.#all(this.#root).some(
        (place) =>
          is(place, "waiting") && place.wake?.at === this.now && place.wake.cause !== next.wake?.cause
      )
      next.state = "pending"
      this.#progress(next.parent as Place)
      this.#hear()
    }
    this.now = until
  }

  order(path: ReadonlyArray<string>, order: Order): OrderOutcome {
    const outcome = this.#order(path, order)
    this.#hear()
    return outcome
  }

  /** Every actor that is up. */
  up(): ReadonlyArray<string> {
    return this.#all(this.#root)
      .filter((place) => place.plan.is === "leaf" && is(place, "up"))
      .map((place) => place.plan.name)
      .sort()
  }

  #order([top, ...names]: ReadonlyArray<string>, order: Order): OrderOutcome {
    if (this.outcome !== "running" || top !== this.#root.plan.name) return "not-found"
    let place: Place | undefined = this.#root
    for (const name of names) {
      place = place?.children.find((child) => child.plan.name === name && !is(child, "forgotten"))
    }
    if (!place) return "not-found"
    const parent = place.parent
    if (!parent) {
      if (order !== "restart") return "not-found"
      this.#stop(place)
      this.#start(place)
      return "done"
    }
    if (!is(parent, "starting", "up")) return "supervisor-down"
    switch (order) {
      case "stop":
        this.#stop(place)
        place.state = "gone"
        if (place.restart === "temporary") this.#forget(place)
        this.#progress(parent)
        return "done"
      case "restart":
        if (is(place, "up", "starting")) {
          this.#down(place, true)
          return "done"
        }
        if (is(place, "gone")) place.ordered = false
        for (const other of place.ordered ? parent.children : []) {
          if (other.ordered && is(other, "waiting")) other.state = "pending"
        }
        place.state = "pending"
        this.#progress(parent)
        return "done"
      case "start":
      case "delete":
        if (is(place, "waiting", "pending")) return "restarting"
        if (!is(place, "gone")) return "running"
        if (order === "delete") {
          this.#forget(place)
          return "done"
        }
        place.state = "pending"
        place.ordered = false
        this.#progress(parent)
        return "done"
    }
  }

  #place(plan: Plan, parent: Place | undefined): Place {
    const place: Place = {
      plan,
      restart: plan.restart,
      parent,
      children: [],
      state: "idle",
      ordered: true,
      wake: undefined,
      upSince: Number.POSITIVE_INFINITY,
      streak: 0,
      ends: []
    }
    if (plan.is === "supervisor") place.children = plan.children.map((child) => this.#place(child, place))
    return place
  }

  #all(place: Place): ReadonlyArray<Place> {
    return [place, ...place.children.flatMap((child) => this.#all(child))]
  }

  #find(name: string): Place | undefined {
    return this.#all(this.#root).find((place) => place.plan.name === name)
  }

  #groupOf(boss: Place): Place | undefined {
    return boss.parent?.children.find((each) => each.plan.is === "group")
  }

  #spawn(boss: Place, id: string): void {
    const group = this.#groupOf(boss)
    if (group?.plan.is !== "group") return
    const { kind, members } = group.plan
    const name = `${kind}/${id}`
    if (group.children.some((member) => member.plan.name === name)) return
    const member = this.#place({ is: "leaf", name, restart: members, significant: false, spawns: [] }, group)
    member.ordered = false
    group.children.push(member)
    if (!is(group, "up")) return
    member.state = "pending"
    this.#progress(group)
  }

  #forget(place: Place): void {
    place.state = "forgotten"
    // A member of a group that is not known any more may be spawned anew.
    if (place.parent?.plan.is === "group")
      place.parent.children = place.parent.children.filter((each) => each !== place)
  }

  #start(place: Place): void {
    const { plan } = place
    if (plan.is === "leaf") {
      this.diary.push(`+${plan.name}`)
      const failures = this.#failures.get(plan.name) ?? 0
      if (failures > 0) {
        this.#failures.set(plan.name, failures - 1)
        place.state = "failing"
        this.#heard.push(() => {
          if (is(place, "failing")) this.#ended(place, true)
        })
        return
      }
      place.state = "up"
      place.upSince = this.now
      for (const id of plan.spawns) this.#spawn(place, id)
      return
    }
    place.state = plan.is === "group" ? "up" : "starting"
    place.upSince = this.now
    for (const child of place.children) {
      child.state = "pending"
      child.ordered = plan.is === "supervisor"
      child.streak = 0
      child.ends = []
    }
    place.ends = []
    this.#progress(place)
  }

  /** Starts what may start: an ordered child only when all above it are up, or need not be. */
  #progress(owner: Place): void {
    const settled = (place: Place): boolean => is(place, "up", "gone", "forgotten")
    for (;;) {
      if (!is(owner, "starting", "up")) return
      const next = owner.children.find(
        (child, place) =>
          is(child, "pending") && (!child.ordered || owner.children.slice(0, place).every(settled))
      )
      if (!next) break
      this.#start(next)
    }
    if (is(owner, "starting") && owner.children.every(settled)) {
      owner.state = "up"
      owner.upSince = this.now
      if (owner.parent) this.#progress(owner.parent)
    }
  }

  /** Stops it with everything below it, the last first. */
  #stop(place: Place): void {
    if (place.plan.is === "leaf" && is(place, "up")) this.diary.push(`-${place.plan.name}`)
    const downward = place.plan.is === "group" ? [...place.children] : [...place.children].reverse()
    for (const child of downward) {
      this.#stop(child)
      if (child.restart === "temporary") this.#forget(child)
    }
    if (!is(place, "forgotten")) place.state = "idle"
    place.upSince = Number.POSITIVE_INFINITY
  }

  #ended(place: Place, crashed: boolean): void {
    const owner = place.parent
    place.state = "idle"
    if (!owner) {
      this.outcome = crashed ? "failed" : "ended"
      return
    }
    const aliveMs = Math.max(0, this.now - place.upSince)
    place.upSince = Number.POSITIVE_INFINITY
    const comesBack = place.restart === "permanent" || (place.restart === "transient" && crashed)
    if (!comesBack) {
      place.state = "gone"
      const { plan } = owner
      if (place.restart === "temporary" || plan.is === "group") this.#forget(place)
      if (plan.is === "supervisor" && place.plan.significant && this.#endsWith(owner, plan.autoShutdown)) {
        this.#down(owner, false)
      } else this.#progress(owner)
      return
    }
    const { plan } = owner
    if (plan.is === "leaf") throw new Error("an actor supervises nobody")
    // Members of a group are judged each by itself, children of a supervisor together.
    const judged = plan.is === "group" ? place : owner
    judged.ends = [...judged.ends, this.now].filter((at) => this.now - at <= plan.withinMs)
    if (judged.ends.length > plan.crashes) {
      this.#down(owner, true)
      return
    }
    if (aliveMs >= 30_000) place.streak = 0
    const waitMs = Math.min(30_000, 100 * 2 ** place.streak)
    place.streak++
    const siblings = this.#goDownWith(owner, place)
    const unborn = siblings.filter((sibling) => is(sibling, "pending", "waiting"))
    for (const sibling of [...siblings].reverse()) this.#stop(sibling)
    const cause = this.#sequence
    for (const sibling of siblings) {
      if (is(sibling, "forgotten")) continue
      if (sibling.restart === "temporary" && !unborn.includes(sibling)) {
        this.#forget(sibling)
        continue
      }
      sibling.state = "waiting"
      sibling.ordered = siblings.length > 1
      sibling.wake = { at: this.now + waitMs, sequence: this.#sequence++, cause }
    }
  }

  #endsWith(owner: Place, autoShutdown: AutoShutdown): boolean {
    if (autoShutdown === "never") return false
    if (autoShutdown === "any-significant") return true
    return !owner.children.some((child) => child.plan.significant && !is(child, "gone", "forgotten"))
  }

  #goDownWith(owner: Place, place: Place): ReadonlyArray<Place> {
    if (owner.plan.is !== "supervisor" || owner.plan.strategy === "one-for-one") return [place]
    if (owner.plan.strategy === "one-for-all") return owner.children
    return owner.children.slice(owner.children.indexOf(place))
  }

  /** It ends by itself, with everything below it. */
  #down(owner: Place, crashed: boolean): void {
    const { upSince } = owner
    this.#stop(owner)
    owner.upSince = upSince
    this.#ended(owner, crashed)
  }

  /** A failed start is heard of after whatever it was part of. */
  #hear(): void {
    for (let heard = this.#heard.shift(); heard; heard = this.#heard.shift()) {
      this.tied ||= this.#heard.length > 0
      heard()
    }
  }
}
