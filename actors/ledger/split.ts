/** Changes of tasks that are too many for one entry of the log become several: each of them stands for itself anyway. */
import { Buffer } from "node:buffer"
import type { Command } from "#actors/ledger/commands.ts"

type TasksChange = Extract<Command, { type: "tasks.change" }>
type List = "create" | "update" | "remove"

/** An entry carries 1.5 MiB at most: this leaves room for one change more, and for who says it. */
const mostBytes = 2 ** 20
/** So few are never too many, and are not measured. */
const few = 500

/** The same as commands that fit, in the same order. */
export function split(command: Command): ReadonlyArray<Command> {
  if (command.type !== "tasks.change") return [command]
  const { create, update, remove } = command
  if (create.length + update.length + remove.length <= few) return [command]
  const parts: Array<TasksChange> = []
  let part = { create: [], update: [], remove: [] } as { [Name in List]: Array<TasksChange[Name][number]> }
  let bytes = 0
  const add = <Name extends List>(name: Name, change: TasksChange[Name][number]): void => {
    const more = Buffer.byteLength(JSON.stringify(change)) + 1
    if (bytes > 0 && bytes + more > mostBytes) {
      parts.push({ ...command, ...part })
      part = { create: [], update: [], remove: [] }
      bytes = 0
    }
    part[name].push(change)
    bytes += more
  }
  for (const task of create) add("create", task)
  for (const patch of update) add("update", patch)
  for (const id of remove) add("remove", id)
  return [...parts, { ...command, ...part }]
}
