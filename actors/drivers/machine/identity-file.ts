/** The file by which the next daemon knows a process that outlives this one. */
import { Schema } from "effect"
import { readIfThere } from "#actors/drivers/machine/files.ts"
import type { ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"

const decode = Schema.decodeUnknownSync(Schema.Struct({ pid: Schema.Int, startTime: Schema.String }))

/** Of a file with a `ProcessIdentity` as JSON; `undefined` where there is none, or it is damaged. */
export function readIdentity(path: string): ProcessIdentity | undefined {
  try {
    const text = readIfThere(path)
    return text === undefined ? undefined : decode(JSON.parse(text))
  } catch {
    return undefined
  }
}
