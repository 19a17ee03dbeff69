import { expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import { askerIn, serveApi } from "#actors/api/serve.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { fakeEngine, nodeId, TestGateway } from "#test/support/gateway.ts"

const level = levelOf["nats clients by name"]

/** What a cluster of that level answers who asks there. */
async function answering(level: number, named: boolean, subject: string): Promise<unknown> {
  const scope = Effect.runSync(Scope.make())
  const host = makeLiveHost()
  const bus = new MemoryBus(host)
  const { ledger } = await TestGateway.start({}, fakeEngine(), {}, level)
  const served = serveApi({
    transport: bus.connect("api"),
    ledger,
    cluster: "blue",
    nodeId,
    version: "0.1.0",
    fetch: (request) => Response.json([askerIn(request)]),
    named,
    host
  })
  await Effect.runPromise(Scope.provide(served, scope))
  const asked = bus.connect("client").request(subject, {}, new Uint8Array(), 1_000)
  const answer = await Effect.runPromise(
    asked.pipe(
      Effect.map(({ body }) => JSON.parse(new TextDecoder().decode(body))),
      Effect.catch(({ _tag }) => Effect.succeed(_tag))
    )
  )
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return answer
}

const own = "troupe.api.v1.as.ci.service.list"

test("a client's own subject says who asks", async () => {
  expect(await answering(level, true, own)).toEqual(["nats:ci"])
  expect(await answering(level, true, "troupe.api.v1.service.list")).toEqual(["nats"])
})

test("nobody asks there while a manager of an earlier release would let anyone", async () => {
  expect(await answering(level - 1, true, own)).toEqual({
    status: 503,
    message:
      "Cannot answer on troupe.api.v1.as.ci: expected managers of this release only; upgrade the others first"
  })
  expect(await answering(level - 1, true, "troupe.api.v1.service.list")).toEqual(["nats"])
})

test("what was asked to be changed is noted with who asked, what and how it ended; what was only looked at is not", async () => {
  const scope = Effect.runSync(Scope.make())
  const host = makeLiveHost()
  const bus = new MemoryBus(host)
  const { ledger } = await TestGateway.start({}, fakeEngine(), {}, level)
  const noted: Array<object> = []
  const served = serveApi({
    transport: bus.connect("api"),
    ledger,
    cluster: "blue",
    nodeId,
    version: "0.1.0",
    fetch: ({ method }) => Response.json({ message: "no" }, { status: method === "DELETE" ? 404 : 200 }),
    named: true,
    host,
    note: ({ at, ...rest }) => noted.push(rest)
  })
  await Effect.runPromise(Scope.provide(served, scope))
  const ask = (what: string, body: object) =>
    Effect.runPromise(
      bus
        .connect("client")
        .request(`troupe.api.v1.${what}`, {}, new TextEncoder().encode(JSON.stringify(body)), 1_000)
    )
  await ask("as.ci.service.inspect", { ID: "web" })
  await ask("as.ci.service.remove", { ID: "web" })
  await ask("service.create", { Name: "web" })
  await Effect.runPromise(Scope.close(scope, Exit.void))
  expect(noted).toEqual([
    { who: "nats:ci", method: "DELETE", path: "/services/web", status: 404 },
    { who: "nats", method: "POST", path: "/services/create", status: 200 }
  ])
})

test("nor over a NATS whose users are not ours", async () => {
  expect(await answering(level, false, own)).toBe("NotHere")
})
