/** Secrets and configs. */
import { expect, test } from "bun:test"
import { levelOf } from "#actors/ledger/features.ts"
import { fakeEngine, serviceBody, TestGateway } from "#test/support/gateway.ts"

const rpc = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`
const canary = Buffer.from("the canary sings").toString("base64")

test("CT-14: a secret's data never comes back, a config's does", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/secrets/create", { Name: "s1", Labels: { a: "b" }, Data: canary })
  await gateway.made("/configs/create", { Name: "c1", Data: canary })
  for (const path of ["/secrets", "/secrets/s1"]) {
    const { text } = await gateway.get(path)
    expect(text).not.toContain(canary)
    expect(text).not.toContain("Data")
  }
  expect((await gateway.get("/configs/c1")).body.Spec).toEqual({ Name: "c1", Labels: {}, Data: canary })
})

test("CT-14: labels change, data and names do not", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/secrets/create", { Name: "s1", Data: canary })
  const update = async (body: unknown, version?: number) => {
    const now = version ?? gateway.ledger.read.get("secret", id)?.Version.Index
    return gateway.post(`/secrets/s1/update?version=${now}`, body)
  }
  expect((await update({ Name: "s1", Labels: { x: "y" } })).status).toBe(200)
  expect((await update({ Name: "s1", Labels: { x: "z" }, Data: canary })).status).toBe(200)
  const only = {
    status: 400,
    body: { message: rpc("InvalidArgument", "only updates to Labels are allowed") }
  }
  expect(await update({ Name: "s1", Data: "b3RoZXI=" })).toMatchObject(only)
  expect(await update({ Name: "s2" })).toMatchObject(only)
  expect(await update({ Name: "s1" }, 1)).toMatchObject({
    status: 500,
    body: { message: rpc("Unknown", "update out of sequence") }
  })
  expect(await gateway.post("/secrets/s1/update", { Name: "s1" })).toMatchObject({
    status: 400,
    body: { message: "invalid secret version" }
  })
  expect((await gateway.get("/secrets/s1")).body.Spec).toEqual({ Name: "s1", Labels: { x: "z" } })
  expect(gateway.ledger.read.get("secret", id)?.Spec.Data).toBe(canary)
})

test("names and sizes have limits", async () => {
  const gateway = await TestGateway.start()
  const said = async (path: string, body: unknown) => (await gateway.post(path, body)).body.message
  const size = "secret data must be larger than 0 and less than 512000 bytes"
  expect(await said("/secrets/create", { Name: "s" })).toBe(rpc("InvalidArgument", size))
  const big = Buffer.alloc(512_000).toString("base64")
  expect(await said("/secrets/create", { Name: "s", Data: big })).toBe(rpc("InvalidArgument", size))
  expect((await gateway.post("/configs/create", { Name: "c", Data: big })).status).toBe(201)
  for (const Name of ["-s", "s!", "x".repeat(65)]) {
    expect(await said("/secrets/create", { Name, Data: canary })).toBe(
      rpc(
        "InvalidArgument",
        "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
      )
    )
  }
  expect(await said("/secrets/create", { Name: "s", Data: "not base64!" })).toBe(
    "invalid JSON: Data: expected base64, got something else"
  )
  await gateway.made("/secrets/create", { Name: "s", Data: canary })
  expect(await gateway.post("/secrets/create", { Name: "s", Data: canary })).toMatchObject({
    status: 409,
    body: { message: rpc("AlreadyExists", "secret s already exists") }
  })
})

test("what a file's template is filled in by is known before it is kept", async () => {
  const gateway = await TestGateway.start()
  const asked = { Name: "t", Data: canary, Templating: { Name: "jinja" } }
  for (const path of ["/secrets/create", "/configs/create"]) {
    expect(await gateway.post(path, asked)).toMatchObject({
      status: 400,
      body: { message: rpc("InvalidArgument", "unrecognized templating driver jinja: expected golang") }
    })
    await gateway.made(path, { ...asked, Templating: { Name: "golang" } })
  }
})

test("CT-15: what a service uses stays", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/configs/create", { Name: "c1", Data: canary })
  await gateway.made(
    "/services/create",
    serviceBody("web", {
      TaskTemplate: {
        ContainerSpec: {
          Image: "busybox",
          Configs: [{ ConfigID: id, ConfigName: "c1", File: { Name: "/c" } }]
        }
      }
    })
  )
  expect(await gateway.delete("/configs/c1")).toMatchObject({
    status: 400,
    body: { message: rpc("InvalidArgument", "config 'c1' is in use by the following service: web") }
  })
  await gateway.delete("/services/web")
  expect(await gateway.delete("/configs/c1")).toMatchObject({ status: 204, text: "" })
  expect(await gateway.get("/configs/c1")).toMatchObject({
    status: 404,
    body: { message: "config c1 not found" }
  })
})

test("CT-18: lists filter by prefix of name and id, exact names, and labels", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/secrets/create", { Name: "app", Labels: { a: "b" }, Data: canary })
  await gateway.made("/secrets/create", { Name: "app2", Data: canary })
  const names = async (filters: unknown) => {
    const reply = await gateway.get(`/secrets?filters=${encodeURIComponent(JSON.stringify(filters))}`)
    return reply.body.map(({ Spec }: { Spec: { Name: string } }) => Spec.Name).sort()
  }
  expect(await names({ name: { app: true } })).toEqual(["app", "app2"])
  expect(await names({ names: ["app"] })).toEqual(["app"])
  expect(await names({ id: [id.slice(0, 8)] })).toEqual(["app"])
  expect(await names({ label: ["a=b"] })).toEqual(["app"])
  expect((await gateway.get('/configs?filters={"names":["x"]}')).body.message).toBe("invalid filter 'names'")
})

test("DI-15: a secret that a driver keeps waits until all managers know such secrets", async () => {
  const before = levelOf["secret.create with a driver"] - 1
  const gateway = await TestGateway.start({}, fakeEngine(), {}, before)
  const kept = { Name: "s1", Driver: { Name: "vault" } }
  expect(await gateway.post("/secrets/create", kept)).toMatchObject({
    status: 400,
    body: {
      message: rpc(
        "FailedPrecondition",
        "secret driver vault: expected managers of this release only; upgrade the others first"
      )
    }
  })
  await gateway.made("/secrets/create", { Name: "s2", Data: canary })
  await gateway.write({ type: "cluster.raise", v: 1, level: before + 1 })
  await gateway.made("/secrets/create", kept)
})
