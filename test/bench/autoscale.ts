/**
 * How a service follows its requests, in the lab of 3 with real load through every machine's HTTP entrance: a step of five
 * times the load, noise and a sine wave, an update in the middle of a burst, and requests to a service that sleeps.
 *
 *     bun test/bench/autoscale.ts [--minutes 10] [--sleeps 20]     as root; minutes are of noise and of the wave, each
 */
import http from "node:http"
import { loadavg } from "node:os"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { parseArgs } from "node:util"
import { quantile } from "#test/bench/raft/figures.ts"
import { httpAppTask } from "#test/lab/http-app-task.ts"
import { ownLab } from "#test/lab/own-lab.ts"

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, sleeps: { type: "string", default: "20" } }
})
const minutes = Number(values.minutes)
const sleeps = Number(values.sleeps)

const entrance = 8081
process.env.TROUPE_HTTP_ENTRANCE = `${entrance}`
const { machines, door, open, close } = await ownLab("tb", "10.86.0")
const { call, elapsed, running, specOf } = await import("#test/bench/vs-swarm/api.ts")

const port = 8080
const second = 1e9
/** Requests a second that one task is for. */
const share = 25
const stabiliseMs = 20_000

const specFor = (name: string, replicas: number, labels: Readonly<Record<string, string>>) => {
  const spec = specOf(name, replicas)
  return {
    ...spec,
    Labels: {
      "troupe.http.host": name,
      "troupe.http.port": `${port}`,
      "troupe.autoscale.rps": `${share}`,
      "troupe.autoscale.max": "10",
      ...labels
    },
    TaskTemplate: httpAppTask(spec.TaskTemplate, port),
    UpdateConfig: { Parallelism: 1, Monitor: second / 2, Order: "start-first" }
  }
}

interface View {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: ReturnType<typeof specFor>
  readonly UpdateStatus?: { readonly State: string }
}
interface Change {
  readonly At: string
  readonly From: number
  readonly To: number
  readonly Why: string
}
const changesOf = async (name: string): Promise<ReadonlyArray<Change>> =>
  (await call<{ readonly Changes: ReadonlyArray<Change> }>(door(), "GET", `/autoscale/${name}`)).Changes
const replicasOf = async (name: string): Promise<number> =>
  (await call<View>(door(), "GET", `/services/${name}`)).Spec.Mode.Replicated.Replicas

/** One POST, which nobody tries again, and by which task it was answered. */
function ask(host: string, name: string, agent: http.Agent | false): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host, port: entrance, method: "POST", headers: { host: name }, agent }
    const request = http.request({ ...options, signal: AbortSignal.timeout(35_000) }, (response) => {
      let text = ""
      response.on("data", (part) => {
        text += String(part)
      })
      response.on("error", reject)
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`answered ${response.statusCode}: ${text}`))
      })
    })
    request.on("error", reject)
    request.end("work")
  })
}

/** Requests to all machines in turn, half of them over new connections, as many a second as is said. */
class Traffic {
  perSecond = 0
  answered = 0
  readonly failures: Array<string> = []
  /** By task, when it answered last. */
  readonly tasks = new Map<string, number>()
  readonly #agent = new http.Agent({ keepAlive: true })
  readonly #timer: ReturnType<typeof setInterval>
  #owed = 0
  #asked = 0
  #before = performance.now()

