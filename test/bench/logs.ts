/**
 * One task that writes 50,000 lines a second beside one that writes ten: what the node's process takes, how late the other
 * task's lines are and the API's answers, and whether each line was kept or counted.
 *
 *     bun test/bench/logs.ts [seconds] [lines per second]
 */
import { readdirSync, readFileSync, statSync } from "node:fs"
import http from "node:http"
import { loadavg } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { LogFrames } from "#cli/print/log-lines.ts"
import { startCluster } from "#test/support/cluster.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

const seconds = Number(process.argv[2] ?? 30)
const perSecond = Number(process.argv[3] ?? 50_000)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const row = (what: string, figure: string, beside = ""): void =>
  console.log(`${what.padEnd(62)} ${figure.padEnd(16)} ${beside}`)
const at = (sorted: ReadonlyArray<number>, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
const percentiles = (values: ReadonlyArray<number>): string => {
  const sorted = [...values].sort((a, b) => a - b)
  return `${at(sorted, 0.5).toFixed(0)} / ${at(sorted, 0.99).toFixed(0)} ms`
}

await ensureTestImage()
const cluster = await startCluster()
const residentMib = (): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${cluster.pid}/status`, "latin1"))?.[1] ?? 0) / 1_024
/** Of one core, since the process began, in seconds. */
const processorSeconds = (): number => {
  const fields = readFileSync(`/proc/${cluster.pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const bytesBelow = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)

const create = (name: string, script: string): Promise<string> =>
  cluster.must(
    ...["service", "create", "--detach", "--no-resolve-image", "--name", name, "--stop-grace-period", "1s"],
    ...[testImage, "sh", "-c", script]
  )

/** How late each line of a service comes to a follower, by the time that the Engine gave it. */
function follow(service: string): { readonly late: Array<number>; readonly stop: () => void } {
  const late: Array<number> = []
  const path = `/services/${service}/logs?stdout=1&stderr=1&timestamps=1&follow=1`
  const request = http.get({ socketPath: cluster.socket, path, agent: false }, (response) => {
    const frames = new LogFrames(response.headers["content-type"]?.includes("multiplexed") === true)
    response.on("data", (chunk) => {
      for (const [, text] of frames.push(chunk)) late.push(Date.now() - Date.parse(text.slice(0, 30)))
    })
    response.on("error", () => {})
  })
  request.on("error", () => {})
  return { late, stop: () => request.destroy() }
}

/** Answers of the API and lines of the quiet task for so long; the most that the process takes meanwhile. */
async function measure(ms: number) {
  const quiet = follow("quiet")
  const answers: Array<number> = []
  let most = residentMib()
  const before = processorSeconds()
  const begun = performance.now()
  await pause(1_000)
  // What was there already was late because nobody read it.
  quiet.late.length = 0
  while (performance.now() - begun < ms) {
    const asked = performance.now()
    await cluster.get("/services")
    answers.push(performance.now() - asked)
    most = Math.max(most, residentMib())
    await pause(20)
  }
  quiet.stop()
  const share = (processorSeconds() - before) / ((performance.now() - begun) / 1_000)
  return { late: quiet.late, answers, most, share }
}

const show = (what: string, { late, answers, most, share }: Awaited<ReturnType<typeof measure>>): void => {
  row(`${what}: a line of the other task is late by, p50 / p99`, percentiles(late), `${late.length} lines`)
  row(`${what}: the list of services, p50 / p99`, percentiles(answers), `${answers.length} answers`)
  row(`${what}: the node's process, of one core`, `${(share * 100).toFixed(0)} %`)
  row(`${what}: resident at most`, `${most.toFixed(0)} MiB`)
}

console.log(`load ${loadavg()[0]?.toFixed(1)}`)
try {
  await create("quiet", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done")
  await eventually(async () => {
    const tasks = await cluster.get("/tasks")
    return tasks.some(
      (task: { readonly Status: { readonly State: string } }) => task.Status.State === "running"
    )
  }, "the quiet task runs")
  show("without", await measure(10_000))

  const batch = Math.round(perSecond / 20)
  const batches = seconds * 20
  const line = "a line of a log that has seventy bytes, as lines of logs mostly have."
  const script =
    `yes '${line}' | head -n ${batch} > /part; i=0; ` +
    `while [ $i -lt ${batches} ]; do cat /part; i=$((i+1)); usleep 50000; done; sleep 11; echo end; exec sleep 1000`
  await create("loud", script)
  show("beside", await measure(seconds * 1_000))
  let kept: ReadonlyArray<string> = []
  await eventually(
    async () => {
      const { text, stderr } = await cluster.docker("service", "logs", "--raw", "--tail", "3", "loud")
      kept = `${text}\n${stderr}`.split("\n")
      return kept.includes("end")
    },
    "everything was read",
    120_000
  )
  await cluster.must("service", "scale", "--detach", "loud=0")
  await eventually(
    async () => (await cluster.get('/tasks?filters={"service":["loud"]}')).length === 0,
    "its container is gone",
    60_000
  )
  // Now there is the node's memory only.
  const { text, stderr } = await cluster.cli(["service", "logs", "--raw", "loud"])
  const lines = [...text.split("\n"), ...stderr.split("\n")].filter((one) => one !== "")
  const counted = lines.reduce(
    (sum, one) => sum + Number(/^troupe: (\d+) lines left out here/.exec(one)?.[1] ?? 0),
    0
  )
  const written = lines.filter((one) => !one.startsWith("troupe:")).length
  row("lines kept", `${written}`)
  row("lines that a line says were left out", `${counted}`, `${written + counted} of ${batch * batches + 1}`)
  row(
    "what the node keeps on disk of all logs",
    `${(bytesBelow(`${cluster.dataDir}/logs`) / 1_024).toFixed(0)} KiB`
  )
} finally {
  await cluster.cleanUp()
}
console.log(`load ${loadavg()[0]?.toFixed(1)}`)
process.exit(0)
