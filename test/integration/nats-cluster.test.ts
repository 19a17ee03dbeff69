/** Three managers' nats-servers as one cluster: joined by routes at run time, restarted in turn under load. */
import { afterEach, expect, test } from "bun:test"
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import process from "node:process"
import { Effect, Exit, Schema, Scope } from "effect"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import type { Held } from "#actors/authority/store.ts"
import { identityOf, isAlive } from "#actors/drivers/machine/process-identity.ts"
import { natsPaths } from "#actors/drivers/nats-server/paths.ts"
import { natsServer } from "#actors/nats/actor.ts"
import { publicKeysOf } from "#actors/nats/creds.ts"
import { FromNats } from "#actors/nats/protocol.ts"
import {
  NatsServer,
  type NatsServerOptions,
  type NatsServerService,
  startNatsServer
} from "#actors/nats/server.ts"
import { followRoutePassword } from "#cli/manager-nats.ts"
import { reply } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { type LocalSystem, makeSystem } from "#runtime/live.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { type NatsTransportService, natsTransport } from "#runtime/transport/nats.ts"
import type { Outcome } from "#runtime/wire.ts"
import { prepareManager } from "#test/actors/nats/started-manager.ts"
import { freshDirectory, holdGuard, until } from "#test/actors/nats/support.ts"

const endings: Array<() => unknown> = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

const scoped = async <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Promise<A> => {
  const scope = Effect.runSync(Scope.make())
  endings.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Effect.runPromise(Scope.provide(effect, scope))
}

interface Manager {
  readonly nodeId: string
  readonly dataDir: string
  readonly server: NatsServerService
}

const start = async (nodeId: string, more: Partial<NatsServerOptions> = {}): Promise<Manager> => {
  const dataDir = freshDirectory()
  endings.push(() => rmSync(dataDir, { recursive: true, force: true }))
  const cluster = { name: "c1", host: "127.0.0.1", port: 0, user: "route", password: "s3:cret/", routes: [] }
  return {
    nodeId,
    dataDir,
    server: await scoped(startNatsServer({ dataDir, nodeId, clusterId: "c1", port: 0, cluster, ...more }))
  }
}

const join = async (managers: ReadonlyArray<Manager>): Promise<void> => {
  const routes = managers.map(({ server }) => server.route ?? "")
  const members = managers.map(({ nodeId, server }) => ({
    nodeId,
    raftId: nodeId,
    keys: publicKeysOf(server.credentials)
  }))
  for (const { server } of managers) await Effect.runPromise(server.setPeers({ routes, members }))
}

const connect = (managers: ReadonlyArray<Manager>, own: number): Promise<NatsTransportService> => {
  const { nodeId, server } = managers[own] as Manager
  const inOrder = [...managers.slice(own), ...managers.slice(0, own)]
  const servers = inOrder.map((manager) => manager.server.url)
  return scoped(natsTransport({ servers, nodeId, seed: server.credentials.daemon.seed, inOrder: true }))
}

const three = async (): Promise<ReadonlyArray<Manager>> => {
  const managers = await Promise.all(["n1", "n2", "n3"].map((nodeId) => start(nodeId)))
  await join(managers)
  return managers
}

/** What each number was handled with, how often. */
const count = Schema.Struct({ n: Schema.Int })
const ledger = (handled: Map<number, number>) =>
  actor<undefined, null, typeof count.Type, never>({
    kind: "task",
    accepts: count,
    start: () => stay(null),
    decide: (state, { n }, { asker }) => {
      handled.set(n, (handled.get(n) ?? 0) + 1)
      return asker ? stay(state, reply(asker, { n })) : stay(state)
    }
  })

const systemOn = (transport: NatsTransportService, nodeId: string): LocalSystem => {
  const system = makeSystem({ cluster: "c1", nodeId, host: makeLiveHost(), transport })
  endings.push(() => system.close())
  return system
}

