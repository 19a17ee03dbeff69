/**
 * Answers as the Engine gives them, and the only place where refusals meet status codes.
 *
 * The codes follow the Engine, also where another would be the better choice: scripts depend on them.
 */
import { type Refusal, Refused, refuse } from "#actors/model/errors.ts"

/** What a route answers; `text` is JSON already, or absent for an empty body. */
export interface Answer {
  readonly status: number
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
}

// The Engine maps gRPC codes so (daemon/server/httpstatus); a failed precondition is a bad request there,
// and whatever has no code of its own is its own fault.
const statuses: Readonly<Record<Refusal["code"], number>> = {
  notFound: 404,
  alreadyExists: 409,
  invalidArgument: 400,
  outOfSequence: 500,
  failedPrecondition: 400,
  notImplemented: 501,
  forbidden: 403,
  unauthenticated: 401,
  unavailable: 503,
  unknown: 500
}

/** JSON that is text already. */
export const okText = (text: string): Answer => ({ status: 200, text })
export const ok = (body: unknown): Answer => ({ status: 200, text: JSON.stringify(body) })
export const created = (body: unknown): Answer => ({ status: 201, text: JSON.stringify(body) })
export const done: Answer = { status: 200 }
export const gone: Answer = { status: 204 }
export const list = (texts: ReadonlyArray<string>): Answer => okText(`[${texts.join(",")}]`)

export const problem = (status: number, message: string): Answer => ({
  status,
  text: JSON.stringify({ message })
})
export const refused = (refusal: Refusal): Answer => problem(statuses[refusal.code], refusal.message)

export const isRefusal = (value: object): value is Refusal => "code" in value && "message" in value

/** For Effect's error channel. */
export const refusing = (code: Refusal["code"], message: string): Refused => Refused.of(refuse(code, message))

/** What a node says of itself at this moment, to `GET` and `HEAD`. */
export const statement = (
  method: string,
  common: Readonly<Record<string, string>>,
  status: number,
  body: unknown
): Response =>
  new Response(method === "HEAD" ? null : JSON.stringify(body), {
    status,
    headers: { ...common, "Content-Type": "application/json", "Cache-Control": "no-store" }
  })

/** The answer on the wire: JSON ends with a newline, as the Engine's does, and nothing else has a type. */
export function toResponse(answer: Answer, common: Readonly<Record<string, string>>): Response {
  const headers = { ...common, ...answer.headers }
  if (answer.text === undefined) {
    const length = answer.status === 204 ? {} : { "Content-Length": "0" }
    return new Response(null, { status: answer.status, headers: { ...headers, ...length } })
  }
  return new Response(`${answer.text}\n`, {
    status: answer.status,
    headers: { ...headers, "Content-Type": "application/json" }
  })
}
