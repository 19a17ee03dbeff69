/**
 * Watching actors that live in other processes: the watcher repeats its wishes, the owner tells once what is over.
 *
 * All watches of one home share one message a second, which names them all. Repeating makes both sides forgetful on
 * purpose: an owner drops what it is not told of any more, and a watcher that gets no answer takes the node for gone.
 * What is watched is one tenure of an address, from its start to its end for good; restarts by a supervisor belong to
 * it. So a successor under the same address cannot hide an end whose notice was lost.
 */
import { Schema } from "effect"
import { type Address, address, showAddress } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import type { Cell } from "#runtime/cell.ts"
import type { Host } from "#runtime/host.ts"
import { type SysMessage, systemAddress } from "#runtime/inspect.ts"
import type { Registry } from "#runtime/registry.ts"
import { decoderOf, type Outcome } from "#runtime/wire.ts"

/** One lost round is a lost packet. */
const renewMs = 1_000
/** NATS itself restarts within 2 s, and nobody's node is gone because of that. */
const missesBorne = 4
/** Ten rounds missed: the watcher is not coming back, or will ask anew. */
const forgetAfterMs = 10_000
/** What one message carries with room to spare: a watch takes some 100 bytes. */
const mostPerMessage = 4_000

export interface WatchWorld {
  readonly host: Host
  readonly nodeId: string
  readonly registry: Registry
  /** Asks the runtime that owns `target`. `silent` says that the transport, not a process, gave the outcome. */
  readonly ask: (
    target: Address,
    message: SysMessage,
    withinMs: number,
    done: (outcome: Outcome, silent: boolean) => void
  ) => void
  readonly tell: (target: Address, message: SysMessage) => void
  /** Tells the runtime of a node. */
  readonly tellNode: (nodeId: string, message: SysMessage) => void
}

type Watching = Extract<SysMessage, { readonly _tag: "Watching" }>

/** What the owner answers: the watches that are over, and the tenures of those whose watcher named none. */
const Watched = Schema.Struct({
  over: Schema.Array(Schema.String),
  tenures: Schema.Record(Schema.String, Schema.String)
})
export type Watched = typeof Watched.Type
const readWatched = decoderOf(Watched)
/** What the owner answers to a single `Watch`. */
const readConfirmed = decoderOf(Schema.Struct({ tenure: Schema.String }))

function readTenure(answer: unknown): string | undefined {
  const decoded = readConfirmed(answer)
  return decoded.ok ? (decoded.message as { readonly tenure: string }).tenure : undefined
}

interface Outgoing {
  readonly target: Address
  readonly told: (reason: string) => void
  /** Known once the owner has said that it watches. */
  tenure: string | undefined
}

/** All watches of one home. */
interface Link {
  readonly home: string
  readonly watches: Map<string, Outgoing>
  misses: number
  /** Takes back the round that is to come; undefined while one is under way. */
  cancelNext: (() => void) | undefined
}

/** What one watcher watches at one home of ours. */
interface Incoming {
  readonly watches: Map<string, { readonly tenure: string; readonly unwatch: () => void }>
  cancelForget: () => void
}

export class Watches {
  readonly #world: WatchWorld
  readonly #links = new Map<string, Link>()
  readonly #incoming = new Map<string, Incoming>()
  readonly #tenures = new WeakMap<Cell, string>()
  /** Makes what this process names different from what an earlier one of this node named. */
  readonly #boot: string
  #count = 0

  constructor(world: WatchWorld) {
    this.#world = world
    this.#boot = Math.floor(world.host.random() * 2 ** 32).toString(36)
  }

