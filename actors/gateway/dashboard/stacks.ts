/** Stacks from Compose files that somebody pastes: what would become of one, and that carried out in their own name. */
import { type Context, Hono } from "hono"
import { say, sayNo } from "#actors/gateway/dashboard/answers.ts"

/** Where this node's API is, and what makes requests there those of whoever asks. */
export interface InName {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

export interface StackAsked {
  /** The stack's; the file's `name:` unless given. */
  readonly name?: string
  /** A Compose file. */
  readonly text: string
  /** What the stack has and the file does not is removed. */
  readonly prune: boolean
  /** What a plan said of itself: nothing else is deployed. */
  readonly digest?: string
}

/** Rejects with an `Error` in words for people, all of what is wrong with the file in one. */
export interface Stacks {
  /** What the plan says, as JSON; nothing of what secrets hold. */
  readonly plan: (asked: StackAsked, by: InName) => Promise<object>
  /** The same, once it is carried out; rejects where another plan than the one asked for would be. */
  readonly deploy: (asked: StackAsked, by: InName) => Promise<object>
  readonly remove: (stack: string, by: InName) => Promise<object>
}

export interface StackOptions {
  /** Loaded when it is first asked for; absent where nobody can read Compose files. */
  readonly stacks?: () => Promise<Stacks>
  /** Of the HTTP door. */
  readonly url: () => string | undefined
}

/** Compose files are some kilobytes. */
const mostBytes = 1024 * 1024
/** By these a request is known for a session's, and for one of our own pages'. */
const telling = ["host", "cookie", "origin", "authorization", "sec-fetch-site", "troupe-csrf"]

export function stackRoutes({ stacks, url }: StackOptions): Hono {
  const app = new Hono()

  async function handled(
    context: Context,
    handle: (stacks: Stacks, by: InName) => Promise<object>
  ): Promise<Response> {
    const base = url()
    if (stacks === undefined || base === undefined) return sayNo(context, "not on this node", 503)
    const headers = Object.fromEntries(
      telling.flatMap((name) => {
        const value = context.req.header(name)
        return value === undefined ? [] : [[name, value] as const]
      })
    )
    try {
      return say(context, await handle(await stacks(), { url: base, headers }))
    } catch (cause) {
      return sayNo(context, (cause as Error).message, 400)
    }
  }

  for (const what of ["plan", "deploy"] as const) {
    app.post(`/dashboard/stack/${what}`, (context) =>
      handled(context, async (known, by) => known[what](parseAsked(await context.req.text()), by))
    )
  }
  app.post("/dashboard/stack/remove", (context) =>
    handled(context, async (known, by) => {
      const { name } = JSON.parse(await context.req.text())
      if (typeof name !== "string" || name === "") throw new Error(`name: expected a stack, found ${name}`)
      return known.remove(name, by)
    })
  )
  return app
}

/** Throws an error that names the field and what is expected. */
function parseAsked(body: string): StackAsked {
  if (body.length > mostBytes) throw new Error(`a Compose file: expected at most ${mostBytes} bytes`)
  const { name, text, prune = false, digest } = JSON.parse(body) as Record<string, unknown>
  if (typeof text !== "string" || text.trim() === "") throw new Error("text: expected a Compose file")
  if (name !== undefined && typeof name !== "string") throw new Error("name: expected the stack's name")
  if (typeof prune !== "boolean") throw new Error("prune: expected true or false")
  if (digest !== undefined && typeof digest !== "string") throw new Error("digest: expected a plan's")
  return {
    text,
    prune,
    ...(name !== undefined && name !== "" && { name }),
    ...(digest !== undefined && { digest })
  }
}
