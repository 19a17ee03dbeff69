/** `GET /metrics`: what this process tells monitoring, in the OpenMetrics text format. */
import type { RouteSet } from "#actors/gateway/listener.ts"
import { openMetricsType } from "#runtime/openmetrics.ts"

export interface MetricsRoutesOptions {
  /** The whole text, as it is now. */
  readonly text: () => string
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

export const metricsRoutes = ({ text, headers }: MetricsRoutesOptions): RouteSet => ({
  owns: (method, path) => (method === "GET" || method === "HEAD") && path === "/metrics",
  fetch: ({ method }) =>
    new Response(method === "HEAD" ? null : text(), {
      headers: { ...headers(), "Content-Type": openMetricsType, "Cache-Control": "no-store" }
    })
})