  /** Watches an actor in another process; `told` is called once unless taken back. */
  watch(target: Address, told: (reason: string) => void): () => void {
    assert(target.home !== "manager", "of several managers, none in particular can be watched")
    const key = this.#name()
    const link = this.#linkTo(target.home)
    const outgoing: Outgoing = { target, told, tenure: undefined }
    link.watches.set(key, outgoing)
    const message: SysMessage = { _tag: "Watch", watcher: this.#world.nodeId, key }
    this.#world.ask(target, message, renewMs, (outcome) => {
      if (outgoing.tenure !== undefined) return
      // Anything else is made up for by the next round.
      if (outcome._tag === "Answer") outgoing.tenure = readTenure(outcome.value)
      else if (outcome._tag === "NotHere") this.onGone(key, `${showAddress(target)} is not there`)
    })
    return () => {
      if (!this.#drop(key)) return
      this.#world.tell(target, { _tag: "Unwatch", watcher: this.#world.nodeId, key })
    }
  }

  /** The owner's side of `Watch`: the tenure that is watched; undefined when nobody is there. */
  onWatch(target: Address, watcher: string, key: string): string | undefined {
    return this.#accept(this.#incomingOf(watcher, target.home), target, watcher, key, undefined)
  }

  /** The owner's side of `Watching`, which came to this home of ours. */
  onWatching(home: string, { watcher, watches, all }: Watching): Watched {
    const incoming = this.#incomingOf(watcher, home)
    const over: Array<string> = []
    const tenures: Record<string, string> = {}
    for (const { key, kind, id, tenure } of watches) {
      const found = this.#accept(incoming, address(home, kind, id), watcher, key, tenure)
      if (found === undefined) over.push(key)
      else if (tenure === undefined) tenures[key] = found
    }
    if (all && incoming.watches.size > watches.length - over.length) {
      const named = new Set(watches.map(({ key }) => key))
      for (const key of [...incoming.watches.keys()]) {
        if (!named.has(key)) this.onUnwatch(home, watcher, key)
      }
    }
    return { over, tenures }
  }

  onUnwatch(home: string, watcher: string, key: string): void {
    const incoming = this.#incoming.get(`${watcher} ${home}`)
    incoming?.watches.get(key)?.unwatch()
    incoming?.watches.delete(key)
  }

  /** The watcher's side of the end. */
  onGone(key: string, reason: string): void {
    this.#drop(key)?.told(reason)
  }

  /** Asks again at once, as after a reconnect, when the answer may have changed. */
  hasten(): void {
    for (const link of [...this.#links.values()]) {
      if (!link.cancelNext) continue
      link.cancelNext()
      this.#round(link)
    }
  }

  close(): void {
    for (const link of this.#links.values()) link.cancelNext?.()
    this.#links.clear()
    for (const key of [...this.#incoming.keys()]) this.#forget(key)
  }

  // --- the watcher's side ----------------------------------------------------------------------------------------

  #linkTo(home: string): Link {
    const known = this.#links.get(home)
    if (known) return known
    const link: Link = { home, watches: new Map(), misses: 0, cancelNext: undefined }
    this.#links.set(home, link)
    this.#later(link, renewMs)
    return link
  }

  /** Forgets a watch, and its link with the last one. */
  #drop(key: string): Outgoing | undefined {
    for (const link of this.#links.values()) {
      const outgoing = link.watches.get(key)
      if (!outgoing) continue
      link.watches.delete(key)
      if (link.watches.size === 0) {
        link.cancelNext?.()
        this.#links.delete(link.home)
      }
      return outgoing
    }
    return undefined
  }

  #later(link: Link, ms: number): void {
    link.cancelNext = this.#world.host.after(ms, () => this.#round(link))
  }

  #round(link: Link): void {
    const { host, nodeId: watcher } = this.#world
    link.cancelNext = undefined
    const began = host.monotonic()
    const keys = [...link.watches.keys()]
    const all = keys.length <= mostPerMessage
    let open = Math.ceil(keys.length / mostPerMessage)
    let answered = true
    for (let at = 0; at < keys.length; at += mostPerMessage) {
      const part = keys.slice(at, at + mostPerMessage)
      const watches = part.map((key) => {
        const { target, tenure } = link.watches.get(key) as Outgoing
        return { key, kind: target.kind, id: target.id, ...(tenure !== undefined && { tenure }) }
      })
      const message: Watching = { _tag: "Watching", watcher, all, watches }
      this.#world.ask(systemAddress(link.home), message, renewMs, (outcome) => {
        if (!this.#heard(link, part, outcome)) answered = false
        open--
        if (open > 0 || this.#links.get(link.home) !== link) return
        link.misses = answered ? 0 : link.misses + 1
        if (link.misses > missesBorne) this.#giveUp(link)
        else this.#later(link, Math.max(0, renewMs - (host.monotonic() - began)))
      })
    }
  }

