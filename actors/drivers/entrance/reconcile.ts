/** From what the entrance should lead where, and what it says that it does, to the commands that bring it there. */
import { backendName, type EntrancePlaces } from "#actors/drivers/entrance/config.ts"
import { keyOfRoute, mostHttpRoutes } from "#actors/model/http-route.ts"
import type { OverlayTable } from "#actors/network/table.ts"

export interface Wanted {
  readonly serviceId: string
  readonly name: string
  /** `host/path/`. */
  readonly route: string
  /** Requests wait while no task serves. */
  readonly awaits: boolean
  /** Whoever asks without TLS is sent to where there is some. */
  readonly redirects: boolean
  /** By host: whose ACME account gets its certificate. */
  readonly thumbprint: readonly [host: string, thumbprint: string] | undefined
  /** How each serving task is reached, by what haproxy calls it: another port or protocol is another server. */
  readonly servers: ReadonlyMap<string, string>
}

export interface Actual {
  /** Route → backend. */
  readonly routes: ReadonlyMap<string, string>
  /** Service id → backend. */
  readonly owners: ReadonlyMap<string, string>
  /** Backends whose requests wait for a task. */
  readonly awaiting: ReadonlySet<string>
  /** Backends whose requests come by TLS alone. */
  readonly redirects: ReadonlySet<string>
  /** Host → thumbprint. */
  readonly thumbprints: ReadonlyMap<string, string>
  /** Of each backend its servers, and whether they get requests. */
  readonly servers: ReadonlyMap<string, ReadonlyMap<string, boolean>>
}

/** What the tables ask for, in the order of services' ids. Of two that claim the same route, the first has it. */
export function wantedOf(tables: ReadonlyArray<OverlayTable>): ReadonlyArray<Wanted> {
  const found = new Map<string, Wanted>()
  for (const { serviceId, name, http, awaits, tasks } of tables.flatMap(({ services }) => services)) {
    if (http === undefined || found.has(keyOfRoute(http))) continue
    const servers = new Map<string, string>()
    for (const { taskId, serving, addresses } of tasks) {
      const address = addresses.find((one) => !one.includes(":")) ?? addresses[0]
      if (!serving || address === undefined) continue
      const shown = address.includes(":") ? `[${address}]` : address
      const isH2 = http.protocol === "h2c"
      servers.set(
        `${taskId}_${http.port}${isH2 ? "_h2" : ""}`,
        `${shown}:${http.port}${isH2 ? " proto h2" : ""}`
      )
    }
    found.set(keyOfRoute(http), {
      serviceId,
      name,
      route: keyOfRoute(http),
      awaits: awaits !== undefined,
      redirects: http.tls?.redirect === true,
      thumbprint: http.thumbprint === undefined ? undefined : [http.host, http.thumbprint],
      servers
    })
  }
  return [...found.values()].sort((a, b) => (a.serviceId < b.serviceId ? -1 : 1))
}

export interface Plan {
  /** Carried out in this order. */
  readonly commands: ReadonlyArray<string>
  readonly problems: ReadonlyArray<string>
  /** Without those that no backend was left for. */
  readonly led: ReadonlyArray<Wanted>
}

/**
 * Tasks come before the route that leads to them, and requests wait for one before the last leaves. One that leaves
 * gets no request from now on, those under way go on, and its server is deleted when the last is done; a service that is
 * gone leaves its backend once that has no server.
 */
