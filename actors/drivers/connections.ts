/** The connections that a task has taken and that have not ended. */
import { readFileSync, readlinkSync } from "node:fs"
import { Context, Effect } from "effect"

export interface ConnectionsService {
  /** How many there are in the network of the process `pid`, if that network is not the machine's own. */
  readonly count: (pid: number) => Effect.Effect<number>
}

/** By default nobody can tell. */
export const Connections = Context.Reference<ConnectionsService>("troupe/actors/drivers/Connections", {
  defaultValue: () => ({ count: () => Effect.succeed(0) })
})

export const procConnections: ConnectionsService = { count: (pid) => Effect.sync(() => countIn(pid)) }

function countIn(pid: number): number {
  try {
    if (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync("/proc/self/ns/net")) return 0
    return countAccepted(["tcp", "tcp6"].map((name) => readFileSync(`/proc/${pid}/net/${name}`, "latin1")))
  } catch {
    // It has ended, or is not ours to look into.
    return 0
  }
}

// proc_net_tcp(5): after the line's number, local and remote address with port, and the state
const line = /^\s*\d+: \S+:([0-9A-F]{4}) \S+ ([0-9A-F]{2}) /
const established = "01"
/** The other side is done speaking and may wait for an answer. */
const closeWait = "08"
const listening = "0A"

/** Of `/proc/net/tcp` and `tcp6`: connections to ports that somebody listens on, not those that were made from here. */
export function countAccepted(files: ReadonlyArray<string>): number {
  const doors = new Set<string>()
  const taken: Array<string> = []
  for (const text of files.flatMap((file) => file.split("\n"))) {
    const [, port = "", state] = line.exec(text) ?? []
    if (state === listening) doors.add(port)
    else if (state === established || state === closeWait) taken.push(port)
  }
  return taken.filter((port) => doors.has(port)).length
}
