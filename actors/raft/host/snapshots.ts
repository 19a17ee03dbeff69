/** Taking snapshots of the own state when they are due, and putting fetched ones in its place. One at a time. */

import { encodeConfiguration } from "#actors/raft/core/configuration.ts"
import type { Persist, RaftCore } from "#actors/raft/core/protocol.ts"
import type { Fetched } from "#actors/raft/host/fetch.ts"
import type { HostEffect, HostSettings, Ticket } from "#actors/raft/host/protocol.ts"
import type { PersistBatch, SnapshotMeta, StorageStatus } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"

// After a snapshot for which there was no room: so many entries before the next attempt.
const retryAfterEntries = 1_000

type Install = Extract<HostEffect, { readonly _tag: "Install" }>

export class Snapshots {
  readonly #settings: HostSettings
  readonly #core: RaftCore
  readonly #effect: (effect: HostEffect) => void
  /** Of the newest durable one. */
  index: number
  #entries: number
  #saving: { readonly meta: SnapshotMeta; readonly tickets: ReadonlyArray<Ticket> } | undefined
  #asked: Array<Ticket> = []
  #notBefore = 0
  #fetched: Fetched | undefined
  #install: Install | undefined
  /** It was given to the storage. */
  #installing = false
  /** When an installation for which there was no room is tried again. */
  #again: number | undefined

  constructor(settings: HostSettings, core: RaftCore, index: number, effect: (effect: HostEffect) => void) {
    this.#settings = settings
    this.#core = core
    this.#effect = effect
    this.index = index
    this.#entries = settings.snapshotEntries
  }

  /** A fetched snapshot is about to take the place of log and state: nothing is applied until it has. */
  get isInstalling(): boolean {
    return this.#install !== undefined || this.#fetched !== undefined
  }

  every(entries = this.#settings.snapshotEntries): void {
    this.#entries = entries
  }

  ask(ticket: Ticket): void {
    this.#asked.push(ticket)
  }

  /** Takes one if it is due or was asked for. The state machine must stand exactly at `applied`. */
  takeIfDue(applied: number, appliedTerm: number, storage: StorageStatus): void {
    if (this.#saving !== undefined || this.isInstalling) return
    const { snapshotBytes, snapshotBytesAtMost } = this.#settings
    const bytes = Math.min(Math.max(snapshotBytes, 2 * storage.snapshotBytes), snapshotBytesAtMost)
    const isDue = applied - this.index >= this.#entries || storage.logBytes >= bytes
    if (this.#asked.length === 0 && (!isDue || applied < this.#notBefore)) return
    const tickets = this.#asked
    this.#asked = []
    if (applied <= this.index) {
      this.#settle(tickets, true)
      return
    }
    const config = encodeConfiguration(this.#core.configurationAt(applied))
    const meta: SnapshotMeta = { index: applied, term: appliedTerm, config }
    this.#saving = { meta, tickets }
    this.#effect({ _tag: "SaveSnapshot", meta })
  }

  onSaved(meta: SnapshotMeta, saved: boolean): void {
    const saving = this.#saving
    assert(saving?.meta.index === meta.index, "what was saved was asked for")
    this.#saving = undefined
    if (saved) {
      this.index = Math.max(this.index, meta.index)
      this.#core.compact(meta)
    } else this.#notBefore = meta.index + retryAfterEntries
    this.#settle(saving.tickets, saved)
    this.#installNext()
  }

  /** A snapshot came whole; the core says whether it is still of use. */
  onFetched(fetched: Fetched): void {
    // One that is of no use must not take the place of one that waits for its turn at the disk.
    if (this.#core.install(fetched.meta)) this.#fetched = fetched
  }

  /** The core wants the log to begin at the fetched snapshot. `batch` goes to the disk before it. */
  install(persist: Persist, batch: PersistBatch): void {
    const { token, snapshot: meta } = persist
    const fetched = this.#fetched
    assert(meta !== undefined && fetched?.meta.index === meta.index, "what is installed was fetched")
    const before = persist.hardState === undefined && persist.truncateFrom === undefined ? undefined : batch
    this.#fetched = undefined
    this.#install = { _tag: "Install", token, before, meta, chunks: fetched.chunks }
    this.#installNext()
  }

  /** What was installed, or undefined when there was no room. */
  onInstalled(token: number, saved: boolean, now: number): SnapshotMeta | undefined {
    const install = this.#install
    assert(install !== undefined && install.token === token, "what was installed was asked for")
    this.#install = undefined
    this.#installing = false
    if (!saved) {
      this.#fetched = { meta: install.meta, chunks: install.chunks }
      this.#again = now + this.#settings.resendTicks
      this.#core.unplaced(token)
      return undefined
    }
    this.index = install.meta.index
    return install.meta
  }

  tick(now: number): void {
    if (this.#again === undefined || this.#again > now) return
    this.#again = undefined
    this.#core.placeAgain()
  }

  #installNext(): void {
    if (this.#install === undefined || this.#saving !== undefined || this.#installing) return
    this.#installing = true
    this.#effect(this.#install)
  }

  #settle(tickets: ReadonlyArray<Ticket>, saved: boolean): void {
    for (const ticket of tickets)
      this.#effect({ _tag: "Settle", ticket, settlement: { _tag: "Compacted", saved } })
  }
}
