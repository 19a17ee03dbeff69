/**
 * What agreement costs, beside what it costs at least and what etcd takes for it: three processes, three clustered
 * nats-servers, one disk. Ratios count, the milliseconds are the machine's.
 *
 *     bun test/bench/raft.ts [tls] [skeleton] [group] [etcd]     only those, all without names
 *
 * etcd is measured where it is installed (Debian: etcd-server), through its gRPC with a client written here; a call that
 * does nothing shows what that client and the way there cost.
 */
import { type ChildProcess, fork } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { connect, nkeyAuthenticator } from "nats"
import { EtcdClient, hasEtcd, startEtcd } from "#test/bench/raft/etcd.ts"
import { type Figures, measure, median, show } from "#test/bench/raft/figures.ts"
import { type Order, type Report, type Setting, writeSubject } from "#test/bench/raft/orders.ts"
import { type Access, startServers } from "#test/bench/raft/servers.ts"
import { until } from "#test/support/nats-server.ts"

const ids = ["a", "b", "c"]
const bytes = 256
const recoveries = 5
/** How many writes are open at a time, and how many there are. */
const loads = [
  [1, 2_000],
  [64, 60_000],
  [512, 120_000]
] as const
const wanted = process.argv.slice(2).filter((word) => word !== "tls")
const withTls = process.argv.includes("tls")
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.includes(name)
const directory = mkdtempSync(`${tmpdir()}/troupe-bench-agree-`)
const children = new Set<ChildProcess>()
const megabytes = (size: number): string => `${Math.round(size / 2 ** 20)} MiB`
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A process of ours: asks it one thing after another. */
class Child {
  readonly #setting: Setting
  #process: ChildProcess

  constructor(setting: Setting) {
    this.#setting = setting
    mkdirSync(setting.directory, { recursive: true })
    this.#process = this.#start()
  }

  get id(): string {
    return this.#setting.id
  }

  #start(): ChildProcess {
    const started = fork(new URL("./raft/member.ts", import.meta.url), [JSON.stringify(this.#setting)])
    children.add(started)
    return started
  }

  ready(): Promise<unknown> {
    return this.#next()
  }

  ask<Answer>(order: Order): Promise<Answer> {
    const answer = this.#next<Answer>()
    this.#process.send(order)
    return answer
  }

  kill(): void {
    this.#process.kill("SIGKILL")
  }

  restart(): Promise<unknown> {
    this.#process = this.#start()
    return this.ready()
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once("exit", resolve))
    this.#process.send({ _tag: "End" })
    await Promise.race([gone, wait(10_000)])
    this.#process.kill("SIGKILL")
  }

  #next<Answer>(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#process.once("message", (message: Answer & { readonly error?: string }) =>
        message.error === undefined ? resolve(message) : reject(new Error(message.error))
      )
    })
  }
}

const report = (child: Child): Promise<Report> => child.ask<Report>({ _tag: "Report" })

async function leaderOf(members: ReadonlyArray<Child>): Promise<Child> {
  let found: Child | undefined
  await until(async () => {
    const reports = await Promise.all(members.map(report))
    found = members[reports.findIndex(({ leads }) => leads)]
    return found !== undefined
  }, 10_000)
  return found as Child
}

const name = (what: string): string => what.padEnd(34)

/** Measures writes of `writer`'s own process under each load; also what they cost all three in processor time. */
async function inProcess(
  what: string,
  members: ReadonlyArray<Child>,
  writer: Child
): Promise<Array<Figures>> {
  const all: Array<Figures> = []
  for (const [open, count] of loads) {
    const order = { _tag: "Measure", open, bytes } as const
    await writer.ask({ ...order, count: Math.ceil(count / 8) })
    const before = await Promise.all(members.map(report))
    const figures = await writer.ask<Figures>({ ...order, count })
    const after = await Promise.all(members.map(report))
    const cpu = after.map((each, i) => ((each.cpu - (before[i]?.cpu ?? 0)) * 1_000) / count)
    const said = after.reduce((sum, each, i) => sum + each.sent - (before[i]?.sent ?? 0), 0) / count
    console.log(
      `${name(`${what}, ${open} open`)} ${show(figures)}  µs of processor a write: ${cpu.map((each) => each.toFixed(0)).join(" + ")}${said > 0 ? `; messages: ${said.toFixed(2)}` : ""}`
    )
    all.push(figures)
  }
  return all
}

