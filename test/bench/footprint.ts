/**
 * What a node costs by being there: the processor time of measuring a hundred idle containers once a second, and the
 * resident memory of a manager's process and of a worker's.
 *
 *     bun test/bench/footprint.ts [containers] [seconds]
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { loadavg } from "node:os"
import process from "node:process"
import { MachineLoad } from "#actors/drivers/machine/load.ts"
import { CgroupUsage } from "#actors/drivers/usage.ts"
import { decide, start } from "#actors/node/stats/decide.ts"
import type { Reading } from "#actors/node/stats/protocol.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import { build } from "#test/support/built.ts"
import { startCluster } from "#test/support/cluster.ts"
import { cleanUp, engine, ensureTestImage, testImage, uniqueName } from "#test/support/engine.ts"
import { Trusting } from "#test/support/trusting.ts"

const count = Number(process.argv[2] ?? 100)
const seconds = Number(process.argv[3] ?? 20)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const mark = uniqueName("footprint")
const docker = engine()

interface Watched {
  readonly id: string
  readonly pid: number
}

async function begin(): Promise<ReadonlyArray<Watched>> {
  await ensureTestImage(docker)
  const found: Array<Watched> = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next++ < count) {
      const container = await docker.createContainer({
        Image: testImage,
        Cmd: ["sleep", "1000"],
        Labels: { [mark]: "" }
      })
      await container.start()
      const { State } = await container.inspect()
      found.push({ id: container.id, pid: State.Pid })
    }
  }
  await Promise.all(Array.from({ length: 4 }, worker))
  return found
}

/** What `<node>/stats/main` does each second, and what is sent. */
async function measure(
  tasks: ReadonlyArray<Watched>
): Promise<{ readonly share: number; readonly bytes: number }> {
  const [cgroups, machine, encoder] = [new CgroupUsage(), new MachineLoad("/"), new TextEncoder()]
  const moment = { now: 0, fresh: Fresh.from(1), self: address("n", "stats", "main") }
  let { state } = start(undefined, moment)
  let bytes = 0
  const read = (): void => {
    const at = Date.now()
    const readings = tasks.flatMap(({ id, pid }): ReadonlyArray<Reading> => {
      const used = cgroups.of(id, pid, false)
      return used === undefined ? [] : [{ id: id.slice(0, 25), at, ...used }]
    })
    if (readings.length < tasks.length) throw new Error(`${readings.length} of ${tasks.length} could be read`)
    const step = decide(state, { _tag: "Read", at, machine: machine.read(), readings }, moment)
    state = step.state
    for (const action of step.actions)
      if (action._tag === "SayFigures") bytes = encoder.encode(JSON.stringify(action.figures)).length
  }
  // A node that has run for some seconds has its code compiled.
  for (let round = 0; round < 20; round++) read()
  await pause(1_000)
  let micros = 0
  for (let second = 0; second < seconds; second++) {
    const before = process.cpuUsage()
    read()
    const { user, system } = process.cpuUsage(before)
    micros += user + system
    await pause(1_000)
  }
  return { share: micros / 1e6 / seconds, bytes }
}

/** In MiB: resident, and its share of it, where pages that several processes have count for each of them in part. */
function resident(pid: number): { readonly whole: number; readonly share: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1")
  const mib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(rollup)?.[1] ?? 0) / 1_024
  return { whole: mib("Rss"), share: mib("Pss") }
}

const row = (what: string, figure: string, goal: string): void =>
  console.log(`${what.padEnd(58)} ${figure.padEnd(14)} ${goal}`)

function processRow(what: string, pid: number, goal: string): void {
  const { whole, share } = resident(pid)
  row(what, `${whole.toFixed(0)} MiB (${share.toFixed(0)})`, goal)
}

/** What the runtime takes before it has read a line of ours. */
async function bare(what: string): Promise<void> {
  const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"], { stdio: "ignore" })
  await pause(2_000)
  processRow(what, child.pid ?? 0, "")
  child.kill("SIGKILL")
}

console.log(`load ${loadavg()[0]?.toFixed(1)}`)
try {
  const { share, bytes } = await measure(await begin())
  row(`measuring ${count} idle containers, of one core`, `${(share * 100).toFixed(2)} %`, "≤ 1 %")
  row("  what is sent of it each second", `${(bytes / 1_024).toFixed(1)} KiB`, "")
} finally {
  await cleanUp(mark, docker)
}
console.log("resident after 30 s, idle (in brackets its share where processes share pages)")
const program = build()
const settled = 30_000
const cluster = await Trusting.start(1, { program })
try {
  await pause(settled)
  await bare("a bare process of this runtime")
  // 150 MB and 80 MB.
  processRow("a manager's process, without an Engine", cluster.first.pid, "≤ 143 MiB")
  processRow("a worker's, without an Engine", cluster.worker.pid, "≤ 76 MiB")
  processRow("  its data plane's", cluster.worker.dataPlanePid, "")
} finally {
  await cluster.cleanUp()
}
const alone = await startCluster({ program })
try {
  await pause(settled)
  processRow("a manager's, with an Engine", alone.pid, "≤ 143 MiB")
} finally {
  await alone.cleanUp()
}
console.log(`load ${loadavg()[0]?.toFixed(1)}`)
process.exit(0)
