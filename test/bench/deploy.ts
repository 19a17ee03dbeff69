/**
 * What a deploy costs beside the Engine's own work, and how soon a killed container is replaced: a whole daemon and
 * the Engine straight, in turns on the same machine, so that the ratio counts and not the machine.
 *
 *     bun test/bench/deploy.ts [rounds [replicas]]
 *
 * Wanted: deploy ≤ 1.15 × the floor; a replacement runs within 0.4 s at restart delay 0.
 *
 * Last good run (2 cores, not alone on them): floor 4906 ms, deploy 4935 ms, ratio 1.01; replacement 442 ms, of which
 * the Engine's own kill, create and start take 395 ms; 4.07 requests to the Engine per task.
 */
import { mkdtempSync, rmSync } from "node:fs"
import http from "node:http"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import process from "node:process"
import type { Readable } from "node:stream"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { countingProxy } from "#test/support/counting-proxy.ts"
import {
  cleanUp,
  dockerHost,
  engine,
  ensureTestImage,
  eventually,
  testImage,
  uniqueName
} from "#test/support/engine.ts"

const rounds = Number(process.argv[2] ?? 5)
const replicas = Number(process.argv[3] ?? 30)
const inFlight = 8
const kills = 10
/** A deploy is looked at this often: often enough to lose little, seldom enough to cost little. */
const lookMs = 25

const mark = uniqueName("bench")
const engineSocket = dockerHost.replace("unix://", "")
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
const command = ["sh", "-c", "trap exit TERM; while :; do sleep 1 & wait; done"]

/** One request on a unix socket, its answer decoded. */
function call<Answer>(socketPath: string, method: string, path: string, body?: unknown): Promise<Answer> {
  const bytes = body === undefined ? undefined : JSON.stringify(body)
  const headers =
    bytes === undefined
      ? {}
      : { "content-type": "application/json", "content-length": Buffer.byteLength(bytes) }
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, agent, method, path, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part) => {
        text += part
      })
      response.on("end", () => {
        if ((response.statusCode ?? 500) < 300) resolve(text === "" ? undefined : JSON.parse(text))
        else reject(new Error(`${method} ${path} answered ${response.statusCode}: ${text}`))
      })
    })
    request.on("error", reject)
    request.end(bytes)
  })
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const sorted = (numbers: ReadonlyArray<number>): ReadonlyArray<number> => [...numbers].sort((a, b) => a - b)
const median = (numbers: ReadonlyArray<number>): number => {
  const inOrder = sorted(numbers)
  const middle = (numbers.length - 1) / 2
  return ((inOrder[Math.floor(middle)] ?? 0) + (inOrder[Math.ceil(middle)] ?? 0)) / 2
}
const shown = (numbers: ReadonlyArray<number>): string => numbers.map((ms) => ms.toFixed(0)).join(" ")

/** Creates and starts the containers on the Engine itself; the milliseconds it took. */
async function straight(): Promise<number> {
  const began = performance.now()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next++ < replicas) await startOne()
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  const took = performance.now() - began
  await cleanUp(mark)
  return took
}

interface TaskJson {
  readonly Status: {
    readonly State: string
    readonly ContainerStatus?: { readonly ContainerID: string }
  }
}

const specOf = (name: string, count: number) => ({
  Name: name,
  TaskTemplate: {
    ContainerSpec: { Image: testImage, Command: command, StopGracePeriod: 0 },
    RestartPolicy: { Condition: "any", Delay: 0 }
  },
  Mode: { Replicated: { Replicas: count } }
})

/** Containers of the tasks of a service that are wanted and observed to run. */
async function runningOf({ socket }: Cluster, name: string): Promise<ReadonlySet<string>> {
  const filters = encodeURIComponent(JSON.stringify({ service: [name], "desired-state": ["running"] }))
  const tasks = await call<ReadonlyArray<TaskJson>>(socket, "GET", `/v1.41/tasks?filters=${filters}`)
  const running = tasks.filter(({ Status }) => Status.State === "running")
  return new Set(running.map(({ Status }) => Status.ContainerStatus?.ContainerID ?? ""))
}

/** The milliseconds until `isThere`, looking every `everyMs`. */
async function until(isThere: () => Promise<boolean>, everyMs: number): Promise<number> {
  const began = performance.now()
  while (!(await isThere())) {
    if (performance.now() - began > 180_000) throw new Error("Did not come about within 180 s")
    await pause(everyMs)
  }
  return performance.now() - began
}

async function remove(cluster: Cluster, name: string): Promise<void> {
  await call(cluster.socket, "DELETE", `/v1.41/services/${name}`)
  const filters = { label: [`com.docker.swarm.service.name=${name}`] }
  await eventually(
    async () => (await engine().listContainers({ all: true, filters })).length === 0,
    "its containers are gone",
    120_000
  )
}

/** From the request until every task is observed to run; the milliseconds it took. */
async function deployed(cluster: Cluster): Promise<number> {
  const name = uniqueName("deploy")
  const began = performance.now()
  await call(cluster.socket, "POST", "/v1.41/services/create", specOf(name, replicas))
  await until(async () => (await runningOf(cluster, name)).size >= replicas, lookMs)
  const took = performance.now() - began
  await remove(cluster, name)
  return took
}

/** Milliseconds from the moment a container is killed. `observed`: as many tasks run as before. */
interface Replacement {
  readonly died: number
  readonly created: number
  readonly started: number
  readonly observed: number
  /** The Engine alone: a container killed, another created and started. */
  readonly floor: number
}

