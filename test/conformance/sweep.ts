/** Runs cases a few at a time side by side on one cluster, and tells what became of each. */
import { Buffer } from "node:buffer"
import { randomBytes } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Bench, BenchMachine, Case, Client, Target } from "#test/conformance/case.ts"
import { type CliOptions, docker } from "#test/support/docker-cli.ts"
import { freePort } from "#test/support/free-port.ts"

export interface Outcome {
  readonly tried: Case
  /** What the case saw. */
  readonly seen?: unknown
  /** Why it failed, if it did. */
  readonly failure?: string
}

/** How many cases run beside each other, besides the one that has machines of its own. */
const sideBySide = 3
/** How long an effect may take to show, in milliseconds: on a busy machine a node takes this long to begin. */
const patience = 60_000

export async function sweep(
  target: Target,
  cases: ReadonlyArray<Case>,
  cli: string,
  tell: (outcome: Outcome) => void = () => {}
): Promise<ReadonlyArray<Outcome>> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-conformance-"))
  const apart = cases.filter((one) => one.apart === true)
  const beside = cases.filter((one) => one.apart !== true)
  const outcomes: Array<Outcome> = []
  const work = async (waiting: Array<Case>): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const outcome = await runOne(target, next, cli, folder)
      outcomes.push(outcome)
      tell(outcome)
    }
  }
  try {
    await Promise.all([work(apart), ...Array.from({ length: sideBySide }, () => work(beside))])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return outcomes
}

/** The part of the cases whose turn it is: each of `parts` runs in a row covers all of them. */
export const partOf = (cases: ReadonlyArray<Case>, parts: number, turn: number): ReadonlyArray<Case> =>
  cases.filter((_, at) => at % parts === turn % parts)

async function runOne(target: Target, tried: Case, cli: string, folder: string): Promise<Outcome> {
  const after: Array<() => Promise<unknown>> = []
  const bench = makeBench(target, cli, folder, after)
  try {
    return { tried, seen: await tried.run(bench) }
  } catch (error) {
    return { tried, failure: error instanceof Error ? error.message : String(error) }
  } finally {
    await bench.attempt("service", "rm", bench.name)
    for (const last of after.reverse()) await last().catch(() => {})
  }
}

function makeBench(target: Target, cli: string, folder: string, after: Array<() => Promise<unknown>>): Bench {
  const name = `case-${randomBytes(4).toString("hex")}`

  const client = clientOf(target.host, cli)

  const until: Bench["until"] = async (look, wanted) => {
    const end = Date.now() + patience
    for (;;) {
      let seen: Awaited<ReturnType<typeof look>> | undefined
      let failure = ""
      try {
        seen = await look()
        if (wanted(seen)) return seen
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error)
      }
      if (Date.now() > end) throw new Error(`Seen last: ${failure === "" ? JSON.stringify(seen) : failure}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  const containers: Bench["containers"] = async (service = name) => {
    const filters = { label: [`com.docker.swarm.service.name=${service}`], status: ["running"] }
    return (await target.engine.listContainers({ filters })).map(({ Id }) => Id)
  }
  const newest = async (service: string): Promise<string> => {
    const [id] = await containers(service)
    if (id === undefined) throw new Error(`no container of ${service} runs`)
    return id
  }

  return {
    target,
    name,
    folder,
    ...client,
    until,
    containers,
    container: async (service = name) => target.engine.getContainer(await newest(service)).inspect(),
    inside: async (script, service = name) => {
      const container = target.engine.getContainer(await newest(service))
      const exec = await container.exec({ Cmd: ["sh", "-c", script], AttachStdout: true, Tty: true })
      let text = ""
      for await (const part of await exec.start({ Tty: true })) text += String(part)
      return text.replaceAll("\r", "").trim()
    },
    after: (work) => void after.push(work),
    machine: async (): Promise<BenchMachine> => {
      const { host, engine, restart, close } = await target.machine()
      after.push(close)
      return { ...clientOf(host, cli), engine, restart, address: `127.0.0.1:${await freePort("127.0.0.1")}` }
    }
  }
}

/** The CLI at a socket. */
function clientOf(host: string, cli: string): Client {
  const must = async (args: ReadonlyArray<string>, options: CliOptions = {}): Promise<string> => {
    const { code, text, stderr } = await docker(host, args, { cli, withinMs: patience, ...options })
    if (code !== 0) throw new Error(`docker ${args.join(" ")} ended with ${code}: ${text} ${stderr}`.trim())
    return text
  }
  return {
    attempt: async (...args) => {
      const { code, text, stderr } = await docker(host, args, { cli, withinMs: patience })
      return { code, said: `${text}\n${stderr}`.trim() }
    },
    docker: (...args) => must(args),
    json: async (...args) => JSON.parse(await must(args)),
    told: (input, ...args) => must(args, { input: Buffer.from(input) })
  }
}
