/** What a real nats-server tells of connections that come and go, and what that says of a member. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { rmSync } from "node:fs"
import { Effect, Exit, Scope } from "effect"
import { connect, type NatsConnection, nkeyAuthenticator } from "nats"
import { type NatsServerService, startNatsServer } from "#actors/nats/server.ts"
import { bulkConnectionName, connectionName, followDepartures } from "#actors/raft/wire/departures.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import { freshDirectory, until } from "#test/actors/nats/support.ts"

const dataDir = freshDirectory()
const scope = Effect.runSync(Scope.make())
const said: Array<string> = []
let server: NatsServerService

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Promise<A> =>
  Effect.runPromise(Scope.provide(effect, scope))

beforeAll(async () => {
  server = await run(startNatsServer({ dataDir, nodeId: "n1", clusterId: "blue", port: 0 }))
  const { seed, inboxPrefix } = server.credentials.system
  const system = await run(natsTransport({ servers: [server.url], nodeId: "watcher", seed, inboxPrefix }))
  followDepartures(system, {
    connected: (node) => said.push(`${node} is there`),
    disconnected: (node, gone) => said.push(`${node} is ${gone} gone`)
  })
  await until("the watcher hears", async () => {
    const probe = await member("probe")
    await probe.close()
    return said.length > 0
  })
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(dataDir, { recursive: true, force: true })
})
beforeEach(async () => {
  await heard(
    "mark is there",
    member("mark").then((made) => made.close())
  )
  said.length = 0
})

const open = (name: string): Promise<NatsConnection> => {
  const { seed, inboxPrefix } = server.credentials.raft
  const authenticator = nkeyAuthenticator(new TextEncoder().encode(seed))
  return connect({ servers: server.url, authenticator, inboxPrefix, name })
}
const member = (id: string): Promise<NatsConnection> => open(connectionName(id))
const bulk = (id: string): Promise<NatsConnection> => open(bulkConnectionName(id))

async function heard(words: string, after: Promise<unknown>): Promise<void> {
  await after
  await until(words, () => said.includes(words))
}
/** The server tells everything in order: what comes before this is all that there was. */
const everything = async (): Promise<ReadonlyArray<string>> => {
  const last = await member("last")
  await heard("last is there", Promise.resolve())
  await heard("last is perhaps gone", last.close())
  return said.filter((words) => !words.startsWith("last") && !words.startsWith("mark"))
}

test("a member that loses both of its connections is surely gone", async () => {
  const [main, other] = [await member("m1"), await bulk("m1")]
  await Promise.all([main.close(), other.close()])
  const all = await everything()
  expect(all[0]).toBe("m1 is there")
  expect(all.at(-1)).toBe("m1 is surely gone")
})

test("a member that loses one is perhaps gone, and not when that one is for snapshots only", async () => {
  const [main, other] = [await member("m2"), await bulk("m2")]
  await main.close()
  expect(await everything()).toEqual(["m2 is there", "m2 is perhaps gone"])
  said.length = 0
  await heard("m2 is there", member("m2"))
  said.length = 0
  await other.close()
  expect(await everything()).toEqual([])
})

test("a member that moves has a new connection before the old one ends, and is not gone", async () => {
  const [main, other] = [await member("m3"), await bulk("m3")]
  const [next, nextOther] = [await member("m3"), await bulk("m3")]
  await Promise.all([main.close(), other.close()])
  expect(await everything()).toEqual(["m3 is there", "m3 is there"])
  await Promise.all([next.close(), nextOther.close()])
  expect((await everything()).at(-1)).toBe("m3 is surely gone")
})
