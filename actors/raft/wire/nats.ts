/**
 * Members over NATS: `troupe.v1.<cluster>.<to>.raft.<from>.<lane>`, where permissions hold everyone to their own `from`.
 *
 * Snapshots have a connection of their own, so that no heartbeat waits behind one. While NATS is away nothing is
 * queued: consensus repeats itself, and old words would only be in the way.
 */

import { performance } from "node:perf_hooks"
import type { NodeId } from "#actors/raft/core/configuration.ts"
import { decodeMessage, MessageEncoder, OfAnotherGroup } from "#actors/raft/host/codec.ts"
import { type Lane, laneOf, type Message } from "#actors/raft/host/message.ts"
import { groupName, type Incarnation, incarnationOf, supersedes } from "#actors/raft/incarnation.ts"
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
  /** Of this member: what is said in another one is not heard. */
  readonly incarnation: Incarnation
  /** Told of members of other incarnations that speak to this one, at most once a second of each. */
  readonly met?: (other: Incarnation, from: NodeId) => void
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
  /** A member's connection has ended, as the servers say: `surely` where they all did, as those of a dead process do. */
  readonly disconnected: (node: NodeId, gone: "perhaps" | "surely") => void
  /** It has one again. */
  readonly connected: (node: NodeId) => void
  readonly counters: () => NatsWireCounters
  readonly close: () => void
}

const noHeaders = {}

/** How often somebody of another incarnation is news. */
const meetEveryMs = 1_000

/**
 * How long a member whose connection has ended is given to be heard again: one that only lost its server is back on
 * another within 30 ms, and says so. What looks like a dead process is given what the news of servers may be apart.
 */
const doubtMs = { perhaps: 60, surely: 15 }

export function openNatsWire(options: NatsWireOptions): NatsWire {
  const { clusterId, raftId, incarnation, main, bulk } = options
  const group = groupName(clusterId, incarnation)
  assert(isToken(raftId) && isToken(clusterId), "ids are tokens")
  const listeners = new Set<WireListener>()
  const doubts = new Map<NodeId, ReturnType<typeof setTimeout>>()
  const metAt = new Map<NodeId, number>()
  const subjects = new Map<string, string>()
  const encoder = new MessageEncoder(group)
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
      transport.publish(subjectTo(message.to, lane), noHeaders, encoder.encode(message))
      counters.sent++
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error
      for (const heard of listeners) heard.unreachable(message.to)
    }
  }

  /** Somebody of another life of this group, or of no group of this cluster at all. */
  const meet = (from: NodeId, its: string): void => {
    const other = incarnationOf(clusterId, its)
    if (other === undefined || from === raftId) return
    const now = performance.now()
    if (now - (metAt.get(from) ?? Number.NEGATIVE_INFINITY) < meetEveryMs) return
    metAt.set(from, now)
    // Who was left behind is to hear of it. Whatever this says, it is said in the name of the later group.
    if (supersedes(incarnation, other)) send({ _tag: "Removed", from: raftId, to: from, term: 0 })
    options.met?.(other, from)
  }

  const understood = (body: Uint8Array, from: NodeId): Message | undefined => {
    try {
      return decodeMessage(body, group)
    } catch (error) {
      if (error instanceof OfAnotherGroup) meet(from, error.group)
      if (error instanceof Malformed) return undefined
      throw error
    }
  }

  const take = (delivery: Delivery): void => {
    const from = delivery.subject.split(".")[5] ?? ""
    const message = understood(delivery.body, from)
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
    disconnected: (node, gone) => {
      if (node === raftId || (gone === "perhaps" && doubts.has(node))) return
      clearTimeout(doubts.get(node))
      const timer = setTimeout(() => {
        doubts.delete(node)
        for (const heard of listeners) heard.gone(node)
      }, doubtMs[gone])
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
