/**
 * The scheduler in memory, in the shapes of SwarmKit's own Go benchmarks: nodes and waiting tasks are in the ledger's
 * tables, and every task is placed. Two rates: of deciding, and with what was decided written into the tables. Beside
 * them the rate that SwarmKit's scheduler had on one 2-core machine, its store in memory written to; deciding must be ten
 * times as fast. No log, no disk: `bench ledger` measures those.
 *
 *     bun test/bench/scheduler.ts [shape…]      only the shapes whose names begin so; each in a process of its own
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { apply } from "#actors/ledger/apply.ts"
import type { Command, NewTask } from "#actors/ledger/commands.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { place } from "#actors/scheduler/place.ts"
import { queue } from "#actors/scheduler/queue.ts"
import { rooms } from "#actors/scheduler/rooms.ts"
import { Fresh } from "#runtime/ids.ts"

interface Shape {
  readonly nodes: number
  readonly tasks: number
  readonly services: number
  /** What each service asks for beyond a container. */
  readonly template?: ServiceSpec["TaskTemplate"]
  /** SwarmKit's tasks a second, where there is a figure, and what this must reach. */
  readonly swarmKit?: number
  readonly least: number
}

const third: ServiceSpec["TaskTemplate"] = { Placement: { Constraints: ["node.labels.third == 0"] } }
const reserving: ServiceSpec["TaskTemplate"] = {
  Placement: { Constraints: ["node.labels.third != 1", "node.platform.os == linux"] },
  Resources: { Reservations: { NanoCPUs: 1e7, MemoryBytes: 2 ** 24 } }
}
const shapes: Readonly<Record<string, Shape>> = {
  "1k × 100k of 100 services": {
    nodes: 1_000,
    tasks: 100_000,
    services: 100,
    swarmKit: 11_600,
    least: 116_000
  },
  "1k × 100k of 100, reserving": {
    nodes: 1_000,
    tasks: 100_000,
    services: 100,
    template: reserving,
    swarmKit: 10_800,
    least: 108_000
  },
  "1k × 100k one-off": { nodes: 1_000, tasks: 100_000, services: 100_000, swarmKit: 8_600, least: 86_000 },
  "5k × 100k one-off, constrained": {
    nodes: 5_000,
    tasks: 100_000,
    services: 100_000,
    template: third,
    swarmKit: 1_590,
    least: 50_000
  },
  "100k × 1k one-off": { nodes: 100_000, tasks: 1_000, services: 1_000, swarmKit: 1_560, least: 15_600 },
  "10k × 1M of 10k services": { nodes: 10_000, tasks: 1_000_000, services: 10_000, least: 100_000 }
}

/** What one entry of the log carries, as the scheduler's actor does it. */
const mostAtOnce = 5_000
const mostBytes = 2 * 2 ** 30

/** Milliseconds by the clock, less those in which this thread was ready and other programs ran: the kernel counts them. */
function now(): number {
  const [, waited = 0] = readFileSync("/proc/self/schedstat", "utf8").split(" ").map(Number)
  return performance.now() - waited / 1e6
}

const time = 1_790_000_000_000
const chance = Fresh.from(1)
let seq = 0

function write(tables: LedgerTables, command: Command): void {
  seq += 1
  const entry = { command, proposer: "bench", boot: "b", seq, who: "bench", why: "bench", time }
  const result = apply(tables, tables.index + 1, entry)
  if (result._tag === "Refused") throw new Error(result.refusal.message)
  // Nobody follows.
  tables.takeChanges()
}

const registering = (at: number): Command => ({
  type: "node.register",
  v: 1,
  node: {
    ID: chance.id(),
    Spec: { Role: "worker", Availability: "active", Labels: { third: String(at % 3) } },
    Status: { State: "ready", Addr: `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}` },
    Description: {
      Hostname: `worker-${at}`,
      Platform: { OS: "linux", Architecture: "x86_64" },
      Resources: { NanoCPUs: 32e9, MemoryBytes: 128e9 },
      Engine: { EngineVersion: "28.0.1" }
    }
  }
})

