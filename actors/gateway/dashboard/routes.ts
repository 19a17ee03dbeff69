/** All that the dashboard asks of the node that serves it; everything else it asks of the Engine API. */
import { Hono } from "hono"
import { safe, say, sayNo } from "#actors/gateway/dashboard/answers.ts"
import { type ConsoleOptions, makeConsoles } from "#actors/gateway/dashboard/console.ts"
import { healthOf } from "#actors/gateway/dashboard/health.ts"
import { type LiveOptions, live } from "#actors/gateway/dashboard/live.ts"
import { type LoadPages, servePages } from "#actors/gateway/dashboard/pages.ts"
import { type SignInOptions, signInRoutes } from "#actors/gateway/dashboard/sign-in.ts"
import { type StackOptions, stackRoutes } from "#actors/gateway/dashboard/stacks.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { type Answer, isRefusal, ok, refused } from "#actors/gateway/response.ts"
import type { SystemService } from "#runtime/system.ts"

export interface DashboardOptions extends SignInOptions, LiveOptions, ConsoleOptions, StackOptions {
  /** Absent where nobody has made any. */
  readonly pages?: LoadPages
  /** Of this node. */
  readonly system: Pick<SystemService, "trees" | "restart" | "ask">
}

const told = ({ status, text = "" }: Answer): Response =>
  new Response(text, { status, headers: { ...safe, "Content-Type": "application/json" } })

export function dashboardRoutes(options: DashboardOptions): RouteSet {
  const { system } = options
  const page = servePages(options.pages)
  const consoles = makeConsoles(options)
  const app = new Hono()
  app.get("/dashboard", (context) => context.redirect("/dashboard/"))
  app.get("/dashboard/", (context) => page(context, "index.html"))
  app.get("/dashboard/assets/:name", (context) => page(context, context.req.param("name")))
  app.route("/", signInRoutes(options))
  app.route("/", stackRoutes(options))
  app.get("/dashboard/live", (context) => live(context, options))
  app.get("/dashboard/tree", (context) => say(context, system.trees()))
  app.post("/dashboard/tree/restart", async (context) => {
    const { path } = (await context.req.json().catch(() => ({}))) as { readonly path?: unknown }
    if (!Array.isArray(path) || !path.every((name) => typeof name === "string"))
      return sayNo(context, `path ${JSON.stringify(path)}: expected names from the top of the tree down`, 400)
    return system.restart(path) ? say(context, {}) : sayNo(context, `${path.join(" / ")} is not here`, 404)
  })
  // Pages are not told why a WebSocket was refused, so they ask first.
  app.get("/dashboard/exec/:task", (context) => {
    const found = consoles.place(context.req.param("task"))
    return told(isRefusal(found) ? refused(found) : ok(found))
  })
  app.get("/dashboard/health/:task", async (context) =>
    told(await healthOf(options, context.req.param("task")))
  )
  app.notFound((context) => sayNo(context, "page not found", 404))
  app.onError((defect, context) => sayNo(context, `internal error: ${defect.message}`, 500))
  return {
    owns: (_method, path) => /^\/dashboard(\/|$)/.test(path),
    fetch: (request) => app.fetch(request),
    upgrade: consoles.upgrade
  }
}
