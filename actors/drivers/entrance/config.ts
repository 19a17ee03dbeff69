/**
 * What haproxy is started with. It holds no route, no task and no certificate: these come and go over its command
 * socket, so that it is never loaded anew while it runs, and connections live through every change.
 */

import { latencyBounds, latencyBuckets } from "#actors/meter/figures.ts"
import { mostHttpRoutes } from "#actors/model/http-route.ts"

/** One per service with a route. */
export const backendName = (at: number): string => `service${at}`

export interface EntrancePlaces {
  /** Takes commands. */
  readonly socket: string
  /** `host/path/` → backend; haproxy takes the longest that the request begins with. Empty on disk. */
  readonly routes: string
  /** Service id → backend, so that whoever comes later knows which is whose. Empty on disk. */
  readonly owners: string
  /** Backends whose requests wait for a task where there is none, each with itself. Empty on disk. */
  readonly awaiting: string
  /** Backend → how many requests wait. Empty on disk, and written by haproxy alone. */
  readonly waiting: string
  /** `holdScript`. */
  readonly script: string
  /** Backends whose requests come by TLS alone, each with itself. Empty on disk. */
  readonly redirects: string
  /** Host → thumbprint of the ACME account that gets its certificate. Empty on disk. */
  readonly thumbprints: string
  /** Host → certificate. Empty on disk, as no certificate is ever there. */
  readonly certificates: string
}

/** Where it listens; `tls` speaks TLS. */
export interface EntrancePorts {
  readonly plain: ReadonlyArray<number>
  readonly tls: ReadonlyArray<number>
}

/** Tables of haproxy: of each backend what was asked, and of each server how long its answers took. */
export const askedTable = "asked"
export const tookTable = "took"

/** How long a request waits for a task to come, and how many may, for one service and for all. */
const holdMs = 30_000
const heldOfService = 1_000
const heldOfAll = 4_000
const holdLookMs = 25

/**
 * Makes a request wait until a task serves. In Lua, because haproxy's own queues need a server that is there; it sleeps
 * there without a thread, and goes on waiting while the daemon is away.
 */
export const holdScript = ({ awaiting, waiting }: Pick<EntrancePlaces, "awaiting" | "waiting">): string =>
  `local awaiting = Map.new("${awaiting}", Map._str)
local waiting = Map.new("${waiting}", Map._str)
local held, all = {}, 0
local function count(name, change)
  held[name], all = (held[name] or 0) + change, all + change
  core.set_map("${waiting}", name, tostring(held[name]))
end
core.register_action("hold", { "http-req" }, function(txn)
  local name = txn:get_var("txn.service")
  if (held[name] or 0) >= ${heldOfService} or all >= ${heldOfAll} then return end
  count(name, 1)
  local waited = 0
  while waited < ${holdMs} and txn.c:nbsrv(name) == 0 and awaiting:lookup(name) do
    core.msleep(${holdLookMs})
    waited = waited + ${holdLookMs}
  end
  count(name, -1)
end)
`

/** Each answer counts in the first bucket whose bound it is below; the last one has no bound. */
const bucketRules = (): string =>
  latencyBuckets
    .map((bound, at) => {
      const least = at === 0 ? "" : ` { var(txn.took) -m int ge ${latencyBounds[at - 1]} }`
      const below = bound === undefined ? "" : ` { var(txn.took) -m int lt ${bound} }`
      return `  http-response sc-inc-gpc(${at},1) if${least}${below}`
    })
    .join("\n")

/**
 * The configuration for these ports. Without `user`, haproxy stays who started it; otherwise it becomes that user once
 * its ports are open.
 */
export function configOf(
  { plain, tls }: EntrancePorts,
  { socket, routes, owners, awaiting, script, redirects, thumbprints, certificates }: EntrancePlaces,
  user?: string
): string {
  const backends = Array.from({ length: mostHttpRoutes }, (_, at) => backendName(at))
  const [tlsPort] = tls
  const tlsAt = tlsPort === 443 ? "" : `:${tlsPort}`
  const redirect =
    tlsPort === undefined
      ? ""
      : `  http-request redirect code 308 location https://%[req.hdr(host),field(1,:)]${tlsAt}%[pathq] if !{ ssl_fc } { var(txn.redirect) -m found }\n`
  return `global
  stats socket "${socket}" mode 600 level admin
${user === undefined ? "" : `  user ${user}\n`}  # Of containers' usual limit, a thousand million, it would make a table.
  fd-hard-limit 50000
  lua-load "${script}"
defaults
  mode http
  balance leastconn
  timeout connect 1s
  timeout client 60s
  timeout http-request 30s
  timeout server 1h
  timeout tunnel 1h
  # Only what no task has seen yet is tried again, and elsewhere.
  retries 3
  retry-on conn-failure
  option redispatch 1
frontend entrance
${plain.map((port) => `  bind :::${port} v4v6\n`).join("")}${tls
  .map(
    (port) =>
      `  bind :::${port} v4v6 ssl crt-list "${certificates}" strict-sni alpn h2,http/1.1 ssl-min-ver TLSv1.2\n`
  )
  .join("")}  http-request del-header x-forwarded-for
  option forwardfor
  http-request set-header x-forwarded-proto http
  http-request set-header x-forwarded-proto https if { ssl_fc }
  http-request set-header x-forwarded-host %[req.hdr(host)]
  # HTTP-01 of ACME (RFC 8555, 8.3): whoever asks is told whose account it is, which only that account can use.
  http-request set-var(txn.thumbprint) req.hdr(host),field(1,:),lower,map_str(${thumbprints})
  http-request return status 200 content-type application/octet-stream lf-string "%[path,field(4,/)].%[var(txn.thumbprint)]" if { var(txn.thumbprint) -m found } { path_reg ^/\\.well-known/acme-challenge/[A-Za-z0-9_-]+$ }
  http-request set-var(txn.path) path
  http-request set-var(txn.service) req.hdr(host),field(1,:),lower,concat(,txn.path,/),map_beg(${routes})
  # Asked for nothing: a map is there once a rule names it.
  http-request set-var(txn.redirect) var(txn.service),map_str(${redirects})
  http-request set-var(txn.owner) str(),map_str(${owners})
  http-request return status 404 content-type text/plain string "no service has this host and path\\n" unless { var(txn.service) -m found }
${redirect}  http-request track-sc0 var(txn.service) table ${askedTable}
  http-request lua.hold if { var(txn.service),nbsrv eq 0 } { var(txn.service),map_str(${awaiting}) -m found }
  http-request return status 503 content-type text/plain hdr retry-after 1 string "no task of the service serves\\n" if { var(txn.service),nbsrv eq 0 }
  http-request set-var(txn.began) date(0,ms)
  http-response set-var(txn.took) date(0,ms),sub(txn.began)
  http-response track-sc1 srv_name table ${tookTable}
${bucketRules()}
  use_backend %[var(txn.service)]
${backends.map((name) => `backend ${name}`).join("\n")}
backend ${askedTable}
  stick-table type string len 16 size ${mostHttpRoutes} expire 1h store http_req_cnt,conn_cur
backend ${tookTable}
  stick-table type string len 64 size 16k expire 1h store gpc(${latencyBuckets.length})
`
}