function filled({ nodes, tasks, services, template }: Shape): LedgerTables {
  const tables = new LedgerTables()
  // The scheduler runs before nodes and tasks come, as SwarmKit's does.
  tables.view(rooms)
  tables.view(queue)
  for (let at = 0; at < nodes; at++) write(tables, registering(at))
  const each = tasks / services
  let create: Array<NewTask> = []
  for (let service = 0; service < services; service++) {
    const ID = chance.id()
    const TaskTemplate = { ContainerSpec: { Image: "nginx:1.27" }, ...template }
    write(tables, {
      type: "service.create",
      v: 1,
      service: { ID, SpecVersion: 1, Spec: { Name: `s${service}`, TaskTemplate } }
    })
    for (let slot = 1; slot <= each; slot++) {
      create.push({
        ID: chance.id(),
        ServiceID: ID,
        SpecVersion: 1,
        Slot: slot,
        Status: { Timestamp: "", State: "pending" },
        DesiredState: "running"
      })
    }
    if (create.length < mostAtOnce && service < services - 1) continue
    write(tables, { type: "tasks.change", v: 1, create, update: [], remove: [] })
    create = []
  }
  return tables
}

interface Measured {
  readonly deciding: number
  readonly all: number
  readonly rss: number
}

/** Places all that waits, an entry at a time, each applied before the next. */
function placeAll(tables: LedgerTables): Measured {
  const failures = new Failures(time)
  let deciding = 0
  let rss = 0
  const began = now()
  while (tables.view(queue).size > 0) {
    const start = now()
    const update = place(tables, { now: time, failures, most: mostAtOnce })
    deciding += now() - start
    if (update.some(({ NodeID }) => NodeID === undefined)) throw new Error("a task found no node")
    write(tables, { type: "tasks.change", v: 1, create: [], update, remove: [] })
    rss = Math.max(rss, process.memoryUsage().rss)
  }
  return { deciding, all: now() - began, rss }
}

/** No node has more than one task more than another that suits. */
function assertEven(tables: LedgerTables, shape: Shape): void {
  const counts = [...tables.view(rooms).all()].map((room) => room.tasks).filter((tasks) => tasks > 0)
  const spread = Math.max(...counts) - Math.min(...counts)
  if (spread > 1 || counts.reduce((sum, tasks) => sum + tasks, 0) !== shape.tasks) {
    throw new Error(`uneven: ${spread} tasks between the fullest node and the emptiest`)
  }
}

const perSecond = (tasks: number, ms: number): number => tasks / (ms / 1000)
const show = (count: number): string => Math.round(count).toLocaleString("en")

/** A leader has run for a while: its code is compiled. */
function warmUp({ template }: Shape): void {
  for (const services of [10, 5_000]) {
    const small = { nodes: 2_000, tasks: 10_000, services, least: 0, ...(template && { template }) }
    placeAll(filled(small))
  }
}

function measure(name: string, shape: Shape): void {
  warmUp(shape)
  const tables = filled(shape)
  const measured = placeAll(tables)
  assertEven(tables, shape)
  const beside = (rate: number): string =>
    shape.swarmKit === undefined ? "" : `, ${(rate / shape.swarmKit).toFixed(1)} × SwarmKit`
  const placed = perSecond(shape.tasks, measured.deciding)
  const written = perSecond(shape.tasks, measured.all)
  const verdict = placed >= shape.least && measured.rss <= mostBytes ? "" : "TOO SLOW OR TOO LARGE"
  console.log(
    [
      name.padEnd(32),
      `placed ${show(placed)} /s${beside(placed)}`.padEnd(38),
      `and written ${show(written)} /s${beside(written)}`.padEnd(42),
      `${Math.round(measured.rss / 2 ** 20)} MiB`.padEnd(10),
      `≥ ${show(shape.least)} /s ${verdict}`
    ].join(" ")
  )
}

const self = fileURLToPath(import.meta.url)
const [first, ...others] = process.argv.slice(2)
if (first === "--one") {
  const [name = ""] = others
  const shape = shapes[name]
  if (shape === undefined) throw new Error(`No shape is called ${name}`)
  measure(name, shape)
} else {
  const wanted = first === undefined ? [] : [first, ...others]
  for (const name of Object.keys(shapes)) {
    if (wanted.length > 0 && !wanted.some((prefix) => name.startsWith(prefix))) continue
    const { status } = spawnSync(process.execPath, [self, "--one", name], { stdio: "inherit" })
    if (status !== 0) process.exitCode = 1
  }
}
