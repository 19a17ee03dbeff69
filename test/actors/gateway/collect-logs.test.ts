/** The lines of a task, pulled from nodes that break off, end, or are gone. */
import { expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { Effect, Stream } from "effect"
import { collectLogs } from "#actors/gateway/collect-logs.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import type { LogRequest, LogsAnswer, LogsMessage, WireLine } from "#actors/logs/protocol.ts"
import type { Address } from "#runtime/address.ts"
import { NotHere } from "#runtime/errors.ts"
import { Fresh } from "#runtime/ids.ts"
import type { SystemService } from "#runtime/system.ts"
import { Book } from "#test/support/ledger.ts"
import { timeAt } from "#test/support/log-lines.ts"

const request: LogRequest = { stdout: true, stderr: true, follow: false, details: false, since: 0, until: 0 }

/** Two streams, stamped apart: their times cross by less than a second, and pieces of a long line share one. */
function linesOf(seed: number): ReadonlyArray<WireLine> {
  const chance = Fresh.from(seed)
  let now = 10
  const at = { stdout: 0, stderr: 0 }
  return Array.from({ length: 80 }, (_, number) => {
    const stream = chance.below(2) === 0 ? "stdout" : "stderr"
    now += chance.below(3) * 0.1
    at[stream] = Math.max(at[stream], now - chance.below(9) * 0.1)
    const data = Buffer.from(`${number}\n`).toString("base64")
    return { stream, timestamp: timeAt(at[stream]), details: "", data }
  })
}

/** A node that has lines, and forgets its readers after so many batches. */
function nodeWith(lines: ReadonlyArray<WireLine>, patience: () => number) {
  const open = new Map<string, { readonly lines: ReadonlyArray<WireLine>; left: number }>()
  return (message: LogsMessage): LogsAnswer => {
    switch (message._tag) {
      case "Open": {
        const since = timeAt(Math.max(0, message.request.since - Date.parse("2026-11-26T00:00:00Z") / 1000))
        const from = message.request.since === 0 ? lines : lines.filter(({ timestamp }) => timestamp >= since)
        open.set(message.subscription, { lines: from, left: patience() })
        return { _tag: "Opened" }
      }
      case "Pull": {
        const reader = open.get(message.subscription)
        if (reader === undefined || reader.left-- <= 0) return { _tag: "Gone" }
        const from = message.after * 4
        const part = reader.lines.slice(from, from + 4)
        return { _tag: "Batch", seq: message.after + 1, lines: part, ended: from + 4 >= reader.lines.length }
      }
      default:
        return { _tag: "Kept", tasks: [] }
    }
  }
}

type Answering = (message: LogsMessage) => LogsAnswer

async function read(book: Book, nodes: Readonly<Record<string, Answering>>) {
  const ask = (to: Address, message: LogsMessage) =>
    Effect.suspend(() => {
      const node = nodes[to.home]
      return node === undefined
        ? Effect.fail(new NotHere({ address: to.home, message: "nobody is there" }))
        : Effect.succeed(node(message))
    })
  const system = { ask, tell: () => {} } as unknown as Pick<SystemService, "ask" | "tell">
  const ledger = { read: book.tables, follow: () => ({ unsubscribe: () => {} }) } as unknown as LedgerService
  const texts: Array<string> = []
  const reasons: Array<string> = []
  const collected = collectLogs({ ledger, system, of: { kind: "task", id: "t1" }, request })
  await Effect.runPromise(
    Stream.runForEach(collected, (one) =>
      Effect.sync(() => {
        if (one._tag === "Incomplete") reasons.push(...one.reasons)
        else texts.push(...one.lines.map(({ data }) => data.toString().trimEnd()))
      })
    )
  )
  return { texts, reasons }
}

function book(): Book {
  const made = new Book().cluster()
  for (const id of ["n1", "n2", "n3"]) {
    const node = made.node(id).tables.get("node", id)
    if (node?.Description === undefined) throw new Error("there is no node")
    made.must({
      type: "node.observe",
      v: 1,
      nodes: [{ id, description: { ...node.Description, FeatureLevel: 11 } }]
    })
  }
  made.service("s1")
  made.tasks("s1", 1)
  const [task] = [...made.tables.all("task")]
  if (task === undefined) throw new Error("there is no task")
  made.tables.remove("task", task.ID)
  const Status = { ...task.Status, State: "running" as const, ContainerStatus: { ContainerID: "c1" } }
  made.tables.put("task", { ...task, ID: "t1", NodeID: "n1", Status })
  return made
}

test("a reader that is cut off again and again is given each line once", async () => {
  const seeds = Array.from({ length: 24 }, (_, at) => at + 1)
  await Promise.all(
    seeds.map(async (seed) => {
      const lines = linesOf(seed)
      // Each time longer than what comes twice: so it ends.
      let patience = 1 + (seed % 4)
      const node = nodeWith(lines, () => (patience += 5))
      const { texts, reasons } = await read(book(), { n1: node })
      expect([seed, reasons, texts]).toEqual([seed, [], lines.map((_, number) => `${number}`)])
    })
  )
}, 30_000)

test("a node that goes while it is read: its copy goes on where it broke off, and a line says so", async () => {
  const lines = linesOf(3)
  const cluster = book()
  const own = nodeWith(lines, () => 3)
  const goes: Answering = (message) => {
    const answer = own(message)
    if (answer._tag === "Gone")
      cluster.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "down" } }] })
    return answer
  }
  const facts = { task: "t1", name: "web.1.t1", service: "s1", serviceName: "web" }
  const copy = (newest: string, lines: ReadonlyArray<WireLine>): Answering => {
    const has = nodeWith(lines, () => 1_000)
    return (message) => {
      if (message._tag === "List")
        return { _tag: "Kept", tasks: [], copies: [{ ...facts, node: "n1", newest }] }
      expect(message).toMatchObject(message._tag === "Open" ? { copyOf: "n1" } : {})
      return has(message)
    }
  }
  const newest = lines.at(-1)?.timestamp ?? ""
  const { texts, reasons } = await read(cluster, {
    n1: goes,
    n2: copy(lines[20]?.timestamp ?? "", lines.slice(0, 21)),
    n3: copy(newest, lines)
  })
  expect(texts[12]).toBe(
    `troupe: node n1 is not available: what follows is its copy on node n3, up to ${newest}`
  )
  expect(texts.filter((_, at) => at !== 12)).toEqual(lines.map((_, number) => `${number}`))
  expect(reasons).toEqual([])
  expect((await read(cluster, {})).reasons).toEqual(["node n1 is not available"])
})
