/** Ways into the dashboard and out of it: a link that is good once, a token, and who one is once inside. */
import { type Context, Hono } from "hono"
import { cookieName, sessionCookies, sessionOf } from "#actors/gateway/access/admit.ts"
import { identityOf } from "#actors/gateway/access/identity-of.ts"
import { type Identity, isAtLeast, isRole, roles } from "#actors/gateway/access/role.ts"
import type { Common, Session, Sessions } from "#actors/gateway/access/sessions.ts"
import { safe, say, sayNo } from "#actors/gateway/dashboard/answers.ts"

export interface SignInOptions {
  readonly sessions: Sessions
  /** Of the HTTP door, such as `http://127.0.0.1:4500`; absent where it is not open. */
  readonly url: () => string | undefined
  /** Where all managers know its sessions. */
  readonly common: () => Pick<Common, "clusterId"> | undefined
  /** What a page is told of the node that it looks at. */
  readonly about: () => object
  /** Milliseconds since the epoch. */
  readonly clock: () => number
}

/** Kept by the browser alone, for its session, and sent by our own pages only. */
function setCookie(context: Context, name: string, value: string, more = ""): void {
  const isSecure = new URL(context.req.url).protocol === "https:"
  const cookie = `${name}=${value}; Path=/; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}${more}`
  context.header("Set-Cookie", cookie, { append: true })
}

/** A page asks this often at least, so that what its browser has is never old enough to end by itself. */
const renewAfterMs = 60_000

export function signInRoutes({ sessions, common, url, clock, about }: SignInOptions): Hono {
  const app = new Hono()

  const keep = (context: Context, value: string): void =>
    setCookie(context, cookieName(common()?.clusterId, context.req.header("host")), value)
  const enter = (context: Context, identity: Identity): void => keep(context, sessions.begin(identity))
  /** The browser's own, of whoever came by it. */
  const sessionHere = (context: Context): Session | undefined =>
    sessionOf(sessions.find, context.req.header("cookie"))

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
    return say(context, { url: `${base}/dashboard/enter?code=${sessions.invite({ ...self, role })}` }, 201)
  })

  app.post("/dashboard/session", (context) => {
    enter(context, identityOf(context.req.raw))
    return say(context, {}, 201)
  })

  app.get("/dashboard/session", (context) => {
    const { who, role } = identityOf(context.req.raw)
    const session = sessionHere(context)
    if (session !== undefined && clock() - session.at > renewAfterMs) keep(context, sessions.renew(session))
    return say(context, { who, role, csrf: session?.csrf ?? "", ...about() })
  })

  app.delete("/dashboard/session", (context) => {
    for (const [name, value] of sessionCookies(context.req.header("cookie"))) {
      const session = sessions.look(value)
      if (session === undefined) continue
      sessions.end(session)
      setCookie(context, name, "", "; Max-Age=0")
    }
    return say(context, {})
  })

  return app
}
