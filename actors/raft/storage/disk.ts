/** The log on the machine's disk: this side encodes and waits, a thread of its own writes (`writer.ts`). */
import { performance } from "node:perf_hooks"
import { Worker } from "node:worker_threads"
import type { Entry } from "#actors/raft/entry.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { BatchEncoder } from "#actors/raft/storage/encode-batch.ts"
import { KeyChanges } from "#actors/raft/storage/key-changes.ts"
import { names } from "#actors/raft/storage/layout.ts"
import type { OpenedLog } from "#actors/raft/storage/open.ts"
import { type Pace, usualPace } from "#actors/raft/storage/plan-scrub.ts"
import { readSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import type { WalStatus } from "#actors/raft/storage/wal.ts"
import type { FromWriter, ToWriter } from "#actors/raft/storage/writer-protocol.ts"
import type { Storage } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"
import { ownProgram } from "#runtime/platform.ts"

/**
 * Where a batch goes while no other is on its way: memory that both threads have is neither made nor given up for each.
 * Larger than what one write usually carries, small for a process.
 */
const sharedBytes = 2 * 1024 * 1024

// What a snapshot may take of the process at a time.
const sliceMs = 1
const sliceBytes = 1024 * 1024
// A slice ends with the chunk that fills it; one that is larger than most goes in memory of its own.
const roomBytes = sliceBytes + 128 * 1024

/** The thread that writes the log failed or ended; what it was asked last is in doubt. */
export class LogWriterFailed extends Error {
  override readonly name = "LogWriterFailed"
}

/**
 * Starts the writer on a log that `openLog` recovered. `failed` is told of the first failure; nothing is answered
 * after it.
 */
export function diskStorage(
  opened: OpenedLog,
  failed: (error: LogWriterFailed) => void,
  pace: Pace = usualPace
): Storage {
  const { recovered, wal: state } = opened
  const keys = new KeyChanges(nodeVfs, nodeCipher, opened)
  const keysChanged: Array<() => void> = []
  const encoder = new BatchEncoder(nodeCipher, recovered)
  const shared = new Uint8Array(new SharedArrayBuffer(sharedBytes))
  const writer = new Worker(ownProgram("actors/raft/storage/writer.ts"), { workerData: { state, pace } })
  const durable: Array<{ readonly token: number; readonly done: (token: number) => void }> = []
  const reads = new Map<number, (entries: ReadonlyArray<Entry>) => void>()
  let status: WalStatus = {
    diskBytes: 0,
    logBytes: state.logBytes,
    snapshotIndex: state.snapshots[0]?.index ?? 0,
    snapshotBytes: state.snapshots[0]?.bytes ?? 0,
    low: false,
    scrubs: 0,
    damage: []
  }
  let newest = state.snapshots[0]
  let readId = 0
  let snapshot:
    | {
        readonly chunks: Iterator<Uint8Array>
        readonly done: (saved: boolean) => void
        /** What the writer takes chunks from: memory for each would keep the garbage collector busy. */
        readonly room: Uint8Array
        fed: boolean
      }
    | undefined
  let quarantined: (() => void) | undefined
  let closed: (() => void) | undefined
  let ended = false

  const fail = (message: string): void => {
    if (ended) return
    ended = true
    failed(new LogWriterFailed(message))
  }
  const posts: Array<() => void> = []
  const postAll = (): void => {
    for (const post of posts.splice(0)) post()
  }
  /** What was published in the same turn leaves first: it has the longer way. */
  const ask = (message: ToWriter, transfer: ReadonlyArray<ArrayBuffer> = []): void => {
    if (ended || quarantined !== undefined) return
    if (posts.length === 0) queueMicrotask(postAll)
    posts.push(() => {
      if (!ended) writer.postMessage(message, [...transfer])
    })
  }

  /** Sends as much of the snapshot as one slice of time allows; the writer has taken the one before and asks for the next. */
  const feed = (): void => {
    if (snapshot === undefined || snapshot.fed) return
    const until = performance.now() + sliceMs
    const { room } = snapshot
    const chunks: Array<Uint8Array> = []
    let filled = 0
    while (filled < sliceBytes && performance.now() < until) {
      const { done, value } = snapshot.chunks.next()
      if (done === true) {
        snapshot.fed = true
        break
      }
      const end = filled + value.length
      const chunk = end <= room.length ? room.subarray(filled, end) : new Uint8Array(value.length)
      chunk.set(value)
      chunks.push(chunk)
      filled = end
    }
    // Also without any, which a slice that was held up comes to: the answer begins the next.
    if (chunks.length > 0 || !snapshot.fed) ask({ _tag: "SnapshotChunks", chunks })
    if (snapshot.fed) ask({ _tag: "EndSnapshot" })
  }

  const attempt = (what: string, work: () => void): void => {
    try {
      work()
    } catch (error) {
      fail(`Cannot ${what}: ${(error as Error).message}`)
    }
  }
  const feedCarefully = (): void => attempt("take a snapshot", feed)

  writer.on("message", (message: FromWriter) => {
    if (ended) return
    // What was in flight is not answered once the log leaves service.
    if (quarantined !== undefined && message._tag !== "Quarantined" && message._tag !== "Failed") return
    switch (message._tag) {
      case "Durable": {
        status = { ...(message.status ?? status), logBytes: message.logBytes }
        const first = durable.shift()
        assert(first?.token === message.token, "batches become durable in order")
        first.done(first.token)
        return
      }
      case "Entries": {
        const done = reads.get(message.id)
        reads.delete(message.id)
        done?.(message.entries)
        return
      }
      case "ChunksWritten":
        feedCarefully()
        return
      case "SnapshotEnded": {
        status = message.status
        if (message.stored !== undefined) {
          newest = message.stored
          encoder.skipTo(newest.index)
        }
        const ending = snapshot
        snapshot = undefined
        if (message.stored === undefined) ending?.chunks.return?.()
        ending?.done(message.stored !== undefined)
        return
      }
      case "Room":
        status = message.status
        return
      case "Failed":
        fail(message.message)
        return
      case "Scrubbed":
        status = { ...status, scrubs: message.scrubs, damage: message.damage }
        return
      case "KeysChanged":
        attempt("change the keys", () => keysChanged.shift()?.())
        return
      case "Quarantined":
        ended = true
        quarantined?.()
        return
      case "Closed":
        ended = true
        closed?.()
        return
    }
  })
  writer.on("error", (error: Error) => fail(`The log's writer failed: ${error.message}`))
  writer.on("exit", (code: number) => fail(`The log's writer ended by itself with code ${code}`))

  return {
    recovered,
    persist: (batch, done) => {
      const encoded = encoder.encode(batch, durable.length === 0 ? shared : undefined)
      const { buffer } = encoded.payload
      durable.push({ token: batch.token, done })
      ask(
        { _tag: "Append", token: batch.token, batch: encoded },
        buffer instanceof ArrayBuffer ? [buffer] : []
      )
    },
    read: (from, to, maxBytes, done) => {
      const id = ++readId
      reads.set(id, done)
      ask({ _tag: "Read", id, from, to, maxBytes })
    },
    loadSnapshot: () => {
      assert(newest !== undefined, "there is a snapshot to load")
      return readSnapshot(
        nodeVfs,
        nodeCipher,
        state.owner,
        keys.ring,
        `${state.directory}/${names.snapshots}/${newest.name}`
      )
    },
    saveSnapshot: (meta, chunks, done) => {
      assert(snapshot === undefined, "one snapshot at a time")
      snapshot = { chunks, done, room: new Uint8Array(new SharedArrayBuffer(roomBytes)), fed: false }
      ask({ _tag: "BeginSnapshot", meta })
      feedCarefully()
    },
    status: () => status,
    newDataKey: (done) => {
      keysChanged.push(done)
      ask({ _tag: "ChangeKeys", change: keys.newDataKey() })
    },
    keepSnapshots: (old) => ask({ _tag: "KeepSnapshots", old }),
    wrapKeys: (wrap, done) =>
      attempt("change the keys", () => {
        const change = keys.beginWrapping(wrap)
        keysChanged.push(() => {
          keys.endWrapping()
          done()
        })
        ask({ _tag: "ChangeKeys", change })
      }),
    quarantine: (reason, done) => {
      ask({ _tag: "Quarantine", reason })
      quarantined = done
    },
    close: (done) => {
      if (ended) {
        void writer.terminate().then(() => done())
        return
      }
      closed = () => void writer.terminate().then(() => done())
      ask({ _tag: "Close" })
    }
  }
}
