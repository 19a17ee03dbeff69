/**
 * The ledger at the size it is designed for: 1,000,000 tasks of 10,000 services on 10,000 nodes, written through a
 * real log on the machine's disk, snapshotted while writes go on, and brought back in a fresh process.
 *
 *     bun test/bench/ledger.ts [tasks]              a tenth as many services and nodes as hundreds of tasks
 *     bun test/bench/ledger.ts [tasks] keep DIR     the same, and its log stays in DIR
 *     bun test/bench/ledger.ts [tasks] restart DIR  only the restart, and the pauses after it, on a log that was kept
 */

import { Buffer } from "node:buffer"
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import type { Command, NewTask, TaskPatch } from "#actors/ledger/commands.ts"
import { encodeEntry } from "#actors/ledger/encode.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import type { Machine } from "#actors/ledger/machine.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { reach } from "#actors/network/reach.ts"
import { founding } from "#actors/raft/core/configuration.ts"
import { openGroup } from "#actors/raft/group.ts"
import type { RaftService } from "#actors/raft/protocol.ts"
import { queue } from "#actors/scheduler/queue.ts"
import { rooms } from "#actors/scheduler/rooms.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { Fresh } from "#runtime/ids.ts"
import { now, showTurns, type Turns, watchTurns } from "#test/bench/ledger/turns.ts"
import { foundCluster } from "#test/support/ledger.ts"
import { noWire } from "#test/support/no-wire.ts"

const total = Number(process.argv.find((word) => /^\d+$/.test(word)) ?? 1_000_000)
const nodeCount = Math.max(1, total / 100)
const serviceCount = Math.max(1, total / 100)
const batch = 1_000
const replayed = 49_000

const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`
const line = (what: string, measured: string, target = ""): void =>
  console.log(`${what.padEnd(52)}${measured.padEnd(44)}${target}`)
const since = (start: number): number => now() - start
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`
const rate = (count: number, ms: number): string =>
  `${Math.round(count / (ms / 1000)).toLocaleString("en")} /s`

/** What the process holds once the garbage is gone, where the runtime lets us ask. */
function settled(): number {
  const { Bun, gc } = globalThis as { Bun?: { gc: (sync: boolean) => void }; gc?: () => void }
  for (let i = 0; i < 3; i++) Bun === undefined ? gc?.() : Bun.gc(true)
  return process.memoryUsage().rss
}

const chance = Fresh.from(1)
const hex = "0123456789abcdef"
const containerId = (): string => Array.from({ length: 64 }, () => hex[chance.below(16)]).join("")
const iso = (at: number): string => new Date(1_790_000_000_000 + at).toISOString()

const nodes = Array.from({ length: nodeCount }, () => chance.id())
const services = Array.from({ length: serviceCount }, () => chance.id())
const networks = Array.from({ length: 50 }, () => chance.id())
const networkOf = (service: number): string => networks[service % networks.length] ?? ""

const nodeCommand = (at: number): Command => ({
  type: "node.register",
  v: 1,
  node: {
    ID: nodes[at] ?? "",
    Spec: { Role: "worker", Availability: "active", Labels: { zone: `z${at % 3}`, rack: `r${at % 200}` } },
    Status: { State: "ready", Addr: `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}` },
    Description: {
      Hostname: `worker-${at}`,
      Platform: { OS: "linux", Architecture: "x86_64" },
      Resources: { NanoCPUs: 32e9, MemoryBytes: 128e9 },
      Engine: {
        EngineVersion: "28.0.1",
        Labels: {},
        Plugins: ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"].map((Name) => ({
          Type: "Network",
          Name
        }))
      },
      Executor: "docker"
    }
  }
})

const serviceCommand = (at: number): Command => ({
  type: "service.create",
  v: 1,
  service: {
    ID: services[at] ?? "",
    SpecVersion: 1,
    Spec: {
      Name: `shop_web-${at}`,
      Labels: { "com.docker.stack.namespace": "shop", "com.docker.stack.image": "nginx:1.27" },
      Mode: { Replicated: { Replicas: 100 } },
      TaskTemplate: {
        ContainerSpec: {
          Image: "nginx:1.27@sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
          Env: [`PORT=80${at % 100}`, "LOG=info", `SHARD=${at}`],
          Labels: { "com.docker.stack.namespace": "shop" }
        },
        Resources: { Limits: { NanoCPUs: 5e8, MemoryBytes: 2 ** 28 } },
        Networks: [{ Target: networkOf(at), Aliases: [`web-${at}`] }]
      }
    }
  }
})

