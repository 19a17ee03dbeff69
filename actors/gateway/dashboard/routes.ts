/** All that the dashboard asks of the node that serves it; everything else it asks of the Engine API. */
import { Hono } from "hono"
import { sayNo } from "#actors/gateway/dashboard/answers.ts"
import { type SignInOptions, signInRoutes } from "#actors/gateway/dashboard/sign-in.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"

export function dashboardRoutes(options: SignInOptions): RouteSet {
  const app = new Hono()
  app.route("/", signInRoutes(options))
  app.notFound((context) => sayNo(context, "page not found", 404))
  app.onError((defect, context) => sayNo(context, `internal error: ${defect.message}`, 500))
  return {
    owns: (_method, path) => /^\/dashboard(\/|$)/.test(path),
    fetch: (request) => app.fetch(request)
  }
}
