/** A leader is killed: how long until a write is accepted again, ours and etcd's. */
import { performance } from "node:perf_hooks"
import type { Child } from "#test/bench/raft/child.ts"
import { EtcdClient, type EtcdMember, findEtcdLeader } from "#test/bench/raft/etcd.ts"
import { median } from "#test/bench/raft/figures.ts"
import { until } from "#test/support/nats-server.ts"

const recoveries = 5
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const show = (times: ReadonlyArray<number>): string =>
  `${times.map((each) => each.toFixed(0)).join(", ")} ms; p50 ${median(times).toFixed(0)}`

export async function leaderOf(members: ReadonlyArray<Child>): Promise<Child> {
  let found: Child | undefined
  await until(async () => {
    const reports = await Promise.all(members.map((each) => each.report()))
    found = members[reports.findIndex(({ leads }) => leads)]
    return found !== undefined
  }, 10_000)
  return found as Child
}

export async function groupRecovery(members: ReadonlyArray<Child>): Promise<string> {
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
  return show(times)
}

export async function etcdRecovery(members: ReadonlyArray<EtcdMember>): Promise<string> {
  const times: Array<number> = []
  for (let i = 0; i < recoveries; i++) {
    const gone = await findEtcdLeader(members)
    const clients = members.filter((each) => each !== gone).map(({ url }) => new EtcdClient(url))
    await Promise.all(clients.map((each) => each.status()))
    await wait(1_000)
    const began = performance.now()
    gone.process().kill("SIGKILL")
    await firstPut(clients)
    times.push(performance.now() - began)
    for (const each of clients) each.close()
    await wait(500)
    gone.start()
    await until(() => reachable(gone.url), 10_000)
    await wait(500)
  }
  return show(times)
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
