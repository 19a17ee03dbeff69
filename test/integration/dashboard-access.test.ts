/** The HTTP door by role, over the whole gateway and a real Engine. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import http, { type IncomingMessage } from "node:http"
import { join } from "node:path"
import { createToken } from "#actors/gateway/access/tokens.ts"
import { stacks } from "#cli/dashboard/stacks.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { type OpenTestGateway, openTestGateway } from "#test/support/open-gateway.ts"

let gateway: OpenTestGateway
beforeAll(async () => {
  gateway = await openTestGateway({ http: "127.0.0.1:0", stacks: async () => stacks })
})
afterAll(() => gateway.close())

const url = (path: string): string => `${gateway.url}${path}`
const json = { "Content-Type": "application/json" }
const bearer = (token: string) => ({ ...json, Authorization: `Bearer ${token}` })
const onSocket = (path: string, body: unknown) =>
  fetch(`http://local${path}`, {
    unix: gateway.socket as string,
    method: "POST",
    headers: json,
    body: JSON.stringify(body)
  })

const spec = (name: string, replicas: number) => ({
  Name: name,
  TaskTemplate: { ContainerSpec: { Image: "nothing:1" } },
  Mode: { Replicated: { Replicas: replicas } }
})
const replicasOf = (name: string) =>
  [...gateway.cluster.ledger.read.all("service")].find(({ Spec }) => Spec.Name === name)?.Spec.Mode
    ?.Replicated?.Replicas

async function scale(name: string, replicas: number, headers: Record<string, string>): Promise<Response> {
  const found = gateway.cluster.ledger.read.byName("service", name)
  return await fetch(url(`/services/${found?.ID}/update?version=${found?.Version.Index}`), {
    method: "POST",
    headers,
    body: JSON.stringify(spec(name, replicas))
  })
}

/** Signs in as a browser does. */
async function signIn(role: string) {
  const link = (await (await onSocket("/dashboard/links", { role })).json()) as { url: string }
  const entered = await fetch(link.url)
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? ""
  const session = (await (await fetch(url("/dashboard/session"), { headers: { cookie } })).json()) as {
    readonly csrf: string
    readonly role: string
  }
  const ours = { ...json, cookie, origin: gateway.url as string, "troupe-csrf": session.csrf }
  return { link: link.url, entered, cookie, session, ours }
}

test("a viewer sees a service and cannot scale it, by token or in a browser; an operator can", async () => {
  expect((await onSocket("/services/create", spec("web", 1))).status).toBe(201)
  const viewer = bearer(createToken(gateway.folder, "vera", "viewer"))
  expect((await fetch(url("/services"), { headers: viewer })).status).toBe(200)
  const refused = await scale("web", 5, viewer)
  expect([refused.status, ((await refused.json()) as { message: string }).message]).toEqual([
    403,
    expect.stringMatching(/^vera is viewer: POST \/services\/\w+\/update is for the role operator and above$/)
  ] as never)
  const { ours } = await signIn("viewer")
  expect((await scale("web", 5, ours)).status).toBe(403)
  expect(replicasOf("web")).toBe(1)

  const operator = bearer(createToken(gateway.folder, "otto", "operator"))
  expect((await scale("web", 3, operator)).status).toBe(200)
  expect((await scale("web", 4, (await signIn("operator")).ours)).status).toBe(200)
  expect(replicasOf("web")).toBe(4)
})

test("an operator drains a node and does not make it a worker", async () => {
  const operator = bearer(createToken(gateway.folder, "olga", "operator"))
  const update = async (change: object) => {
    const [node] = gateway.cluster.ledger.read.all("node")
    return await fetch(url(`/nodes/${node?.ID}/update?version=${node?.Version.Index}`), {
      method: "POST",
      headers: operator,
      body: JSON.stringify({ Role: "manager", Availability: "active", ...change })
    })
  }
  expect((await update({ Availability: "drain" })).status).toBe(200)
  const refused = await update({ Role: "worker" })
  const { message } = (await refused.json()) as { readonly message: string }
  expect([refused.status, message]).toEqual([
    403,
    "olga is operator: a node's role is for the role admin to change"
  ] as never)
})

test("a change that a page of another origin sends is refused, whatever it knows", async () => {
  const { ours, cookie } = await signIn("admin")
  const before = replicasOf("web")
  expect((await scale("web", 9, { ...ours, origin: "http://evil.example" })).status).toBe(403)
  expect((await scale("web", 9, { cookie, origin: ours.origin })).status).toBe(403)
  expect(replicasOf("web")).toBe(before)
})

test("the link signs in once, with a cookie that no script and no other site has", async () => {
  const { link, entered, session } = await signIn("viewer")
  expect(entered.headers.get("set-cookie")).toMatch(
    /^troupe-session-\w+=[\w-]+\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/
  )
  expect(session.role).toBe("viewer")
  const again = await fetch(link)
  expect([again.status, again.headers.get("set-cookie")]).toEqual([403, null])
})

test("a viewer invites nobody to more than it may itself, and a session can be ended", async () => {
  const { ours, cookie } = await signIn("viewer")
  const invite = await fetch(url("/dashboard/links"), {
    method: "POST",
    headers: ours,
    body: JSON.stringify({ role: "admin" })
  })
  expect(invite.status).toBe(400)
  expect((await fetch(url("/dashboard/session"), { method: "DELETE", headers: ours })).status).toBe(200)
  expect((await fetch(url("/services"), { headers: { cookie } })).status).toBe(401)
})

