/**
 * What an executor costs beside the Engine's own work: 30 containers created and started through it, and straight
 * through dockerode, in turns on the same Engine; a pull that fails; and what a process's shim takes.
 *
 *     bun test/bench/executor.ts [rounds]
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Effect } from "effect"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { type ContainerRequest, Executor, type ExecutorService } from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"
import { median } from "#test/bench/raft/figures.ts"
import { cleanUp, dockerHost, engine, ensureTestImage, testImage, uniqueName } from "#test/support/engine.ts"
import { endProcesses } from "#test/support/processes.ts"

const rounds = Number(process.argv[2] ?? 3)
const replicas = 30
const mark = uniqueName("bench")
const docker = engine()
await ensureTestImage(docker)

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}
const shown = (ms: number): string => `${ms.toFixed(0)} ms`

/** 30 × create and start with so many in flight, nothing in between. */
async function straight(inFlight: number): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < replicas) {
      const container = await docker.createContainer({
        _query: { name: `${mark}-${next++}` },
        _body: { Image: testImage, Cmd: ["sleep", "1000"], Labels: { [mark]: "" } }
      } as never)
      await container.start()
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
}

const request = (index: number, image: string): ContainerRequest => ({
  Image: image,
  Cmd: ["sleep", "1000"],
  Labels: { [taskLabel]: `${mark}-${index}` },
  HostConfig: {},
  Networks: []
})

/** As thirty tasks do it, all at once: pull, create, start. */
const deploy = (executor: ExecutorService, image: string) =>
  Effect.forEach(
    Array.from({ length: replicas }, (_, index) => index),
    (index) =>
      Effect.gen(function* () {
        yield* executor.pull(image, undefined)
        const id = yield* executor.create(`${mark}-${index}`, request(index, image))
        yield* executor.start(id)
      }),
    { concurrency: "unbounded", discard: true }
  )

const through = (inFlight: number) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const executor = yield* Executor
      return yield* Effect.promise(() => timed(() => Effect.runPromise(deploy(executor, testImage))))
    }).pipe(Effect.provide(DockerExecutor.layer({ dockerHost, own: { [mark]: "" }, inFlight })))
  )

async function dockerFigures(): Promise<void> {
  const raw: Array<number> = []
  const limits = [4, 8, 16]
  const ours = new Map<number, Array<number>>(limits.map((limit) => [limit, []]))
  for (let round = 0; round < rounds; round++) {
    raw.push(await timed(() => straight(8)))
    await cleanUp(mark, docker)
    for (const limit of limits) {
      ours.get(limit)?.push(await through(limit))
      await cleanUp(mark, docker)
    }
  }
  console.log(
    `${replicas} × create and start, straight, 8 in flight: median ${shown(median(raw))} of ${raw.map(shown)}`
  )
  for (const [limit, times] of ours) {
    const ratio = (median(times) / median(raw)).toFixed(2)
    console.log(
      `${replicas} × pull, create and start, executor, ${limit} in flight: median ${shown(median(times))} of ${times.map(shown)}, ratio ${ratio}`
    )
  }
  await Effect.runPromise(
    Effect.gen(function* () {
      const executor = yield* Executor
      const failing = yield* Effect.promise(() =>
        timed(() => Effect.runPromise(Effect.exit(executor.pull(uniqueName("nosuch"), undefined))))
      )
      const local = yield* Effect.promise(() =>
        timed(() => Effect.runPromise(executor.pull(testImage, undefined)))
      )
      console.log(
        `pull of what is nowhere: ${shown(failing)}; of what is here, registry unreachable: ${shown(local)}`
      )
    }).pipe(Effect.provide(DockerExecutor.layer({ dockerHost, own: { [mark]: "" } })))
  )
}

async function processFigures(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "troupe-bench-"))
  await Effect.runPromise(
    Effect.gen(function* () {
      const executor = yield* Executor
      const ms = yield* Effect.promise(() => timed(() => Effect.runPromise(deploy(executor, "host"))))
      console.log(`${replicas} × create and start, processes: ${shown(ms)}`)
      const tasks = yield* executor.list
      const sums = { Rss: 0, Pss: 0, Private_Dirty: 0 }
      for (const { id } of tasks) {
        const { pid } = JSON.parse(readFileSync(join(folder, id, "shim.json"), "utf8")) as { pid: number }
        const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")
        for (const key of Object.keys(sums) as Array<keyof typeof sums>) {
          sums[key] += Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(rollup)?.[1] ?? 0) / tasks.length
        }
      }
      console.log(
        `a shim, mean of ${tasks.length}: resident ${(sums.Rss / 1024).toFixed(1)} MiB, of which its share ${(sums.Pss / 1024).toFixed(1)} MiB, its own ${(sums.Private_Dirty / 1024).toFixed(1)} MiB`
      )
      yield* Effect.forEach(tasks, ({ id }) => executor.remove(id), { concurrency: 8 })
    }).pipe(
      Effect.provide(ProcessExecutor.layer({ folder })),
      Effect.ensuring(Effect.sync(() => endProcesses(folder)))
    )
  )
  rmSync(folder, { recursive: true, force: true })
}

try {
  await dockerFigures()
  await processFigures()
} finally {
  await cleanUp(mark, docker)
}
process.exit(0)
