/** The API for other systems over a real nats-server: as a client with credentials of its own meets it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test"
import { rmSync } from "node:fs"
import process from "node:process"
import { Effect, Exit, Scope } from "effect"
import { headers, type Msg, type NatsConnection } from "nats"
import { type ClusterEvent, compareSequences, type Sequence } from "#actors/api/events.ts"
import { askerIn, serveApi } from "#actors/api/serve.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import type { NatsCredentials } from "#actors/nats/creds.ts"
import { type NatsServerService, startNatsServer } from "#actors/nats/server.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import { connectAs, freshDirectory, letIn, objectionTo, until } from "#test/actors/nats/support.ts"
import { fakeEngine, nodeId, TestGateway } from "#test/support/gateway.ts"

const cluster = "blue"
const dataDir = freshDirectory()
const scope = Effect.runSync(Scope.make())
let server: NatsServerService
let gateway: TestGateway
let client: NatsConnection

beforeAll(async () => {
  const credentials = await letIn(dataDir, "shop")
  gateway = await TestGateway.start({ who: askerIn }, fakeEngine(), {}, featureLevel)
  server = await run(startNatsServer({ dataDir, nodeId, clusterId: cluster, port: 0 }))
  const transport = await run(natsTransport({ servers: [server.url], ...apiConnection() }))
  await run(
    serveApi({
      transport,
      ledger: gateway.ledger,
      cluster,
      nodeId,
      version: "0.1.0",
      fetch: (request) => gateway.app.fetch(request),
      named: true,
      host: makeLiveHost(),
      keptEvents: 64
    })
  )
  client = await connectAs(server.url, credentials)
  await until("the API is there", async () => {
    const pong = await client.request("$SRV.PING", undefined, { timeout: 1_000 }).catch(() => undefined)
    return pong !== undefined
  })
})

afterAll(async () => {
  await client.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(dataDir, { recursive: true, force: true })
})

const subscriptions: Array<{ unsubscribe: () => void }> = []
afterEach(() => {
  for (const subscription of subscriptions.splice(0)) subscription.unsubscribe()
})

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Promise<A> =>
  Effect.runPromise(Scope.provide(effect, scope))

const apiConnection = () => ({
  nodeId: `api-${nodeId}`,
  seed: server.credentials.api.seed,
  inboxPrefix: server.credentials.api.inboxPrefix
})

/** Connected once the server has taken the client up. */
async function admitted(credentials: NatsCredentials): Promise<NatsConnection> {
  let connection: NatsConnection | undefined
  await until("it is let in", async () => {
    connection = await connectAs(server.url, credentials).catch(() => undefined)
    return connection !== undefined
  })
  return connection as NatsConnection
}

const request = (subject: string, body?: unknown): Promise<Msg> =>
  client.request(subject, body === undefined ? undefined : JSON.stringify(body), { timeout: 5_000 })

// biome-ignore lint/suspicious/noExplicitAny: bodies are what the test is about
async function ask(what: string, body?: unknown): Promise<any> {
  const answer = await request(`troupe.api.v1.${what}`, body)
  expect(answer.headers?.get("Nats-Service-Error-Code") ?? "").toBe("")
  return answer.json()
}

async function refusal(what: string, body?: unknown): Promise<{ message: string; status: number }> {
  const answer = await request(`troupe.api.v1.${what}`, body)
  const { message, status } = answer.json<{ message: string; status: number }>()
  expect(answer.headers?.get("Nats-Service-Error-Code")).toBe(String(status))
  expect(answer.headers?.get("Nats-Service-Error")).toBe(message.slice(0, 1_024))
  return { message, status }
}

const spec = (name: string, image = "busybox") => ({
  Name: name,
  TaskTemplate: { ContainerSpec: { Image: image } },
  Mode: { Replicated: { Replicas: 2 } }
})

const httpGet = async (path: string): Promise<unknown> => (await gateway.app.request(path)).json()

