/**
 * What agreement costs, beside what it costs at least and what etcd takes for it: three processes, three clustered
 * nats-servers, one disk. Ratios count, the milliseconds are the machine's.
 *
 *     bun test/bench/raft.ts [tls] [threads] [skeleton] [group] [etcd]     only those, all without names
 *
 * Everything is there from the beginning and measured in turns, so that a noisy machine is noisy for all; of each the
 * best round counts. etcd is measured where it is installed (Debian: etcd-server), through its gRPC with a client
 * written here; a call that does nothing shows what that client and the way there cost. `threads` says where processor
 * time went.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import process from "node:process"
import { Child } from "#test/bench/raft/child.ts"
import { EtcdClient, type EtcdMember, findEtcdLeader, hasEtcd, startEtcd } from "#test/bench/raft/etcd.ts"
import { type Figures, measure, show } from "#test/bench/raft/figures.ts"
import { type Setting, writeSubject } from "#test/bench/raft/orders.ts"
import { openOutside } from "#test/bench/raft/outside.ts"
import { processorOf, since, totalOf } from "#test/bench/raft/processor.ts"
import { etcdRecovery, groupRecovery, leaderOf } from "#test/bench/raft/recovery.ts"
import { startServers } from "#test/bench/raft/servers.ts"
import { besideSnapshots } from "#test/bench/raft/snapshots.ts"

const ids = ["a", "b", "c"]
const bytes = 256
const rounds = 3
const words = process.argv.slice(2)
const wanted = words.filter((word) => word !== "tls" && word !== "threads")
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.includes(name)
const directory = mkdtempSync(`${tmpdir()}/troupe-bench-agree-`)
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const megabytes = (size: number): string => `${Math.round(size / 2 ** 20)} MiB`
const label = (what: string): string => what.padEnd(34)

/** Something that takes writes: how many a round has with so many open at a time, and whose processor time they cost. */
interface Contender {
  readonly name: string
  readonly counts: ReadonlyMap<number, number>
  readonly write: (open: number, count: number) => Promise<Figures>
  readonly processes: ReadonlyArray<readonly [string, number]>
  readonly sent?: () => Promise<number>
}

interface Measured {
  readonly figures: Figures
  readonly line: string
}

async function once(contender: Contender, open: number, count: number): Promise<Measured> {
  const { write, processes, sent } = contender
  const before = processes.map(([, pid]) => processorOf(pid))
  const saidBefore = (await sent?.()) ?? 0
  const figures = await write(open, count)
  const said = ((await sent?.()) ?? 0) - saidBefore
  const spent = processes.map(
    ([name, pid], i) => [name, since(before[i] ?? new Map(), processorOf(pid))] as const
  )
  const each = (ms: number): string => ((ms * 1_000) / count).toFixed(0)
  const costs = spent.map(([name, threads]) => `${name} ${each(totalOf(threads))}`).join(", ")
  const lines = [
    `${show(figures)}  µs a write: ${costs}${said > 0 ? `; messages ${(said / count).toFixed(2)}` : ""}`
  ]
  if (words.includes("threads")) {
    for (const [name, threads] of spent) {
      lines.push(
        `    ${name}: ${threads
          .slice(0, 8)
          .map(([thread, ms]) => `${thread} ${each(ms)}`)
          .join(", ")}`
      )
    }
  }
  return { figures, line: lines.join("\n") }
}

/** The best of each, after rounds in turns. */
async function inTurns(
  contenders: ReadonlyArray<Contender>,
  open: number
): Promise<ReadonlyMap<string, Figures>> {
  const best = new Map<string, Measured>()
  const taking = contenders.filter(({ counts }) => counts.has(open))
  for (const contender of taking) await contender.write(open, (contender.counts.get(open) ?? 0) / 4)
  for (let round = 0; round < rounds; round++) {
    for (const contender of taking) {
      const measured = await once(contender, open, contender.counts.get(open) ?? 0)
      const known = best.get(contender.name)
      const isBetter =
        known === undefined ||
        (open === 1
          ? measured.figures.p50 < known.figures.p50
          : measured.figures.perSecond > known.figures.perSecond)
      if (isBetter) best.set(contender.name, measured)
    }
  }
  for (const { name } of taking) console.log(`${label(`${name}, ${open} open`)} ${best.get(name)?.line}`)
  return new Map([...best].map(([name, { figures }]) => [name, figures]))
}

async function start(
  kind: Setting["kind"],
  access: ReadonlyArray<Setting["access"]>
): Promise<ReadonlyArray<Child>> {
  const members = ids.map(
    (id, i) =>
      new Child({
        kind,
        id,
        ids,
        directory: `${directory}/${kind}-${id}`,
        access: access[i] as Setting["access"]
      })
  )
  for (const each of members) ends.push(() => each.kill())
  await Promise.all(members.map((each) => each.ready()))
  // Subscriptions take a moment through a cluster.
  await wait(300)
  return members
}

const ends: Array<() => void> = []

/** All three members, whoever leads first, and the servers between them. */
const processesOf = (
  members: ReadonlyArray<Child>,
  leader: Child,
  servers: ReadonlyArray<{ readonly pid?: number | undefined }>
): Contender["processes"] => [
  ["leader", leader.pid],
  ...members.filter((each) => each !== leader).map(({ id, pid }) => [id, pid] as const),
  ...servers.map(({ pid }, i) => [`nats ${i}`, pid ?? 0] as const)
]

