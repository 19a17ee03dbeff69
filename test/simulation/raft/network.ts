/** The links between members, each way by itself: they delay, lose, repeat, reorder, fill up and are cut. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import { decodeMessage, encodeMessage } from "#actors/raft/host/codec.ts"
import type { Message } from "#actors/raft/host/message.ts"
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { Fresh } from "#runtime/ids.ts"
import type { Marks } from "#test/simulation/raft/marks.ts"
import { group, type Place } from "#test/simulation/raft/place.ts"
import type { NetworkPlan } from "#test/simulation/raft/plan.ts"

const calmMs = 100

interface Link {
  /** Delays of this link are longer by so much. */
  readonly factor: number
  lastAt: number
  inTransit: number
  cloggedUntil: number
}

export class Network {
  readonly #host: VirtualHost
  readonly #chance: Fresh
  readonly #plan: NetworkPlan
  readonly #marks: Marks
  readonly #places: ReadonlyMap<NodeId, Place>
  readonly #links = new Map<string, Link>()
  readonly #cuts = new Set<string>()
  /** Appends of more entries than this do not get through. */
  largest = Number.POSITIVE_INFINITY
  #calmFrom = Number.POSITIVE_INFINITY

  constructor(
    host: VirtualHost,
    chance: Fresh,
    plan: NetworkPlan,
    marks: Marks,
    places: ReadonlyMap<NodeId, Place>
  ) {
    this.#host = host
    this.#chance = chance
    this.#plan = plan
    this.#marks = marks
    this.#places = places
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`)
  }
  heal(): void {
    this.#cuts.clear()
    this.largest = Number.POSITIVE_INFINITY
    const now = this.#host.monotonic()
    for (const link of this.#links.values()) {
      // What it holds comes late, and nothing waits behind that any more.
      if (link.cloggedUntil > now) link.lastAt = now
      link.cloggedUntil = 0
    }
  }
  clog(from: NodeId, to: NodeId, ms: number): void {
    this.#link(`${from}>${to}`).cloggedUntil = this.#host.monotonic() + ms
  }

  /** From now on nothing is lost; what was sent before is there within `calmMs`, or never: no term of long ago comes up. */
  calm(): void {
    this.#calmFrom = this.#host.monotonic()
  }
  get #isCalm(): boolean {
    return this.#host.monotonic() >= this.#calmFrom
  }

  send(message: Message): void {
    const name = `${message.from}>${message.to}`
    const { loss, duplicate, replay, capacity } = this.#plan
    const link = this.#link(name)
    if (this.#cuts.has(name)) {
      this.#marks.hit("message cut off")
      return
    }
    if (message._tag === "Append" && message.entries.length > this.largest) {
      this.#marks.hit("message too large")
      return
    }
    if (link.inTransit >= capacity) {
      this.#marks.hit("message dropped by a full link")
      return
    }
    if (!this.#isCalm && this.#oneIn(loss)) {
      this.#marks.hit("message lost")
      return
    }
    const parcel = this.#plan.bytes ? encodeMessage(message, group) : message
    this.#carry(link, message, parcel)
    if (this.#isCalm) return
    if (this.#oneIn(duplicate)) {
      this.#marks.hit("message repeated")
      this.#carry(link, message, parcel)
    }
    if (this.#oneIn(replay)) {
      const late = 2_000 + this.#chance.below(20_000)
      const sentAt = this.#host.monotonic()
      this.#host.after(late, () => {
        this.#marks.hit("message minutes late")
        this.#arrive(sentAt, message, parcel)
      })
    }
  }

  /** As a member of another cluster, or of this one before it was made anew, would send it. */
  foreign(message: Message): void {
    const bytes = encodeMessage(message, "blue.0")
    try {
      decodeMessage(bytes, group)
    } catch {
      this.#marks.hit("foreign message refused")
      return
    }
    throw new Error("a message of another group was let in")
  }

  #carry(link: Link, message: Message, parcel: Message | Uint8Array): void {
    const { minMs, meanMs, reorder } = this.#plan
    const drawn = minMs + Math.round(-Math.log(1 - this.#chance.fraction()) * meanMs * link.factor)
    // On a network that is well, an answer is there before a leader is given up.
    const delay = this.#isCalm ? Math.min(drawn, calmMs) : drawn
    let at = Math.max(this.#host.monotonic() + delay, link.cloggedUntil)
    if (at < link.lastAt) {
      if (this.#oneIn(reorder)) this.#marks.hit("message overtaken")
      else at = link.lastAt
    }
    link.lastAt = Math.max(link.lastAt, at)
    link.inTransit++
    const now = this.#host.monotonic()
    this.#host.after(at - now, () => {
      link.inTransit--
      this.#arrive(now, message, parcel)
    })
  }

  #arrive(sentAt: number, message: Message, parcel: Message | Uint8Array): void {
    if (this.#cuts.has(`${message.from}>${message.to}`)) {
      this.#marks.hit("message cut off")
      return
    }
    if (sentAt < this.#calmFrom && this.#host.monotonic() > this.#calmFrom + calmMs) return
    const place = this.#places.get(message.to)
    if (place === undefined || !place.isUp) {
      this.#marks.hit("message to who is down")
      return
    }
    this.#host.note(`${message.from}>${message.to} ${message._tag} ${message.term}`)
    place.receive(parcel instanceof Uint8Array ? decodeMessage(parcel, group) : parcel)
  }

  #link(name: string): Link {
    let link = this.#links.get(name)
    if (link === undefined) {
      link = { factor: 0.5 + this.#chance.fraction() * 1.5, lastAt: 0, inTransit: 0, cloggedUntil: 0 }
      this.#links.set(name, link)
    }
    return link
  }

  #oneIn(perThousand: number): boolean {
    return perThousand > 0 && this.#chance.below(1_000) < perThousand
  }
}
