/** The connections that a task has taken and on which it has something to do. */
import { readlinkSync } from "node:fs"
import { Context, Effect } from "effect"
import { run } from "#actors/drivers/kernel/run.ts"

export interface ConnectionsService {
  /** How many there are in the network of the process `pid`, if that network is not the machine's own. */
  readonly busy: (pid: number) => Effect.Effect<number>
}

/** By default nobody can tell. */
export const Connections = Context.Reference<ConnectionsService>("troupe/actors/drivers/Connections", {
  defaultValue: () => ({ busy: () => Effect.succeed(0) })
})

/** As the kernel tells `ss`, for whoever is root. */
export const kernelConnections: ConnectionsService = {
  busy: (pid) => {
    if (!hasOwnNetwork(pid)) return Effect.succeed(0)
    return run("nsenter", [`--net=/proc/${pid}/ns/net`, "ss", "-tainHO"], "").pipe(
      Effect.map(countBusy),
      // It has ended, or cannot be looked into from here.
      Effect.catch(() => Effect.succeed(0))
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
export function countBusy(text: string): number {
  const doors = new Set<string>()
  const busy: Array<string> = []
  for (const line of text.split("\n")) {
    const [state, unread, unsent, local = ""] = line.trim().split(/\s+/)
    const port = local.slice(local.lastIndexOf(":") + 1)
    if (state === "LISTEN") doors.add(port)
    else if (state === "ESTAB" || state === "CLOSE-WAIT") {
      if (unread !== "0" || unsent !== "0" || owesAnswer(line)) busy.push(port)
    }
  }
  return busy.filter((port) => doors.has(port)).length
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
