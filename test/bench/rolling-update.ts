/**
 * A rolling update of 12 tasks, 4 at a time, started first and watched for 1 s each: Troupe beside Docker's Swarm, each
 * alone with an Engine of its own. `bun test/bench/rolling-update.ts [rounds]`.
 */

import process from "node:process"
import { median } from "#test/bench/raft/figures.ts"
import type { Target } from "#test/conformance/case.ts"
import { idle } from "#test/conformance/service-case.ts"
import { openTarget } from "#test/conformance/target.ts"
import { engine, eventually, testImage } from "#test/support/engine.ts"

const rounds = Number(process.argv[2] ?? 3)
const second = 1e9

const spec = (colour: string) => ({
  Name: "rolling",
  Mode: { Replicated: { Replicas: 12 } },
  TaskTemplate: { ContainerSpec: { Image: testImage, Command: idle, Env: [`COLOUR=${colour}`] } },
  UpdateConfig: { Parallelism: 4, Monitor: second, Order: "start-first", FailureAction: "pause" }
})

/** Seconds of each update, from the request until the service says that it is complete. */
async function measure(kind: Target["kind"]): Promise<ReadonlyArray<number>> {
  const target = await openTarget(kind)
  const docker = engine(target.host)
  try {
    const { id } = (await docker.createService(spec("first") as never)) as unknown as { id: string }
    const service = docker.getService(id)
    const tasks = () => docker.listTasks({ filters: { service: [id], "desired-state": ["running"] } })
    const runs = async () =>
      (await tasks()).filter((task: { Status: { State: string } }) => task.Status.State === "running").length
    await eventually(async () => (await runs()) === 12, "all tasks run", 60_000)
    const taken: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      const { Version } = await service.inspect()
      const began = performance.now()
      await service.update({ version: Version.Index, ...spec(`round-${round}`) })
      await eventually(
        async () => (await service.inspect()).UpdateStatus?.State === "completed",
        "the update is complete",
        60_000
      )
      taken.push((performance.now() - began) / 1_000)
    }
    await service.remove()
    return taken
  } finally {
    await target.close()
  }
}

const troupe = await measure("troupe")
const swarm = await measure("swarm")
const shown = (values: ReadonlyArray<number>): string => values.map((value) => value.toFixed(2)).join(", ")
console.log(`troupe ${shown(troupe)} s, swarm ${shown(swarm)} s`)
console.log(`median ${(median(troupe) / median(swarm)).toFixed(2)} x Swarm's`)
