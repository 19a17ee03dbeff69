/**
 * Many seeds by hand: `npm run sim -- raft --seeds 20000` runs so many that were never run before and prints how far
 * it is, what it never came to, and the seeds that fail; ends with 1 if any did, or if a mark was never hit in a
 * batch of a thousand or more.
 *
 * `--from 1` begins at that seed; `--minutes 4` stops after so long, `--first` at the first that fails; `--workers 2`
 * shares the seeds among processes.
 */
import { spawn } from "node:child_process"
import { dirname } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Marks, markNames } from "#test/simulation/raft/marks.ts"
import { explain, runSeed } from "#test/simulation/raft/run.ts"

const words = process.argv.slice(2)
const numberOf = (name: string, otherwise: number): number => {
  const at = words.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(words[at + 1])
}

// Few enough for marks to be missed by chance.
const enoughSeeds = 1_000
const mostExplained = 3

interface Report {
  readonly seeds: number
  readonly committed: number
  readonly failed: ReadonlyArray<readonly [number, string]>
  readonly marks: ReadonlyArray<readonly [string, number]>
}

/** Runs seeds, and reports now and then. */
function work(from: number, to: number, until: number, tell: (report: Report) => void): void {
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
  const stopsEarly = words.includes("--first")
  let broken = false
  for (let seed = from; seed <= to && Date.now() < until && !(stopsEarly && broken); seed++) {
    const ran = runSeed(seed)
    seeds++
    committed += ran.committed
    marks.add(ran.marks)
    broken ||= ran.problem !== undefined
    if (ran.problem !== undefined) failed.push([seed, ran.problem.message.split("\n", 1)[0] ?? ""])
    if (performance.now() - toldAt > 5_000) report()
  }
  report()
}

async function batch(): Promise<boolean> {
  const count = numberOf("seeds", 1_000)
  // Never the same ones, unless asked for.
  const from = numberOf("from", Math.floor(Date.now() / 10) % 2 ** 31)
  const until = Date.now() + numberOf("minutes", 24 * 60) * 60_000
  const workers = numberOf("workers", 1)
  const began = performance.now()
  const marks = new Marks()
  const failed: Array<readonly [number, string]> = []
  let seeds = 0
  let committed = 0
  const take = (report: Report): void => {
    seeds += report.seeds
    committed += report.committed
    for (const [name, hits] of report.marks) marks.counts.set(name, (marks.counts.get(name) ?? 0) + hits)
    for (const failure of report.failed) {
      failed.push(failure)
      console.log(`seed ${failure[0]} FAILED: ${failure[1]}`)
    }
    const seconds = (performance.now() - began) / 1_000
    console.log(
      `${seeds} of ${count} seeds, ${failed.length} failed, ${(seeds / seconds).toFixed(1)} seeds/s`
    )
  }
  console.log(`seeds from ${from}`)
  if (workers === 1) work(from, from + count - 1, until, take)
  else {
    const share = Math.ceil(count / workers)
    await Promise.all(
      Array.from({ length: workers }, (_, n) => {
        const first = from + n * share
        return inProcess(first, Math.min(first + share, from + count) - 1, until, take)
      })
    )
  }
  for (const [seed] of failed.slice(0, mostExplained)) console.log(explain(seed))
  const missed = markNames.filter((name) => !marks.counts.has(name))
  const hit = markNames.length - missed.length
  console.log(
    `\n${[...markNames].map((name) => `${`${marks.counts.get(name) ?? 0}`.padStart(10)}  ${name}`).join("\n")}`
  )
  console.log(`\n${seeds} seeds, ${committed} entries committed, ${hit} of ${markNames.length} marks hit`)
  if (missed.length > 0) console.log(`never: ${missed.join(", ")}`)
  if (failed.length > 0) console.log(`failed: ${failed.map(([seed]) => seed).join(" ")}`)
  return failed.length === 0 && (missed.length === 0 || seeds < enoughSeeds)
}

function inProcess(from: number, to: number, until: number, take: (report: Report) => void): Promise<void> {
  const me = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, [me, "--worker", `${from}`, `${to}`, `${until}`], {
    cwd: dirname(dirname(dirname(me))),
    stdio: ["ignore", "pipe", "inherit"]
  })
  createInterface({ input: child.stdout }).on("line", (line) => take(JSON.parse(line) as Report))
  return new Promise((resolve, reject) => {
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`A worker ended with ${code}`))))
  })
}

if (words[0] === "--worker") {
  const [from = 0, to = 0, until = 0] = words.slice(1).map(Number)
  work(from, to, until, (report) => console.log(JSON.stringify(report)))
} else if (words[0] === "raft") process.exit((await batch()) ? 0 : 1)
else {
  console.error("Say what to simulate: raft [--seeds 1000] [--from 1] [--minutes 5] [--workers 2] [--first]")
  process.exit(2)
}