  constructor(name: string) {
    this.#timer = setInterval(() => {
      const now = performance.now()
      this.#owed += ((now - this.#before) / 1_000) * this.perSecond
      this.#before = now
      for (; this.#owed >= 1; this.#owed--) void this.#ask(name)
    }, 10)
  }

  async #ask(name: string): Promise<void> {
    const at = this.#asked++
    const to = machines()[at % 3]?.address ?? ""
    try {
      this.tasks.set(await ask(to, name, at % 2 === 0 ? this.#agent : false), performance.now())
      this.answered += 1
    } catch (error) {
      this.failures.push((error as Error).message)
    }
  }

  /** The tasks that have answered since. */
  since(at: number): number {
    return [...this.tasks.values()].filter((last) => last >= at).length
  }

  end(): void {
    clearInterval(this.#timer)
    this.#agent.destroy()
  }
}

const rows: Array<readonly [what: string, measured: string, asked: string]> = []
const tell = (what: string, measured: string, asked = ""): void => {
  rows.push([what, measured, asked])
  console.log(`${what.padEnd(58)} ${measured.padEnd(26)} ${asked}`)
}
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`

/** The load is `perSecond(t)`, t in seconds, for so long; the changes that were made meanwhile. */
async function follow(
  traffic: Traffic,
  forMs: number,
  perSecond: (t: number) => number
): Promise<ReadonlyArray<Change>> {
  const [began, from] = [performance.now(), Date.now()]
  while (performance.now() - began < forMs) {
    traffic.perSecond = perSecond((performance.now() - began) / 1_000)
    await pause(200)
  }
  return (await changesOf("app")).filter(({ At }) => Date.parse(At) >= from)
}
const shown = (changes: ReadonlyArray<Change>): string =>
  changes.length === 0 ? "none" : changes.map(({ From, To }) => `${From}→${To}`).join(" ")

async function step(traffic: Traffic): Promise<void> {
  traffic.perSecond = 20
  await pause(15_000)
  const [began, from] = [performance.now(), Date.now()]
  traffic.perSecond = 100
  await elapsed("a decision", async () => (await replicasOf("app")) >= 4, 20, 30_000)
  const decided = (await changesOf("app")).filter(({ At }) => Date.parse(At) >= from)
  tell("step ×5: first decision to go up", seconds(Date.parse(decided.at(-1)?.At ?? "") - from), "≤ 2 s")
  const wanted = await replicasOf("app")
  await elapsed("all serve", async () => traffic.since(began) >= wanted, 20, 60_000)
  tell(`step ×5: ${wanted} tasks answer`, seconds(performance.now() - began), "≤ 5 s")
  await pause(5_000)
  const downAt = performance.now()
  traffic.perSecond = 20
  await elapsed("down again", async () => (await replicasOf("app")) === 1, 200, 300_000)
  tell(
    "back to 1 after the load",
    seconds(performance.now() - downAt),
    `stabilises in ${stabiliseMs / 1_000} s`
  )
}

async function burst(traffic: Traffic): Promise<void> {
  traffic.perSecond = 100
  await pause(1_000)
  const failed = traffic.failures.length
  const { ID, Version, Spec } = await call<View>(door(), "GET", "/services/app")
  const TaskTemplate = { ...Spec.TaskTemplate, ForceUpdate: Spec.TaskTemplate.ForceUpdate + 1 }
  await call(door(), "POST", `/services/${ID}/update?version=${Version.Index}`, { ...Spec, TaskTemplate })
  await elapsed("updated", async () => {
    const { UpdateStatus } = await call<View>(door(), "GET", "/services/app")
    return UpdateStatus?.State === "completed"
  })
  await elapsed("grown", async () => (await running(door(), "app")).length >= 4)
  await pause(3_000)
  tell("update in a burst: requests lost", `${traffic.failures.length - failed}`, "0")
}

async function sleeping(): Promise<void> {
  const labels = {
    "troupe.autoscale.min": "0",
    "troupe.autoscale.stabilise": "2s",
    "troupe.autoscale.window": "2s"
  }
  await call(
    door(),
    "POST",
    "/services/create",
    specFor("lazy", 0, { ...labels, "troupe.autoscale.panic": "1s" })
  )
  const taken: Array<number> = []
  let lost = 0
  for (let at = 0; at < sleeps; at++) {
    await elapsed("it sleeps", async () => (await replicasOf("lazy")) === 0, 100, 120_000)
    await elapsed("it has ended", async () => (await running(door(), "lazy")).length === 0, 100)
    await pause(1_500)
    const began = performance.now()
    const asked = machines().map(({ address }) => ask(address, "lazy", false))
    for (const one of await Promise.allSettled(asked)) {
      if (one.status === "fulfilled") taken.push(performance.now() - began)
      else {
        lost += 1
        console.error(one.reason)
      }
    }
  }
  tell("from zero: requests lost", `${lost} of ${sleeps * 3}`, "0")
  tell(
    "from zero: p50, p95",
    `${seconds(quantile(taken, 0.5))}, ${seconds(quantile(taken, 0.95))}`,
    "p95 ≤ 1.5 s"
  )
}

await open()
try {
  console.log(`load ${loadavg()[0]?.toFixed(1)}`)
  const labels = { "troupe.autoscale.min": "1", "troupe.autoscale.stabilise": `${stabiliseMs / 1_000}s` }
  await call(door(), "POST", "/services/create", specFor("app", 1, labels))
  await elapsed("it runs", async () => (await running(door(), "app")).length === 1)
  await elapsed("every entrance leads to it", async () => {
    const asked = machines().map(({ address }) => ask(address, "app", false))
    return (await Promise.allSettled(asked)).every(({ status }) => status === "fulfilled")
  })
  const traffic = new Traffic("app")
  await step(traffic)
  const noisy = () => 3.5 * share * (0.85 + Math.random() * 0.3)
  await follow(traffic, 30_000, noisy)
  const noise = await follow(traffic, minutes * 60_000, noisy)
  tell(`${minutes} min of noise, ±15 % around ${3.5 * share}/s: changes`, shown([...noise].reverse()))
  const wave = await follow(traffic, minutes * 60_000, (t) => share * (3 + 2 * Math.sin((t * Math.PI) / 60)))
  tell(`${minutes} min of a wave of 2 min, ${share} to ${5 * share}/s: changes`, shown([...wave].reverse()))
  traffic.perSecond = 20
  await elapsed("down again", async () => (await replicasOf("app")) === 1, 500, 300_000)
  await burst(traffic)
  traffic.end()
  tell(
    "requests lost in all",
    `${traffic.failures.length} of ${traffic.answered + traffic.failures.length}`,
    "0"
  )
  for (const failure of new Set(traffic.failures)) console.error(failure)
  await sleeping()
  console.log(`\n${rows.map(([what, measured, asked]) => `| ${what} | ${measured} | ${asked} |`).join("\n")}`)
} finally {
  await close()
}
