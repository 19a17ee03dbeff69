/**
 * The node's own Engine as the gateway asks it questions: one request, one decoded answer.
 *
 * It is apart from the executor because it speaks HTTP as it is, status codes included, and from the proxy because
 * nothing here streams. Whatever streams or is hijacked goes through the proxy.
 */
import { type Effect, Schema } from "effect"

/** The Engine did not answer at all; an answer with an error status is an `EngineAnswer`. */
export class EngineUnreachable extends Schema.TaggedError<EngineUnreachable>()("EngineUnreachable", {
  message: Schema.String
}) {}

/** `body` is the decoded JSON; the text where the answer is not JSON, `undefined` where it is empty. */
export interface EngineAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

export interface EngineClientService {
  /** `path` starts with a slash and has no version prefix; `body` is sent as JSON. */
  readonly call: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>
  ) => Effect.Effect<EngineAnswer, EngineUnreachable>
  /** The Engine's newest API version, `1.41`, as of the last connection; `undefined` before the first. */
  readonly apiVersion: () => string | undefined
}
