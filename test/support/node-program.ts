/** A node's side as a program of its own, so that a test can kill it: prints every report as a line of JSON. */
import process from "node:process"
import type { AssignedTask } from "#actors/node/protocol.ts"
import { eventually } from "#test/support/engine.ts"
import { NodeSide } from "#test/support/node-side.ts"

/** What the program is told, as its one argument in JSON. */
export interface NodeProgram {
  readonly dockerHost: string
  readonly cluster: string
  readonly nodeId: string
  readonly folder: string
  readonly tasks: ReadonlyArray<AssignedTask>
  readonly secrets: ReadonlyArray<{ readonly id: string; readonly name: string; readonly data: string }>
}

const program = JSON.parse(process.argv[2] ?? "{}") as NodeProgram
const node = await NodeSide.make(program)
await node.start()
await eventually(() => node.leader.registrations.length === 1, "the node registers")
node.leader.assign({ complete: true, tasks: program.tasks, secrets: program.secrets })
for (let printed = 0; ; ) {
  for (const report of node.leader.reports.slice(printed)) {
    process.stdout.write(`${JSON.stringify(report)}\n`)
    printed++
  }
  await new Promise((resolve) => setTimeout(resolve, 2))
}