const load = (...counts: ReadonlyArray<readonly [number, number]>): ReadonlyMap<number, number> =>
  new Map(counts)
const within = (child: Child) => (open: number, count: number) =>
  child.ask<Figures>({ _tag: "Measure", open, count: Math.ceil(count), bytes })

async function main(): Promise<void> {
  console.log(
    `load ${loadavg()[0]?.toFixed(1)}, entries of ${bytes} bytes, ${words.includes("tls") ? "with" : "without"} TLS, best of ${rounds} rounds in turns`
  )
  const contenders: Array<Contender> = []
  const servers = await startServers(directory, words.includes("tls"))
  for (const each of servers.processes) ends.push(() => void each.kill("SIGKILL"))
  await wait(500)
  if (isWanted("skeleton")) {
    const members = await start("skeleton", servers.access)
    const [leader] = members as [Child]
    const processes = processesOf(members, leader, servers.processes)
    contenders.push({
      name: "skeleton",
      counts: load([1, 1_000], [64, 40_000], [512, 80_000]),
      write: within(leader),
      processes
    })
  }
  let group: ReadonlyArray<Child> | undefined
  if (isWanted("group")) {
    group = await start("group", servers.access)
    const members = group
    const leader = await leaderOf(members)
    const other = members.find((each) => each !== leader) as Child
    const processes = processesOf(members, leader, servers.processes)
    const sent = async (): Promise<number> =>
      (await Promise.all(members.map((each) => each.report()))).reduce((sum, each) => sum + each.sent, 0)
    contenders.push({
      name: "group",
      counts: load([1, 1_000], [64, 40_000], [512, 80_000]),
      write: within(leader),
      processes,
      sent
    })
    contenders.push({
      name: "group, through a follower",
      counts: load([1, 500], [64, 20_000]),
      write: within(other),
      processes,
      sent
    })
    const access = servers.access[members.indexOf(leader)] as Setting["access"]
    const outside = await openOutside(access, new Uint8Array(bytes))
    const subject = writeSubject(leader.id)
    contenders.push({
      name: "group, from outside",
      counts: load([1, 500], [64, 10_000]),
      write: (open, count) => measure(open, count, () => outside.write(subject)),
      processes,
      sent
    })
  }
  let etcd: ReadonlyArray<EtcdMember> | undefined
  if (isWanted("etcd") && hasEtcd()) {
    etcd = await startEtcd(directory)
    const members = etcd
    for (const each of members) ends.push(() => void each.process().kill("SIGKILL"))
    const leader = await findEtcdLeader(members)
    const client = new EtcdClient(leader.url)
    const processes = members.map(
      (each, i) => [each === leader ? "leader" : `e${i}`, each.process().pid ?? 0] as const
    )
    const nothing = (): Promise<void> => client.status().then(() => {})
    contenders.push({
      name: "etcd, a call that does nothing",
      counts: load([1, 500], [64, 10_000]),
      write: (open, count) => measure(open, count, nothing),
      processes
    })
    contenders.push({
      name: "etcd, from outside",
      counts: load([1, 500], [64, 10_000]),
      write: (open, count) => measure(open, count, () => client.put()),
      processes
    })
  }
  const one = await inTurns(contenders, 1)
  const many = await inTurns(contenders, 64)
  await inTurns(contenders, 512)
  if (group !== undefined) {
    const sizes = await Promise.all(group.map((each) => each.report()))
    console.log(`${label("group, resident")} ${sizes.map(({ rss }) => megabytes(rss)).join(", ")}`)
  }
  if (etcd !== undefined) {
    console.log(`${label("etcd, resident")} ${etcd.map((each) => megabytes(each.rss())).join(", ")}`)
  }
  if (group !== undefined) {
    await besideSnapshots(group, (what, line) => console.log(`${label(what)} ${line}`))
    console.log(`${label("group, kill -9 → written")} ${await groupRecovery(group)}`)
  }
  if (etcd !== undefined) console.log(`${label("etcd, kill -9 → written")} ${await etcdRecovery(etcd)}`)
  compare(one, many)
}

function compare(one: ReadonlyMap<string, Figures>, many: ReadonlyMap<string, Figures>): void {
  const line = (what: string, ours: number | undefined, theirs: number | undefined): void => {
    if (ours !== undefined && theirs !== undefined)
      console.log(`${label(what)} ${(ours / theirs).toFixed(2)} ×`)
  }
  line("sequential p50 / skeleton's", one.get("group")?.p50, one.get("skeleton")?.p50)
  line("64 open, writes/s / skeleton's", many.get("group")?.perSecond, many.get("skeleton")?.perSecond)
  const [outside, etcd] = ["group, from outside", "etcd, from outside"]
  line("sequential p50 / etcd's", one.get("group")?.p50, one.get(etcd)?.p50)
  line("sequential p50 / etcd's, outside", one.get(outside)?.p50, one.get(etcd)?.p50)
  line("64 clients / etcd's, outside", many.get(outside)?.perSecond, many.get(etcd)?.perSecond)
}

try {
  await main()
} finally {
  for (const end of ends) end()
  rmSync(directory, { recursive: true, force: true })
}
process.exit(0)
