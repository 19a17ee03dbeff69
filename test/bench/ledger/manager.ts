/** A process of `ledger-joining.ts`: the manager that has all the tasks and lets another one in, or that other one. */
import process from "node:process"
import { Effect } from "effect"
import { makeEventFeed } from "#actors/gateway/event-feed.ts"
import { keepHistory } from "#actors/ledger/history.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { reach } from "#actors/network/reach.ts"
import { founding, nobody } from "#actors/raft/core/configuration.ts"
import { openGroup } from "#actors/raft/group.ts"
import { firstIncarnation } from "#actors/raft/incarnation.ts"
import { openNatsWire } from "#actors/raft/wire/nats.ts"
import { queue } from "#actors/scheduler/queue.ts"
import { rooms } from "#actors/scheduler/rooms.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import { now, showTurns, watchTurns } from "#test/bench/ledger/turns.ts"
import type { Access } from "#test/bench/raft/servers.ts"

export type Role = "founder" | "joiner"
export interface Answer {
  readonly said: string
}
interface Setting {
  readonly role: Role
  readonly directory: string
  readonly access: Access
}

const { role, directory, access }: Setting = JSON.parse(process.argv[2] ?? "")
const names = { founder: "n1", joiner: "n2" }
const me = names[role]
const everyMs = 10
/** Entries that a member may be behind at 100 a second while it is said to have caught up. */
const inStep = 20
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const mib = (): string => `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB resident`
const tell = (said: string): void => void process.send?.({ said } satisfies Answer)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const open = Effect.gen(function* () {
  const connect = (name: string) =>
    natsTransport({
      servers: [access.url],
      nodeId: me,
      seed: access.seed,
      name,
      inOrder: true,
      inboxPrefix: `_INBOX.${name}`
    })
  const main = yield* connect(`main-${me}`)
  const bulk = yield* connect(`bulk-${me}`)
  const wire = openNatsWire({ clusterId: "bench", raftId: me, incarnation: firstIncarnation, main, bulk })
  const initial = role === "founder" ? founding(me) : nobody
  return yield* openLedger({
    openRaft: openGroup({ wire, initial }),
    directory,
    clusterId: "bench",
    nodeId: me,
    host: makeLiveHost(),
    boot: `b${process.pid}`,
    views: [rooms, queue, reach]
  })
})

/** Statuses of tasks change 100 times a second until `until` is done; the longest that a write took. */
async function besideWrites(ledger: LedgerService, until: () => Promise<void>): Promise<number> {
  const ids: Array<string> = []
  for (const { ID } of ledger.read.all("task")) if (ids.push(ID) === 10_000) break
  let at = 0
  let slowest = 0
  const write = async (): Promise<void> => {
    const id = ids[at++ % ids.length] as string
    const status = { Timestamp: new Date().toISOString(), State: "running", Message: `${at}` } as const
    const node = ledger.read.get("task", id)?.NodeID ?? ""
    const began = now()
    const command = { type: "tasks.report", v: 1, node, statuses: [{ id, status }] } as const
    const outcome = await Effect.runPromise(ledger.propose(command, { who: "bench", why: "bench" }))
    if (outcome._tag !== "Applied") throw new Error(`a write ended as ${JSON.stringify(outcome)}`)
    slowest = Math.max(slowest, now() - began)
  }
  const timer = setInterval(() => void write(), everyMs)
  await until()
  clearInterval(timer)
  return slowest
}

const isVoter = (ledger: LedgerService, id: string): boolean =>
  ledger.group.view().members.some((member) => member.id === id && member.voter)

async function found(ledger: LedgerService): Promise<void> {
  while (ledger.leadership()._tag !== "Leading") await pause(10)
  const term = ledger.status().term
  tell(`${ledger.read.count("task")} tasks, entry ${ledger.read.index}, ${mib()}`)
  const turns = watchTurns(true)
  const slowest = await besideWrites(ledger, async () => {
    const added = await Effect.runPromise(ledger.group.change({ _tag: "AddLearner", node: names.joiner }))
    if (added._tag !== "Changed") throw new Error(`no learner: ${JSON.stringify(added)}`)
    while (!isVoter(ledger, names.joiner)) await pause(10)
  })
  const terms = ledger.status().term - term
  tell(
    `longest turn ${showTurns(turns.stop())}; slowest write ${slowest.toFixed(0)} ms; ${terms} elections; ${mib()}`
  )
}

async function join(ledger: LedgerService): Promise<void> {
  const feed = makeEventFeed()
  ledger.follow(feed.take)
  keepHistory(ledger)
  let largest = 0
  ledger.follow(({ changes }) => {
    largest = Math.max(largest, changes.length)
  })
  const began = now()
  const turns = watchTurns(true)
  while (ledger.read.count("task") === 0) await pause(1)
  const restored = now() - began
  while (!isVoter(ledger, me)) await pause(1)
  const votes = now() - began
  while (ledger.status().applied < ledger.status().commit - inStep) await pause(1)
  const took = now() - began
  const told = `the most that followers were told at once: ${largest} changes`
  tell(
    `caught up after ${seconds(took)}, the snapshot's state after ${seconds(restored)}, a voter after ${seconds(votes)}; ` +
      `longest turn ${showTurns(turns.stop())}; ${told}; ${mib()}`
  )
}

const use = role === "founder" ? found : join
await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const ledger = yield* open
      yield* Effect.promise(() => use(ledger))
      yield* Effect.never
    })
  )
)