export function reconcile(
  wanted: ReadonlyArray<Wanted>,
  { routes, owners, awaiting, redirects, thumbprints, servers }: Actual,
  places: EntrancePlaces
): Plan {
  const backendOf = new Map(owners)
  const taken = new Set(owners.values())
  const free = Array.from({ length: mostHttpRoutes }, (_, at) => backendName(at)).filter(
    (name) => !taken.has(name)
  )
  const coming: Array<string> = []
  const leading: Array<string> = []
  const leaving: Array<string> = []
  const problems: Array<string> = []
  const led: Array<Wanted> = []
  const kept = new Map<string, ReadonlyMap<string, string>>()
  const marked = { awaiting: new Set<string>(), redirects: new Set<string>() }
  const wantedRoutes = new Set<string>()

  for (const one of wanted) {
    const { serviceId, name, route, awaits, redirects: isSecured, servers: tasks } = one
    let backend = backendOf.get(serviceId)
    if (backend === undefined) {
      backend = free.shift()
      if (backend === undefined) {
        problems.push(
          `service ${name} gets no requests: an entrance leads to ${mostHttpRoutes} services (troupe.http.host) at most, and has as many`
        )
        continue
      }
      backendOf.set(serviceId, backend)
      coming.push(`add map ${places.owners} ${serviceId} ${backend}`)
    }
    led.push(one)
    kept.set(backend, tasks)
    if (awaits) marked.awaiting.add(backend)
    if (isSecured) marked.redirects.add(backend)
    wantedRoutes.add(route)
    for (const [server, how] of tasks) {
      const takes = servers.get(backend)?.get(server)
      if (takes === undefined) coming.push(`add server ${backend}/${server} ${how}`)
      if (takes !== true) coming.push(`set server ${backend}/${server} state ready`)
    }
    const leads = routes.get(route)
    if (leads === undefined) leading.push(`add map ${places.routes} ${route} ${backend}`)
    else if (leads !== backend) leading.push(`set map ${places.routes} ${route} ${backend}`)
  }
  for (const route of routes.keys()) {
    if (!wantedRoutes.has(route)) leading.push(`del map ${places.routes} ${route}`)
  }
  const shown = new Map(wanted.flatMap(({ thumbprint }) => (thumbprint === undefined ? [] : [thumbprint])))
  for (const [host, thumbprint] of shown) {
    const known = thumbprints.get(host)
    if (known !== thumbprint)
      coming.push(`${known === undefined ? "add" : "set"} map ${places.thumbprints} ${host} ${thumbprint}`)
  }
  for (const host of thumbprints.keys())
    if (!shown.has(host)) leaving.push(`del map ${places.thumbprints} ${host}`)
  for (const [place, are, shall] of [
    [places.awaiting, awaiting, marked.awaiting],
    [places.redirects, redirects, marked.redirects]
  ] as const) {
    for (const backend of shall) if (!are.has(backend)) coming.push(`add map ${place} ${backend} ${backend}`)
    for (const backend of are) if (!shall.has(backend)) leaving.push(`del map ${place} ${backend}`)
  }
  for (const [backend, known] of servers) {
    for (const [server, takes] of known) {
      if (kept.get(backend)?.has(server)) continue
      if (takes) leaving.push(`set server ${backend}/${server} state maint`)
      leaving.push(`del server ${backend}/${server}`)
    }
  }
  for (const [serviceId, backend] of owners) {
    if (!kept.has(backend) && (servers.get(backend)?.size ?? 0) === 0)
      leaving.push(`del map ${places.owners} ${serviceId}`)
  }
  return { commands: [...coming, ...leading, ...leaving], problems, led }
}

/** What of the plan has to be true once it is carried out; the rest goes when requests under way have ended. */
export function missingOf(wanted: ReadonlyArray<Wanted>, actual: Actual): ReadonlyArray<string> {
  return wanted.flatMap(({ serviceId, name, route, servers }) => {
    const backend = actual.owners.get(serviceId) ?? ""
    const known = actual.servers.get(backend)
    if (actual.routes.get(route) !== backend) return [`requests for ${route} are not led to service ${name}`]
    const lost = [...servers.keys()].filter((server) => known?.get(server) !== true)
    return lost.length === 0 ? [] : [`${lost.length} tasks of service ${name} get no requests`]
  })
}

/** `show map`: each line has an entry's place in memory, its key and its value. */
export function parseMap(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\n").map((line) => line.split(" "))
  return new Map(lines.flatMap(([, key, value]) => (key && value ? [[key, value] as const] : [])))
}

/** `show servers state`, format 1: the third, fourth and seventh fields count; the last is 0 where nobody has taken it out. */
export function parseServers(text: string): Actual["servers"] {
  const found = new Map<string, Map<string, boolean>>()
  for (const line of text.split("\n")) {
    const fields = line.split(" ")
    const [, backend, , server, , , admin] = fields
    if (line.startsWith("#") || fields.length < 7 || backend === undefined || server === undefined) continue
    const servers = found.get(backend) ?? new Map<string, boolean>()
    found.set(backend, servers.set(server, admin === "0"))
  }
  return found
}
