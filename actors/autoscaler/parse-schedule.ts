/** Schedules: cron's patterns with how many tasks there are to be from then on. */
import { Cron } from "croner"
import type { ScheduleLine } from "#actors/autoscaler/policy.ts"
import { toIso } from "#actors/model/time.ts"

export interface Unread {
  readonly at: "schedule" | "timezone"
  readonly expected: string
}

const expected =
  "MINUTE HOUR DAY MONTH WEEKDAY => TASKS, and ; between several, such as 0 8 * * 1-5 => 10; 0 20 * * * => 2"
const mostLines = 32
/** Any moment would do: what is unknown to the library shows when it is first asked. */
const someTime = "2026-01-01T00:00:00.000Z"

/** `0 8 * * 1-5 => 10; 0 20 * * * => 2`. */
export function parseSchedule(value: string, timeZone: string): ReadonlyArray<ScheduleLine> | Unread {
  if (!comes("0 0 * * *", timeZone)) {
    return { at: "timezone", expected: "a time zone such as Europe/Berlin" }
  }
  const lines: Array<ScheduleLine> = []
  for (const text of value.split(";")) {
    if (text.trim() === "") continue
    const [, pattern = "", replicas = ""] = /^\s*(\S+(?:\s+\S+){4})\s*=>\s*(\d{1,6})\s*$/.exec(text) ?? []
    if (pattern === "") return { at: "schedule", expected }
    if (!comes(pattern, timeZone)) {
      return { at: "schedule", expected: `${expected}; ${JSON.stringify(pattern)} never comes` }
    }
    lines.push({ pattern, timeZone, replicas: Number(replicas) })
  }
  return lines.length === 0 || lines.length > mostLines ? { at: "schedule", expected } : lines
}

function comes(pattern: string, timeZone: string): boolean {
  try {
    return cronOf({ pattern, timeZone }).nextRun(someTime) !== null
  } catch {
    return false
  }
}

/** What a schedule asks for from now on, and until when: nothing before its first time. */
export interface Scheduled {
  readonly replicas: number | undefined
  /** Milliseconds since the epoch; the answer is another one from then on. */
  readonly until: number
}

/** By the line whose time came last; of several at one moment the one that asks for most. Costs milliseconds: to be kept. */
export function scheduledAt(lines: ReadonlyArray<ScheduleLine>, now: number): Scheduled {
  let newest = Number.NEGATIVE_INFINITY
  let until = Number.POSITIVE_INFINITY
  let replicas: number | undefined
  for (const line of lines) {
    const cron = cronOf(line)
    until = Math.min(until, cron.nextRun(toIso(now))?.getTime() ?? Number.POSITIVE_INFINITY)
    // The library looks strictly before, and this very moment counts.
    const at = cron.previousRuns(1, toIso(now + 1))[0]?.getTime()
    if (at === undefined || at > now || at < newest) continue
    replicas = at === newest ? Math.max(replicas ?? 0, line.replicas) : line.replicas
    newest = at
  }
  return { replicas, until }
}

const cronOf = ({ pattern, timeZone }: Omit<ScheduleLine, "replicas">): Cron =>
  new Cron(pattern, { timezone: timeZone, paused: true, mode: "5-part" })
