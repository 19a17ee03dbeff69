/**
 * One of three processes of the benchmark: a member of the group as the daemon opens it, or of the bare skeleton. Told
 * what to do over the channel to its parent.
 */
import process from "node:process"
import { Effect } from "effect"
import { founding } from "#actors/raft/core/configuration.ts"
import { openGroup } from "#actors/raft/group.ts"
import { firstIncarnation } from "#actors/raft/incarnation.ts"
import type { RaftService } from "#actors/raft/protocol.ts"
import { connectionName, followDepartures } from "#actors/raft/wire/departures.ts"
import { openNatsWire } from "#actors/raft/wire/nats.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import { measure } from "#test/bench/raft/figures.ts"
import { type Order, type Report, type Setting, writeSubject } from "#test/bench/raft/orders.ts"
import { openSkeleton } from "#test/bench/raft/skeleton.ts"

interface Writer {
  readonly write: (data: Uint8Array) => Promise<void>
  readonly leads: () => boolean
  readonly sent?: () => number
  readonly applied?: () => number
  readonly compact?: () => Promise<void>
}

// A state of 32 MiB, so that snapshots are of a size that is felt.
const chunk = new Uint8Array(64 * 1024).fill(7)
const snapshotChunks = 512

let seq = 0
const writerOf = (raft: RaftService, id: string, boot: string): Writer => ({
  leads: () => raft.leadership()._tag === "Leading",
  write: (data) =>
    new Promise((resolve, reject) =>
      raft.propose(data, { proposer: id, boot, seq: ++seq }, (outcome) =>
        outcome._tag === "Applied" ? resolve() : reject(new Error(`a write ended as ${outcome._tag}`))
      )
    )
})

const openMember = Effect.fnUntraced(function* ({ id, ids, directory, access }: Setting) {
  const connect = (name: string, seed = access.seed) =>
    natsTransport({
      servers: [access.url],
      nodeId: id,
      seed,
      name,
      inOrder: true,
      inboxPrefix: `_INBOX.${name.replace(/ /g, "-")}`,
      ...(access.tls && { tls: access.tls })
    })
  const main = yield* connect(connectionName(id))
  const bulk = yield* connect(`bulk ${id}`)
  const api = yield* connect(`api ${id}`)
  const system = yield* connect(`system ${id}`, access.systemSeed)
  const wire = openNatsWire({ clusterId: "bench", raftId: id, incarnation: firstIncarnation, main, bulk })
  followDepartures(system, wire)
  const open = openGroup({ wire, initial: founding(...ids) })
  const raft = yield* open({
    directory,
    clusterId: "bench",
    nodeId: id,
    machine: {
      apply: (index) => index,
      snapshot: () => Array.from({ length: snapshotChunks }, () => chunk),
      restore: (chunks) => void [...chunks]
    }
  })
  const writer = writerOf(raft, id, String(process.pid))
  const none = new Uint8Array(0)
  api.subscribe(writeSubject(id), {}, ({ body, respond }) =>
    writer.write(body.slice()).then(
      () => respond?.({}, none),
      (error: Error) => respond?.({ error: error.message }, none)
    )
  )
  return {
    ...writer,
    sent: () => wire.counters().sent,
    applied: () => raft.status().applied,
    compact: () => Effect.runPromise(raft.compact)
  }
})

const tell = (message: unknown): void => void process.send?.(message)

async function obey(writer: Writer, order: Order): Promise<void> {
  switch (order._tag) {
    case "Measure": {
      const data = new Uint8Array(order.bytes).fill(1)
      const measuring = measure(order.open, order.count, () => writer.write(data))
      if (order.compact) await writer.compact?.()
      tell(await measuring)
      return
    }
    case "WriteOnce":
      await writer.write(new Uint8Array(256))
      tell("written")
      return
    case "Compact":
      await writer.compact?.()
      tell("compacted")
      return
    case "Report": {
      const report: Report = {
        leads: writer.leads(),
        rss: process.memoryUsage().rss,
        sent: writer.sent?.() ?? 0,
        applied: writer.applied?.() ?? 0
      }
      tell(report)
    }
  }
}

const setting: Setting = JSON.parse(process.argv[2] ?? "")
await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const writer: Writer =
        setting.kind === "group"
          ? yield* openMember(setting)
          : yield* Effect.promise(() => openSkeleton(setting))
      yield* Effect.callback<void>((resume) => {
        process.on("message", (order: Order) => {
          obey(writer, order).catch((error: Error) => tell({ error: error.message }))
        })
        process.on("disconnect", () => resume(Effect.void))
        tell("ready")
      })
    })
  )
)
process.exit(0)