async function start(kind: Setting["kind"], access: ReadonlyArray<Access>): Promise<ReadonlyArray<Child>> {
  const members = ids.map(
    (id, i) =>
      new Child({ kind, id, ids, directory: `${directory}/${kind}-${id}`, access: access[i] as Access })
  )
  await Promise.all(members.map((each) => each.ready()))
  // Subscriptions take a moment through a cluster.
  await wait(300)
  return members
}

async function fromOutside(leader: Child, access: Access): Promise<ReadonlyArray<Figures>> {
  const connection = await connect({
    servers: access.url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(access.seed)),
    ...(access.tls && { tls: access.tls })
  })
  const body = new Uint8Array(bytes)
  const write = async (): Promise<void> => {
    const { headers } = await connection.request(writeSubject(leader.id), body, { timeout: 10_000 })
    const error = headers?.get("error")
    if (error) throw new Error(error)
  }
  const all: Array<Figures> = []
  for (const [open, count] of loads.slice(0, 2)) {
    await measure(open, count / 8, write)
    const figures = await measure(open, count / 2, write)
    console.log(`${name(`group, from outside, ${open} open`)} ${show(figures)}`)
    all.push(figures)
  }
  await connection.close()
  return all
}

async function groupRecovery(members: ReadonlyArray<Child>): Promise<number> {
  const times: Array<number> = []
  for (let i = 0; i < recoveries; i++) {
    const leader = await leaderOf(members)
    const others = members.filter((each) => each !== leader)
    await wait(1_000)
    const began = performance.now()
    leader.kill()
    await Promise.any(others.map((each) => each.ask({ _tag: "WriteOnce" })))
    times.push(performance.now() - began)
    await wait(500)
    await leader.restart()
  }
  return showTimes(`group, kill -9 → written`, times)
}

function showTimes(what: string, times: ReadonlyArray<number>): number {
  console.log(
    `${name(what)} ${times.map((each) => each.toFixed(0)).join(", ")} ms; p50 ${median(times).toFixed(0)}`
  )
  return median(times)
}

interface Results {
  skeleton?: ReadonlyArray<Figures>
  group?: ReadonlyArray<Figures>
  outside?: ReadonlyArray<Figures>
  etcd?: ReadonlyArray<Figures>
}

async function measureOurs(results: Results): Promise<void> {
  const servers = await startServers(directory, withTls)
  for (const each of servers.processes) children.add(each)
  await wait(500)
  if (isWanted("skeleton")) {
    const skeleton = await start("skeleton", servers.access)
    results.skeleton = await inProcess("skeleton", skeleton, skeleton[0] as Child)
    await Promise.all(skeleton.map((each) => each.end()))
  }
  if (isWanted("group")) {
    const members = await start("group", servers.access)
    const leader = await leaderOf(members)
    results.group = await inProcess("group", members, leader)
    const other = members.find((each) => each !== leader) as Child
    await inProcess("group, through a follower", members, other)
    results.outside = await fromOutside(leader, servers.access[members.indexOf(leader)] as Access)
    const sizes = await Promise.all(members.map(report))
    console.log(`${name("group, resident")} ${sizes.map(({ rss }) => megabytes(rss)).join(", ")}`)
    await groupRecovery(members)
    await Promise.all(members.map((each) => each.end()))
  }
  for (const each of servers.processes) each.kill()
}

