/** What the labels `troupe.http.*` of a service ask of nodes' HTTP entrances: which requests are its tasks'. */
import { Schema } from "effect"
import { isFileName } from "#actors/model/file-name.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export const httpPrefix = "troupe.http."
const known = ["host", "path", "port", "protocol", "tls", "tls.redirect"] as const
const hostLabel = `${httpPrefix}host`
/** Names a secret that has the certificate of the host, and its key; or asks for one that the cluster gets itself. */
export const tlsLabel = `${httpPrefix}tls`
/** The certificate is one by ACME (RFC 8555). */
export const byAcme = "acme"
/**
 * As many services may have a route: each node's entrance has one backend of haproxy for each, made ahead, because
 * haproxy 2.6 adds none while it runs. What each costs is in ../network/README.md.
 */
export const mostHttpRoutes = 1024

export const HttpRoute = Schema.Struct({
  /** In lower case, without a port. */
  host: Schema.String,
  /** Begins with `/` and ends with it: `/api/` is for `/api` and what is below it, not for `/apis`. */
  path: Schema.String,
  /** Where the service's tasks listen. */
  port: Schema.Int,
  /** What they speak there: HTTP/1.1, or HTTP/2 without TLS, as gRPC does. */
  protocol: Schema.Literals(["http1", "h2c"]),
  /** Asked for by TLS as well; `redirect`: whoever asks without it is sent there. `secret` is a name. */
  tls: Schema.optionalKey(Schema.Struct({ secret: Schema.String, redirect: Schema.Boolean })),
  /** The thumbprint of the cluster's ACME account: what an ACME server is answered that asks whether the host is ours. */
  thumbprint: Schema.optionalKey(Schema.String)
})
export type HttpRoute = typeof HttpRoute.Type

const hostPattern = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/
// What may stand in a path unescaped (RFC 3986), but for the quote and the semicolon, which haproxy's commands end with.
const pathPattern = /^\/([A-Za-z0-9._~!$&()*+,=:@%-]+\/)*([A-Za-z0-9._~!$&()*+,=:@%-]+)?$/

/** The route that a service asks for; `undefined` where it asks for none, and `problem` where it cannot be meant. */
export function parseHttpRoute(
  labels: ServiceSpec["Labels"]
): { readonly route: HttpRoute } | { readonly problem: string } | undefined {
  const given = Object.keys(labels ?? {}).filter((label) => label.startsWith(httpPrefix))
  if (given.length === 0) return undefined
  const wrong = (name: string, expected: string) => ({
    problem: `label ${httpPrefix}${name} ${JSON.stringify(labels?.[httpPrefix + name] ?? "")}: expected ${expected}`
  })
  const stranger = given
    .map((label) => label.slice(httpPrefix.length))
    .find((name) => !known.some((one) => one === name))
  if (stranger !== undefined)
    return wrong(stranger, `one of ${known.map((name) => httpPrefix + name).join(", ")}`)

  const [first = ""] = given
  if (!given.includes(hostLabel)) return wrong(first.slice(httpPrefix.length), `label ${hostLabel} beside it`)
  const text = (name: (typeof known)[number], usual: string): string => labels?.[httpPrefix + name] ?? usual
  const host = text("host", "").toLowerCase()
  if (!hostPattern.test(host)) return wrong("host", 'a host name, like "shop.example.com"')
  const path = text("path", "/")
  if (!pathPattern.test(path)) return wrong("path", 'a path that begins with /, like "/api"')
  const port = text("port", "80")
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
    return wrong("port", "the port where tasks listen, from 1 to 65535")
  const protocol = text("protocol", "http1")
  if (protocol !== "http1" && protocol !== "h2c")
    return wrong("protocol", "http1, or h2c for HTTP/2 without TLS (gRPC)")
  const route = { host, path: path.endsWith("/") ? path : `${path}/`, port: Number(port), protocol } as const
  const secret = text("tls", "")
  const redirect = labels?.[`${tlsLabel}.redirect`]
  if (redirect !== undefined && redirect !== "true" && redirect !== "false")
    return wrong("tls.redirect", "true or false")
  if (!given.includes(tlsLabel)) {
    return redirect === undefined ? { route } : wrong("tls.redirect", `label ${tlsLabel} beside it`)
  }
  if (!isFileName(secret))
    return wrong("tls", `the name of a secret with a certificate and its key, or ${byAcme} for one by ACME`)
  return { route: { ...route, tls: { secret, redirect: redirect !== "false" } } }
}

/** The route of a service whose labels were found to be right. */
export function httpRouteOf({ Labels }: ServiceSpec): HttpRoute | undefined {
  const parsed = parseHttpRoute(Labels)
  return parsed !== undefined && "route" in parsed ? parsed.route : undefined
}

/** What no two services may both have. */
export const keyOfRoute = ({ host, path }: Pick<HttpRoute, "host" | "path">): string => `${host}${path}`
