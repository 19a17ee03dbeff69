import { afterEach, expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import { type ApiOptions, askerIn, serveApi } from "#actors/api/serve.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { fakeEngine, nodeId, TestGateway } from "#test/support/gateway.ts"

const level = levelOf["nats clients by name"]

const cleanups: Array<() => Promise<void>> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** A manager of a cluster of that level, and what is answered, or why nothing is, to who asks it there. */
async function serving(level: number, options: Pick<ApiOptions, "named" | "fetch" | "note">) {
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
    host,
    ...options
  })
  await Effect.runPromise(Scope.provide(served, scope))
  cleanups.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return (subject: string, body: object = {}): Promise<unknown> =>
    Effect.runPromise(
      bus
        .connect("client")
        .request(subject, {}, new TextEncoder().encode(JSON.stringify(body)), 1_000)
        .pipe(
          Effect.map((answer) => JSON.parse(new TextDecoder().decode(answer.body))),
          Effect.catch(({ _tag }) => Effect.succeed(_tag))
        )
    )
}

/** What a cluster of that level answers who asks there. */
async function answering(level: number, named: boolean, subject: string): Promise<unknown> {
  const ask = await serving(level, { named, fetch: (request) => Response.json([askerIn(request)]) })
  return ask(subject)
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

test("nor over a NATS whose users are not ours", async () => {
  expect(await answering(level, false, own)).toBe("NotHere")
})

test("what was asked to be changed is noted with who asked, what and how it ended; what was only looked at is not", async () => {
  const noted: Array<object> = []
  const ask = await serving(level, {
    named: true,
    fetch: ({ method }) => Response.json({ message: "no" }, { status: method === "DELETE" ? 404 : 200 }),
    note: ({ at, ...rest }) => noted.push(rest)
  })
  await ask("troupe.api.v1.as.ci.service.inspect", { ID: "web" })
  await ask("troupe.api.v1.as.ci.service.remove", { ID: "web" })
  await ask("troupe.api.v1.service.create", { Name: "web" })
  expect(noted).toEqual([
    { who: "nats:ci", method: "DELETE", path: "/services/web", status: 404 },
    { who: "nats", method: "POST", path: "/services/create", status: 200 }
  ])
})