async function measureEtcd(results: Results): Promise<void> {
  const members = await startEtcd(directory)
  for (const each of members) children.add(each.process())
  const leads = async (url: string): Promise<boolean> => {
    const client = new EtcdClient(url)
    try {
      return (await client.status()).leads
    } catch {
      return false
    } finally {
      client.close()
    }
  }
  const findLeader = async () => {
    let found = members[0]
    await until(async () => {
      for (const each of members) {
        if (await leads(each.url)) {
          found = each
          return true
        }
      }
      return false
    }, 20_000)
    return found as (typeof members)[number]
  }
  const leader = await findLeader()
  results.etcd = await etcdWrites(leader.url)
  console.log(`${name("etcd, resident")} ${members.map((each) => megabytes(each.rss())).join(", ")}`)
  const times: Array<number> = []
  for (let i = 0; i < recoveries; i++) {
    const gone = await findLeader()
    const others = members.filter((each) => each !== gone)
    const clients = others.map(({ url }) => new EtcdClient(url))
    await Promise.all(clients.map((each) => each.status()))
    await wait(1_000)
    const began = performance.now()
    gone.process().kill("SIGKILL")
    await firstPut(clients)
    times.push(performance.now() - began)
    for (const each of clients) each.close()
    await wait(500)
    gone.start()
    children.add(gone.process())
    await until(() => reachable(gone.url), 10_000)
    await wait(500)
  }
  showTimes("etcd, kill -9 → written", times)
  for (const each of members) each.process().kill("SIGKILL")
}

async function reachable(url: string): Promise<boolean> {
  const client = new EtcdClient(url)
  return client
    .status()
    .then(
      () => true,
      () => false
    )
    .finally(() => client.close())
}

/** Asks again every 10 ms, whatever became of those before: one that went to the dead leader hangs for seconds. */
const firstPut = (clients: ReadonlyArray<EtcdClient>): Promise<void> =>
  new Promise((resolve) => {
    const again = setInterval(() => {
      for (const each of clients) each.put().then(done, () => {})
    }, 10)
    const done = (): void => {
      clearInterval(again)
      resolve()
    }
  })

async function etcdWrites(url: string): Promise<ReadonlyArray<Figures>> {
  const client = new EtcdClient(url)
  const all: Array<Figures> = []
  for (const [open, count] of [
    [1, 2_000],
    [64, 20_000]
  ] as const) {
    const nothing = await measure(open, count / 2, () => client.status().then(() => {}))
    console.log(`${name(`etcd, a call that does nothing, ${open} open`)} ${show(nothing)}`)
    const figures = await measure(open, count, () => client.put())
    console.log(`${name(`etcd, from outside, ${open} open`)} ${show(figures)}`)
    all.push(figures)
  }
  client.close()
  return all
}

function compare({ skeleton, group, outside, etcd }: Results): void {
  const line = (what: string, ours: number | undefined, theirs: number | undefined): void => {
    if (ours !== undefined && theirs !== undefined)
      console.log(`${name(what)} ${(ours / theirs).toFixed(2)} ×`)
  }
  line("sequential p50 / skeleton's", group?.[0]?.p50, skeleton?.[0]?.p50)
  line("64 open, writes/s / skeleton's", group?.[1]?.perSecond, skeleton?.[1]?.perSecond)
  line("sequential p50 / etcd's, outside", outside?.[0]?.p50, etcd?.[0]?.p50)
  line("64 clients / etcd's, outside", outside?.[1]?.perSecond, etcd?.[1]?.perSecond)
}

const results: Results = {}
try {
  console.log(
    `load ${loadavg()[0]?.toFixed(1)}, entries of ${bytes} bytes, ${withTls ? "with" : "without"} TLS`
  )
  if (isWanted("skeleton") || isWanted("group")) await measureOurs(results)
  if (isWanted("etcd")) {
    if (hasEtcd()) await measureEtcd(results)
    else console.log("etcd is not installed, so it is not measured")
  }
  compare(results)
} finally {
  for (const each of children) each.kill("SIGKILL")
  rmSync(directory, { recursive: true, force: true })
}
process.exit(0)
