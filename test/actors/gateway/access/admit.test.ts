/** Who may do what over HTTP, judged by method, path and headers alone. */
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { admit, type Knock } from "#actors/gateway/access/admit.ts"
import { demand } from "#actors/gateway/access/demand.ts"
import { openAccess } from "#actors/gateway/access/open.ts"
import type { Identity } from "#actors/gateway/access/role.ts"
import { createToken, removeToken, tokensFile } from "#actors/gateway/access/tokens.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-access-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const problems: Array<string> = []
writeFileSync(join(folder, "http-token"), "n".repeat(64))
const onProblem = (problem: string): void => void problems.push(problem)
let now = 0
const own = {
  nodeId: "n1",
  dataDir: folder,
  http: "any",
  ledger: () => undefined,
  clock: () => now,
  onProblem
}
const { tokens, sessions } = await Effect.runPromise(openAccess(own))
const host = "127.0.0.1:4500"

function knock(token: string, method: string, path: string, more: Partial<Knock> = {}) {
  const headers = { host, authorization: `Bearer ${token}` }
  const admitted = admit({ tokens, sessions }, { method, path, headers, isUpgrade: false, ...more })
  return admitted._tag === "In" ? (admitted.identity?.who ?? "anybody") : admitted.status
}

test("a viewer looks and changes nothing, an operator runs services, an administrator does everything", () => {
  const looks = createToken(folder, "vera", "viewer")
  const runs = createToken(folder, "otto", "operator")
  const asked: ReadonlyArray<readonly [string, string, unknown, unknown]> = [
    ["GET", "/services", "vera", "otto"],
    ["GET", "/events", "vera", "otto"],
    ["POST", "/services/create", 403, "otto"],
    ["POST", "/services/web/update", 403, "otto"],
    ["DELETE", "/services/web", 403, "otto"],
    ["GET", "/containers/abc/archive", 403, "otto"],
    ["POST", "/containers/abc/exec", 403, "otto"],
    ["GET", "/swarm", 403, 403],
    ["GET", "/backup", 403, 403],
    ["POST", "/swarm/update", 403, 403],
    ["DELETE", "/nodes/n1", 403, 403],
    ["POST", "/containers/create", 403, 403],
    ["PATCH", "/anything", 403, 403]
  ]
  for (const [method, path, viewer, operator] of asked) {
    expect([method, path, knock(looks, method, path), knock(runs, method, path)]).toEqual([
      method,
      path,
      viewer,
      operator
    ] as never)
    expect(knock("n".repeat(64), method, path)).toBe("http-token")
  }
})

test("a viewer has no upgrade of a connection, whatever its path", () => {
  const token = createToken(folder, "ursel", "viewer")
  expect(knock(token, "GET", "/grpc", { isUpgrade: true })).toBe(403)
})

test("a token is good from the next request on, and no longer once it is taken back", () => {
  const token = createToken(folder, "gone", "admin")
  expect(knock(token, "GET", "/services")).toBe("gone")
  expect(removeToken(folder, "gone")).toBe(true)
  expect(knock(token, "GET", "/services")).toBe(401)
})

test("a file of tokens that cannot be read opens nothing, and says which line", () => {
  const token = createToken(folder, "paul", "admin")
  writeFileSync(tokensFile(folder), "paul king x\n")
  expect(knock(token, "GET", "/services")).toBe(401)
  expect(knock("n".repeat(64), "GET", "/services")).toBe("http-token")
  expect(problems).toEqual([
    `${tokensFile(folder)}: line 1: expected NAME ROLE SHA-256, the role one of viewer, operator, admin`
  ])
  rmSync(tokensFile(folder))
})

test("a session changes things only from a page of its own origin that knows its secret", () => {
  const id = sessions.begin({ who: "local", role: "admin" })
  const { csrf = "" } = sessions.find(id) ?? {}
  const cookie = `other=1; troupe-session-4500=${id}`
  const ours = { host, cookie, origin: `http://${host}`, "troupe-csrf": csrf }
  const asked = (method: string, headers: Record<string, string | undefined>) => {
    const known = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
    const admitted = admit(
      { tokens, sessions },
      { method, path: "/services/create", headers: known, isUpgrade: false }
    )
    return admitted._tag === "In" ? "in" : admitted.message
  }
  expect(asked("POST", ours)).toBe("in")
  expect(asked("GET", { host, cookie })).toBe("in")
  expect(asked("POST", { ...ours, origin: "http://evil.example" })).toContain("another origin")
  expect(asked("POST", { ...ours, origin: undefined })).toContain("another origin")
  expect(asked("POST", { ...ours, "sec-fetch-site": "cross-site" })).toContain("another origin")
  expect(asked("POST", { ...ours, "troupe-csrf": "x".repeat(csrf.length) })).toContain("troupe-csrf")
  expect(asked("POST", { ...ours, "troupe-csrf": undefined })).toContain("troupe-csrf")
  expect(asked("GET", { host, cookie: `other-4500=${id}` })).toContain("authorization required")
  expect(asked("GET", { host, cookie: `troupe-session-4501=x.y; troupe-session-x=${id}` })).toBe("in")
})

