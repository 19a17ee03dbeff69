/**
 * How a gateway and the node of a task speak of what is in the task's container: `<node>/consoles/main` is asked, by
 * managers alone.
 *
 * The gateway asks for each part of the output, and sends what was typed once the part before is taken, so nothing piles up
 * in between. An answer that is lost ends the console, as a lost connection would: what a terminal shows cannot be asked
 * for twice.
 */
import { Schema } from "effect"
import { tagged as message } from "#runtime/tagged.ts"

const text = Schema.String
const whole = Schema.Int
const optional = Schema.optionalKey

export const ConsolesMessage = Schema.Union([
  /** Asked; answered by `Opened`, `Refused` or `TooMany`. The container must be that task's. */
  message("Open", {
    console: text,
    task: text,
    container: text,
    command: Schema.Array(text),
    columns: whole,
    rows: whole
  }),
  /** Asked; answered by `Output` or `Gone`. */
  message("Read", { console: text }),
  /** Asked; answered by `Taken` or `Gone`. `data` is base64. */
  message("Write", { console: text, data: text }),
  /** Told. */
  message("Resize", { console: text, columns: whole, rows: whole }),
  /** Told; the command ends. */
  message("Close", { console: text }),
  /** Asked; answered by `Health`, `Gone` or `Refused`: what its health check came to. The container must be that task's. */
  message("Examine", { task: text, container: text })
])
export type ConsolesMessage = typeof ConsolesMessage.Type

export const Output = message("Output", {
  /** Base64; absent where nothing came for a while, and at the end. */
  data: optional(text),
  /** The command has ended, and this is the last that is said of it. */
  ended: optional(Schema.Struct({ exitCode: optional(whole) }))
})
export type Output = typeof Output.Type

export const Health = message("Health", {
  /** Absent where the container has no health check. */
  status: optional(Schema.Literals(["starting", "healthy", "unhealthy"])),
  /** The last ones, the oldest first, and when each had ended. */
  probes: Schema.Array(Schema.Struct({ at: text, exitCode: whole, output: text }))
})
export type Health = typeof Health.Type

export const ConsolesAnswer = Schema.Union([
  message("Opened", {}),
  /** Why it cannot be had. */
  message("Refused", { message: text }),
  /** This node has as many as it can; `limit` is how many. */
  message("TooMany", { limit: whole }),
  Output,
  message("Taken", {}),
  /** The node does not know this console, or has no such container of that task (any more). */
  message("Gone", {}),
  Health
])
export type ConsolesAnswer = typeof ConsolesAnswer.Type
