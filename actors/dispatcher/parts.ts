/** An assignment with more files than a message carries goes in several, numbered one after the other. */

import { isBefore } from "#actors/model/task-state.ts"
import type { FromLeader } from "#actors/node/protocol.ts"

type Assign = Extract<FromLeader, { _tag: "Assign" }>
/** What is said, without its number. */
export type Said = Omit<Assign, "_tag" | "session" | "seq" | "confirm">
type Files = Pick<Assign, "secrets" | "configs">

/** Half of what is carried at all: the rest is for tasks, networks and routes. */
const mostFileBytes = 8 * 1024 * 1024

export const nothingNew = {
  complete: false,
  tasks: [],
  removed: [],
  networks: [],
  secrets: [],
  configs: [],
  dropped: []
} satisfies Said

/**
 * The same in messages that are carried. Files come before the tasks that read them. Of a complete assignment the first
 * part is the complete one, with all tasks that a node may have begun: those that it is to begin come with the last files.
 */
export function inParts(whole: Said): ReadonlyArray<Said> {
  const chunks = chunksOf(whole)
  const last = chunks.length - 1
  if (last < 1) return [whole]
  const begun = whole.tasks.filter(({ state }) => state !== "assigned")
  // Those that wait for their files, and those whose actors were just told of them without.
  const waiting = whole.tasks.filter(({ state }) => isBefore(state, "running"))
  return chunks.map((files, at) => {
    if (!whole.complete) return at < last ? { ...nothingNew, ...files } : { ...whole, ...files }
    if (at === 0) return { ...whole, ...files, tasks: begun }
    return { ...nothingNew, ...files, tasks: at < last ? [] : waiting }
  })
}

function chunksOf({ secrets, configs }: Files): ReadonlyArray<Files> {
  const chunks: Array<{
    secrets: Array<Files["secrets"][number]>
    configs: Array<Files["configs"][number]>
  }> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const kind of ["secrets", "configs"] as const) {
    for (const file of kind === "secrets" ? secrets : configs) {
      bytes += file.data.length
      if (bytes > mostFileBytes) {
        chunks.push({ secrets: [], configs: [] })
        bytes = file.data.length
      }
      chunks.at(-1)?.[kind].push(file)
    }
  }
  return chunks
}
