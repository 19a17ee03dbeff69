/**
 * Members over NATS: `troupe.v1.<cluster>.<to>.raft.<from>.<lane>`, where permissions hold everyone to their own `from`.
 *
 * Snapshots have a connection of their own, so that no heartbeat waits behind one. While NATS is away nothing is
 * queued: consensus repeats itself, and old words would only be in the way.
 */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import { decodeMessage, encodeMessage } from "#actors/raft/host/codec.ts"
import { type Lane, laneOf, type Message } from "#actors/raft/host/message.ts"
import { Malformed } from "#actors/raft/storage/bytes.ts"
import type { RaftWire, WireListener } from "#actors/raft/wire.ts"
import { isToken } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import { Unreachable } from "#runtime/errors.ts"
import type { Delivery, TransportService } from "#runtime/transport.ts"

export interface NatsWireOptions {
  readonly clusterId: string
  /** This member's name in the group. */
  readonly raftId: NodeId
  /** Names the cluster and its incarnation: what another one says is not heard. */
  readonly group: string
  /** For everything but snapshots. */
  readonly main: TransportService
  readonly bulk: TransportService
}

export interface NatsWireCounters {
  readonly sent: number
  readonly received: number
  /** Not decodable, of another group, or said in another's name. */
  readonly refused: number
}

export interface NatsWire extends RaftWire {
  /** A member's connection has ended, as the servers say. */
  readonly disconnected: (node: NodeId) => void
  /** It has one again. */
  readonly connected: (node: NodeId) => void
  readonly counters: () => NatsWireCounters
  readonly close: () => void
}

const noHeaders = {}

function understood(body: Uint8Array, group: string): Message | undefined {
  try {
    return decodeMessage(body, group)
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}
/**
 * How long a member whose connection has ended is given to be heard again: one that only lost its server is back on
 * another within 30 ms, and says so.
 */
const doubtMs = 60

export function openNatsWire(options: NatsWireOptions): NatsWire {
  const { clusterId, raftId, group, main, bulk } = options
  assert(isToken(raftId) && isToken(clusterId), "ids are tokens")
  const listeners = new Set<WireListener>()
  const doubts = new Map<NodeId, ReturnType<typeof setTimeout>>()
  const subjects = new Map<string, string>()
  const counters = { sent: 0, received: 0, refused: 0 }

  const subjectTo = (to: NodeId, lane: Lane): string => {
    const key = `${lane} ${to}`
    let subject = subjects.get(key)
    if (subject === undefined) {
      subject = `troupe.v1.${clusterId}.${to}.raft.${raftId}.${lane}`
      subjects.set(key, subject)
    }
    return subject
  }

  const believe = (node: NodeId): void => {
    clearTimeout(doubts.get(node))
    doubts.delete(node)
  }

  const send = (message: Message): void => {
    const lane = laneOf(message)
    const transport = lane === "bulk" ? bulk : main
    try {
      transport.publish(subjectTo(message.to, lane), noHeaders, encodeMessage(message, group))
      counters.sent++
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error
      for (const heard of listeners) heard.unreachable(message.to)
    }
  }

  const take = (delivery: Delivery): void => {
    const from = delivery.subject.split(".")[5]
    const message = understood(delivery.body, group)
    if (message === undefined || message.from !== from || message.to !== raftId) {
      counters.refused++
      return
    }
    counters.received++
    if (doubts.size > 0) believe(message.from)
    for (const heard of listeners) heard.received(message)
  }

  const base = `troupe.v1.${clusterId}.${raftId}.raft.*`
  const subscriptions = [
    main.subscribe(`${base}.control`, {}, take),
    main.subscribe(`${base}.append`, {}, take),
    bulk.subscribe(`${base}.bulk`, {}, take)
  ]

  return {
    send,
    listen: (heard) => {
      listeners.add(heard)
      return { unsubscribe: () => listeners.delete(heard) }
    },
    disconnected: (node) => {
      if (node === raftId || doubts.has(node)) return
      const timer = setTimeout(() => {
        doubts.delete(node)
        for (const heard of listeners) heard.gone(node)
      }, doubtMs)
      doubts.set(node, timer)
    },
    connected: believe,
    counters: () => ({ ...counters }),
    close: () => {
      for (const node of [...doubts.keys()]) believe(node)
      for (const subscription of subscriptions) subscription.unsubscribe()
    }
  }
}
