/** What writes feel of snapshots: taken beside them, and fetched by a member that was away for too long. */
import { performance } from "node:perf_hooks"
import type { Child } from "#test/bench/raft/child.ts"
import { type Figures, show } from "#test/bench/raft/figures.ts"
import { leaderOf } from "#test/bench/raft/recovery.ts"
import { until } from "#test/support/nats-server.ts"

const order = { _tag: "Measure", open: 16, bytes: 256 } as const
/** More than a leader keeps of the log for members that are away. */
const missed = 60_000

export async function besideSnapshots(
  members: ReadonlyArray<Child>,
  say: (what: string, line: string) => void
): Promise<void> {
  const leader = await leaderOf(members)
  const write = (count: number, compact: boolean): Promise<Figures> =>
    leader.ask<Figures>({ ...order, count, compact })
  say("group, 16 open, no snapshot", show(await write(10_000, false)))
  say("group, 16 open, one is taken", show(await write(10_000, true)))

  const away = members.find((each) => each !== leader) as Child
  away.kill()
  await leader.ask<Figures>({ ...order, open: 512, count: missed, compact: false })
  await leader.ask({ _tag: "Compact" })
  const { applied } = await leader.report()
  const began = performance.now()
  await away.restart()
  let fetchedMs = 0
  const fetching = until(async () => {
    if ((await away.report()).applied < applied) return false
    fetchedMs = performance.now() - began
    return true
  }, 30_000)
  const figures = await write(10_000, false)
  await fetching
  say("group, 16 open, one is fetched", `${show(figures)}  in step again after ${fetchedMs.toFixed(0)} ms`)
}
