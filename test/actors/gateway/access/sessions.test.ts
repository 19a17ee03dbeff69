/** Sessions that all managers know, by what the ledger has of each of them. */
import { expect, test } from "bun:test"
import { commonOf, toSay } from "#actors/gateway/access/common.ts"
import type { Identity } from "#actors/gateway/access/role.ts"
import { makeSessions, type Sessions } from "#actors/gateway/access/sessions.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { Book } from "#test/support/ledger.ts"
import { someRoots } from "#test/support/trust.ts"

const minute = 60_000
const vera = { who: "vera", role: "operator", token: "d1" } as const

/** Managers `a` and `b` of one ledger, and `w`, which has none. */
class Three {
  readonly book: Book
  now = 1_700_000_000_000
  readonly a: Sessions
  readonly b: Sessions
  readonly w: Sessions

  constructor(level: number = levelOf["node.access"]) {
    this.book = new Book().cluster({ FeatureLevel: level, Roots: someRoots })
    for (const id of ["manager", "a", "b"])
      this.book.node(id, {
        Spec: { Role: "manager", Availability: "active" },
        ManagerStatus: { Reachability: "reachable", Addr: `${id}:2377` }
      })
    this.book.node("w")
    const made = (nodeId: string, isManager: boolean): Sessions =>
      makeSessions({
        nodeId,
        clock: () => this.now,
        roleOf: ({ token }) => (token === undefined ? "admin" : "operator"),
        common: () => (isManager ? commonOf(this.book.tables) : undefined)
      })
    this.a = made("a", true)
    this.b = made("b", true)
    this.w = made("w", false)
    if (level >= levelOf["node.access"]) this.say("a", [["vera", "operator", "d1"]])
  }

  say(id: string, tokens: ReadonlyArray<readonly [string, string, string]>, sessions?: Sessions): void {
    const known = tokens.map(([name, role, digest]) => ({ name, role: role as "viewer", digest }))
    const before = this.book.tables.get("node", id)?.Access
    const access = toSay(before, known, sessions?.ended() ?? [], this.now)
    if (access !== undefined) this.book.must({ type: "node.access", v: 1, id, access })
  }

  password(text: string): void {
    const number = (this.book.tables.cluster()?.Roots?.routes?.number ?? 1) + 1
    this.book.must({ type: "cluster.routes", v: 1, number, password: text, holders: ["b"] })
  }
}

const roles = (cookie: string, ...all: ReadonlyArray<Sessions>) => all.map((one) => one.look(cookie)?.role)

test("a session of one manager is one of another, with its own secret, and no worker's", () => {
  const three = new Three()
  const cookie = three.a.begin(vera)
  expect(roles(cookie, three.a, three.b, three.w)).toEqual(["operator", "operator", undefined])
  expect(three.b.look(cookie)?.csrf).toBe(three.a.look(cookie)?.csrf as string)
  const local = three.b.begin({ who: "local", role: "viewer" })
  expect(roles(local, three.a, three.b)).toEqual(["viewer", "viewer"])
  const workers = three.w.begin({ who: "local", role: "admin" })
  expect(roles(workers, three.w, three.a)).toEqual(["admin", undefined])
})

test("what a session says cannot be changed, put together or taken from elsewhere", () => {
  const three = new Three()
  const cookie = three.a.begin({ who: "local", role: "viewer" })
  const [text = "", mark = ""] = cookie.split(".")
  const said = JSON.parse(Buffer.from(text, "base64url").toString())
  const raised = Buffer.from(JSON.stringify({ ...said, role: "admin" })).toString("base64url")
  const others = three.w.begin({ who: "local", role: "admin" })
  for (const one of ["", ".", text, `${text}.`, `${raised}.${mark}`, `${cookie}.x`, `${cookie}x`, others])
    expect([one, ...roles(one, three.a, three.b)]).toEqual([one, undefined, undefined])
})

test("a token that is taken back, made anew or lesser takes its sessions along on all managers", () => {
  const three = new Three()
  const cookie = three.a.begin(vera)
  three.say("a", [["vera", "viewer", "d1"]])
  expect(roles(cookie, three.b)).toEqual(["viewer"])
  three.say("a", [["vera", "operator", "d2"]])
  expect(roles(cookie, three.b)).toEqual([undefined])
  three.say("a", [["vera", "operator", "d1"]])
  expect(roles(cookie, three.b)).toEqual(["operator"])
  three.say("a", [["otto", "operator", "d1"]])
  expect(roles(cookie, three.b)).toEqual([undefined])
})