describe("requests", () => {
  test("a service is created, found, changed and removed, with the HTTP API's own bodies", async () => {
    const { ID } = await ask("service.create", spec("web"))
    const created = await ask("service.inspect", { ID: "web" })
    expect(created).toEqual(await httpGet(`/services/${ID}`))
    expect(await ask("service.list", { filters: { name: ["web"] } })).toEqual([created])

    await ask("service.update", { ...created, Spec: { ...created.Spec, Labels: { a: "b" } } })
    const updated = await ask("service.inspect", { ID })
    expect(updated.Spec.Labels).toEqual({ a: "b" })
    expect(updated.Version.Index).toBeGreaterThan(created.Version.Index)

    expect(await ask("service.remove", { ID })).toEqual({})
    expect(await ask("service.list")).toEqual([])
  })

  test("nodes and tasks are listed as over HTTP", async () => {
    expect(await ask("node.list")).toEqual(await httpGet("/nodes"))
    expect(await ask("task.list")).toEqual(await httpGet("/tasks"))
    expect(await ask("node.inspect", { ID: nodeId })).toEqual(await httpGet(`/nodes/${nodeId}`))
  })

  test("errors have the HTTP API's words and status, and the micro protocol's headers", async () => {
    expect(await refusal("service.inspect", { ID: "nowhere" })).toEqual({
      message: "service nowhere not found",
      status: 404
    })
    await ask("service.create", spec("twice"))
    const again = await refusal("service.create", spec("twice"))
    expect(again).toMatchObject({ status: 409, message: expect.stringContaining("name conflicts") })
    const { ID } = await ask("service.inspect", { ID: "twice" })
    const stale = await refusal("service.update", { ID, Version: { Index: 1 }, Spec: spec("twice") })
    expect(stale.message).toContain("update out of sequence")
    await ask("service.remove", { ID })
  })

  test("a bad body changes nothing, and the next request is answered", async () => {
    const before = gateway.ledger.read.index
    const answer = await client.request("troupe.api.v1.service.create", "{", { timeout: 5_000 })
    expect(answer.json<{ status: number }>().status).toBe(400)
    expect((await refusal("service.remove", { id: "lower" })).status).toBe(400)
    expect((await refusal("service.create", { Name: 7 })).status).toBe(400)
    for (const ID of ["", ".", ".."]) {
      expect((await refusal("service.inspect", { ID })).message).toContain("expected an id or a name")
      expect((await refusal("service.remove", { ID })).status).toBe(400)
    }
    expect(gateway.ledger.read.index).toBe(before)
    expect(await ask("service.list")).toEqual([])
  })

  test("without a leader a request is refused as over HTTP, and not kept waiting", async () => {
    gateway.raft.leaderless = true
    try {
      expect(await refusal("service.list")).toMatchObject({
        status: 503,
        message: expect.stringContaining("does not have a leader")
      })
      expect((await refusal("event.list")).status).toBe(503)
    } finally {
      gateway.raft.leaderless = false
    }
  })

  test("a list that one message cannot carry is asked for in parts", async () => {
    const env = Array.from({ length: 200 }, (_, i) => `VARIABLE_${i}=${"x".repeat(1_000)}`)
    for (let i = 0; i < 8; i++) {
      const fat = spec(`fat${i}`)
      await ask("service.create", {
        ...fat,
        TaskTemplate: { ContainerSpec: { ...fat.TaskTemplate.ContainerSpec, Env: env } }
      })
    }
    const tooMuch = await refusal("service.list")
    expect(tooMuch.status).toBe(413)
    expect(tooMuch.message).toContain('"limit" and "after"')
    const names: Array<string> = []
    let after: string | undefined
    for (;;) {
      const part = await ask("service.list", { limit: 3, ...(after === undefined ? {} : { after }) })
      if (part.length === 0) break
      names.push(...part.map((service: { Spec: { Name: string } }) => service.Spec.Name))
      after = part.at(-1).ID
    }
    expect(names.sort()).toEqual(Array.from({ length: 8 }, (_, i) => `fat${i}`))
    for (const name of names) await ask("service.remove", { ID: name })
  })

  test("an answer cannot be led to an actor: the API's own connection may not speak there", async () => {
    const heard: Array<string> = []
    const daemon = await connectAs(server.url, server.credentials.daemon)
    daemon.subscribe(`troupe.v1.${cluster}.>`, { callback: (_, message) => void heard.push(message.subject) })
    await daemon.flush()
    client.publish("troupe.api.v1.service.list", "{}", { reply: "troupe.v1.blue.leader.service.x.in" })
    await ask("service.list")
    daemon.publish("troupe.v1.blue.n1.node.x.out")
    await until("what was published arrived", () => heard.length > 0)
    expect(heard).toEqual(["troupe.v1.blue.n1.node.x.out"])
    await daemon.close()
  })

  test("an answer cannot be led to those who hear events, figures, output or loads", async () => {
    const heard: Array<string> = []
    const listener = await admitted(await letIn(dataDir, "listener"))
    listener.subscribe("troupe.event.v1.>", { callback: (_, { subject }) => void heard.push(subject) })
    listener.subscribe("troupe.metric.v1.>", { callback: (_, { subject }) => void heard.push(subject) })
    await listener.flush()
    const forged = [`troupe.event.v1.${cluster}.service.remove.x`, `troupe.metric.v1.${cluster}.node.n1`]
    for (const reply of forged) {
      client.publish("troupe.api.v1.service.list", "{}", { reply })
      client.publish("$SRV.PING", "", { reply })
    }
    // It is announced after whatever those requests were answered with.
    const { ID } = await ask("service.create", spec("honest"))
    await until("it is heard", () => heard.includes(`troupe.event.v1.${cluster}.service.create.${ID}`))
    expect(heard.filter((subject) => forged.includes(subject))).toEqual([])
    await ask("service.remove", { ID })
    await listener.close()
  })

  test("a read-only client lists and is not let create", async () => {
    const credentials = await letIn(dataDir, "viewer", { readOnly: true })
    const viewer = await admitted(credentials)
    const answer = await viewer.request("troupe.api.v1.node.list", "{}", { timeout: 5_000 })
    expect(answer.json()).toEqual(await httpGet("/nodes"))
    const before = gateway.ledger.read.index
    expect(
      await objectionTo(viewer, () =>
        viewer.publish("troupe.api.v1.service.create", JSON.stringify(spec("no")))
      )
    ).toContain("Permissions Violation")
    expect(gateway.ledger.read.index).toBe(before)
    await viewer.close()
  })
})

