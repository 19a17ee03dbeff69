/**
 * What a client means by `web` or `4kx`: a full id, else an exact name, else the beginning of an id.
 */
import type { LedgerReader, Tables } from "#actors/ledger/reader.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { Network, Task } from "#actors/model/objects.ts"
import { nameOfTask } from "#actors/model/service-facts.ts"

type Findable = "node" | "service" | "task" | "network" | "secret" | "config" | "volume"

export const taskName = (reader: LedgerReader, task: Task): string =>
  nameOfTask(reader.get("service", task.ServiceID)?.Spec.Name ?? task.ServiceID, task)

/** The object that `input` names, or a refusal: there is none, or there are several. */
export function find<K extends Findable>(reader: LedgerReader, kind: K, input: string): Tables[K] | Refusal {
  const exact = reader.get(kind, input)
  if (exact !== undefined) return exact
  const named = byName(reader, kind, input)
  if (named.length > 0) return only(kind, input, named)
  const begun: Array<Tables[K]> = []
  if (input !== "" && input.length < 25) {
    for (const object of reader.all(kind)) if (object.ID.startsWith(input)) begun.push(object)
  }
  return only(kind, input, begun)
}

/** A network by id or name only: the beginning of an id may be that of one of the Engine's. */
export const findExactly = (reader: LedgerReader | undefined, input: string): Network | undefined =>
  reader?.get("network", input) ?? reader?.byName("network", input)

function byName<K extends Findable>(reader: LedgerReader, kind: K, name: string): ReadonlyArray<Tables[K]> {
  switch (kind) {
    case "node": {
      const found: Array<Tables[K]> = []
      for (const node of reader.all("node")) {
        if (node.Description?.Hostname === name) found.push(node as Tables[K])
      }
      return found
    }
    case "task": {
      const task = reader.get("task", name.slice(name.lastIndexOf(".") + 1))
      return task !== undefined && taskName(reader, task) === name ? [task as Tables[K]] : []
    }
    default: {
      const found = reader.byName(kind as "service", name)
      return found === undefined ? [] : [found as Tables[K]]
    }
  }
}

function only<T extends { readonly ID: string }>(
  kind: Findable,
  input: string,
  matches: ReadonlyArray<T>
): T | Refusal {
  const [first] = matches
  if (first === undefined) return refuse("notFound", `${kind} ${input} not found`)
  if (matches.length > 1) {
    return refuse("invalidArgument", `${kind} ${input} is ambiguous (${matches.length} matches found)`)
  }
  return first
}