test("a session that was ended on any manager is ended on all, also once that one has begun anew", () => {
  const three = new Three()
  const cookie = three.a.begin(vera)
  const session = three.b.find(cookie)
  if (session === undefined) throw new Error("it is none")
  three.b.end(session)
  expect(roles(cookie, three.a, three.b)).toEqual(["operator", undefined])
  three.say("b", [], three.b)
  expect(roles(cookie, three.a)).toEqual([undefined])
  // It remembers nothing any more.
  three.say("b", [], undefined)
  expect(roles(cookie, three.a)).toEqual([undefined])
  three.now += 12 * 60 * minute
  three.say("b", [["new", "viewer", "d9"]])
  expect(three.book.tables.get("node", "b")?.Access?.Ended).toEqual([])
})

test("whoever ends many sessions forgets their own alone", () => {
  const three = new Three()
  const end = (identity: Identity): void => {
    const session = three.a.find(three.a.begin(identity))
    if (session !== undefined) three.a.end(session)
  }
  const admins = three.a.begin({ who: "local", role: "admin" })
  const session = three.a.find(admins)
  if (session !== undefined) three.a.end(session)
  for (let count = 0; count < 500; count++) end({ who: "local", role: "viewer" })
  expect(three.a.ended().length).toBe(51)
  expect(roles(admins, three.a)).toEqual([undefined])
})

test("a manager that becomes a worker takes its sessions along, and can make none that the others believe", () => {
  const three = new Three()
  const its = three.a.begin({ who: "local", role: "admin" })
  const others = three.b.begin({ who: "local", role: "admin" })
  expect(roles(its, three.b)).toEqual(["admin"])
  const demoted = three.book.tables.get("node", "a")
  three.book.must({
    type: "node.update",
    v: 1,
    id: "a",
    version: demoted?.Version.Index ?? 0,
    spec: { Role: "worker", Availability: "active" }
  })
  expect(three.book.tables.get("node", "a")?.Access).toBeUndefined()
  expect(roles(its, three.b)).toEqual([undefined])
  const forged = makeSessions({
    nodeId: "b",
    clock: () => three.now,
    roleOf: () => "admin",
    common: () => ({
      clusterId: "",
      secret: someRoots.routePassword,
      roleOf: () => "admin",
      hasEnded: () => false
    })
  }).begin({ who: "local", role: "admin" })
  three.password("another")
  expect(roles(forged, three.b)).toEqual([undefined])
  expect(roles(others, three.b)).toEqual(["admin"])
})

test("whoever is signed in stays so where they were seen when managers go over to another key", () => {
  const three = new Three()
  const cookie = three.a.begin(vera)
  const session = three.b.find(cookie)
  three.password("another")
  expect(roles(cookie, three.b)).toEqual(["operator"])
  if (session === undefined) throw new Error("it is none")
  const anew = three.b.renew(session)
  expect(three.a.look(anew)).toMatchObject({ id: session.id, csrf: session.csrf, until: session.until })
})

test("a cookie whose key changes before it is first used is good where it was made", () => {
  const three = new Three()
  const cookie = three.a.begin(vera)
  three.password("another")
  expect(roles(cookie, three.a, three.b)).toEqual(["operator", undefined])
  const session = three.a.find(cookie)
  if (session === undefined) throw new Error("it is none")
  three.now += minute
  const anew = three.a.renew(session)
  three.password("a third")
  expect(roles(anew, three.a, three.b)).toEqual(["operator", undefined])
})

test("an hour of rest ends it on a manager that saw no use of it, unless its browser was told anew", () => {
  const three = new Three()
  const cookie = three.a.begin(vera)
  three.now += 50 * minute
  const session = three.a.find(cookie)
  if (session === undefined) throw new Error("it is none")
  const anew = three.a.renew(session)
  three.now += 15 * minute
  expect(roles(cookie, three.a, three.b)).toEqual(["operator", undefined])
  expect(roles(anew, three.a, three.b)).toEqual(["operator", "operator"])
  three.now += 60 * minute
  expect(roles(anew, three.a, three.b)).toEqual([undefined, undefined])
})

test("until all managers can do it a session is one manager's own", () => {
  const three = new Three(levelOf["node.access"] - 1)
  const cookie = three.a.begin(vera)
  expect(roles(cookie, three.a, three.b)).toEqual(["operator", undefined])
  // Of a token another manager has heard nothing anyway.
  const local = three.a.begin({ who: "local", role: "admin" })
  expect(roles(local, three.a, three.b)).toEqual(["admin", undefined])
})

test("what a manager says of its door is nobody's but a manager's to say, and nothing that people are told", () => {
  const three = new Three()
  const access = { Tokens: [{ Name: "evil", Role: "admin", Digest: "d" }], Ended: [] }
  expect(three.book.write({ type: "node.access", v: 1, id: "w", access })._tag).toBe("Refused")
  const before = three.book.tables.get("node", "a")?.Version.Index
  three.book.changes()
  three.say("a", [])
  expect(three.book.changes().changes).toEqual([])
  expect(three.book.tables.get("node", "a")?.Version.Index).toBe(before as number)
})
