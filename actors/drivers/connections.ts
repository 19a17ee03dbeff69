/** The connections that a task has taken and on which it has something to do. */
import { readlinkSync } from "node:fs"
import { Context, Effect } from "effect"
import { run } from "#actors/drivers/kernel/run.ts"

export interface ConnectionsService {
  /** Those in the network of the process `pid`, by both ends, if that network is not the machine's own. */
  readonly busy: (pid: number) => Effect.Effect<ReadonlySet<string>>
}

const none: ReadonlySet<string> = new Set()

/** By default nobody can tell. */
export const Connections = Context.Reference<ConnectionsService>("troupe/actors/drivers/Connections", {
  defaultValue: () => ({ busy: () => Effect.succeed(none) })
})

/** As the kernel tells `ss`, for whoever is root. */
export const kernelConnections: ConnectionsService = {
  busy: (pid) => {
    if (!hasOwnNetwork(pid)) return Effect.succeed(none)
    return run("nsenter", [`--net=/proc/${pid}/ns/net`, "ss", "-tainHO"], "").pipe(
      Effect.map(parseBusy),
      // It has ended, or cannot be looked into from here.
      Effect.catch(() => Effect.succeed(none))
    )
  }
}

function hasOwnNetwork(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync("/proc/self/ns/net")
  } catch {
    return false
  }
}

/** Somebody who has just connected is about to ask. */
const freshMs = 1_000

/**
 * Of what `ss -tainHO` says: connections to ports that somebody listens on, where something came in that nothing was
 * answered to yet, or the answer is still on its way. One that only waits for the next question is at rest.
 */
export function parseBusy(text: string): ReadonlySet<string> {
  const doors = new Set<string>()
  const busy: Array<readonly [ends: string, port: string]> = []
  for (const line of text.split("\n")) {
    const [state, unread, unsent, local = "", peer = ""] = line.trim().split(/\s+/)
    const port = local.slice(local.lastIndexOf(":") + 1)
    if (state === "LISTEN") doors.add(port)
    else if (state === "ESTAB" || state === "CLOSE-WAIT") {
      if (unread !== "0" || unsent !== "0" || owesAnswer(line)) busy.push([`${local} ${peer}`, port])
    }
  }
  return new Set(busy.flatMap(([ends, port]) => (doors.has(port) ? [ends] : [])))
}

function owesAnswer(line: string): boolean {
  // tcp_info, as ss(8) names it: bytes, and milliseconds since the last packets with any.
  const number = (name: string): number | undefined => {
    const found = new RegExp(`\\s${name}:(\\d+)`).exec(line)?.[1]
    return found === undefined ? undefined : Number(found)
  }
  const sinceReceived = number("lastrcv") ?? 0
  if (number("bytes_received") === undefined) return sinceReceived < freshMs
  return number("bytes_sent") === undefined || sinceReceived < (number("lastsnd") ?? 0)
}
