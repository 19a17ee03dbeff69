/** Consensus over real nats-servers: they die, are late, cut off who is too slow, are lied to, and change their keys. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import { coreSettings } from "#actors/raft/core/settings.ts"
import { encodeMessage } from "#actors/raft/host/codec.ts"
import { laneOf } from "#actors/raft/host/message.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import { type NatsServer, startNatsCluster, startNatsServer, until } from "#test/support/nats-server.ts"
import { NatsGroup, type NatsMember, openDoor } from "#test/support/raft-nats.ts"

setDefaultTimeout(60_000)

const abc = ["a", "b", "c"]
const ends: Array<() => Promise<void>> = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const accessTo = ({ user, password }: NatsServer, ...urls: ReadonlyArray<string>) => ({
  servers: urls,
  user,
  password
})

function groupOf(ids: ReadonlyArray<string> = abc, host = hostSettings): NatsGroup {
  const group = new NatsGroup(ids, host)
  ends.push(() => group.close())
  return group
}
async function serverOf(config = ""): Promise<NatsServer> {
  const server = await startNatsServer(config)
  ends.push(() => server.close())
  return server
}
const first = (group: NatsGroup): NatsMember => group.members[0] as NatsMember

test("K2 K3: while every server is down nothing waits to be sent; once they are back the group goes on by itself", async () => {
  const server = await serverOf()
  const group = groupOf()
  await Promise.all(abc.map((id) => group.open(id, accessTo(server, server.url))))
  await group.write(first(group), "before")
  await group.everywhere("before")
  await server.kill()
  await until(() => group.members.every(({ main }) => !main.isConnected()))
  // Longer than it takes to miss a leader: they would all have much to say.
  await until(() => group.leader() === undefined, 10_000)
  await until(() => group.members.every(({ raft }) => raft.status().role !== "leader"))
  for (const { main, bulk } of group.members) {
    expect([main.counters().waitingBytes, bulk.counters().waitingBytes]).toEqual([0, 0])
    expect(() => main.publish("troupe.v1.blue.x.raft.a.control", {}, new Uint8Array(8))).toThrow()
  }
  await server.start()
  await group.write(first(group), "after")
  await group.everywhere("after")
})

test("K5: in whatever order members and servers begin, a group comes about, and everybody hears everything", async () => {
  for (const order of [abc, ["c", "a", "b"], ["b", "c", "a"]]) {
    const servers = await startNatsCluster(3)
    const group = groupOf()
    // The second one's server is not there yet, nor is news of its subscriptions.
    await servers[1]?.kill()
    const opening = order.map((id, at) => {
      const home = servers[at] as NatsServer
      return group.open(id, accessTo(home, home.url))
    })
    await servers[1]?.start()
    await Promise.all(opening)
    for (const member of group.members) await group.write(member, `by ${member.id}`)
    for (const id of abc) await group.everywhere(`by ${id}`)
    await group.close()
    await Promise.all(servers.map((server) => server.close()))
    ends.length = 0
  }
})

test("K6: what is said in another's name, by another cluster, or is not a message is refused and counted, and changes nothing", async () => {
  const server = await serverOf()
  const group = groupOf()
  await Promise.all(abc.map((id) => group.open(id, accessTo(server, server.url))))
  await group.write(first(group), "before")
  await until(() => group.leader() !== undefined)
  const struck = group.members.find((member) => member !== group.leader()) as NatsMember
  const { term } = struck.raft.status()
  const scope = Effect.runSync(Scope.make())
  const hostile = await Effect.runPromise(
    natsTransport({ ...accessTo(server, server.url), nodeId: "h" }).pipe(Scope.provide(scope))
  )
  ends.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const claim = (from: string): CoreMessage => ({
    _tag: "Vote",
    from,
    to: struck.id,
    term: term + 100,
    lastIndex: 1e6,
    lastTerm: term + 99,
    transfer: true
  })
  const say = (as: string, bytes: Uint8Array): void =>
    hostile.publish(`troupe.v1.blue.${struck.id}.raft.${as}.control`, {}, bytes)
  const before = struck.wire.counters().refused
  const other = abc.find((id) => id !== struck.id) as string
  say("h", encodeMessage(claim(other), "blue"))
  say(other, encodeMessage({ ...claim(other), to: "h" }, "blue"))
  say(other, encodeMessage(claim(other), "green"))
  say(other, encodeMessage(claim(other), "blue").subarray(0, 20))
  await until(() => struck.wire.counters().refused === before + 4)
  expect(group.terms()).toEqual([term, term, term])
  await group.write(struck, "after")
  await group.everywhere("after")
})

test("K9: a member that its server cuts off for being too slow is back by itself, and catches up", async () => {
  const server = await serverOf('max_payload: 65536\nmax_pending: 262144\nwrite_deadline: "1s"\n')
  const door = await openDoor(server.port)
  ends.push(() => door.close())
  const group = groupOf()
  const behind = accessTo(server, `nats://127.0.0.1:${door.port}`)
  await Promise.all([
    group.open("a", accessTo(server, server.url)),
    group.open("b", accessTo(server, server.url)),
    group.open("c", behind)
  ])
  await group.write(first(group), "before")
  await group.everywhere("before")
  const slow = group.members.find(({ id }) => id === "c") as NatsMember
  const { disconnects } = slow.main.counters()
  door.hold()
  const well = group.members.filter(({ id }) => id !== "c")
  for (let i = 0; i < 40; i++) await group.write(well[0] as NatsMember, `${i} ${"x".repeat(60_000)}`)
  await until(async () => {
    await group.write(well[0] as NatsMember, "x".repeat(60_000))
    return slow.main.counters().disconnects > disconnects || !slow.main.isConnected()
  }, 20_000)
  door.release()
  await group.write(slow, "after")
  await group.everywhere("after")
})

test("I10: whatever the length of a snapshot's chunks, no message of them is more than the server carries", async () => {
  const limit = 65_536
  const server = await serverOf(`max_payload: ${limit}\n`)
  // Nothing of the log is kept behind a snapshot, so who comes late must fetch it.
  const group = groupOf(abc, {
    ...hostSettings,
    core: { ...coreSettings, trailingEntries: 1, trailingBytes: 1 }
  })
  const access = accessTo(server, server.url)
  await Promise.all([group.open("a", access), group.open("b", access)])
  // A chunk is an entry as JSON: some fit by themselves, some only without what goes around them, some not at all.
  const lengths = Array.from({ length: 24 }, (_, at) => limit - 300 + 13 * at)
  for (const length of [1, ...lengths, 3 * limit]) await group.write(first(group), "x".repeat(length))
  await until(() => group.leader() !== undefined)
  await Effect.runPromise((group.leader() as NatsMember).raft.compact)
  const late = await group.open("c", access)
  await group.write(late, "after")
  await group.everywhere("after")
  expect(late.journal.restored).toBe(1)
  expect(late.journal.texts).toEqual(first(group).journal.texts)
  for (const { main, bulk } of group.members) {
    for (const line of [main, bulk]) {
      const { disconnects, lostParts } = line.counters()
      expect([line.maxPayload(), disconnects, lostParts]).toEqual([limit, 0, 0])
    }
  }
})

test("K10: snapshots have a connection of their own: while it is stuck, leaders and followers hear each other as ever", async () => {
  const bulk = {
    _tag: "SnapshotChunk",
    index: 1,
    snapshotTerm: 1,
    chunk: 0,
    last: true,
    checksum: 0
  } as const
  expect(laneOf({ ...bulk, from: "a", to: "b", term: 1, data: new Uint8Array(0) })).toBe("bulk")
  for (const _tag of ["Heartbeat", "HeartbeatReply", "Vote", "AppendReply"] as const) {
    expect(laneOf({ _tag } as CoreMessage)).toBe("control")
  }
  const server = await serverOf()
  const door = await openDoor(server.port)
  ends.push(() => door.close())
  // A busy machine may keep everybody waiting for a second, which is no election's business here.
  const electionTicks = 40
  const group = groupOf(abc, { ...hostSettings, core: { ...coreSettings, electionTicks } })
  const straight = accessTo(server, server.url)
  const through = accessTo(server, `nats://127.0.0.1:${door.port}`)
  await Promise.all(abc.map((id) => group.open(id, straight, through)))
  await group.write(first(group), "before")
  await group.everywhere("before")
  const terms = group.terms()
  door.hold()
  // As much as a snapshot: it fills whatever is on the way.
  for (const { bulk: line, id } of group.members) {
    for (let i = 0; i < 20; i++) {
      try {
        line.publish(`troupe.v1.blue.${id}.raft.${id}.bulk`, {}, new Uint8Array(256 * 1024))
      } catch {
        break
      }
    }
  }
  // Longer than an election would wait.
  for (let i = 0; i < 2.5 * electionTicks; i++) {
    await group.write(group.members[i % 3] as NatsMember, `${i}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await group.everywhere("99")
  expect(group.terms()).toEqual(terms)
  door.release()
})

test("K11: servers come back with new certificates, one after the other, without a change of the leader", async () => {
  const place = mkdtempSync(join(tmpdir(), "troupe-tls-"))
  ends.push(async () => rmSync(place, { recursive: true, force: true }))
  const path = (name: string): string => join(place, name)
  const make = (name: string): string => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    const files = ["-keyout", path(`${name}.key`), "-out", path(`${name}.crt`)]
    const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"]
    const { status, stderr } = spawnSync("openssl", ["req", "-x509", ...key, ...files, ...names], {
      encoding: "utf8"
    })
    if (status !== 0) throw new Error(stderr)
    return readFileSync(path(`${name}.crt`), "utf8")
  }
  const show = (name: string): void => {
    for (const kind of ["key", "crt"]) copyFileSync(path(`${name}.${kind}`), path(`shown.${kind}`))
  }
  const [former, next] = [make("former"), make("next")]
  show("former")
  const tls = `tls { cert_file: "${path("shown.crt")}", key_file: "${path("shown.key")}" }\n`
  const servers = await startNatsCluster(3, tls)
  for (const server of servers) ends.push(() => server.close())
  const group = groupOf()
  await Promise.all(
    abc.map((id, at) => {
      const home = servers[at] as NatsServer
      const urls = [0, 1, 2].map((i) => (servers[(at + i) % 3] as NatsServer).url)
      return group.open(id, { ...accessTo(home, ...urls), tls: { ca: `${former}${next}` } })
    })
  )
  await group.write(first(group), "before")
  await group.everywhere("before")
  const terms = group.terms()
  show("next")
  const trusts = async (server: NatsServer, ca: string): Promise<boolean> => {
    const scope = Effect.runSync(Scope.make())
    const opening = natsTransport({ ...accessTo(server, server.url), nodeId: "look", tls: { ca } }).pipe(
      Effect.as(true),
      Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed(false) }),
      Effect.provideService(Scope.Scope, scope)
    )
    const came = await Effect.runPromise(opening)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    return came
  }
  for (const [at, server] of servers.entries()) {
    await server.kill()
    await server.start()
    await until(() => trusts(server, next), 20_000)
    await group.write(group.members[at] as NatsMember, `after ${at}`)
    await group.everywhere(`after ${at}`)
  }
  expect(await trusts(servers[0] as NatsServer, former)).toBe(false)
  expect(group.terms()).toEqual(terms)
})
