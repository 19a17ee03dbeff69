/** A node with nothing but the process executor, as a program of its own, so that a test can kill it. */
import process from "node:process"
import { Effect } from "effect"
import { Executor } from "#actors/drivers/executor.ts"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"

const [folder = "", ...scripts] = process.argv.slice(2)

/** Starts one task per script, prints their ids as one line of JSON, and stays. */
const main = Effect.gen(function* () {
  const executor = yield* Executor
  const ids: Array<string> = []
  for (const [index, script] of scripts.entries()) {
    const id = yield* executor.create(`orphan.${index}`, {
      Image: "host",
      Cmd: ["sh", "-c", script],
      Labels: { "com.docker.swarm.task.id": `orphan-${index}` },
      HostConfig: {},
      Networks: []
    })
    yield* executor.start(id)
    ids.push(id)
  }
  process.stdout.write(`${JSON.stringify(ids)}\n`)
  yield* Effect.never
})

await Effect.runPromise(Effect.provide(main, ProcessExecutor.layer({ folder })))
