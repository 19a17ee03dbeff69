import { expect, test } from "bun:test"
import {
  apiUser,
  clientUser,
  configureServer,
  configureUsers,
  daemonUser,
  delayBefore,
  warnOfVersion
} from "#actors/nats/configure.ts"

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
})

test("with certificates both sides show theirs, to clients and between servers", () => {
  const text = configureServer({ ...settings, tls, cluster: { ...cluster, tls } })
  expect(text.match(/tls \{ cert_file: "\/d\/node.pem".*verify: true/g)?.length).toBe(2)
})

test("nothing that the advisories concern is switched on, and rights are allow-lists only", () => {
  const text =
    configureServer(settings) +
    configureUsers([
      daemonUser("UD", "_INBOX.n1"),
      apiUser("UA", "_INBOX.api-n1"),
      clientUser("UC", "_INBOX.client-x", false)
    ])
  for (const word of ["websocket", "leafnode", "no_auth_user", "jetstream", "accounts", "deny", "http"]) {
    expect(text).not.toContain(word)
  }
})

test("a read-only client may ask for lists and objects and say nothing else under the API", () => {
  const asks = clientUser("UC", "_INBOX.client-x", true).publish.filter((subject) =>
    subject.startsWith("troupe")
  )
  expect(asks).toEqual(["troupe.api.v1.*.list", "troupe.api.v1.*.inspect"])
})

test("the side that answers clients cannot be made to speak to an actor", () => {
  const { publish } = apiUser("UA", "_INBOX.api-n1")
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
