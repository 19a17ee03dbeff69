/**
 * Watching actors that live in other processes: the watcher repeats its wish, the owner tells once when it is over.
 *
 * Repeating makes both sides forgetful on purpose: an owner drops watchers that fell silent, a watcher that gets no
 * answer for a while takes the node for gone.
 */
import { type Address, showAddress } from "#runtime/address.ts"
import type { Host } from "#runtime/host.ts"
import type { SysMessage } from "#runtime/inspect.ts"
import type { Registry } from "#runtime/registry.ts"
import type { Outcome } from "#runtime/wire.ts"

/** One lost round is a lost packet. */
const renewMs = 1_000
/** NATS itself restarts within 2 s, and nobody's node is gone because of that. */
const missesBorne = 4
/** Ten rounds missed: the watcher is not coming back, or will ask anew. */
const forgetAfterMs = 10_000

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

interface Outgoing {
  readonly target: Address
  readonly told: (reason: string) => void
  confirmed: boolean
  misses: number
  cancelNext: (() => void) | undefined
}

interface Incoming {
  readonly unwatch: () => void
  cancelForget: () => void
}

export class Watches {
  readonly #world: WatchWorld
  readonly #outgoing = new Map<string, Outgoing>()
  readonly #incoming = new Map<string, Incoming>()
  #count = 0

  constructor(world: WatchWorld) {
    this.#world = world
  }

  /** Watches an actor in another process; `told` is called once unless taken back. */
  watch(target: Address, told: (reason: string) => void): () => void {
    // The host's own time makes keys of an earlier process of this node different from ours.
    const key = `${this.#world.host.now().toString(36)}-${(this.#count++).toString(36)}`
    this.#outgoing.set(key, { target, told, confirmed: false, misses: 0, cancelNext: undefined })
    this.#round(key)
    return () => {
      const watch = this.#outgoing.get(key)
      if (!watch) return
      watch.cancelNext?.()
      this.#outgoing.delete(key)
      this.#world.tell(target, { _tag: "Unwatch", watcher: this.#world.nodeId, key })
    }
  }

  /** The owner's side of `Watch`. False when the target is not here. */
  onWatch(target: Address, watcher: string, key: string): boolean {
    const { host, registry } = this.#world
    const name = `${watcher} ${key}`
    const forget = (): (() => void) => host.after(forgetAfterMs, () => this.onUnwatch(watcher, key))
    const known = this.#incoming.get(name)
    if (known) {
      known.cancelForget()
      known.cancelForget = forget()
      return true
    }
    const told = (reason: string): void => {
      this.#incoming.get(name)?.cancelForget()
      this.#incoming.delete(name)
      this.#world.tellNode(watcher, { _tag: "Gone", key, reason })
    }
    if (!registry.watch(target, told)) return false
    this.#incoming.set(name, { unwatch: () => registry.unwatch(target, told), cancelForget: forget() })
    return true
  }

  onUnwatch(watcher: string, key: string): void {
    const name = `${watcher} ${key}`
    const known = this.#incoming.get(name)
    if (!known) return
    known.cancelForget()
    known.unwatch()
    this.#incoming.delete(name)
  }

  /** The watcher's side of the end. */
  onGone(key: string, reason: string): void {
    const watch = this.#outgoing.get(key)
    if (!watch) return
    watch.cancelNext?.()
    this.#outgoing.delete(key)
    watch.told(reason)
  }

  /** Asks again at once, as after a reconnect, when the answer may have changed. */
  hasten(): void {
    for (const [key, watch] of [...this.#outgoing]) {
      if (!watch.cancelNext) continue
      watch.cancelNext()
      this.#round(key)
    }
  }

  close(): void {
    for (const watch of this.#outgoing.values()) watch.cancelNext?.()
    this.#outgoing.clear()
    for (const incoming of this.#incoming.values()) {
      incoming.cancelForget()
      incoming.unwatch()
    }
    this.#incoming.clear()
  }

  #round(key: string): void {
    const watch = this.#outgoing.get(key)
    if (!watch) return
    watch.cancelNext = undefined
    const message: SysMessage = { _tag: "Watch", watcher: this.#world.nodeId, key }
    this.#world.ask(watch.target, message, renewMs, (outcome, silent) => {
      if (this.#outgoing.get(key) !== watch) return
      if (outcome._tag === "Answer") {
        watch.confirmed = true
        watch.misses = 0
      } else {
        const gone = outcome._tag === "NotHere" && (!silent || !watch.confirmed)
        if (gone) return this.onGone(key, `${showAddress(watch.target)} is not there`)
        watch.misses++
        if (watch.misses > missesBorne) {
          return this.onGone(key, `the node of ${showAddress(watch.target)} does not answer`)
        }
      }
      watch.cancelNext = this.#world.host.after(renewMs, () => this.#round(key))
    })
  }
}