const askOnce = (system: LocalSystem, home: string, n: number): Promise<Outcome> =>
  new Promise((resolve) => {
    system.askOnceThen({ home, kind: "task", id: "main" }, { n }, 20_000, resolve)
  })

/**
 * What a server of 2.9 remembers of a subject that nobody heard can outlive a change of its accounts, until any
 * subscription changes. Managers' own connections do this all the time.
 */
const stir = (transport: NatsTransportService): void =>
  transport.subscribe("troupe.v1.c1.n2.task.stir.in", {}, () => {}).unsubscribe()

test("servers that were started alone become a cluster while they run, without cutting off their clients", async () => {
  const managers = await Promise.all(["n1", "n2"].map((nodeId) => start(nodeId)))
  const transports = [await connect(managers.slice(0, 1), 0), await connect(managers.slice(1), 0)]
  const [near, far] = transports as [NatsTransportService, NatsTransportService]
  far.subscribe("troupe.v1.c1.n2.task.hello.in", {}, (delivery) => delivery.respond?.({}, delivery.body))
  const ask = (): Promise<boolean> =>
    Effect.runPromise(
      near
        .request("troupe.v1.c1.n2.task.hello.in", {}, new Uint8Array(1), 500)
        .pipe(Effect.match({ onSuccess: () => true, onFailure: () => false }))
    )
  expect(await ask()).toBe(false)
  await join(managers)
  await until("they reach each other", () => {
    stir(far)
    return ask()
  })
  expect(transports.map((each) => each.counters().disconnects)).toEqual([0, 0])
  // And a server that goes is no route any more, while the other one stays.
  await join(managers.slice(0, 1))
  await until("they do not", async () => !(await ask()))
}, 60_000)

test("whom to let in is known before there is a route: what comes over it meanwhile would be dropped for good", async () => {
  const managers = await Promise.all(["n1", "n2"].map((nodeId) => start(nodeId)))
  await join(managers)
  for (const { dataDir } of managers) {
    const log = (): string => readFileSync(natsPaths(dataDir).log, "utf8")
    await until("there is a route", () => log().includes("Reloaded: cluster routes"))
    const [accounts, reloaded, routes] = [
      log().indexOf("Reloaded: accounts"),
      log().indexOf("Reloaded server configuration"),
      log().indexOf("Reloaded: cluster routes")
    ]
    expect(accounts).toBeGreaterThan(0)
    expect(reloaded).toBeGreaterThan(accounts)
    expect(routes).toBeGreaterThan(reloaded)
  }
}, 60_000)

test("a server that says it has forgotten what others' clients hear is restarted, and its clients lose nothing", async () => {
  const [own, other] = (await Promise.all([start("n1", { attendEveryMs: 100 }), start("n2")])) as [
    Manager,
    Manager
  ]
  await join([own, other])
  const transport = await connect([own, other], 0)
  const words = 'rid:7 - Unknown account "TROUPE" for remote subject "troupe.v1.c1.n2.task.hello.in"'
  appendFileSync(
    natsPaths(own.dataDir).log,
    `[1] 2026/01/01 00:00:00.000000 [ERR] 127.0.0.1:33835 - ${words}\n`
  )
  await until("it has been restarted", () => own.server.status().restarts === 1)
  expect(transport.counters()).toMatchObject({ disconnects: 0 })
  expect(transport.counters().moves).toBeGreaterThan(0)
}, 60_000)

