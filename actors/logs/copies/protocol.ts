/**
 * How a node sends the output of its tasks to the one that has its copy: requests on a subject that names both, so that
 * NATS holds the sender to its own name. A message is a line of JSON; behind `Lines` follows a block (`log-store/block.ts`).
 */
import { Buffer } from "node:buffer"
import { Schema } from "effect"
import { Marks } from "#actors/drivers/log-store/marks.ts"
import { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { tagged as message } from "#runtime/tagged.ts"

const text = Schema.String

export const ToCopy = Schema.Union([
  /** A task's lines are about to come, from where the answer says. `epoch` is another one in each life of the sender. */
  message("Begin", { epoch: text, facts: TaskFacts }),
  /** The next lines, numbered from 1 in an epoch, so that what comes twice is known. */
  message("Lines", { epoch: text, task: text, seq: Schema.Int })
])
export type ToCopy = typeof ToCopy.Type

export const CopyAnswer = Schema.Union([
  /** How far the copy goes. */
  message("Begun", { marks: Marks }),
  message("Stored", {}),
  /** Of this task nothing was begun in this epoch. */
  message("NotBegun", {}),
  message("Refused", { reason: text })
])
export type CopyAnswer = typeof CopyAnswer.Type

/** What `from` says to `to`; `*` for any. */
export const copySubject = (cluster: string, to: string, from: string): string =>
  `troupe.copy.v1.${cluster}.${to}.${from}`

const newline = 0x0a

export const encodeToCopy = (said: ToCopy, block: Uint8Array = Buffer.alloc(0)): Uint8Array =>
  Buffer.concat([Buffer.from(`${JSON.stringify(said)}\n`), block])

const isToCopy = Schema.is(ToCopy)

/** The message and the block behind it; `undefined` for what is none. */
export function decodeToCopy(body: Uint8Array): readonly [ToCopy, Buffer] | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const end = bytes.indexOf(newline)
  if (end < 0) return undefined
  try {
    const said: unknown = JSON.parse(bytes.toString("utf8", 0, end))
    return isToCopy(said) ? [said, bytes.subarray(end + 1)] : undefined
  } catch {
    return undefined
  }
}

export const decodeAnswer = Schema.decodeUnknownEffect(Schema.fromJsonString(CopyAnswer))
