import { expect, test } from "bun:test"
import { endpoints, paginate, type Translation } from "#actors/api/translate.ts"

function translate(name: string, body: unknown): Translation {
  const result = attempt(name, typeof body === "string" ? body : JSON.stringify(body))
  if ("mistake" in result) throw new Error(result.mistake)
  return result
}

function attempt(name: string, body: string) {
  const endpoint = endpoints.find(({ resource, verb }) => `${resource}.${verb}` === name)
  if (endpoint === undefined) throw new Error(`there is no ${name}`)
  return endpoint.translate(body)
}

test("a list without a body is all of it; filters are the HTTP API's", () => {
  expect(translate("service.list", "")).toMatchObject({ method: "GET", path: "/services" })
  const { path } = translate("task.list", {
    filters: { service: ["web"], "desired-state": { running: true } }
  })
  const query = new URL(`http://x${path}`).searchParams
  expect(JSON.parse(query.get("filters") ?? "")).toEqual({
    service: ["web"],
    "desired-state": { running: true }
  })
})

test("a service is created from its spec as it was sent", () => {
  const spec = '{"Name":"web","Unknown":{"x":1}}'
  expect(translate("service.create", spec)).toEqual({ method: "POST", path: "/services/create", body: spec })
})

test("an update is what an inspection answered, with another spec", () => {
  expect(
    translate("service.update", { ID: "a b", Version: { Index: 12 }, Spec: { Name: "web" }, CreatedAt: "…" })
  ).toEqual({ method: "POST", path: "/services/a%20b/update?version=12", body: '{"Name":"web"}' })
  expect(
    translate("service.update", { ID: "s", Version: { Index: 1 }, Spec: {}, rollback: "previous" }).path
  ).toBe("/services/s/update?version=1&rollback=previous")
})

test("the history of an object, and what came after a change", () => {
  expect(translate("history.list", { Object: "web", tasks: true, after: "812.1", limit: 5 }).path).toBe(
    "/history/web?after=812.1&tasks=true&limit=5"
  )
  expect(translate("history.list", "").path).toBe("/history")
})

test("an id cannot lead to another path", () => {
  expect(translate("service.remove", { ID: "../nodes/n1?force=1" }).path).toBe(
    "/services/..%2Fnodes%2Fn1%3Fforce%3D1"
  )
})

test("a body that is not what is taken is refused, naming the field", () => {
  expect(attempt("service.list", "[")).toEqual({ mistake: "the body is not JSON: expected an object" })
  expect(attempt("service.remove", "{}")).toEqual({
    mistake: "the body has no ID"
  })
  expect(attempt("service.remove", "[]")).toEqual({ mistake: "the body: expected object, found []" })
  expect(attempt("service.update", '{"ID":"s","Version":{"Index":"1"},"Spec":{}}')).toMatchObject({
    mistake: expect.stringContaining('the body\'s Version.Index: expected number, found "1"')
  })
  expect(attempt("task.list", '{"limit":0}')).toMatchObject({ mistake: expect.stringContaining("limit") })
})

test("a key that is not known is refused, with those that are: it would be left out in silence", () => {
  const mistakes = (name: string, body: unknown) => attempt(name, JSON.stringify(body))
  expect(mistakes("service.list", { filter: { name: ["web"] } })).toEqual({
    mistake: 'the body\'s filter: expected filters, limit, after or status, found {"name":["web"]}'
  })
  expect(mistakes("task.list", { status: true })).toEqual({
    mistake: "the body's status: expected filters, limit or after, found true"
  })
  expect(mistakes("node.inspect", { id: "n1" })).toEqual({
    mistake: 'the body\'s id: expected ID, found "n1"'
  })
  expect(mistakes("service.remove", { ID: "web", force: true })).toEqual({
    mistake: "the body's force: expected ID, found true"
  })
  expect(mistakes("history.list", { object: "web" })).toEqual({
    mistake: 'the body\'s object: expected Object, kind, tasks, since, until, after or limit, found "web"'
  })
})

test("an update takes all that an inspection of another release may answer, and nothing else", () => {
  const inspected = { ID: "s", Version: { Index: 1 }, Spec: {}, UpdatedAt: "…", ToCome: { x: 1 } }
  expect(translate("service.update", inspected).path).toBe("/services/s/update?version=1")
  expect(attempt("service.update", JSON.stringify({ ...inspected, rolback: "previous" }))).toEqual({
    mistake: 'the body\'s rolback: expected ID, Version, Spec, rollback or registryAuthFrom, found "previous"'
  })
})

test("a list in parts misses nothing and repeats nothing", () => {
  const objects = ["d", "a", "c", "e", "b"].map((ID) => ({ ID }))
  const seen: Array<unknown> = []
  let after: string | undefined
  for (;;) {
    const part = paginate(objects, { limit: 2, ...(after === undefined ? {} : { after }) })
    if (part.length === 0) break
    seen.push(...part)
    after = (part.at(-1) as { ID: string }).ID
  }
  expect(seen).toEqual(["a", "b", "c", "d", "e"].map((ID) => ({ ID })))
})
