/** Whoever is signed in at one manager is so at all of them, over real managers: when one dies, and when its word is taken back. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { createToken, removeToken } from "#actors/gateway/access/tokens.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { Managers } from "#test/support/managers.ts"

setDefaultTimeout(60_000)

let managers: Managers

beforeAll(async () => {
  managers = await Managers.start(3)
  await eventually(async () => {
    const levels = await Promise.all(managers.all.map(async (one) => (await one.get("/raft")).featureLevel))
    return new Set(levels).size === 1 && levels[0] > 0
  }, "all have the newest level")
}, 120_000)
afterAll(async () => {
  await managers?.cleanUp()
}, 60_000)

interface SignedIn {
  readonly cookie: string
  readonly csrf: string
}

const cookieOf = (answer: Response): string => answer.headers.get("set-cookie")?.split(";")[0] ?? ""
async function sessionAt(one: Cluster, cookie: string) {
  const answer = await fetch(`${one.http}/dashboard/session`, { headers: { cookie } })
  return { status: answer.status, body: (await answer.json()) as { who: string; role: string; csrf: string } }
}
/** By a link of the manager's socket. */
async function enter(one: Cluster, role: string): Promise<SignedIn> {
  const { body } = await one.api("POST", "/dashboard/links", { role })
  const cookie = cookieOf(await fetch(body.url))
  return { cookie, csrf: (await sessionAt(one, cookie)).body.csrf }
}
async function enterBy(one: Cluster, token: string): Promise<SignedIn> {
  const headers = { authorization: `Bearer ${token}` }
  const cookie = cookieOf(await fetch(`${one.http}/dashboard/session`, { method: "POST", headers }))
  return { cookie, csrf: (await sessionAt(one, cookie)).body.csrf }
}
const change = (one: Cluster, { cookie, csrf }: SignedIn, method: string, path: string, body?: object) =>
  fetch(`${one.http}${path}`, {
    method,
    headers: { cookie, origin: one.http, "troupe-csrf": csrf, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) })
  })
const isIn = async (one: Cluster, { cookie }: SignedIn): Promise<boolean> =>
  (await sessionAt(one, cookie)).status === 200

test("a session holds on all managers with its role and its secret, also when the leader dies that began it", async () => {
  const leader = await managers.leader()
  const [second, third] = managers.others(leader) as [Cluster, Cluster]
  const admin = await enter(leader, "admin")
  const viewer = await enter(leader, "viewer")
  expect(admin.cookie).toMatch(new RegExp(`^troupe-session-${(await leader.get("/swarm")).ID}=`))
  for (const one of [second, third]) {
    await eventually(() => isIn(one, admin), "it is known")
    expect((await sessionAt(one, viewer.cookie)).body).toMatchObject({ role: "viewer", csrf: viewer.csrf })
  }
  const config = (name: string) => ({ Name: name, Data: "aGVsbG8=" })
  expect((await change(second, viewer, "POST", "/configs/create", config("viewers"))).status).toBe(403)
  expect(
    (await change(second, { ...admin, csrf: viewer.csrf }, "POST", "/configs/create", config("x"))).status
  ).toBe(403)
  expect((await change(second, admin, "POST", "/configs/create", config("before"))).status).toBe(201)

  await leader.kill9()
  await eventually(
    async () => (await change(third, admin, "POST", "/configs/create", config("after"))).status === 201,
    "the others go on, and know who it is"
  )
  expect(await isIn(second, viewer)).toBe(true)
  await leader.start()
  await managers.settled()
  await eventually(() => isIn(leader, admin), "its own next life knows it, too")
})

test("a token that is taken back, and a session that is ended, are so on all managers", async () => {
  const [first, second, third] = managers.all as [Cluster, Cluster, Cluster]
  const token = createToken(first.dataDir, "vera", "operator")
  const vera = await enterBy(first, token)
  await eventually(() => isIn(second, vera), "another manager has heard of the token")
  await eventually(() => isIn(third, vera), "so has the third")
  expect((await sessionAt(third, vera.cookie)).body).toMatchObject({ who: "vera", role: "operator" })
  const { cookie, csrf } = await enterBy(first, token)
  const other = { cookie, csrf }
  expect((await change(second, other, "DELETE", "/dashboard/session")).status).toBe(200)
  expect(await isIn(second, other)).toBe(false)
  await eventually(
    async () => !(await isIn(first, other)) && !(await isIn(third, other)),
    "all have heard of it"
  )
  expect(await isIn(third, vera)).toBe(true)

  removeToken(first.dataDir, "vera")
  expect(await isIn(first, vera)).toBe(false)
  await eventually(
    async () => !(await isIn(second, vera)) && !(await isIn(third, vera)),
    "all have heard of it"
  )
})

test("what the ledger has of it is told to nobody", async () => {
  const [first] = managers.all as [Cluster]
  const token = createToken(first.dataDir, "secretive", "viewer")
  const session = await enterBy(first, token)
  const other = managers.all[1] as Cluster
  await eventually(() => isIn(other, session), "it stands in the ledger")
  const node = await other.api("GET", `/nodes/${first.nodeId}`)
  const history = await other.api("GET", `/history/${first.nodeId}`)
  expect(node.body.ID).toBe(first.nodeId)
  expect([node.status, history.status]).toEqual([200, 200])
  for (const { body } of [node, history])
    expect(JSON.stringify(body)).not.toMatch(/"Access\b|secretive|Digest/)
})
