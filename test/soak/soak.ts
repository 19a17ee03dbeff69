/**
 * Three processes of actors over three clustered nats-servers, asked for as long as one likes while actors are
 * crashed, servers killed and frozen, and processes killed. What must hold is counted; nothing is timed but deadlines.
 */
import { type ChildProcess, spawn } from "node:child_process"
import process from "node:process"
import { createInterface } from "node:readline"
import { Fresh } from "#runtime/ids.ts"
import { selfCommand } from "#runtime/platform.ts"
import { type Member, startNatsCluster } from "#test/soak/nats-cluster.ts"
import type { Report } from "#test/soak/node.ts"
import { wait } from "#test/soak/wait.ts"
import { until } from "#test/support/nats-server.ts"

export interface SoakOptions {
  readonly seconds: number
  readonly asksPerMinute: number
  readonly seed: number
  readonly print?: (line: string) => void
}

export interface SoakResult {
  readonly asked: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly told: number
  /** Tells sent and heard; the difference was lost with connections, servers and processes. */
  readonly notes: { readonly sent: number; readonly heard: number }
  /** As in `Report`. */
  readonly latest: number
  readonly longestRoundMs: number
  /** Of the process that lived all the time: kilobytes a minute, its standard error, and the mean in kilobytes. */
  readonly heap: {
    readonly slope: number
    readonly error: number
    readonly mean: number
    readonly samples: number
    readonly warm: boolean
  }
  /** Of the same process, in kilobytes: when its samples begin, and at the end. */
  readonly resident: { readonly first: number; readonly last: number }
  /** What was not as it must be, in words; empty when all is well. */
  readonly problems: ReadonlyArray<string>
}

const names = ["n1", "n2", "n3"]
/** Answers to questions that may be repeated are kept for two minutes: until then every heap grows as it should. */
const warmUpMs = 150_000
/** The longest back-off, lengthened by half, and the deadline of the last question. */
const restWithinMs = 60_000

interface Node {
  readonly name: string
  child: ChildProcess
  last: Report | undefined
  readonly heaps: Array<Sample>
  readonly residents: Array<Sample>
  /** It was killed on purpose, or told to end. */
  ending: boolean
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { seconds, asksPerMinute, seed, print = () => {} } = options
  const chance = Fresh.from(seed)
  const faults: Record<string, number> = {}
  const problems: string[] = []
  const finished: Report[] = []
  const nodes = new Map<string, Node>()
  let servers: ReadonlyArray<Member> = []
  const began = performance.now()
  const note = (fault: string): void => {
    faults[fault] = (faults[fault] ?? 0) + 1
    print(`${((performance.now() - began) / 1_000).toFixed(1).padStart(7)} s  ${fault}`)
  }

