/**
 * What came in at this node's doors or over NATS and changed something, or was turned away: who, what, when and how it
 * ended. Kept as lines of JSON in `<data-dir>/audit.log`, the newest also in memory. What the log of the cluster says of
 * each change stands there under the same name.
 */
import { Buffer } from "node:buffer"
import fs from "node:fs"
import path from "node:path"
import { setTimeout } from "node:timers/promises"
import type { Role } from "#actors/gateway/access/role.ts"

export interface AuditLine {
  /** ISO 8601. */
  readonly at: string
  /** `nobody` where none was known. */
  readonly who: string
  readonly role?: Role
  /** Over NATS that of the HTTP request that is the same; `PUBLISH` or `SUBSCRIBE` where nats-server turned it away. */
  readonly method: string
  /** Without the query, in which there may be a secret; what nats-server turned away is a subject. */
  readonly path: string
  readonly status: number
  /** What it came to, in the words of the docker CLI, where the path does not say. */
  readonly did?: string
  /** Why it was turned away. */
  readonly refused?: string
}

export interface Audit {
  readonly note: (line: AuditLine) => void
  /** The newest, oldest first. */
  readonly recent: () => ReadonlyArray<AuditLine>
  readonly follow: (listen: (line: AuditLine) => void) => { readonly unsubscribe: () => void }
}

const remembered = 500
/** Then the file becomes `audit.log.1`, in the place of the one before. In bytes. */
const largest = 8 * 1024 * 1024
/** A flood of refusals, a few hundred bytes each, must not become a flood of the disk: lines per second. */
const mostPerSecond = 100
/** What a full disk does not take waits for room, so many characters of it. */
const mostWaiting = 1024 * 1024
const againMs = 1_000

export function openAudit(dataDir: string, clock: () => number, onProblem: (problem: string) => void): Audit {
  const file = path.join(dataDir, "audit.log")
  const listeners = new Set<(line: AuditLine) => void>()
  let lines: Array<AuditLine> = lastOf(file)
  let waiting = ""
  let size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0
  let isWriting = false
  let isFailing = false
  let second = 0
  let written = 0

  const flush = async (): Promise<void> => {
    isWriting = true
    while (waiting !== "") {
      const text = waiting
      waiting = ""
      try {
        if (size > largest) {
          await fs.promises.rename(file, `${file}.1`)
          size = 0
        }
        await fs.promises.appendFile(file, text, { mode: 0o600 })
        size += Buffer.byteLength(text)
        isFailing = false
      } catch (cause) {
        if (!isFailing)
          onProblem(`Cannot write ${file}, tried again each second: ${(cause as Error).message}`)
        isFailing = true
        waiting = newest(text + waiting)
        await cutTo(file, size)
        await setTimeout(againMs, undefined, { ref: false })
      }
    }
    isWriting = false
  }

  return {
    note: (line) => {
      lines.push(line)
      if (lines.length > 2 * remembered) lines = lines.slice(-remembered)
      for (const listen of listeners) listen(line)
      const now = Math.floor(clock() / 1000)
      written = now === second ? written + 1 : 1
      second = now
      if (written > mostPerSecond && line.refused !== undefined) return
      waiting += `${JSON.stringify(line)}\n`
      if (!isWriting) void flush()
    },
    recent: () => lines.slice(-remembered),
    follow: (listen) => {
      listeners.add(listen)
      return { unsubscribe: () => void listeners.delete(listen) }
    }
  }
}

/** Of a line that was written in part the next would be the end. */
const cutTo = (file: string, size: number): Promise<void> =>
  fs.promises.truncate(file, size).catch(() => {
    // It is not there, or the disk takes nothing at all.
  })

const newest = (text: string): string =>
  text.length <= mostWaiting ? text : text.slice(text.indexOf("\n", text.length - mostWaiting) + 1)

/** What an earlier process noted; a line that was torn is left out. */
function lastOf(file: string): Array<AuditLine> {
  if (!fs.existsSync(file)) return []
  const lines = fs.readFileSync(file, "utf8").split("\n").slice(-remembered)
  return lines.flatMap((line) => {
    try {
      return [JSON.parse(line) as AuditLine]
    } catch {
      return []
    }
  })
}
