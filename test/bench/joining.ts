/**
 * How long a cluster has no leader while it grows from one manager to three, which should be never.
 *
 *     bun test/bench/joining.ts [runs, default 20]
 *
 * The founder's own word on who leads is asked for every few milliseconds, from before the second manager starts until
 * all three are voters. A gap begins when it names no leader; a change is another leader or term than before.
 */
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import type { Cluster } from "#test/support/cluster.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"
import { invitation, Managers, newManager, raftOf } from "#test/support/managers.ts"

const runs = Number(process.argv[2] ?? 20)

interface Gap {
  readonly fromMs: number
  readonly forMs: number
  readonly managers: number
}

function watch(founder: Cluster, count: () => number) {
  const gaps: Array<Gap> = []
  const terms = new Set<number>()
  const begun = performance.now()
  let ended = false
  const watching = (async () => {
    let since: number | undefined
    while (!ended) {
      const view = await raftOf(founder).catch(() => undefined)
      const now = performance.now()
      if (view !== undefined) {
        terms.add(view.term)
        if (view.leader === undefined) since ??= now
        else if (since !== undefined) {
          gaps.push({ fromMs: since - begun, forMs: now - since, managers: count() })
          since = undefined
        }
      }
      await pause(10)
    }
  })()
  return {
    end: async () => {
      ended = true
      await watching
      return { gaps, changes: terms.size - 1, tookMs: performance.now() - begun }
    }
  }
}

let [total, longest, changes] = [0, 0, 0]
for (let run = 1; run <= runs; run++) {
  const managers = await Managers.start(1)
  const all = [...managers.all]
  const close = () => Promise.all(all.map((one) => one.cleanUp()))
  const keep = whenInterrupted(close)
  try {
    const [founder] = managers.all as [Cluster]
    const seen = watch(founder, () => all.length)
    const { address, token } = await invitation(founder)
    for (const name of ["m2", "m3"]) {
      const joining = await newManager(name, ["--join", address, "--token", token])
      all.push(joining)
      await joining.restart()
      await settled(all)
    }
    const result = await seen.end()
    for (const gap of result.gaps) longest = Math.max(longest, gap.forMs)
    total += result.gaps.length
    changes += result.changes
    const words = result.gaps.map(
      ({ fromMs, forMs, managers: of }) =>
        `${forMs.toFixed(0)} ms with ${of} managers, ${(fromMs / 1000).toFixed(1)} s in`
    )
    console.log(
      `${run}: ${(result.tookMs / 1000).toFixed(1)} s, ${result.changes} changes of term; ${words.join("; ") || "led all along"}`
    )
  } catch (error) {
    console.log(`${run}: ${(error as Error).message}`)
    for (const one of all) {
      console.log(await raftOf(one).catch(({ message }) => message))
      console.log((await one.log()).slice(-3_000))
    }
  } finally {
    keep()
    await close()
  }
}
console.log(`${total} gaps in ${runs} runs, the longest ${longest.toFixed(0)} ms; ${changes} changes of term`)
process.exit(0)

async function settled(all: ReadonlyArray<Cluster>): Promise<void> {
  const [founder] = all as [Cluster]
  for (;;) {
    const { status, body } = await founder.api("GET", "/nodes")
    const reachable = (node: { ManagerStatus?: { Reachability: string } }): boolean =>
      node.ManagerStatus?.Reachability === "reachable"
    if (status === 200 && body.length === all.length && body.every(reachable)) return
    await pause(20)
  }
}