  const start = (name: string): Node => {
    const at = names.indexOf(name)
    // Each has a server of its own first, as managers have.
    const urls = servers.map((_, i) => (servers[(i + at) % servers.length] as Member).url)
    const perSecond = asksPerMinute / 60 / names.length
    const { command, args } = selfCommand(new URL("./node.ts", import.meta.url), [
      name,
      urls.join(","),
      String(perSecond)
    ])
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] })
    const node: Node = { name, child, last: undefined, heaps: [], residents: [], ending: false }
    child.stdin?.on("error", () => {})
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      node.last = JSON.parse(line) as Report
      const now = performance.now()
      node.heaps.push([now, node.last.heap])
      node.residents.push([now, node.last.resident])
    })
    child.on("exit", (code, signal) => {
      if (!node.ending) problems.push(`${name} ended by itself: ${signal ?? code}`)
    })
    nodes.set(name, node)
    return node
  }
  const say = (node: Node, line: string): void => void node.child.stdin?.write(`${line}\n`)
  const kill = async (node: Node): Promise<void> => {
    node.ending = true
    if (node.last) finished.push(node.last)
    await ended(node.child, "SIGKILL")
  }
  const killAll = (): void => {
    for (const node of nodes.values()) {
      node.ending = true
      node.child.kill("SIGKILL")
    }
    for (const server of servers) void server.kill()
  }
  process.once("exit", killAll)

  try {
    servers = await startNatsCluster(names.length)
    for (const name of names) start(name)
    await until(() => [...nodes.values()].every(({ last }) => last !== undefined), 30_000)
    // Routes between the servers and everybody's subscriptions are known to all by then.
    await wait(1_000)
    const trees = new Map(names.map((name) => [name, nodes.get(name)?.last?.tree]))
    for (const node of nodes.values()) say(node, "load")

    const endsAt = performance.now() + seconds * 1_000
    const goesOn = (): boolean => performance.now() < endsAt && problems.length === 0
    const each = async (leastMs: number, mostMs: number, fault: () => Promise<void>): Promise<void> => {
      for (;;) {
        await wait(leastMs + chance.below(mostMs - leastMs))
        if (!goesOn()) return
        await fault()
      }
    }
    // A short run must break things, too.
    const pace = Math.min(1, seconds / 60)
    await Promise.all([
      each(200, 800, async () => {
        faults["an actor crashes"] = (faults["an actor crashes"] ?? 0) + 1
        say(nodes.get(names[chance.below(names.length)] as string) as Node, "break")
      }),
      each(4_000 * pace, 12_000 * pace, async () => {
        const server = servers[chance.below(servers.length)] as Member
        const forMs = 200 + chance.below(3_800 * pace + 200)
        if (chance.below(2) === 0) {
          note("a nats-server is frozen")
          server.freeze()
          await wait(forMs)
          server.thaw()
        } else {
          note("a nats-server is killed")
          await server.kill()
          await wait(forMs)
          await server.start()
        }
      }),
      each(12_000 * pace, 25_000 * pace, async () => {
        // The first one lives through it all, for its heap.
        const name = names[1 + chance.below(names.length - 1)] as string
        note("a process is killed")
        await kill(nodes.get(name) as Node)
        await wait(chance.below(2_000))
        const node = start(name)
        await until(() => node.last !== undefined, 30_000)
        say(node, "load")
      })
    ])

    for (const node of nodes.values()) say(node, "rest")
    const same = ({ name, last }: Node): boolean => last?.tree === trees.get(name)
    const rests = (node: Node): boolean => node.last?.open === 0 && same(node)
    await until(() => [...nodes.values()].every(rests), restWithinMs).catch(() => {})
    for (const node of nodes.values()) {
      if (!same(node)) problems.push(`the tree of ${node.name} is not what it was: ${node.last?.tree}`)
      if (node.last?.open !== 0) problems.push(`${node.last?.open} questions of ${node.name} never ended`)
    }
    const first = nodes.get("n1") as Node
    const reports = [...finished, ...[...nodes.values()].flatMap(({ last }) => last ?? [])]
    for (const { violations } of reports) problems.push(...violations)
    const outcomes = sum(reports.map((report) => report.outcomes))
    const asked = total(reports.map((report) => report.asked))
    if ((outcomes.Answer ?? 0) === 0) problems.push("no question was answered")
    return {
      asked,
      outcomes,
      faults,
      told: total(reports.map(({ told }) => told)),
      notes: {
        sent: total(reports.map(({ notes }) => notes.sent)),
        heard: total(reports.map(({ notes }) => notes.heard))
      },
      latest: Math.max(...reports.map(({ latest }) => latest)),
      longestRoundMs: Math.max(...reports.map(({ longestRoundMs }) => longestRoundMs)),
      heap: heapOf(first.heaps),
      resident: residentOf(first.residents),
      problems
    }
  } finally {
    for (const node of nodes.values()) {
      node.ending = true
      await ended(node.child, "SIGKILL")
    }
    for (const server of servers) await server.kill()
    process.removeListener("exit", killAll)
  }
}

type Sample = readonly [atMs: number, bytes: number]
type Samples = ReadonlyArray<Sample>

/** What was measured once a process was warm; of a run too short for that, the last half, for what it is worth. */
function warmOf(samples: Samples): { readonly samples: Samples; readonly warm: boolean } {
  const [first] = samples[0] ?? [0]
  const warm = samples.filter(([at]) => at - first > warmUpMs)
  return warm.length > 60
    ? { samples: warm, warm: true }
    : { samples: samples.slice(Math.floor(samples.length / 2)), warm: false }
}

function heapOf(all: Samples): SoakResult["heap"] {
  const { samples, warm } = warmOf(all)
  return { ...regression(samples), warm }
}

function residentOf(all: Samples): SoakResult["resident"] {
  const { samples } = warmOf(all)
  const kilobytes = (sample: Sample | undefined): number => (sample?.[1] ?? 0) / 1_024
  return { first: kilobytes(samples[0]), last: kilobytes(samples.at(-1)) }
}

/** Least squares over (milliseconds, bytes), in kilobytes and minutes. */
function regression(points: Samples): Omit<SoakResult["heap"], "warm"> {
  const n = points.length
  const xs = points.map(([at]) => at / 60_000)
  const ys = points.map(([, bytes]) => bytes / 1_024)
  const [meanX, mean] = [total(xs) / n, total(ys) / n]
  const sxx = total(xs.map((x) => (x - meanX) ** 2))
  const slope = total(xs.map((x, i) => (x - meanX) * ((ys[i] as number) - mean))) / sxx
  const residual = total(xs.map((x, i) => ((ys[i] as number) - mean - slope * (x - meanX)) ** 2))
  return { slope, error: Math.sqrt(residual / Math.max(1, n - 2) / sxx), mean, samples: n }
}

const total = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)

function sum(counts: ReadonlyArray<Readonly<Record<string, number>>>): Record<string, number> {
  const all: Record<string, number> = {}
  for (const count of counts) {
    for (const [name, value] of Object.entries(count)) all[name] = (all[name] ?? 0) + value
  }
  return all
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once("exit", () => resolve())
    child.kill(signal)
  })
}