describe("who asks", () => {
  const named = async (name: string): Promise<NatsConnection> =>
    admitted(await letIn(dataDir, name, { named: true }))
  const create = async (by: NatsConnection, prefix: string, name: string, more = {}): Promise<string> => {
    const answer = await by.request(`${prefix}.service.create`, JSON.stringify(spec(name)), {
      timeout: 5_000,
      ...more
    })
    return answer.json<{ ID: string }>().ID
  }
  /** Who created it, as an event says. */
  const whoMade = async (make: () => Promise<string>): Promise<string | undefined> => {
    const { newest } = await ask("event.list")
    const id = await make()
    const { events } = await ask("event.list", { after: newest })
    await ask("service.remove", { ID: id })
    return events.find((event: ClusterEvent) => event.id === id)?.who
  }

  test("is who asks on subjects of its own, and nobody in particular on everybody's", async () => {
    const [ci, ops] = [await named("ci"), await named("ops")]
    expect(await whoMade(() => create(ci, "troupe.api.v1.as.ci", "a"))).toBe("nats:ci")
    expect(await whoMade(() => create(ops, "troupe.api.v1.as.ops", "b"))).toBe("nats:ops")
    expect(await whoMade(() => create(client, "troupe.api.v1", "c"))).toBe("nats")
    expect(await whoMade(() => create(client, "troupe.api.v1.as.shop", "d"))).toBe("nats:shop")
    await ci.close()
    await ops.close()
  })

  test("cannot be said by another: not by the subject, a header, or where the answer goes", async () => {
    const [ci, ops] = [await named("ci"), await named("ops")]
    const before = gateway.ledger.read.index
    for (const by of [ci, client]) {
      for (const subject of ["troupe.api.v1.as.ops.service.create", "troupe.api.v1.as.*.service.create"]) {
        const objection = await objectionTo(by, () => by.publish(subject, JSON.stringify(spec("forged"))))
        expect(objection).toContain("Permissions Violation")
      }
    }
    // Nor does it hide.
    const hidden = () => ci.publish("troupe.api.v1.service.create", JSON.stringify(spec("hidden")))
    expect(await objectionTo(ci, hidden)).toContain("Permissions Violation")
    expect(gateway.ledger.read.index).toBe(before)

    const heard: Array<string> = []
    ops.subscribe("_INBOX.client-ops.>", { callback: (_, message) => void heard.push(message.string()) })
    await ops.flush()
    const carried = headers()
    for (const name of ["Troupe-Client", "troupe-client", "Nats-Request-Info", "troupe-from"])
      carried.set(name, "ops")
    const { newest } = await ask("event.list")
    ci.publish("troupe.api.v1.as.ci.service.create", JSON.stringify(spec("led")), {
      headers: carried,
      reply: "_INBOX.client-ops.x"
    })
    await until("it is answered", () => heard.length > 0)
    const { events } = await ask("event.list", { after: newest })
    expect(events.map(({ who }: ClusterEvent) => who)).toEqual(["nats:ci"])
    await ask("service.remove", { ID: "led" })
    await ci.close()
    await ops.close()
  })

  test("a read-only client lists on its own subjects, and changes nothing there", async () => {
    const viewer = await admitted(await letIn(dataDir, "guest", { readOnly: true, named: true }))
    const own = "troupe.api.v1.as.guest"
    expect((await viewer.request(`${own}.node.list`, "{}", { timeout: 5_000 })).json()).toEqual(
      await httpGet("/nodes")
    )
    const change = () => viewer.publish(`${own}.service.create`, JSON.stringify(spec("no")))
    expect(await objectionTo(viewer, change)).toContain("Permissions Violation")
    await viewer.close()
  })
})

