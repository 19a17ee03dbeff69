/** Changes that are too many for one entry of the log become several: each of them stands for itself anyway. */
import { Buffer } from "node:buffer"
import type { Command } from "#actors/ledger/commands.ts"

/** Commands that carry such changes, and what their lists are called. */
const listsOf: { readonly [Type in Command["type"]]?: ReadonlyArray<string> } = {
  "network.allot": ["networks"],
  "node.gateways": ["nodes"],
  "node.observe": ["nodes"],
  "service.allot": ["services"],
  "tasks.change": ["create", "update", "remove"],
  "tasks.report": ["statuses"]
}

type Lists = Record<string, ReadonlyArray<unknown>>

/** An entry carries 1.5 MiB at most: this leaves room for one change more, and for who says it. */
const mostBytes = 2 ** 20
/** So few are never too many, and are not measured. */
const few = 200

/** The same as commands that fit, in the same order. */
export function split(command: Command): ReadonlyArray<Command> {
  const names = listsOf[command.type]
  if (names === undefined) return [command]
  const lists = command as unknown as Lists
  const changes = names.flatMap((name) => (lists[name] ?? []).map((change) => ({ name, change })))
  if (changes.length <= few) return [command]
  const empty = (): Record<string, Array<unknown>> => Object.fromEntries(names.map((name) => [name, []]))
  const parts: Array<Lists> = []
  let part = empty()
  let bytes = 0
  for (const { name, change } of changes) {
    const more = Buffer.byteLength(JSON.stringify(change)) + 1
    if (bytes > 0 && bytes + more > mostBytes) {
      parts.push(part)
      part = empty()
      bytes = 0
    }
    part[name]?.push(change)
    bytes += more
  }
  return [...parts, part].map((some) => ({ ...command, ...some }) as Command)
}
