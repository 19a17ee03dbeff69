import { expect, test } from "bun:test"
import { backendName } from "#actors/drivers/entrance/config.ts"
import {
  type Actual,
  missingOf,
  parseMap,
  parseServers,
  reconcile,
  type Wanted,
  wantedOf
} from "#actors/drivers/entrance/reconcile.ts"
import { mostHttpRoutes } from "#actors/model/http-route.ts"
import type { ServiceRow, TaskRow } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const places = {
  socket: "/s",
  routes: "/r",
  owners: "/o",
  awaiting: "/a",
  waiting: "/w",
  script: "/l",
  redirects: "/d",
  thumbprints: "/t",
  certificates: "/c"
}
const nothing: Actual = {
  routes: new Map(),
  owners: new Map(),
  awaiting: new Set(),
  redirects: new Set(),
  thumbprints: new Map(),
  servers: new Map()
}
const task = (taskId: string, address: string, serving = true): TaskRow => ({
  taskId,
  nodeId: "n1",
  name: taskId,
  addresses: [address],
  serving
})
const service = (
  serviceId: string,
  path: string,
  tasks: ReadonlyArray<TaskRow>,
  protocol: "http1" | "h2c" = "http1"
): ServiceRow => ({
  serviceId,
  name: serviceId,
  aliases: [],
  vips: [],
  ports: [],
  http: { host: "shop", path, port: 8080, protocol },
  tasks
})
const wanted = (...services: ReadonlyArray<ServiceRow>): ReadonlyArray<Wanted> =>
  wantedOf([overlayTable({ ingress: true, services })])
/** What haproxy says once it has carried the commands out, all of which it could. */
function after(commands: ReadonlyArray<string>, before: Actual = nothing): Actual {
  const maps = {
    "/r": new Map(before.routes),
    "/o": new Map(before.owners),
    "/a": new Map([...before.awaiting].map((name) => [name, name])),
    "/d": new Map([...before.redirects].map((name) => [name, name])),
    "/t": new Map(before.thumbprints)
  }
  const servers = new Map([...before.servers].map(([name, known]) => [name, new Map(known)]))
  for (const command of commands) {
    const [verb, kind, where = "", key = "", value = ""] = command.split(" ")
    const map = maps[where as keyof typeof maps]
    const [backend = "", server = ""] = where.split("/")
    const known = servers.get(backend) ?? new Map<string, boolean>()
    if (kind === "map" && verb === "del") map.delete(key)
    else if (kind === "map") map.set(key, value)
    else if (verb === "del") known.delete(server)
    else known.set(server, verb === "set" && value === "ready")
    if (kind === "server") servers.set(backend, known)
  }
  return {
    routes: maps["/r"],
    owners: maps["/o"],
    awaiting: new Set(maps["/a"].keys()),
    redirects: new Set(maps["/d"].keys()),
    thumbprints: maps["/t"],
    servers
  }
}

test("a host whose certificate is by ACME answers for the account, another one later, and then for none", () => {
  const by = (thumbprint?: string) => {
    const row = service("web", "/", [])
    const http = row.http && { ...row.http, ...(thumbprint !== undefined && { thumbprint }) }
    return wanted({ ...row, ...(http && { http }) })
  }
  const first = reconcile(by("k1"), nothing, places).commands
  expect(first).toContain("add map /t shop k1")
  const second = reconcile(by("k2"), after(first), places).commands
  expect(second).toEqual(["set map /t shop k2"])
  expect(reconcile(by(), after(second, after(first)), places).commands).toEqual(["del map /t shop"])
})

test("tasks come before the route that leads to them, and whoever has all there is changes nothing", () => {
  const web = wanted(service("web", "/", [task("t1", "10.0.0.5"), task("t2", "10.0.0.6", false)]))
  const { commands } = reconcile(web, nothing, places)
  expect(commands).toEqual([
    "add map /o web service0",
    "add server service0/t1_8080 10.0.0.5:8080",
    "set server service0/t1_8080 state ready",
    "add map /r shop/ service0"
  ])
  expect(missingOf(web, nothing)).toHaveLength(1)
  expect(missingOf(web, after(commands))).toEqual([])
  expect(reconcile(web, after(commands), places).commands).toEqual([])
})