/** Kills one container after another, in turns with containers of nobody. */
async function replaced(cluster: Cluster): Promise<ReadonlyArray<Replacement>> {
  const name = uniqueName("recover")
  const count = 3
  const label = `com.docker.swarm.service.name=${name}`
  const events = await listen(label)
  const results: Array<Replacement> = []
  await call(cluster.socket, "POST", "/v1.41/services/create", specOf(name, count))
  await until(async () => (await runningOf(cluster, name)).size >= count, lookMs)
  let spare = await startOne()
  for (let round = 0; round < kills; round++) {
    await pause(500)
    const began = performance.now()
    await call(engineSocket, "POST", `/v1.41/containers/${spare}/kill`)
    spare = await startOne()
    const floor = performance.now() - began

    await pause(500)
    const [victim = ""] = await runningOf(cluster, name)
    events.forget()
    const killedAt = Date.now()
    const observed = performance.now()
    await call(engineSocket, "POST", `/v1.41/containers/${victim}/kill`)
    await until(async () => {
      const running = await runningOf(cluster, name)
      return running.size >= count && !running.has(victim)
    }, 5)
    const took = performance.now() - observed
    const since = (action: string): number => (events.at(action) ?? Number.NaN) - killedAt
    await until(async () => events.at("start") !== undefined, 5)
    const [died, created, started] = [since("die"), since("create"), since("start")]
    results.push({ died, created, started, observed: took, floor })
  }
  events.close()
  await remove(cluster, name)
  await cleanUp(mark)
  return results
}

/** Creates and starts one container on the Engine itself; its id. */
async function startOne(): Promise<string> {
  const { Id } = await call<{ Id: string }>(engineSocket, "POST", "/v1.41/containers/create", {
    Image: testImage,
    Cmd: command,
    Labels: { [mark]: "" },
    HostConfig: {}
  })
  await call(engineSocket, "POST", `/v1.41/containers/${Id}/start`)
  return Id
}

/** When the Engine says that it did something first, in milliseconds since the epoch, to containers of a label. */
async function listen(label: string) {
  const filters = { type: ["container"], label: [label] }
  const stream = (await engine().getEvents({ filters } as never)) as unknown as Readable
  const first = new Map<string, number>()
  let rest = ""
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      const { Action, timeNano } = JSON.parse(line) as { Action: string; timeNano: number }
      if (!first.has(Action)) first.set(Action, timeNano / 1e6)
    }
  })
  stream.on("error", () => {})
  return {
    at: (action: string) => first.get(action),
    forget: () => first.clear(),
    close: () => stream.destroy()
  }
}

/** What one task asks of the Engine, from the deploy's beginning until all run. */
async function counted(): Promise<ReadonlyMap<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), "troupe-bench-"))
  const proxy = await countingProxy(join(folder, "engine.sock"), engineSocket)
  const cluster = await startCluster({ dockerHost: proxy.host })
  try {
    const name = uniqueName("count")
    await pause(1_000)
    proxy.reset()
    await call(cluster.socket, "POST", "/v1.41/services/create", specOf(name, replicas))
    await until(async () => (await runningOf(cluster, name)).size >= replicas, lookMs)
    return proxy.counts()
  } finally {
    await cluster.cleanUp()
    proxy.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

await ensureTestImage()
console.log(`load ${loadavg()[0]?.toFixed(1)}; ${rounds} rounds, ${replicas} replicas`)
const cluster = await startCluster()
try {
  const floor: Array<number> = []
  const ours: Array<number> = []
  // The first of each warms up what both rely on.
  for (let round = 0; round <= rounds; round++) {
    const pair = { straight: 0, deployed: 0 }
    const turns = [
      async () => {
        pair.straight = await straight()
      },
      async () => {
        pair.deployed = await deployed(cluster)
      }
    ]
    // Each goes first as often as the other: what came before still occupies the Engine for a while.
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn()
    if (round === 0) {
      console.log(`first:  floor ${pair.straight.toFixed(0)} ms, deploy ${pair.deployed.toFixed(0)} ms`)
      continue
    }
    floor.push(pair.straight)
    ours.push(pair.deployed)
  }
  console.log(
    `floor:  create and start, ${inFlight} in flight, median ${median(floor).toFixed(0)} ms of ${shown(floor)}`
  )
  console.log(`deploy: POST until all run, median ${median(ours).toFixed(0)} ms of ${shown(ours)}`)
  const ratio = median(ours) / median(floor)
  console.log(`ratio:  ${ratio.toFixed(2)} (wanted: at most 1.15)`)

  const found = await replaced(cluster)
  const column = (field: keyof Replacement): ReadonlyArray<number> => found.map((one) => one[field])
  const observed = column("observed")
  console.log(
    `killed container → replacement runs, delay 0: median ${median(observed).toFixed(0)} ms, max ${Math.max(...observed).toFixed(0)} ms of ${shown(observed)} (wanted: at most 400)`
  )
  const steps = (["died", "created", "started", "observed"] as const).map(
    (field) => `${field} ${median(column(field)).toFixed(0)}`
  )
  console.log(`  medians since the kill: ${steps.join(", ")} ms`)
  console.log(`  the Engine alone, kill, create, start: median ${median(column("floor")).toFixed(0)} ms`)
} finally {
  await cluster.cleanUp()
  await cleanUp(mark)
}
for (const [kind, count] of await counted()) {
  console.log(`engine: ${(count / replicas).toFixed(2).padStart(6)} per task  ${kind}`)
}
process.exit(0)
