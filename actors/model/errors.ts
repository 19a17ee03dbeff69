/**
 * Refusals: the answer is no, and these are the reasons. They are values inside decisions and results of
 * proposals; `gateway/response.ts` alone knows status codes. `message` is what the docker CLI shows.
 */
import { Schema } from "effect"

export const Refusal = Schema.Struct({
  /** `outOfSequence`: the named version is not the newest. `unavailable`: not now; try again. */
  code: Schema.Literals([
    "notFound",
    "alreadyExists",
    "invalidArgument",
    "outOfSequence",
    "failedPrecondition",
    "notImplemented",
    "forbidden",
    "unauthenticated",
    "unavailable",
    "unknown"
  ]),
  message: Schema.String
})
export type Refusal = typeof Refusal.Type

export const refuse = (code: Refusal["code"], message: string): Refusal => ({ code, message })

/** Refuses in Swarm's wording: most of its messages carry the gRPC code in front. */
export const rpc = (code: Refusal["code"], text: string): Refusal =>
  refuse(code, `rpc error: code = ${rpcNames[code]} desc = ${text}`)

/** A refusal's words without the gRPC code, for a sentence of ours. */
export const plainWords = ({ message }: Refusal): string =>
  message.replace(/^rpc error: code = \w+ desc = /, "")

/** What is expected where one of these may stand: `a, b or c`. */
export const eitherOf = (words: ReadonlyArray<string>): string =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`

const rpcNames: Readonly<Record<Refusal["code"], string>> = {
  notFound: "NotFound",
  alreadyExists: "AlreadyExists",
  invalidArgument: "InvalidArgument",
  outOfSequence: "Unknown",
  failedPrecondition: "FailedPrecondition",
  notImplemented: "Unimplemented",
  forbidden: "PermissionDenied",
  unauthenticated: "Unauthenticated",
  unavailable: "Unavailable",
  unknown: "Unknown"
}

/** The version that was named is not the newest. */
export const outOfSequence: Refusal = rpc("outOfSequence", "update out of sequence")

/** Nobody can say what the newest state is. */
export const noLeader: Refusal = refuse(
  "unavailable",
  "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."
)

/** Carries a refusal through Effect's error channel. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  refusal: Refusal,
  message: Schema.String
}) {
  static of(refusal: Refusal): Refused {
    return new Refused({ refusal, message: refusal.message })
  }
}