test("a WebSocket of the dashboard has the secret among its protocols, and nothing else has it there", () => {
  const id = sessions.begin({ who: "local", role: "operator" })
  const { csrf = "" } = sessions.find(id) ?? {}
  const asked = (protocols: string, path = "/dashboard/exec/t1", isUpgrade = true, more = {}) => {
    const ours = { host, cookie: `troupe-session-4500=${id}`, origin: `http://${host}`, ...more }
    const headers = { ...ours, "sec-websocket-protocol": protocols }
    return admit({ tokens, sessions }, { method: isUpgrade ? "GET" : "POST", path, headers, isUpgrade })._tag
  }
  const right = `troupe.console, troupe-csrf.${csrf}`
  expect(asked(right)).toBe("In")
  expect(asked(right, undefined, undefined, { origin: "http://evil.example" })).toBe("Out")
  expect(asked("troupe.console")).toBe("Out")
  expect(asked(`troupe.console, ${csrf}`)).toBe("Out")
  expect(asked(`troupe-csrf.${"x".repeat(csrf.length)}`)).toBe("Out")
  expect(asked(right, "/containers/c1/attach/ws")).toBe("Out")
  expect(asked(right, "/dashboard/exec/t1", false)).toBe("Out")
})

test("a session is worth no more than the token that began it is now", () => {
  const by = (identity: Identity, method: string) => {
    const id = sessions.begin(identity)
    const csrf = sessions.find(id)?.csrf
    return () => {
      const headers = {
        host,
        cookie: `troupe-session-4500=${id}`,
        origin: `http://${host}`,
        "troupe-csrf": csrf
      }
      const admitted = admit(
        { tokens, sessions },
        { method, path: "/services/create", headers, isUpgrade: false }
      )
      return admitted._tag === "In" ? admitted.identity : admitted.status
    }
  }
  const identify = (token: string): Identity => tokens.identify(token) as Identity
  const rita = identify(createToken(folder, "rita", "operator"))
  const changes = by(rita, "POST")
  const looks = by(rita, "GET")
  const asViewer = by({ ...rita, role: "viewer" }, "GET")
  expect(changes()).toEqual(rita)
  expect(asViewer()).toEqual({ ...rita, role: "viewer" })
  writeFileSync(tokensFile(folder), `rita viewer ${rita.token}\n`)
  expect(changes()).toBe(403)
  expect(looks()).toEqual({ ...rita, role: "viewer" })
  // The same name, and another token.
  removeToken(folder, "rita")
  createToken(folder, "rita", "operator")
  expect(looks()).toBe(401)
  expect(by({ who: "local", role: "admin" }, "POST")()).toEqual({ who: "local", role: "admin" })
})

test("a link is good once and for five minutes, a session for an hour of rest and half a day in all", () => {
  const minute = 60_000
  const vera = { who: "local", role: "viewer" } as const
  const code = sessions.invite(vera)
  expect(sessions.accept(code)).toEqual(vera)
  expect(sessions.accept(code)).toBeUndefined()
  const late = sessions.invite(vera)
  now = 5 * minute
  expect(sessions.accept(late)).toBeUndefined()

  const idle = sessions.begin(vera)
  const busy = sessions.begin(vera)
  for (let quarter = 0; quarter < 47; quarter++) {
    now += 15 * minute
    expect(sessions.find(busy)?.who).toBe("local")
  }
  expect(sessions.find(idle)).toBeUndefined()
  // Looking at it is no use of it.
  expect(sessions.look(busy)?.who).toBe("local")
  const looked = sessions.begin(vera)
  now += 59 * minute
  expect(sessions.look(looked)?.who).toBe("local")
  now += minute
  expect([sessions.look(looked), sessions.find(looked)]).toEqual([undefined, undefined])
  now -= 60 * minute
  now += 15 * minute
  expect(sessions.find(busy)).toBeUndefined()
})

test("what is not named in the table is for administrators to change and for viewers to read", () => {
  expect(demand("POST", "/something/new")).toBe("admin")
  expect(demand("GET", "/something/new")).toBe("viewer")
  expect(demand("POST", "/dashboard/tree/restart")).toBe("operator")
  expect(demand("POST", "/dashboard/stack/plan")).toBe("viewer")
  for (const change of ["deploy", "remove"])
    expect(demand("POST", `/dashboard/stack/${change}`)).toBe("operator")
})

test("a path asks for what the Engine takes it for, however it is written, and never for less than it says", () => {
  for (const path of [
    "/containers/web/%65xport",
    "/containers/web%2Fexport",
    "/%63ontainers/web/archive",
    "/images/%67et",
    "/v1.41.0/containers/web/export",
    "/v1.41./images/web/get",
    "/v1.41%2fcontainers%2fweb%2fexport"
  ])
    expect([path, demand("GET", path)]).toEqual([path, "operator"])
  for (const path of [
    "/%73warm",
    "/v1.41.0/swarm",
    "/swarm%2funlockkey",
    "http://n1/nodes",
    "*",
    "",
    "/nodes/%"
  ])
    expect([path, demand("GET", path)]).toEqual([path, "admin"])
  expect(demand("POST", "/networks/web%2Fconnect")).toBe("admin")
  expect(demand("POST", "/nodes/n1%2Fupdate")).toBe("admin")
  expect(demand("GET", "/images/shop%2Fweb/json")).toBe("viewer")
  expect(demand("POST", "/services/web%20app/update")).toBe("operator")
})
