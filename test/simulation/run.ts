/**
 * Many seeds by hand: `bun run sim raft --seeds 20000 --jobs 2`, or `bun run sim cluster …`, runs so many that were never run before, in so many
 * processes, and says every few seconds how far it is and how fast. The first seed that fails ends it with that seed's
 * trace. Ends with 1 if a seed failed, or if a mark was never hit in a thousand seeds or more.
 *
 * `--from 1` begins at that seed; `--minutes 4` stops after so long; `--keep-going` goes on behind a seed that fails
 * and explains the first three at the end.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { dirname } from "node:path"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as cluster from "#test/simulation/cluster.ts"
import { Batch, type Report } from "#test/simulation/raft/batch.ts"
import { Marks, markNames } from "#test/simulation/raft/marks.ts"
import * as raft from "#test/simulation/raft/run.ts"

/** What came of one seed. */
export interface Ran {
  readonly committed: number
  readonly marks: Iterable<readonly [name: string, hits: number]>
  readonly problem: string | undefined
}

interface Kind {
  readonly runSeed: (seed: number) => Ran
  readonly explain: (seed: number) => string
  /** What a thousand seeds must have come to. */
  readonly marks: ReadonlyArray<string>
}

const kinds: Readonly<Record<string, Kind>> = {
  raft: {
    runSeed: (seed) => {
      const { committed, marks, problem } = raft.runSeed(seed)
      return { committed, marks: marks.counts, problem: problem?.message }
    },
    explain: raft.explain,
    marks: markNames
  },
  cluster: { ...cluster, marks: [] }
}

const words = process.argv.slice(2)
const numberOf = (name: string, otherwise: number): number => {
  const at = words.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(words[at + 1])
}

const mostExplained = 3
const reportEveryMs = 5_000
const keepsGoing = words.includes("--keep-going")

/** Every `step`th seed from `from` to `to`. */
interface Share {
  readonly from: number
  readonly to: number
  readonly step: number
  /** Milliseconds since 1970 after which no further seed is begun. */
  readonly until: number
}

/** Runs seeds, and reports now and then; a seed that fails is reported at once. */
function work({ runSeed }: Kind, { from, to, step, until }: Share, tell: (report: Report) => void): void {
  let seeds = 0
  let committed = 0
  let failed: Array<readonly [number, string]> = []
  let marks = new Marks()
  let toldAt = performance.now()
  const report = (): void => {
    tell({ seeds, committed, failed, marks: [...marks.counts] })
    seeds = 0
    committed = 0
    failed = []
    marks = new Marks()
    toldAt = performance.now()
  }
  for (let seed = from; seed <= to && Date.now() < until; seed += step) {
    const ran = runSeed(seed)
    seeds++
    committed += ran.committed
    for (const [name, hits] of ran.marks) marks.counts.set(name, (marks.counts.get(name) ?? 0) + hits)
    if (ran.problem !== undefined) failed.push([seed, ran.problem.split("\n", 2).join(" ")])
    if (ran.problem !== undefined || performance.now() - toldAt > reportEveryMs) report()
    if (ran.problem !== undefined && !keepsGoing) return
  }
  report()
}

async function run(name: string, kind: Kind): Promise<boolean> {
  const count = numberOf("seeds", 1_000)
  // Never the same ones, unless asked for.
  const from = numberOf("from", Math.floor(Date.now() / 10) % 2 ** 31)
  const until = Date.now() + numberOf("minutes", 24 * 60) * 60_000
  const jobs = numberOf("jobs", 1)
  const began = performance.now()
  const batch = new Batch(kind.marks)
  const take = (report: Report): void => {
    batch.add(report)
    for (const [seed, problem] of report.failed) console.log(`seed ${seed} FAILED: ${problem}`)
    const rate = batch.seeds / ((performance.now() - began) / 1_000)
    const left = rate > 0 ? `, ${Math.ceil((count - batch.seeds) / rate / 60)} min left` : ""
    console.log(
      `${batch.seeds} of ${count} seeds, ${batch.failed.length} failed, ${rate.toFixed(1)} seeds/s${left}`
    )
  }
  console.log(`seeds from ${from}`)
  const shares = Array.from(
    { length: jobs },
    (_, n): Share => ({ from: from + n, to: from + count - 1, step: jobs, until })
  )
  if (jobs === 1) for (const share of shares) work(kind, share, take)
  else await inProcesses(name, shares, take)
  for (const [seed] of batch.failed.slice(0, mostExplained)) console.log(kind.explain(seed))
  console.log(`\n${batch.show()}`)
  return batch.isGood
}

/** A process for each share; all end when a seed failed in one, unless they are to keep going. */
async function inProcesses(
  name: string,
  shares: ReadonlyArray<Share>,
  take: (report: Report) => void
): Promise<void> {
  const children: Array<ChildProcess> = []
  let stopped = false
  const stop = (): void => {
    stopped = true
    for (const child of children) child.kill()
  }
  const ends = shares.map(({ from, to, step, until }) => {
    const me = fileURLToPath(import.meta.url)
    const share = [from, to, step, until].map(String)
    const child = spawn(
      process.execPath,
      [me, name, "--worker", ...share, ...(keepsGoing ? ["--keep-going"] : [])],
      {
        cwd: dirname(dirname(dirname(me))),
        stdio: ["ignore", "pipe", "inherit"]
      }
    )
    children.push(child)
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (stopped) return
      const report = JSON.parse(line) as Report
      take(report)
      if (report.failed.length > 0 && !keepsGoing) stop()
    })
    return new Promise<void>((resolve, reject) => {
      child.on("close", (code) =>
        code === 0 || stopped ? resolve() : reject(new Error(`A worker ended with ${code}`))
      )
    })
  })
  try {
    await Promise.all(ends)
  } finally {
    stop()
  }
}

const [name = ""] = words
const kind = kinds[name]
if (kind === undefined) {
  console.error(
    `Say what to simulate, ${Object.keys(kinds).join(" or ")}: [--seeds 1000] [--from 1] [--minutes 5] [--jobs 2] [--keep-going]`
  )
  process.exit(2)
} else if (words[1] === "--worker") {
  const [from = 0, to = 0, step = 1, until = 0] = words.slice(2, 6).map(Number)
  work(kind, { from, to, step, until }, (report) => console.log(JSON.stringify(report)))
} else process.exit((await run(name, kind)) ? 0 : 1)
