/** NATS keeps the contract of every transport, against a real nats-server that is killed and comes back. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Effect, Exit, Fiber, Scope } from "effect"
import { makeLiveHost } from "#runtime/host-live.ts"
import { type NatsOptions, type NatsTransportService, natsTransport } from "#runtime/transport/nats.ts"
import type { CallOutcome, TransportStatus } from "#runtime/transport.ts"
import { transportContract } from "#test/contract/transport.ts"
import { type Gate, openGate } from "#test/support/gate.ts"
import { type NatsServer, startNatsServer, until } from "#test/support/nats-server.ts"

// A server takes seconds to start on a busy machine.
setDefaultTimeout(30_000)

let server: NatsServer
const scope = Scope.makeUnsafe()

beforeAll(async () => {
  server = await startNatsServer()
})

afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await server.close()
})

const options = (nodeId: string) => ({
  servers: [server.url],
  nodeId,
  user: server.user,
  password: server.password
})

const connect = (nodeId: string, more: Partial<NatsOptions> = {}): Promise<NatsTransportService> =>
  Effect.runPromise(
    natsTransport({ ...options(nodeId), ...more }).pipe(Effect.provideService(Scope.Scope, scope))
  )

transportContract("over NATS", () => ({
  connect,
  breakLinks: () => server.kill(),
  mendLinks: () => server.start()
}))

describe("connecting to NATS", () => {
  test("the first connection waits for a server that starts later", async () => {
    await server.kill()
    const connecting = connect("early")
    await server.start()
    const transport = await connecting
    expect(transport.isConnected()).toBe(true)
  }, 20_000)

  test("waiting for a server ends with the scope", async () => {
    const wrong = { ...options("wrong"), password: "not this one" }
    const fiber = Effect.runFork(Effect.scoped(natsTransport(wrong)))
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(Exit.isFailure(await Effect.runPromise(Fiber.await(fiber)))).toBe(true)
  })

  test("closing the scope sends what was said just before", async () => {
    const listener = await connect("listener")
    let seen = 0
    listener.subscribe("farewell", {}, () => seen++)
    await Effect.runPromise(listener.request("nobody", {}, new Uint8Array(), 1_000).pipe(Effect.flip))
    await Effect.runPromise(
      Effect.scoped(
        natsTransport(options("leaving")).pipe(
          Effect.tap((transport) => Effect.sync(() => transport.publish("farewell", {}, new Uint8Array())))
        )
      )
    )
    await until(() => seen === 1)
  })
})

describe("moving to another server", () => {
  const gates: Gate[] = []
  const gate = async (): Promise<Gate> => {
    const made = await openGate(server.port)
    gates.push(made)
    return made
  }
  afterEach(async () => {
    await Promise.all(gates.splice(0).map((each) => each.close()))
  })

  const call = (transport: NatsTransportService, subject: string): Promise<CallOutcome> =>
    new Promise((resolve) => {
      transport.call(subject, {}, new Uint8Array(), 10_000, resolve)
    })
  const echo = async (subject: string): Promise<void> => {
    const transport = await connect("echo")
    transport.subscribe(subject, {}, ({ respond, body }) => respond?.({}, body))
    await until(async () => !("_tag" in (await call(transport, subject))))
  }
  const live = makeLiveHost()
  /** Waits so much longer that a test on a busy machine is done with what it does meanwhile. */
  const patient = {
    ...live,
    after: (ms: number, fire: () => void) => live.after(ms < 400 ? ms : ms * 20, fire)
  }

  /** A client at the first gate, held up on its way to the second while that has not heard its subscriptions. */
  const heldUp = async (name: string) => {
    const [from, to] = [await gate(), await gate()]
    const client = await connect(name, { servers: [from.url], host: patient })
    client.subscribe(`held.${name}`, {}, () => {})
    to.holdFrom("SUB ")
    const moving = client.moveTo([to.url])
    await until(() => to.held() > 0)
    return { from, to, client, moving }
  }

  test("what is no subject is refused, and hinders no move", async () => {
    const [from, to] = [await gate(), await gate()]
    const client = await connect("refused", { servers: [from.url] })
    expect(() => client.subscribe("two words", {}, () => {})).toThrow("two words")
    expect(await client.moveTo([to.url])).toBe(true)
    expect([client.server(), client.counters().moves]).toEqual([to.at, 1])
    await until(() => from.open() === 0)
    expect(to.open()).toBe(1)
  })

  test("a client that is cut off meanwhile and is back hears its answers after the move", async () => {
    await echo("echo.moving")
    const { from, to, client, moving } = await heldUp("cut-off")
    from.cut()
    await until(() => client.counters().disconnects === 1)
    await until(() => client.isConnected())
    to.release()
    expect(await moving).toBe(true)
    expect(await call(client, "echo.moving")).not.toHaveProperty("_tag")
  })

  test("servers that become known meanwhile are those it goes to later", async () => {
    const { from, to, client, moving } = await heldUp("told")
    const later = await gate()
    client.setServers([to.url, later.url])
    to.release()
    expect(await moving).toBe(true)
    await Promise.all([from.close(), to.close()])
    await until(() => client.isConnected() && client.server() === later.at)
  })

  test("a move that is asked for meanwhile is made after it", async () => {
    const { to, client, moving } = await heldUp("asked")
    const other = await gate()
    client.setServers([other.url])
    to.release()
    expect(await moving).toBe(true)
    await until(() => client.server() === other.at)
    await until(() => to.open() === 0)
  })

  test("a connection anew that is asked for meanwhile is made after it, one for all who asked", async () => {
    const { to, client, moving } = await heldUp("renewed")
    const renewals = [client.renew(), client.renew()]
    to.release()
    expect(await Promise.all([moving, ...renewals])).toEqual([true, true, true])
    expect(client.counters().moves).toBe(2)
  })
})

test("a listener that throws at what becomes of the connection stops neither it nor other listeners", async () => {
  const way = await openGate(server.port)
  const errors: unknown[] = []
  const host = makeLiveHost((error) => errors.push(error))
  const client = await connect("listened", { servers: [way.url], host })
  client.onStatus(() => {
    throw new Error("a bug in a listener")
  })
  const heard: TransportStatus[] = []
  client.onStatus((status) => heard.push(status))
  way.cut()
  await until(() => heard.some(({ _tag }) => _tag === "Disconnected"))
  await until(() => client.isConnected())
  await until(() => heard.some(({ _tag }) => _tag === "Connected") && errors.length === heard.length)
  await way.close()
})
