/** Snapshots on their way in: which one is installed when several come, and what waits for it. */
import { expect, test } from "bun:test"
import type { RaftCore } from "#actors/raft/core/protocol.ts"
import type { HostEffect } from "#actors/raft/host/protocol.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import { Snapshots } from "#actors/raft/host/snapshots.ts"

const metaOf = (index: number) => ({ index, term: 1, config: new Uint8Array(0) })

test("I6: a snapshot that comes while another one waits for the disk does not take its place", () => {
  // As the core does while an installation waits: the first is taken, the second is of no use.
  const answers = [true, false]
  const core = { install: () => answers.shift() === true } as unknown as RaftCore
  const effects: Array<HostEffect> = []
  const snapshots = new Snapshots(hostSettings, core, 0, (effect) => effects.push(effect))
  const first = new Uint8Array([1])
  snapshots.onFetched({ meta: metaOf(5), chunks: [first] })
  snapshots.onFetched({ meta: metaOf(8), chunks: [new Uint8Array([2])] })
  const persist = {
    token: 1,
    hardState: undefined,
    truncateFrom: undefined,
    entries: [],
    commitHint: 5,
    snapshot: metaOf(5)
  }
  snapshots.install(persist, { token: 1, entries: [], commitHint: 5 })
  expect(effects).toEqual([
    { _tag: "Install", token: 1, before: undefined, meta: metaOf(5), chunks: [first] }
  ])
})

test("H1: none is taken of the own state while a fetched one waits for the disk: the log says nothing of it any more", () => {
  const core = {
    install: () => true,
    configurationAt: () => {
      throw new Error("what the fetched snapshot covers is not known here")
    }
  } as unknown as RaftCore
  const effects: Array<HostEffect> = []
  const settings = { ...hostSettings, snapshotEntries: 1 }
  const snapshots = new Snapshots(settings, core, 0, (effect) => effects.push(effect))
  snapshots.onFetched({ meta: metaOf(8), chunks: [] })
  expect(snapshots.isInstalling).toBe(true)
  const storage = {
    scrubs: 0,
    damage: [],
    diskBytes: 0,
    logBytes: 0,
    snapshotIndex: 0,
    snapshotBytes: 0,
    low: false
  }
  snapshots.takeIfDue(5, 1, storage)
  expect(effects).toEqual([])
})