describe("the micro service", () => {
  const identity = { name: "troupe", id: nodeId, version: "0.1.0", metadata: { cluster } }

  test("PING, INFO and STATS answer, to all, by name and by id", async () => {
    for (const suffix of ["", ".troupe", `.troupe.${nodeId}`]) {
      expect((await request(`$SRV.PING${suffix}`)).json()).toEqual({
        type: "io.nats.micro.v1.ping_response",
        ...identity
      })
      const info = (await request(`$SRV.INFO${suffix}`)).json<{ endpoints: Array<{ name: string }> }>()
      expect(info).toMatchObject({ type: "io.nats.micro.v1.info_response", ...identity })
      expect(info.endpoints.map(({ name }) => name)).toContain("service-create")
      expect((await request(`$SRV.STATS${suffix}`)).json()).toMatchObject({
        type: "io.nats.micro.v1.stats_response",
        ...identity
      })
    }
    const strangers = client.request("$SRV.PING.other", undefined, { timeout: 300 })
    expect(strangers).rejects.toThrow()
    await strangers.catch(() => {})
  })

  test("STATS count requests, errors and time per endpoint", async () => {
    const stats = async () => {
      const answer = (await request("$SRV.STATS.troupe")).json<{
        started: string
        endpoints: Array<Record<string, unknown>>
      }>()
      expect(Number.isNaN(Date.parse(answer.started))).toBe(false)
      return answer.endpoints.find(({ name }) => name === "service-inspect") ?? {}
    }
    const before = await stats()
    await refusal("service.inspect", { ID: "nowhere" })
    const after = await stats()
    expect(after).toMatchObject({
      subject: "troupe.api.v1.service.inspect",
      queue_group: "q",
      num_requests: Number(before.num_requests) + 1,
      num_errors: Number(before.num_errors) + 1,
      last_error: "service nowhere not found"
    })
    expect(Number(after.processing_time)).toBeGreaterThan(Number(before.processing_time))
    expect(after.average_processing_time).toBe(
      Math.round(Number(after.processing_time) / Number(after.num_requests))
    )
  })
})

