/**
 * What haproxy is started with. It holds no route and no task: these come and go over its command socket, so that it is
 * never loaded anew while it runs, and connections live through every change.
 */

/** One per service with a route; more than these a node's entrance cannot serve. */
export const backendCount = 256

export const backendName = (at: number): string => `service${at}`

export interface EntrancePlaces {
  /** Takes commands. */
  readonly socket: string
  /** `host/path/` → backend; haproxy takes the longest that the request begins with. Empty on disk. */
  readonly routes: string
  /** Service id → backend, so that whoever comes later knows which is whose. Empty on disk. */
  readonly owners: string
}

/**
 * The configuration for these ports. Without `user`, haproxy stays who started it; otherwise it becomes that user once
 * its ports are open.
 */
export function configOf(
  ports: ReadonlyArray<number>,
  { socket, routes, owners }: EntrancePlaces,
  user?: string
): string {
  const backends = Array.from({ length: backendCount }, (_, at) => backendName(at))
  return `global
  stats socket "${socket}" mode 600 level admin
${user === undefined ? "" : `  user ${user}\n`}  # Of containers' usual limit, a thousand million, it would make a table.
  fd-hard-limit 50000
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
${ports.map((port) => `  bind :::${port} v4v6`).join("\n")}
  http-request del-header x-forwarded-for
  option forwardfor
  http-request set-header x-forwarded-proto http
  http-request set-header x-forwarded-host %[req.hdr(host)]
  http-request set-var(txn.path) path
  http-request set-var(txn.service) req.hdr(host),field(1,:),lower,concat(,txn.path,/),map_beg(${routes})
  # Asked for nothing: a map is there once a rule names it.
  http-request set-var(txn.owner) str(),map_str(${owners})
  http-request return status 404 content-type text/plain string "no service has this host and path\\n" unless { var(txn.service) -m found }
  use_backend %[var(txn.service)]
${backends.map((name) => `backend ${name}`).join("\n")}
`
}
