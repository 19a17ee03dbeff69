/** Ways into the dashboard and out of it: a link that is good once, a token, and who one is once inside. */
import { type Context, Hono } from "hono"
import { cookieName, sessionIdOf } from "#actors/gateway/access/admit.ts"
import { identityOf } from "#actors/gateway/access/identity-of.ts"
import { type Identity, isAtLeast, isRole, roles } from "#actors/gateway/access/role.ts"
import type { Sessions } from "#actors/gateway/access/sessions.ts"
import { safe, say, sayNo } from "#actors/gateway/dashboard/answers.ts"

export interface SignInOptions {
  readonly sessions: Sessions
  /** Of the HTTP door, such as `http://127.0.0.1:4500`; absent where it is not open. */
  readonly url: () => string | undefined
  /** What a page is told of the node that it looks at. */
  readonly about: () => object
}

const headersOf = ({ req }: Context) => ({ cookie: req.header("cookie"), host: req.header("host") })

/** Kept by the browser alone, for its session, and sent by our own pages only. */
function cookie(context: Context, id: string, more = ""): string {
  const isSecure = new URL(context.req.url).protocol === "https:"
  return `${cookieName(context.req.header("host"))}=${id}; Path=/; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}${more}`
}

export function signInRoutes({ sessions, url, about }: SignInOptions): Hono {
  const app = new Hono()

  const enter = (context: Context, identity: Identity): string => {
    const id = sessions.begin(identity)
    context.header("Set-Cookie", cookie(context, id))
    return id
  }

  // A redirect would not do: where the link was followed from another page, browsers keep a strict cookie back.
  app.get("/dashboard/enter", (context) => {
    const identity = sessions.accept(context.req.query("code") ?? "")
    if (identity !== undefined) enter(context, identity)
    const next = identity === undefined ? "/dashboard/#/used" : "/dashboard/"
    return context.html(
      `<!doctype html><html lang="en"><meta charset="utf-8"><title>Troupe</title><link rel="icon" href="/dashboard/assets/icon.svg"><meta http-equiv="refresh" content="0;url=${next}"><p><a href="${next}">Go on to the dashboard</a></p></html>`,
      identity === undefined ? 403 : 200,
      safe
    )
  })

  app.post("/dashboard/links", async (context) => {
    const self = identityOf(context.req.raw)
    const body: { readonly role?: unknown } = await context.req.json().catch(() => ({}))
    const role = body.role ?? self.role
    if (!isRole(role))
      return sayNo(context, `role ${JSON.stringify(role)}: expected ${roles.join(", ")}`, 400)
    if (!isAtLeast(self.role, role)) return sayNo(context, `role ${role}: ${self.who} is ${self.role}`, 400)
    const base = url()
    if (base === undefined) return sayNo(context, "this node has no --http address", 503)
    return say(
      context,
      { url: `${base}/dashboard/enter?code=${sessions.invite({ who: self.who, role })}` },
      201
    )
  })

  app.post("/dashboard/session", (context) => {
    enter(context, identityOf(context.req.raw))
    return say(context, {}, 201)
  })

  app.get("/dashboard/session", (context) => {
    const { who, role } = identityOf(context.req.raw)
    const session = sessions.find(sessionIdOf(headersOf(context)) ?? "")
    return say(context, { who, role, csrf: session?.csrf ?? "", ...about() })
  })

  app.delete("/dashboard/session", (context) => {
    sessions.end(sessionIdOf(headersOf(context)) ?? "")
    context.header("Set-Cookie", cookie(context, "", "; Max-Age=0"))
    return say(context, {})
  })

  return app
}
