/** Reads the bodies of requests: bounded, JSON only, decoded once where they enter. */
import { Effect, Schema } from "effect"
import { type Decoded, fit, parseJson } from "#actors/gateway/decode.ts"
import { type Answer, problem, refused, refusing } from "#actors/gateway/response.ts"
import { Refused } from "#actors/model/errors.ts"

/** Fits a secret of 500 KiB or a config of 1000 KiB in base64 with room for labels, as gRPC's limit in Swarm. */
const bodyLimit = 4 * 1024 * 1024

export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>()("BodyTooLarge", {
  message: Schema.String
}) {}

/** What a request is answered that could not be read, or was refused. */
export const answerOf = (error: Refused | BodyTooLarge): Answer =>
  error._tag === "Refused" ? refused(error.refusal) : problem(413, error.message)

const tooLarge = new BodyTooLarge({
  message: `request body is too large: at most ${bodyLimit} bytes are accepted`
})

const orFail = <T>(decoded: Decoded<T>): Effect.Effect<T, Refused> =>
  "value" in decoded ? Effect.succeed(decoded.value) : Effect.fail(Refused.of(decoded.refusal))

/** The JSON of a request; `undefined` when it has no body, which the Engine takes for an empty object. */
export const readJson = Effect.fnUntraced(function* (
  request: Request
): Effect.fn.Return<unknown, Refused | BodyTooLarge> {
  const declared = request.headers.get("content-length")
  const hasBody = request.headers.has("transfer-encoding") || (declared !== null && declared !== "0")
  const type = request.headers.get("content-type")
  if (type === null ? hasBody : mediaType(type) !== "application/json") {
    return yield* refusing(
      "invalidArgument",
      type === null
        ? "malformed Content-Type header (): there is none; must be 'application/json'"
        : `unsupported Content-Type header (${mediaType(type)}): must be 'application/json'`
    )
  }
  if (declared !== null && Number(declared) > bodyLimit) return yield* tooLarge
  const text = yield* readText(request)
  if (text === "" && !request.headers.has("transfer-encoding")) return undefined
  return yield* orFail(parseJson(text))
})

/** The body of a request as `schema` says; an absent one is an empty object. */
export const readBody = <T>(
  request: Request,
  schema: Schema.Decoder<T>
): Effect.Effect<T, Refused | BodyTooLarge> =>
  Effect.flatMap(readJson(request), (json) => orFail(fit(schema, json)))

/** Fits JSON that is at hand already. */
export const decodeBody = <T>(schema: Schema.Decoder<T>, json: unknown): Effect.Effect<T, Refused> =>
  orFail(fit(schema, json))

const mediaType = (header: string): string => (header.split(";")[0] ?? "").trim().toLowerCase()

const readText = (request: Request): Effect.Effect<string, Refused | BodyTooLarge> =>
  Effect.tryPromise({
    try: () => boundedText(request),
    catch: (error) =>
      error instanceof BodyTooLarge
        ? error
        : refusing("invalidArgument", `the request body could not be read: ${String(error)}`)
  })

/** Stops at the limit instead of reading on: the length that was declared need not be true. */
async function boundedText(request: Request): Promise<string> {
  if (request.headers.get("content-length") !== null) return request.text()
  if (request.body === null) return ""
  const decoder = new TextDecoder()
  let text = ""
  let size = 0
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    size += chunk.byteLength
    if (size > bodyLimit) throw tooLarge
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}