const newTask = (id: string, at: number): NewTask => ({
  ID: id,
  ServiceID: services[Math.floor(at / 100)] ?? "",
  SpecVersion: 1,
  Slot: (at % 100) + 1,
  Status: { Timestamp: iso(at), State: "new", Message: "created" },
  DesiredState: "running"
})

const assigned = (id: string, at: number): TaskPatch => ({
  id,
  NodeID: nodes[(at * 7919) % nodeCount] ?? "",
  Status: { Timestamp: iso(at + 50), State: "assigned", Message: "scheduler assigned task to node" },
  Attachments: [
    {
      NetworkID: networkOf(Math.floor(at / 100)),
      Addresses: [`10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}/8`]
    }
  ]
})

/** Ids by position, as bytes: a million texts would be the most that the garbage collector has to walk over. */
class Ids {
  readonly #bytes = Buffer.alloc(25 * total)
  #count = 0

  push(id: string): void {
    this.#bytes.write(id, 25 * this.#count++, "latin1")
  }

  at(at: number): string {
    return this.#bytes.toString("latin1", 25 * at, 25 * (at + 1))
  }
}

const report = (tasks: Ids, ats: ReadonlyArray<number>, message = "started"): Command => ({
  type: "tasks.report",
  v: 1,
  node: nodes[((ats[0] ?? 0) * 7919) % nodeCount] ?? "",
  statuses: ats.map((at) => ({
    id: tasks.at(at),
    status: {
      Timestamp: iso(at + 900),
      State: "running",
      Message: message,
      ContainerStatus: { ContainerID: containerId(), PID: 1000 + at }
    }
  }))
})

const range = (from: number, count: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, at) => from + at)

interface Opened {
  readonly ledger: LedgerService
  readonly raft: RaftService
  readonly machine: Machine
}

/** A group of one in `directory`, with its parts in hand. */
const opened = <A>(directory: string, use: (opened: Opened) => Promise<A>): Promise<A> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        let raft: RaftService | undefined
        let machine: Machine | undefined
        const ledger = yield* openLedger({
          openRaft: (options) => {
            machine = options.machine as Machine
            return Effect.tap(
              openGroup({ wire: noWire, initial: founding(options.nodeId) })(options),
              (made) =>
                Effect.sync(() => {
                  raft = made
                })
            )
          },
          directory,
          clusterId: "bench",
          nodeId: "n1",
          host: makeLiveHost(),
          boot: `b${process.pid}`,
          views: [rooms, queue, reach]
        })
        if (raft === undefined || machine === undefined) throw new Error("the log did not open")
        return yield* Effect.promise(() =>
          use({ ledger, raft: raft as RaftService, machine: machine as Machine })
        )
      })
    )
  )

const write = async (ledger: LedgerService, command: Command): Promise<void> => {
  const outcome = await Effect.runPromise(ledger.propose(command, { who: "bench", why: "bench" }))
  if (outcome._tag !== "Applied") throw new Error(`${command.type}: ${JSON.stringify(outcome)}`)
  if ((outcome.applied.skipped?.length ?? 0) > 0)
    throw new Error(`${command.type} skipped ${outcome.applied.skipped}`)
}

/** Writes all of it with a few open at a time; how long it took, in milliseconds. */
async function writeAll(ledger: LedgerService, commands: Iterator<Command>, open = 8): Promise<number> {
  const start = now()
  const client = async (): Promise<void> => {
    for (let next = commands.next(); next.done !== true; next = commands.next())
      await write(ledger, next.value)
  }
  await Promise.all(Array.from({ length: open }, client))
  return since(start)
}

function* map<A>(count: number, each: number, make: (from: number) => A): IterableIterator<A> {
  for (let from = 0; from < count; from += each) yield make(from)
}

