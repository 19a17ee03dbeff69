/** What a node says of its tasks' output to other systems, and where. The subject ends with the node: NATS holds it to that. */
import { Schema } from "effect"
import type { Stretch } from "#actors/drivers/log-store/onward.ts"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"

const text = Schema.String

export const PublishedLines = Schema.Struct({
  /** Ids, and what people call them. */
  service: text,
  serviceName: text,
  task: text,
  /** `web.1.<task id>` */
  name: text,
  node: text,
  /**
   * Another one in each life of the node's process; in it a task's messages are numbered from 1 without a gap, so that whoever
   * misses one knows.
   */
  epoch: text,
  seq: Schema.Int,
  /** Lines that were let go before they could be published. */
  missing: Schema.optionalKey(Schema.Int),
  lines: Schema.Array(
    Schema.Struct({
      /** RFC 3339 with nanoseconds, as the Engine wrote it. */
      at: text,
      stream: Schema.Literals(["stdout", "stderr"]),
      /** Without its newline. Bytes that are no UTF-8 are U+FFFD. */
      text
    })
  )
})
export type PublishedLines = typeof PublishedLines.Type

/** `*` for any. */
export const logSubject = (cluster: string, service: string, task: string, node: string): string =>
  `troupe.log.v1.${cluster}.${service}.${task}.${node}`

const decoder = new TextDecoder()

export function describeLines(
  { service, serviceName, task, name }: TaskFacts,
  place: { readonly node: string; readonly epoch: string; readonly seq: number },
  { lines, lost }: Stretch
): PublishedLines {
  return {
    ...{ service, serviceName, task, name },
    ...place,
    ...(lost > 0 && { missing: lost }),
    lines: lines.map(({ stream, timestamp, line }) => ({
      at: timestamp,
      stream,
      text: decoder.decode(line).replace(/\n$/, "")
    }))
  }
}