describe("events", () => {
  let newest: Sequence = { index: 0, position: 0, of: 0 }

  beforeAll(async () => {
    client.subscribe(`troupe.event.v1.${cluster}.>`, {
      callback: (_, message) => {
        newest = message.json<ClusterEvent>().sequence
      }
    })
    const { ID } = await ask("service.create", spec("first"))
    await ask("service.remove", { ID })
  })

  /** Hears what happens from now on: an event may be told after the answer to who asked for the change. */
  const listen = async (subject: string): Promise<Array<{ subject: string; event: ClusterEvent }>> => {
    const known: Sequence = (await ask("event.list")).newest
    await until("all events are told", () => compareSequences(newest, known) >= 0)
    const heard: Array<{ subject: string; event: ClusterEvent }> = []
    const subscription = client.subscribe(subject, {
      callback: (_, message) =>
        void heard.push({ subject: message.subject, event: message.json<ClusterEvent>() })
    })
    subscriptions.push(subscription)
    await client.flush()
    return heard
  }

  test("every change is announced on a subject that says what happened to whom", async () => {
    const heard = await listen(`troupe.event.v1.${cluster}.service.>`)
    const { ID } = await ask("service.create", spec("seen"))
    await ask("service.remove", { ID })
    await until("both are heard", () => heard.length >= 2)
    expect(heard.map(({ subject }) => subject)).toEqual([
      `troupe.event.v1.${cluster}.service.create.${ID}`,
      `troupe.event.v1.${cluster}.service.remove.${ID}`
    ])
    expect(heard[0]?.event).toMatchObject({ action: "create", object: { name: "seen", replicas: 2 } })
  })

  test("who missed some asks for what came after the last one it knows, and has them all", async () => {
    const heard = await listen(`troupe.event.v1.${cluster}.>`)
    const { ID } = await ask("service.create", spec("one"))
    await until("the first is heard", () => heard.length > 0)
    const last: Sequence = heard.at(-1)?.event.sequence ?? { index: 0, position: 0, of: 0 }
    for (const subscription of subscriptions.splice(0)) subscription.unsubscribe()

    const others = []
    for (const name of ["two", "three"]) others.push((await ask("service.create", spec(name))).ID)
    const again = await listen(`troupe.event.v1.${cluster}.>`)
    await ask("service.remove", { ID })
    await until("one is heard again", () => again.length > 0)
    // The gap shows: the event before it is not the last one that is known.
    expect(again[0]?.event.previous).not.toEqual(last)

    const { events, more } = await ask("event.list", { after: last })
    expect(more).toBe(false)
    expect(events.map(({ action, id }: ClusterEvent) => `${action} ${id}`)).toEqual([
      ...others.map((id) => `create ${id}`),
      `remove ${ID}`
    ])
    let known = last
    for (const event of events) {
      expect(event.previous).toEqual(known)
      known = event.sequence
    }
    for (const id of others) await ask("service.remove", { ID: id })
  })

  test("a stranger to the stream learns where it stands, and one too far behind that it is", async () => {
    const { newest, events } = await ask("event.list")
    expect(events).toEqual([])
    expect((await ask("event.list", { after: newest })).events).toEqual([])
    for (let i = 0; i < 40; i++) {
      const { ID } = await ask("service.create", spec(`churn${i}`))
      await ask("service.remove", { ID })
    }
    expect((await refusal("event.list", { after: newest })).status).toBe(410)
    const wrong = await refusal("event.list", { after: { index: "x", position: 1, of: 1 } })
    expect(wrong).toEqual({
      status: 400,
      message: 'Cannot list event: the body\'s after.index: expected number, found "x"'
    })
    expect((await refusal("event.list", { after: { ...newest, at: 1 }, limt: 1 })).message).toMatch(
      /body's (limt: expected after or limit, found 1|after.at: expected index, position or of, found 1)$/
    )
    // As of a cluster that was begun anew from a backup: it would wait for ever.
    const ahead = { index: gateway.ledger.read.index + 1, position: 1, of: 1 }
    expect((await refusal("event.list", { after: ahead })).status).toBe(410)
  })

  test("a secret's value is in no event", async () => {
    const heard = await listen("troupe.event.v1.>")
    await gateway.write({
      type: "secret.create",
      v: 1,
      secret: { ID: "s1", Spec: { Name: "canary", Data: "Y2FuYXJ5LXZhbHVl" } }
    })
    await until("it is heard", () => heard.some(({ event }) => event.resource === "secret"))
    expect(JSON.stringify(heard)).not.toContain("Y2FuYXJ5LXZhbHVl")
    expect(heard.map(({ event }) => event.object.name)).toContain("canary")
  })

  test("kill -9 of nats-server: the API answers again, and the gap in the events can be closed", async () => {
    const { newest } = await ask("event.list")
    process.kill(server.status().pid ?? 0, "SIGKILL")
    const created = await gateway.app.request("/services/create", {
      method: "POST",
      body: JSON.stringify(spec("meanwhile"))
    })
    const { ID } = (await created.json()) as { ID: string }
    await until("the API answers", async () => {
      const answer = await client
        .request("troupe.api.v1.service.list", "{}", { timeout: 500 })
        .catch(() => undefined)
      return answer !== undefined
    })
    const { events } = await ask("event.list", { after: newest })
    expect(events.map(({ id }: ClusterEvent) => id)).toEqual([ID])
  })
})