/** 100 status changes a second until `until` is done. */
async function besideWrites(
  ledger: LedgerService,
  tasks: Ids,
  until: () => Promise<void>
): Promise<Turns & { readonly ms: number; readonly peak: number }> {
  let at = 0
  let peak = 0
  const start = now()
  const timer = setInterval(() => {
    at = (at + 7919) % total
    void write(ledger, report(tasks, [at]))
    if (++at % 10 === 0) peak = Math.max(peak, process.memoryUsage().rss)
  }, 10)
  const turns = watchTurns()
  await until()
  const seen = turns.stop()
  clearInterval(timer)
  return { ...seen, ms: since(start), peak }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function build(directory: string, copy: string): Promise<void> {
  const taskIds = new Ids()
  await opened(directory, async ({ ledger, raft, machine }) => {
    const before = settled()
    await write(ledger, foundCluster({ ID: chance.id() }, "n1"))
    for (const [at, id] of networks.entries()) {
      await write(ledger, {
        type: "network.create",
        v: 1,
        network: {
          ID: id,
          Name: `net-${at}`,
          Driver: "overlay",
          Scope: "swarm",
          Internal: false,
          Attachable: false,
          Ingress: false,
          EnableIPv6: false,
          IPAM: { Driver: "default" },
          Options: {},
          Labels: {}
        }
      })
    }
    const registering = await writeAll(ledger, map(nodeCount, 1, nodeCommand), 64)
    line(`${nodeCount} nodes registered, one an entry`, rate(nodeCount, registering))
    const creating = await writeAll(ledger, map(serviceCount, 1, serviceCommand), 64)
    line(`${serviceCount} services created, one an entry`, rate(serviceCount, creating))
    const tasks = settled()

    const created = await writeAll(
      ledger,
      map(total, batch, (from) => {
        const create = range(from, Math.min(batch, total - from)).map((at) => {
          const id = chance.id()
          taskIds.push(id)
          return newTask(id, at)
        })
        return { type: "tasks.change", v: 1, create, update: [], remove: [] }
      })
    )
    line(`tasks created through the log, ${batch} an entry`, rate(total, created), "≥ 5,000 /s")
    const placed = await writeAll(
      ledger,
      map(total, batch, (from) => ({
        type: "tasks.change",
        v: 1,
        create: [],
        update: range(from, Math.min(batch, total - from)).map((at) => assigned(taskIds.at(at), at)),
        remove: []
      }))
    )
    line(`tasks assigned through the log, ${batch} an entry`, rate(total, placed), "≥ 5,000 /s")
    // A node's tasks are those that are `nodeCount` apart.
    const running = await writeAll(
      ledger,
      map(nodeCount, 1, (at) =>
        report(
          taskIds,
          range(0, Math.ceil(total / nodeCount))
            .map((round) => at + round * nodeCount)
            .filter((task) => task < total)
        )
      )
    )
    line("tasks reported running through the log, a node an entry", rate(total, running), "≥ 5,000 /s")
    const peak = process.memoryUsage().rss
    const after = settled()
    line("resident, garbage collected", `${mib(after)} (${mib(peak)} before)`, "≤ 2,560 MiB")
    line("bytes a task, indexes and all", `${Math.round((after - tasks) / total)}`)
    line("of which before the first task", `${mib(tasks)}, empty ${mib(before)}`)

    lists(ledger, taskIds)
    applies(machine, taskIds)

    await turnsBeside(ledger, raft, taskIds)
    const start = now()
    const handle = machine.snapshot()
    const froze = since(start)
    void handle
    line("a snapshot is frozen", `${froze.toFixed(2)} ms`, "≤ 1 ms")

    // One disk write carries what is open, so few clients measure the disk's latency and many the rest.
    for (const [round, open] of [64, 512].entries()) {
      const count = replayed / 2
      const logged = await writeAll(
        ledger,
        map(count, 1, (at) => report(taskIds, [((at + round * count) * 31) % total])),
        open
      )
      line(`${count} status changes, one an entry, ${open} at once`, rate(count, logged), "≥ 20,000 /s")
    }
    cpSync(directory, copy, { recursive: true })
    await justSnapshot(machine)
  })
}

/** How long this thread is held up while 100 statuses a second change, without a snapshot and with one. */
async function turnsBeside(ledger: LedgerService, raft: RaftService, taskIds: Ids): Promise<void> {
  const idle = await besideWrites(ledger, taskIds, () => pause(5_000))
  line("longest turn, 100 writes/s, no snapshot", showTurns(idle))
  const snapshot = await besideWrites(ledger, taskIds, () => Effect.runPromise(raft.compact))
  line("snapshot to disk, checked", `${seconds(snapshot.ms)}`)
  line("longest turn, 100 writes/s, snapshot under way", showTurns(snapshot), "≤ 10 ms")
  line("resident, at most during the snapshot", mib(snapshot.peak), "≤ 2,560 MiB")
}

/** The codec alone: no disk, no encryption, no writes beside it. */
async function justSnapshot(machine: Machine): Promise<void> {
  let bytes = 0
  let longest = 0
  const start = now()
  const chunks: Array<Uint8Array> = []
  let last = start
  for (const chunk of machine.snapshot()) {
    bytes += chunk.length
    chunks.push(chunk)
    longest = Math.max(longest, since(last))
    last = now()
  }
  line("snapshot", `${mib(bytes)}, ${Math.round(bytes / total)} bytes a task`, "≤ 1,024 MiB")
  line("encoding it, without a disk", `${seconds(since(start))}, a chunk at most ${longest.toFixed(1)} ms`)
}

function lists(ledger: LedgerService, tasks: Ids): void {
  const timed = (what: string, rounds: number, list: (round: number) => number): void => {
    const start = now()
    let count = 0
    for (let round = 0; round < rounds; round++) count += list(round)
    line(what, `${((since(start) / rounds) * 1000).toFixed(1)} µs, ${Math.round(count / rounds)} rows`)
  }
  const { read } = ledger
  const count = (rows: Iterable<unknown>): number => {
    let counted = 0
    for (const _ of rows) counted++
    return counted
  }
  timed("list: tasks of a service", 1_000, (round) =>
    count(read.tasksOfService(services[round % serviceCount] ?? ""))
  )
  timed("list: tasks of a node", 1_000, (round) => count(read.tasksOfNode(nodes[round % nodeCount] ?? "")))
  timed("list: tasks in a slot", 1_000, (round) =>
    count(read.tasksInSlot(services[round % serviceCount] ?? "", 7))
  )
  timed("list: all services", 100, () => count(read.all("service")))
  timed("list: all nodes", 100, () => count(read.all("node")))
  timed("list: all tasks", 3, () => count(read.all("task")))
  timed("a task by id", 100_000, (round) =>
    read.get("task", tasks.at((round * 31) % total)) === undefined ? 0 : 1
  )
}

/** `apply` alone, entries as bytes, no log. What it writes is the state's: it is not part of the log. */
function applies(machine: Machine, tasks: Ids): void {
  const count = Math.min(100_000, total)
  const entry = (command: Command, seq: number): Uint8Array =>
    encodeEntry({ command, proposer: "bench", boot: "b", seq, who: "w", why: "y", time: machine.tables.time })
  const single = range(0, count).map((at) => entry(report(tasks, [at]), at))
  let start = now()
  let index = machine.tables.index
  for (const data of single) machine.apply(index, data)
  line("apply alone: a status change, one an entry", rate(count, since(start)))
  const create = Array.from({ length: count }, () => chance.id())
  const many = [...map(count, batch, (from) => from)].map((from) =>
    entry(
      {
        type: "tasks.change",
        v: 1,
        create: range(from, Math.min(batch, count - from)).map((at) => newTask(create[at] ?? "", at)),
        update: [],
        remove: []
      },
      count + from
    )
  )
  start = now()
  for (const data of many) machine.apply(index, data)
  line(`apply alone: creates, ${batch} an entry`, rate(count, since(start)))
  const remove = entry({ type: "tasks.change", v: 1, create: [], update: [], remove: create }, 3 * count)
  start = now()
  machine.apply(index, remove)
  line(`apply alone: ${count} removals in one entry`, rate(count, since(start)))
  index = machine.tables.index
}

async function restart(directory: string): Promise<void> {
  const start = now()
  await opened(directory, async ({ ledger, raft }) => {
    const took = since(start)
    const { applied, lastIndex } = raft.status()
    while (raft.status().applied < lastIndex) await pause(1)
    const whole = since(start)
    const peak = process.memoryUsage().rss
    const entries = `${lastIndex - applied} entries`
    line(`restart: snapshot of ${ledger.read.count("task")} tasks`, seconds(took))
    line(`the same, until ${entries} after it are applied`, seconds(whole), "≤ 10 s")
    line("resident after it", `${mib(settled())} (${mib(peak)} before collecting)`, "≤ 2,560 MiB")
    const taskIds = new Ids()
    for (const { ID } of ledger.read.all("task")) taskIds.push(ID)
    await turnsBeside(ledger, raft, taskIds)
    // Nothing is worth keeping: closing would only write a snapshot.
    process.exit(0)
  })
}

const after = (word: string): string | undefined => {
  const at = process.argv.indexOf(word)
  return at < 0 ? undefined : process.argv[at + 1]
}
const kept = after("keep")
const restarted = after("restart")
if (restarted !== undefined) await restart(restarted)
else {
  const directory = mkdtempSync(`${tmpdir()}/troupe-bench-ledger-`)
  const copy = kept ?? `${directory}-copy`
  try {
    await build(directory, copy)
    const self = fileURLToPath(import.meta.url)
    spawnSync(process.execPath, [self, "restart", copy, String(total)], { stdio: "inherit" })
  } finally {
    rmSync(directory, { recursive: true, force: true })
    if (kept === undefined) rmSync(copy, { recursive: true, force: true })
  }
}
