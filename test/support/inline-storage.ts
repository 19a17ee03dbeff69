/** The log without a thread of its own: for tests and simulation, over any `Vfs`, in turns the caller chooses. */
import type { Entry } from "#actors/raft/entry.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import { BatchEncoder } from "#actors/raft/storage/encode-batch.ts"
import { KeyChanges } from "#actors/raft/storage/key-changes.ts"
import { names } from "#actors/raft/storage/layout.ts"
import type { OpenedLog } from "#actors/raft/storage/open.ts"
import { readSnapshot, type SnapshotDraft } from "#actors/raft/storage/snapshot-file.ts"
import { DiskError, type Vfs } from "#actors/raft/storage/vfs.ts"
import { Wal } from "#actors/raft/storage/wal.ts"
import type { Storage } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"

export interface InlineStorage extends Storage {
  /** Reads everything over once. */
  readonly scrub: () => void
  /** What a quiet moment is used for in production: the witness, and the next segment. */
  readonly idle: () => void
}

/**
 * Each call does its work in a turn of its own, begun by `defer`. `failed` is told of the first error; nothing
 * is done or answered after it.
 */
export function inlineStorage(
  vfs: Vfs,
  cipher: Cipher,
  opened: OpenedLog,
  defer: (turn: () => void) => void,
  failed: (error: unknown) => void
): InlineStorage {
  const { recovered, wal: state } = opened
  const keys = new KeyChanges(vfs, cipher, opened)
  const wal = new Wal(vfs, cipher, state)
  const snapshotsPlace = `${state.directory}/${names.snapshots}`
  const encoder = new BatchEncoder(cipher, recovered)
  let poisoned = false
  let newest = state.snapshots[0]

  /** What found no room, and everything behind it. */
  const held: Array<() => (() => void) | undefined> = []
  /** False when there is no room for it yet. */
  const attempt = (work: () => (() => void) | undefined): boolean => {
    if (poisoned) return true
    try {
      const after = work()
      after?.()
      return after !== undefined
    } catch (error) {
      poisoned = true
      failed(error)
      return true
    }
  }
  const turn = (work: () => (() => void) | undefined, waits = true): void =>
    defer(() => {
      if ((waits && held.length > 0) || !attempt(work)) held.push(work)
    })

  return {
    recovered,
    persist: (batch, durable) => {
      const encoded = encoder.encode(batch)
      turn(() => {
        try {
          wal.append(encoded)
        } catch (error) {
          if (!(error instanceof DiskError) || !error.noSpace) throw error
          wal.refuseEntries()
          return undefined
        }
        return () => durable(batch.token)
      })
    },
    read: (from, to, maxBytes, done: (entries: ReadonlyArray<Entry>) => void) =>
      turn(() => {
        const entries = wal.read(from, to, maxBytes)
        return () => done(entries)
      }, false),
    loadSnapshot: () => {
      assert(newest !== undefined, "there is a snapshot to load")
      return readSnapshot(vfs, cipher, state.owner, keys.ring, `${snapshotsPlace}/${newest.name}`)
    },
    saveSnapshot: (meta, chunks, done) => {
      turn(() => {
        let draft: SnapshotDraft | undefined
        try {
          draft = wal.draft(meta)
          for (let next = chunks.next(); next.done !== true; next = chunks.next()) draft.add(next.value)
          const stored = draft.finishNow()
          wal.adopt(stored)
          // Only now: one that was refused must never be read in the place of the one before it.
          newest = stored
          encoder.skipTo(meta.index)
          return () => done(true)
        } catch (error) {
          if (!(error instanceof DiskError) || !error.noSpace) throw error
          draft?.abandon()
          wal.refuseEntries()
          return () => done(false)
        }
      })
    },
    status: () => wal.status(),
    newDataKey: (done) =>
      turn(() => {
        wal.changeKeys(keys.newDataKey())
        return done
      }),
    keepSnapshots: (old) =>
      turn(() => {
        wal.keepSnapshots(old)
        return () => {}
      }),
    wrapKeys: (wrap, done) =>
      turn(() => {
        wal.changeKeys(keys.beginWrapping(wrap))
        keys.endWrapping()
        return done
      }),
    quarantine: (reason, done) =>
      turn(() => {
        wal.quarantine(reason)
        poisoned = true
        return done
      }, false),
    close: (done) =>
      turn(() => {
        wal.close()
        return done
      }, false),
    scrub: () =>
      turn(() => {
        const round = wal.scrub()
        while (!round.done) round.step(Number.POSITIVE_INFINITY)
        wal.endScrub()
        return () => {}
      }),
    idle: () =>
      turn(() => {
        wal.witness()
        wal.measureRoom()
        while (held[0] !== undefined && attempt(held[0])) held.shift()
        while (wal.prepare());
        return () => {}
      }, false)
  }
}