test("who comes and goes while a server takes its configuration is heard, and hears, through the other one", async () => {
  const managers = await Promise.all(["n1", "n2"].map((nodeId) => start(nodeId)))
  await join(managers)
  const [own, other] = managers as [Manager, Manager]
  const far = await connect([other], 0)
  far.subscribe("troupe.v1.c1.n2.task.hello.in", {}, (delivery) => delivery.respond?.({}, delivery.body))
  const open = (scope: Scope.Closeable): Promise<NatsTransportService> =>
    Effect.runPromise(
      natsTransport({
        servers: [own.server.url],
        nodeId: "n1",
        seed: own.server.credentials.daemon.seed
      }).pipe(Effect.provideService(Scope.Scope, scope))
    )
  const asks = (from: NatsTransportService, subject: string): Promise<boolean> =>
    Effect.runPromise(
      from
        .request(subject, {}, new Uint8Array(1), 1_000)
        .pipe(Effect.match({ onSuccess: () => true, onFailure: () => false }))
    )
  const pid = own.server.status().pid ?? 0
  const configuration = natsPaths(own.dataDir).config
  const written = readFileSync(configuration, "utf8")
  for (let round = 0; round < 40; round++) {
    // Its accounts are compared with what it has: a user more or less makes it take them anew.
    const stranger = `{ user: u${round}, password: "$2a$04$${"x".repeat(53)}" }, `
    writeFileSync(configuration, written.replace("users: [", `users: [ ${stranger}`))
    const scope = Effect.runSync(Scope.make())
    const near = await open(scope)
    near.subscribe("troupe.v1.c1.n1.task.hello.in", {}, (delivery) => delivery.respond?.({}, delivery.body))
    process.kill(pid, "SIGHUP")
    // Anywhere within what a reload takes.
    await new Promise((resolve) => setTimeout(resolve, round % 12))
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
  writeFileSync(configuration, written)
  process.kill(pid, "SIGHUP")
  const scope = Effect.runSync(Scope.make())
  endings.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const near = await open(scope)
  near.subscribe("troupe.v1.c1.n1.task.hello.in", {}, (delivery) => delivery.respond?.({}, delivery.body))
  await until("it hears answers", () => {
    stir(near)
    return asks(near, "troupe.v1.c1.n2.task.hello.in")
  })
  await until("it is heard", () => {
    stir(far)
    return asks(far, "troupe.v1.c1.n1.task.hello.in")
  })
}, 60_000)

test("a connection is taken anew without a question lost, and what it hears goes by new names", async () => {
  const managers = await Promise.all(["n1", "n2"].map((nodeId) => start(nodeId)))
  await join(managers)
  const [near, far] = [await connect(managers, 0), await connect(managers, 1)]
  const answers = (transport: NatsTransportService, subject: string): void => {
    transport.subscribe(subject, {}, (delivery) => delivery.respond?.({}, delivery.body))
  }
  answers(near, "troupe.v1.c1.n1.task.hello.in")
  answers(far, "troupe.v1.c1.n2.task.hello.in")
  const ask = (from: NatsTransportService, subject: string): Promise<boolean> =>
    Effect.runPromise(
      from
        .request(subject, {}, new Uint8Array(1), 5_000)
        .pipe(Effect.match({ onSuccess: () => true, onFailure: () => false }))
    )
  const both = async (): Promise<boolean> =>
    (await ask(near, "troupe.v1.c1.n2.task.hello.in")) && (await ask(far, "troupe.v1.c1.n1.task.hello.in"))
  await until("they hear each other", both)
  let over = false
  const renewed = near.renew().finally(() => {
    over = true
  })
  while (!over) expect(await both()).toBe(true)
  expect(await renewed).toBe(true)
  expect(await both()).toBe(true)
  expect(near.counters()).toMatchObject({ moves: 1, disconnects: 0 })
  expect(near.server()).toBe(managers[0]?.server.url.replace("nats://", "") ?? "")
}, 60_000)

test("after another password of the routes, connections are taken anew, and all that is said between servers is heard", async () => {
  const managers = await Promise.all(["n1", "n2"].map((nodeId) => start(nodeId)))
  await join(managers)
  const ends = await Promise.all(
    managers.map(async ({ server }, own) => {
      const transport = await connect(managers, own)
      const heldWith = (routePassword: string) => ({ membership: { routePassword } }) as unknown as Held
      let told: (held: Held) => Effect.Effect<void> = () => Effect.void
      const credentials: Pick<CredentialsService, "held" | "follow"> = {
        // Changed since the server was started.
        held: () => heldWith("other"),
        follow: (tell) =>
          Effect.sync(() => {
            told = tell
          })
      }
      await scoped(followRoutePassword(credentials, server, [transport]))
      return { transport, shown: (password: string) => Effect.runPromise(told(heldWith(password))) }
    })
  )
  const [near, far] = ends.map(({ transport }) => transport) as [NatsTransportService, NatsTransportService]
  let heard = 0
  far.subscribe("troupe.v1.c1.n2.task.hello.in", {}, () => {
    heard += 1
  })
  // A server that is restarted because it forgot what others hear sends its clients away as well.
  const moves = (): ReadonlyArray<number> => ends.map(({ transport }) => transport.counters().moves)
  const takenAnew = (before: ReadonlyArray<number>): Promise<void> =>
    until("each is taken anew", () => moves().every((count, own) => count > (before[own] ?? 0)))
  await takenAnew([0, 0])
  for (const password of ["third", "fourth"]) {
    const before = moves()
    await Promise.all(ends.map(({ shown }) => shown(password)))
    await takenAnew(before)
  }
  heard = 0
  for (let at = 0; at < 50; at++) near.publish("troupe.v1.c1.n2.task.hello.in", {}, new Uint8Array(1))
  await until("all of it is heard", () => heard === 50)
}, 60_000)

test("all three restarted in turn under load: no question is lost, none is handled twice, all come home", async () => {
  const managers = await three()
  const transports = await Promise.all(managers.map((_, own) => connect(managers, own)))
  const systems = transports.map((transport, i) => systemOn(transport, `n${i + 1}`))
  const handled = new Map<number, number>()
  const top = supervisor({ name: "top", strategy: "one-for-one", children: [permanent(ledger(handled))] })
  const tree = (systems[0] as LocalSystem).startTree(top, "n1")
  endings.push(() => new Promise<void>((resolve) => tree.stop(resolve)))

  let on = true
  let asked = 0
  const wrong: Outcome[] = []
  const load = systems.slice(1).map(async (system) => {
    while (on) {
      const n = asked++
      const outcome = await askOnce(system, "n1", n)
      if (outcome._tag !== "Answer") wrong.push(outcome)
    }
  })
  for (const { server } of managers) {
    const before = asked
    await Effect.runPromise(server.restart)
    expect(server.status()).toMatchObject({ state: "running", restarts: 1, lastError: "restarted by hand" })
    await until("the load goes on", () => asked > before + 20)
  }
  await until("all are at home", () =>
    transports.every((transport, i) => managers[i]?.server.url.endsWith(transport.server()))
  )
  on = false
  await Promise.all(load)
  expect(wrong).toEqual([])
  expect([...handled.values()].filter((times) => times !== 1)).toEqual([])
  expect(handled.size).toBe(asked)
  expect(transports.map((each) => each.counters().disconnects)).toEqual([0, 0, 0])
}, 60_000)

test("a manager's server is in its tree, and whoever asks its actor restarts it; several who ask restart it once", async () => {
  const managers = await three()
  const [own] = managers as [Manager]
  const transports = await Promise.all([0, 1].map((index) => connect(managers, index)))
  const [near, far] = transports.map((each, i) => systemOn(each, `n${i + 1}`)) as [LocalSystem, LocalSystem]
  const child = permanent(natsServer, { props: { status: own.server.status() }, stopWithin: 0 })
  await scoped(
    near
      .run(supervisor({ name: "node", strategy: "one-for-one", children: [child] }), "n1")
      .pipe(Effect.provideService(NatsServer, own.server))
  )
  const summary = (): string => near.trees()[0]?.children[0]?.summary ?? ""
  expect(summary()).toContain(`running, pid ${own.server.status().pid}`)
  const restart = () =>
    Effect.runPromise(
      far.askOnce({ home: "n1", kind: "nats", id: "main" }, { _tag: "RestartServer" }, 20_000, FromNats)
    )
  expect(await Promise.all([restart(), restart()])).toEqual([
    { _tag: "ServerRestarted" },
    { _tag: "ServerRestarted" }
  ])
  expect(own.server.status().restarts).toBe(1)
  await until("the tree shows it", () => summary().includes("restarted 1 times"))
  expect(summary()).toContain(`pid ${own.server.status().pid}`)
}, 60_000)

test("a manager's crash leaves its server in the cluster for a moment; the next manager takes it over with its routes", async () => {
  const other = await start("n2")
  const dataDir = freshDirectory()
  endings.push(() => rmSync(dataDir, { recursive: true, force: true }))
  const prepare = () => prepareManager([dataDir, "0", "n1", JSON.stringify([other.server.route])], endings)
  const first = await (await prepare())()
  const left = identityOf(first.status.pid ?? 0)
  const near = await scoped(
    natsTransport({ servers: [first.url], nodeId: "n1", seed: first.credentials.seed })
  )
  const far = await connect([other], 0)
  far.subscribe("troupe.v1.c1.n2.task.hello.in", {}, (delivery) => delivery.respond?.({}, delivery.body))
  const reached = (): Promise<boolean> =>
    Effect.runPromise(
      near
        .request("troupe.v1.c1.n2.task.hello.in", {}, new Uint8Array(1), 500)
        .pipe(Effect.match({ onSuccess: () => true, onFailure: () => false }))
    )
  await until("they reach each other", () => {
    stir(far)
    return reached()
  })
  const startSecond = await prepare()
  holdGuard(dataDir, endings)
  first.child.kill("SIGKILL")
  await until("they still reach each other", reached)
  const second = await startSecond()
  expect(second.status).toMatchObject({ adopted: true, pid: first.status.pid })
  expect(second.route).toBe(first.route)
  await until("they reach each other as before", reached)
  expect(near.counters().disconnects).toBe(0)
  second.child.kill("SIGTERM")
  await until("it has ended its server", () => left !== undefined && !isAlive(left))
}, 60_000)

test("a server killed under load costs no question and doubles none", async () => {
  const managers = await three()
  const transports = await Promise.all(managers.map((_, own) => connect(managers, own)))
  const systems = transports.map((transport, i) => systemOn(transport, `n${i + 1}`))
  const handled = new Map<number, number>()
  const top = supervisor({ name: "top", strategy: "one-for-one", children: [permanent(ledger(handled))] })
  const tree = (systems[0] as LocalSystem).startTree(top, "n1")
  endings.push(() => new Promise<void>((resolve) => tree.stop(resolve)))
  // So that who is asked is known to have been there all the time.
  await until(
    "it is asked",
    async () => (await askOnce(systems[1] as LocalSystem, "n1", -1))._tag === "Answer"
  )
  await new Promise((resolve) => setTimeout(resolve, 2_100))
  handled.clear()

  let on = true
  let asked = 0
  const wrong: Outcome[] = []
  const load = systems.slice(1).flatMap((system) =>
    Array.from({ length: 8 }, async () => {
      while (on) {
        const outcome = await askOnce(system, "n1", asked++)
        if (outcome._tag !== "Answer") wrong.push(outcome)
      }
    })
  )
  for (const index of [0, 1]) {
    const before = asked
    process.kill(managers[index]?.server.status().pid ?? 0, "SIGKILL")
    await until("it is back", () => managers[index]?.server.status().restarts === 1)
    await until("the load goes on", () => asked > before + 200)
  }
  on = false
  await Promise.all(load)
  expect(wrong).toEqual([])
  expect([...handled.values()].filter((times) => times !== 1)).toEqual([])
  expect(handled.size).toBe(asked)
}, 60_000)