test("requests wait for a task before the last one leaves, and no longer than one can come", () => {
  const leads = (awaits: ServiceRow["awaits"], serving: boolean) => {
    const row = service("web", "/", [task("t1", "10.0.0.5", serving)])
    return wanted(awaits === undefined ? row : { ...row, awaits })
  }
  const before = after(reconcile(leads(undefined, true), nothing, places).commands)
  const { commands } = reconcile(leads("task", false), before, places)
  expect(commands.slice(0, 2)).toEqual([
    "add map /a service0 service0",
    "set server service0/t1_8080 state maint"
  ])
  const waits = after(commands, before)
  expect(reconcile(leads("caller", false), waits, places).commands).toEqual([])
  expect(reconcile(leads(undefined, false), waits, places).commands).toEqual(["del map /a service0"])
  expect(reconcile([], waits, places).commands).toContain("del map /a service0")
})

test("a task that leaves gets no more requests at once, and is deleted as often as it takes", () => {
  const before = after(
    reconcile(wanted(service("web", "/", [task("t1", "10.0.0.5")])), nothing, places).commands
  )
  const gone = wanted(service("web", "/", [task("t1", "10.0.0.5", false)]))
  expect(reconcile(gone, before, places).commands).toEqual([
    "set server service0/t1_8080 state maint",
    "del server service0/t1_8080"
  ])
  const busy = after(["set server service0/t1_8080 state maint"], before)
  expect(reconcile(gone, busy, places).commands).toEqual(["del server service0/t1_8080"])
})

test("a backend is another service's only once it has no server of the one before", () => {
  const before = after(
    reconcile(wanted(service("web", "/", [task("t1", "10.0.0.5")])), nothing, places).commands
  )
  const step = reconcile([], before, places)
  expect(step.commands).toEqual([
    "del map /r shop/",
    "set server service0/t1_8080 state maint",
    "del server service0/t1_8080"
  ])
  const other = wanted(service("api", "/", []))
  expect(reconcile(other, before, places).commands).toContain("set map /r shop/ service1")
  expect(reconcile([], after(step.commands, before), places).commands).toEqual(["del map /o web"])
})

test("a server is another when its port or protocol is", () => {
  const [h2] = wanted(service("grpc", "/a/", [task("t1", "10.0.0.5"), task("t6", "fd00::5")], "h2c"))
  expect([...(h2?.servers ?? [])]).toEqual([
    ["t1_8080_h2", "10.0.0.5:8080 proto h2"],
    ["t6_8080_h2", "[fd00::5]:8080 proto h2"]
  ])
})

test("services beyond the backends that there are get a problem, and take nothing from the others", () => {
  const many = wanted(
    ...Array.from({ length: mostHttpRoutes + 1 }, (_, at) =>
      service(`s${String(at).padStart(4, "0")}`, `/${at}/`, [])
    )
  )
  const { commands, problems, led } = reconcile(many, nothing, places)
  expect(problems).toEqual([
    "service s1024 gets no requests: an entrance leads to 1024 services (troupe.http.host) at most, and has as many"
  ])
  expect(led).toEqual(many.slice(0, mostHttpRoutes))
  expect(new Set(after(commands).owners.values()).size).toBe(mostHttpRoutes)
})

test("requests without TLS are sent away before the first could be led, and as long as there is a route", () => {
  const [plain] = wanted(service("web", "/", []))
  const secured = plain ? [{ ...plain, redirects: true }] : []
  const first = reconcile(secured, nothing, places).commands
  expect(first).toEqual([
    "add map /o web service0",
    "add map /d service0 service0",
    "add map /r shop/ service0"
  ])
  const before = after(first)
  expect(reconcile(secured, before, places).commands).toEqual([])
  expect(reconcile(plain ? [plain] : [], before, places).commands).toEqual(["del map /d service0"])
  expect(reconcile([], before, places).commands).toEqual([
    "del map /r shop/",
    "del map /d service0",
    "del map /o web"
  ])
})

test("what haproxy says is understood", () => {
  expect(parseMap("0x7fc628048a30 shop/ service0\n0x55f1 shop/api/ service1\n\n")).toEqual(
    new Map([
      ["shop/", "service0"],
      ["shop/api/", "service1"]
    ])
  )
  const text = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
3 service0 1 t1_8080 127.0.0.1 2 0 1 1 1 1 0 0 0
3 service0 2 t2_8080 127.0.0.1 0 1 1 1 1 1 0 0 0
`
  expect(parseServers(text)).toEqual(
    new Map([
      [
        backendName(0),
        new Map([
          ["t1_8080", true],
          ["t2_8080", false]
        ])
      ]
    ])
  )
})
