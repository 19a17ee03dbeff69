/** Why a cluster cannot be begun anew, backed up or restored; the message says what to do where something can be done. */
import { Schema } from "effect"

export class RecoveryError extends Schema.TaggedError<RecoveryError>()("RecoveryError", {
  message: Schema.String
}) {}

export const cannot = (message: string): RecoveryError => new RecoveryError({ message })