test("the Engine's own half is guarded by the same roles, and never sees a cookie", async () => {
  const viewer = bearer(createToken(gateway.folder, "viktor", "viewer"))
  expect((await fetch(url("/containers/json"), { headers: viewer })).status).toBe(200)
  const made = await fetch(url("/v1.41/containers/create?name=none"), {
    method: "POST",
    headers: viewer,
    body: "{}"
  })
  expect(made.status).toBe(403)
})

test("a viewer sees the cluster, and not where its alerts are posted", async () => {
  const cluster = () => gateway.cluster.ledger.read.cluster()
  const Labels = { tier: "one", "troupe.alerts.webhook": "http://hooks.example/T0KEN" }
  const updated = await onSocket(`/swarm/update?version=${cluster()?.Version.Index}`, {
    ...cluster()?.Spec,
    Labels
  })
  expect(updated.status).toBe(200)
  const headers = bearer(createToken(gateway.folder, "viola", "viewer"))
  const info = await (await fetch(url("/info"), { headers })).text()
  expect(JSON.parse(info).Swarm.Cluster).toMatchObject({
    ID: cluster()?.ID,
    Spec: { Labels: { tier: "one" } }
  })
  expect(info).not.toContain("T0KEN")
})

test("what the Engine takes for a path that is not a viewer's is none, however it is written", async () => {
  await ensureTestImage()
  const { hostname, port } = new URL(gateway.url ?? "")
  const ask = async (name: string, role: "viewer" | "operator", path: string): Promise<number> => {
    const headers = bearer(createToken(gateway.folder, name, role))
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      http.get({ hostname, port, path, headers, agent: false }, resolve).on("error", reject)
    })
    answer.destroy()
    return answer.statusCode ?? 0
  }
  const paths = [
    `/images/${testImage}/get`,
    `/images/${testImage}/%67et`,
    `/images/%67et?names=${testImage}`,
    `/images%2Fget?names=${testImage}`,
    `/v1.41.0/images/get?names=${testImage}`
  ]
  for (const [at, path] of paths.entries()) {
    expect([path, await ask(`violet${at}`, "viewer", path)]).toEqual([path, 403])
    expect([path, await ask(`oscar${at}`, "operator", path)]).toEqual([path, 200])
  }
  const whole = `http://n1/images/get?names=${testImage}`
  expect(await ask("violet", "viewer", whole)).toBe(403)
  expect(await ask("oscar", "operator", whole)).toBe(403)
})

const audited = (): ReadonlyArray<Record<string, unknown>> =>
  readFileSync(join(gateway.folder, "audit.log"), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

test("a viewer plans a pasted stack and does not deploy it; an operator deploys what was planned, by name", async () => {
  const text = "name: shop\nservices: {cart: {image: 'nothing:1'}}\nconfigs: {site: {content: hello}}"
  const ask = async (what: string, headers: Record<string, string>, digest?: string) => {
    const body = JSON.stringify({ text, digest })
    const answer = await fetch(url(`/dashboard/stack/${what}`), { method: "POST", headers, body })
    // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever is answered
    return { status: answer.status, body: (await answer.json()) as any }
  }
  const isThere = () => gateway.cluster.ledger.read.byName("service", "shop_cart") !== undefined
  const viewer = (await signIn("viewer")).ours
  const operator = bearer(createToken(gateway.folder, "omar", "operator"))

  const planned = await ask("plan", viewer)
  const created = (kind: string, name: string) => ({ action: "create", kind, name, differences: [] })
  expect(planned.body.steps).toEqual([
    created("network", "shop_default"),
    created("config", "shop_site"),
    created("service", "shop_cart")
  ])
  const { digest } = planned.body
  expect((await ask("deploy", viewer, digest)).status).toBe(403)
  for (const other of [undefined, "another"]) {
    const { status, body } = await ask("deploy", operator, other)
    expect([status, body.message]).toEqual([400, expect.stringContaining("plan again")] as never)
  }
  expect(isThere()).toBe(false)
  expect((await ask("deploy", operator, digest)).status).toBe(200)
  expect(isThere()).toBe(true)
  // It would be another plan by now.
  expect((await ask("deploy", operator, digest)).status).toBe(400)

  const change = { who: "omar", role: "operator", method: "POST" }
  const paths = ["/dashboard/stack/deploy", "/configs/create", "/services/create"]
  await eventually(
    () => paths.every((path) => audited().some((line) => line.path === path && line.who === "omar")),
    "the audit is written"
  )
  for (const path of paths) expect(audited()).toContainEqual(expect.objectContaining({ ...change, path }))
})

test("refusals and changes stand in the audit, with who and as what", async () => {
  const viewer = bearer(createToken(gateway.folder, "vito", "viewer"))
  const operator = bearer(createToken(gateway.folder, "oskar", "operator"))
  const before = audited().length
  await scale("web", 7, viewer)
  await scale("web", 6, operator)
  await fetch(url("/services?secret=1"), { headers: bearer("wrong") })
  await eventually(
    () =>
      audited()
        .slice(before)
        .some(({ status }) => status === 401),
    "the audit is written"
  )
  const update = expect.stringMatching(/^\/services\/\w+\/update$/)
  expect(audited()).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ who: "vito", role: "viewer", method: "POST", path: update, status: 403 }),
      expect.objectContaining({ who: "oskar", role: "operator", method: "POST", path: update, status: 200 }),
      expect.objectContaining({ who: "nobody", method: "GET", path: "/services", status: 401 })
    ])
  )
})
