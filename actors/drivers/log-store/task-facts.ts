/** Whose output is kept, for when nobody else knows the task any more: on disk beside it, and told to who asks. */
import { Schema } from "effect"

export const TaskFacts = Schema.Struct({
  task: Schema.String,
  /** `web.1.<task id>` */
  name: Schema.String,
  service: Schema.String,
  serviceName: Schema.String
})
export type TaskFacts = typeof TaskFacts.Type
