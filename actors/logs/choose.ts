/** Where a task's lines are read: in the node's memory, or of the Engine. */
import type { LogRequest } from "#actors/logs/protocol.ts"
import { toIso } from "#actors/model/time.ts"

/** What the node remembers of a task. */
export interface Remembered {
  /** `following`: it comes from the Engine as it is written; `ended`: all of it came; `idle`: neither is known. */
  readonly state: "following" | "ended" | "idle"
  readonly log: KeptLog
}

export interface KeptLog {
  /** Nothing that came first is gone. */
  readonly isComplete: boolean
  readonly lines: number
  /** The earliest time that is kept. */
  readonly oldest: string
}

export type Source =
  | "memory"
  /** The memory, once it has what the Engine has at this moment. */
  | "memory after the Engine"
  /** The Engine, and the memory where the container is gone. */
  | "engine"

/**
 * The memory serves what it has all of; it is one reading of the Engine for any number of readers. What it lost of a
 * container's beginning, the Engine may still have.
 */
export function choose(known: Remembered | undefined, { tail, since }: LogRequest): Source {
  if (known === undefined || known.state === "idle") return "engine"
  const { log } = known
  const hasAll =
    log.isComplete ||
    (tail !== undefined && tail <= log.lines) ||
    (since > 0 && log.lines > 0 && toTimestamp(since) >= log.oldest)
  if (!hasAll) return "engine"
  return known.state === "ended" ? "memory" : "memory after the Engine"
}

/** Seconds since the epoch as times of lines are written, so that both compare as text. */
export function toTimestamp(seconds: number): string {
  const whole = Math.floor(seconds)
  const nanos = Math.min(999_999_999, Math.round((seconds - whole) * 1e9))
  return `${toIso(whole * 1000).slice(0, 19)}.${String(nanos).padStart(9, "0")}Z`
}