  /** Takes in what became of a round. False when nobody answered it. */
  #heard(link: Link, keys: ReadonlyArray<string>, outcome: Outcome): boolean {
    if (outcome._tag !== "Answer") {
      // Those that were there may be back in a moment; who asks for the first time is told what there is.
      for (const key of outcome._tag === "NotHere" ? keys : []) {
        const outgoing = link.watches.get(key)
        if (outgoing?.tenure !== undefined || !outgoing) continue
        this.onGone(key, `${showAddress(outgoing.target)} is not there`)
      }
      return false
    }
    const decoded = readWatched(outcome.value)
    if (!decoded.ok) return false
    const { over, tenures } = decoded.message as Watched
    for (const [key, tenure] of Object.entries(tenures)) {
      const outgoing = link.watches.get(key)
      if (outgoing && outgoing.tenure === undefined) outgoing.tenure = tenure
    }
    for (const key of over) {
      const outgoing = link.watches.get(key)
      if (!outgoing) continue
      const words = outgoing.tenure === undefined ? "is not there" : "has ended"
      this.onGone(key, `${showAddress(outgoing.target)} ${words}`)
    }
    return true
  }

  #giveUp(link: Link): void {
    this.#links.delete(link.home)
    for (const { target, told } of link.watches.values()) {
      told(`the node of ${showAddress(target)} does not answer`)
    }
  }

  // --- the owner's side ------------------------------------------------------------------------------------------

  /** The watches of one watcher at one home, kept for a while longer. */
  #incomingOf(watcher: string, home: string): Incoming {
    const name = `${watcher} ${home}`
    const forget = (): (() => void) => this.#world.host.after(forgetAfterMs, () => this.#forget(name))
    const known = this.#incoming.get(name)
    if (known) {
      known.cancelForget()
      known.cancelForget = forget()
      return known
    }
    const incoming: Incoming = { watches: new Map(), cancelForget: forget() }
    this.#incoming.set(name, incoming)
    return incoming
  }

  #forget(name: string): void {
    const incoming = this.#incoming.get(name)
    this.#incoming.delete(name)
    incoming?.cancelForget()
    for (const { unwatch } of incoming?.watches.values() ?? []) unwatch()
  }

  /** The tenure that is watched; undefined when the one meant is over. */
  #accept(
    incoming: Incoming,
    target: Address,
    watcher: string,
    key: string,
    tenure: string | undefined
  ): string | undefined {
    const known = incoming.watches.get(key)
    if (known) return tenure === undefined || tenure === known.tenure ? known.tenure : undefined
    const { registry } = this.#world
    const present = this.#tenureOf(target)
    if (present === undefined || (tenure !== undefined && tenure !== present)) return undefined
    const told = (reason: string): void => {
      incoming.watches.delete(key)
      this.#world.tellNode(watcher, { _tag: "Gone", key, reason })
    }
    registry.watch(target, told)
    incoming.watches.set(key, { tenure: present, unwatch: () => registry.unwatch(target, told) })
    return present
  }

  #tenureOf(target: Address): string | undefined {
    const cell = this.#world.registry.find(target)
    if (!cell) return undefined
    const known = this.#tenures.get(cell)
    if (known !== undefined) return known
    const tenure = this.#name()
    this.#tenures.set(cell, tenure)
    return tenure
  }

  #name(): string {
    return `${this.#boot}-${(this.#count++).toString(36)}`
  }
}
