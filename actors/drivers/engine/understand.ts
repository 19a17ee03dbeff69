/** Decodes the Engine's answers where they enter. */
import { Effect, Schema } from "effect"
import { ExecutorError } from "#actors/drivers/executor.ts"

/** Checks an answer against its shape; an answer of another shape is an error that says where it differs. */
export const understand = <S extends Schema.ConstraintDecoder<unknown>>(operation: string, schema: S) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (answer: unknown): Effect.Effect<S["Type"], ExecutorError> =>
    Effect.mapError(
      decode(answer),
      (problem) =>
        new ExecutorError({
          operation,
          temporary: false,
          message: `the Engine's answer is not understood: ${problem.message}`
        })
    )
}
