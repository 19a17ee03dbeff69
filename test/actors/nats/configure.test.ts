import { expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { configureServer, configureUsers, delayBefore, warnOfVersion } from "#actors/nats/configure.ts"
import { usersOf } from "#actors/nats/creds.ts"
import { apiRights, clientRights, rightsOf, workerRights } from "#actors/nats/rights.ts"
import { someKeys } from "#test/support/trust.ts"

const settings = {
  serverName: "troupe-n1",
  host: "127.0.0.1",
  port: 0,
  portsDirectory: "/d/ports",
  logFile: '/d/a "quoted" name.log'
}

test("port 0 is written as the server's word for any port, and paths are quoted", () => {
  const text = configureServer(settings)
  expect(text).toContain("port: -1\n")
  expect(text).toContain('log_file: "/d/a \\"quoted\\" name.log"')
  expect(configureServer({ ...settings, port: 4222 })).toContain("port: 4222\n")
})

const cluster = {
  name: "c1",
  host: "10.0.0.1",
  port: 0,
  user: "route",
  password: "a:b/c@d",
  routes: ["10.0.0.1:6222", "10.0.0.2:6222"]
}
const tls = { certFile: "/d/node.pem", keyFile: "/d/node.key", caFile: "/d/ca.pem" }

test("servers of a cluster prove who they are to each other, and a login goes into a URL whatever is in it", () => {
  const text = configureServer({ ...settings, cluster })
  expect(text).toContain('listen: "10.0.0.1:-1"')
  expect(text).toContain('authorization { user: "route", password: "a:b/c@d", timeout: 2 }')
  expect(text).toContain('"nats-route://route:a%3Ab%2Fc%40d@10.0.0.2:6222"')
  expect(text).not.toContain("tls")
  // What servers would learn of each other may lead nowhere.
  expect(text).toContain("no_advertise: true")
})

test("with certificates both sides show theirs, to clients and between servers", () => {
  const text = configureServer({ ...settings, tls, cluster: { ...cluster, tls } })
  expect(text.match(/tls \{ cert_file: "\/d\/node.pem".*verify: true/g)?.length).toBe(2)
})

test("nothing that the advisories concern is switched on, and rights are allow-lists only", () => {
  const client = { name: "x", readOnly: false, publicKey: "UC", createdAt: "" }
  const users = configureUsers(usersOf("c1", [{ nodeId: "n1", raftId: "r1", keys: someKeys }], [client]))
  const text = configureServer(settings) + users
  for (const word of ["websocket", "leafnode", "no_auth_user", "jetstream", "deny", "http"]) {
    expect(text).not.toContain(word)
  }
  // An authorization block beside accounts once let in whoever came.
  expect(text).not.toContain("authorization")
})

test("only the connection for Raft speaks on Raft's subjects, and only as its member", () => {
  const { raft, ...others } = rightsOf("c1", "n1", "r1")
  expect(raft.publish).toEqual(["troupe.v1.c1.*.raft.r1.*"])
  for (const { publish } of Object.values(others)) {
    for (const subject of publish)
      expect(subject).not.toMatch(/^(>|troupe\.>|troupe\.v1\.[^.]+\.[^.]+\.(raft|\*|>))/)
  }
})

test("each node says what it uses in its own name alone, and managers hear all of them", () => {
  const said = (publish: ReadonlyArray<string>) => publish.filter((subject) => subject.includes("metric"))
  expect(said(workerRights("c1", "w1").publish)).toEqual(["troupe.metric.v1.c1.node.w1"])
  expect(workerRights("c1", "w1").subscribe.filter((subject) => subject.includes("metric"))).toEqual([])
  const { daemon } = rightsOf("c1", "n1", "r1")
  expect(said(daemon.publish)).toEqual(["troupe.metric.v1.c1.node.n1"])
  expect(daemon.subscribe).toContain("troupe.metric.v1.c1.node.*")
})

test("every inbox that a connection may hear is its own", () => {
  const inboxes = Object.values(rightsOf("c1", "n1", "r1")).flatMap(({ subscribe }) =>
    subscribe.filter((subject) => subject.startsWith("_INBOX"))
  )
  expect(inboxes.sort()).toEqual(["_INBOX.api-n1.>", "_INBOX.n1.>", "_INBOX.raft-n1.>", "_INBOX.system-n1.>"])
})

test("every kind of actor can be spoken to by managers", () => {
  const allowed = rightsOf("c1", "n1", "r1").daemon.publish
  const sources = readdirSync("actors", { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts")
  )
  const kinds = sources.flatMap((path) =>
    [
      ...readFileSync(join("actors", path), "utf8").matchAll(/= actor<[\s\S]*?>\(\{\s*kind: "([a-z-]+)"/g)
    ].map(([, kind]) => kind)
  )
  expect(kinds.length).toBeGreaterThan(8)
  for (const kind of kinds) expect(allowed).toContain(`troupe.v1.c1.*.${kind}.*.in`)
})

test("a read-only client may ask for lists and objects and say nothing else under the API", () => {
  const client = { name: "x", readOnly: true, named: true }
  const asks = (named: boolean) =>
    clientRights("_INBOX.client-x", { ...client, named }).publish.filter((each) => each.startsWith("troupe"))
  const own = ["troupe.api.v1.as.x.*.list", "troupe.api.v1.as.x.*.inspect"]
  expect(asks(true)).toEqual(own)
  expect(asks(false)).toEqual([...own, "troupe.api.v1.*.list", "troupe.api.v1.*.inspect"])
})

test("the side that answers clients cannot be made to speak to an actor", () => {
  const { publish } = apiRights("_INBOX.api-n1")
  expect(publish.some((subject) => subject.startsWith("troupe.v1") || subject === "troupe.>")).toBe(false)
})

test("a version below 2.11.16 is warned of, with the reason", () => {
  expect(warnOfVersion("2.9.10")).toContain("CVE-2026-33218")
  expect(warnOfVersion("2.11.15")).toContain("older than 2.11.16")
  expect(warnOfVersion("2.11.16")).toBeUndefined()
  expect(warnOfVersion("2.12.0-beta.1")).toBeUndefined()
  expect(warnOfVersion("3.0.0")).toBeUndefined()
})

test("restarts wait 50 ms, then twice as long each time, up to 2 s", () => {
  expect([1, 2, 3, 7, 60].map(delayBefore)).toEqual([50, 100, 200, 2_000, 2_000])
})
