/** Fetching a snapshot, chunk after chunk: the receiver asks, so that it never gets more than it can take. */
import { crc32 } from "node:zlib"
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { SnapshotAsk, SnapshotChunk } from "#actors/raft/host/message.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import type { SnapshotMeta } from "#actors/raft/storage.ts"

interface Fetching {
  readonly from: NodeId
  readonly meta: SnapshotMeta
  readonly chunks: Array<Uint8Array>
  /** Chunks that overtook others: at most as many as were asked for. */
  readonly early: Map<number, SnapshotChunk>
  checksum: number
  /** The first chunk that was not asked for yet. */
  askedTo: number
  askedAt: number
  heardAt: number
}

type Ask = Pick<SnapshotAsk, "to" | "index" | "snapshotTerm" | "chunk" | "count">

export interface Fetched {
  readonly meta: SnapshotMeta
  readonly chunks: ReadonlyArray<Uint8Array>
}

export class Fetch {
  readonly #settings: HostSettings
  #now: Fetching | undefined

  constructor(settings: HostSettings) {
    this.#settings = settings
  }

  get progress(): { readonly index: number; readonly chunks: number } | undefined {
    return this.#now && { index: this.#now.meta.index, chunks: this.#now.chunks.length }
  }

  /** An offer: begins, unless one is under way that still moves. */
  offered(from: NodeId, meta: SnapshotMeta, tick: number): Ask | undefined {
    if (this.#now !== undefined) return undefined
    this.#now = {
      from,
      meta,
      chunks: [],
      early: new Map(),
      checksum: 0,
      askedTo: 0,
      askedAt: tick,
      heardAt: tick
    }
    return this.#ask(this.#now, tick)
  }

  /** Takes a chunk; answers with what to ask next, or with the whole. */
  received(message: SnapshotChunk, tick: number): Ask | Fetched | undefined {
    const now = this.#now
    if (now === undefined || !isOf(now, message)) return undefined
    if (message.chunk < now.chunks.length || message.chunk >= now.askedTo) return undefined
    now.early.set(message.chunk, message)
    for (let next = now.early.get(now.chunks.length); next !== undefined; ) {
      now.early.delete(next.chunk)
      const checksum = crc32(next.data, now.checksum)
      if (checksum !== next.checksum) {
        // Of another snapshot with the same name, or spoilt: nothing of it can be trusted.
        this.#now = undefined
        return undefined
      }
      now.checksum = checksum
      now.chunks.push(next.data)
      now.heardAt = tick
      if (next.last) {
        this.#now = undefined
        // An empty snapshot travels as one empty chunk.
        return { meta: now.meta, chunks: now.chunks.filter(({ length }) => length > 0) }
      }
      next = now.early.get(now.chunks.length)
    }
    return now.chunks.length >= now.askedTo ? this.#ask(now, tick) : undefined
  }

  gone(from: NodeId, index: number, snapshotTerm: number): void {
    if (this.#now !== undefined && isOf(this.#now, { from, index, snapshotTerm })) this.#now = undefined
  }

  /** Another leader may cut the same snapshot into other chunks. */
  abandon(): void {
    this.#now = undefined
  }

  tick(tick: number): Ask | undefined {
    const now = this.#now
    if (now === undefined) return undefined
    const { chunkTicks, fetchTicks } = this.#settings
    if (tick - now.heardAt >= fetchTicks) {
      this.#now = undefined
      return undefined
    }
    return tick - Math.max(now.heardAt, now.askedAt) >= chunkTicks ? this.#ask(now, tick) : undefined
  }

  #ask(now: Fetching, tick: number): Ask {
    now.askedAt = tick
    now.askedTo = now.chunks.length + this.#settings.chunksAtOnce
    return {
      to: now.from,
      index: now.meta.index,
      snapshotTerm: now.meta.term,
      chunk: now.chunks.length,
      count: this.#settings.chunksAtOnce
    }
  }
}

const isOf = (
  { from, meta }: Fetching,
  message: { readonly from: NodeId; readonly index: number; readonly snapshotTerm: number }
): boolean => message.from === from && message.index === meta.index && message.snapshotTerm === meta.term
