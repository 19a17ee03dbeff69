/** NATS keeps the contract of every transport, against a real nats-server that is killed and comes back. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Effect, Exit, Fiber, Scope } from "effect"
import { natsTransport } from "#runtime/transport/nats.ts"
import type { TransportService } from "#runtime/transport.ts"
import { transportContract } from "#test/contract/transport.ts"
import { type NatsServer, startNatsServer, until } from "#test/support/nats-server.ts"

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

const connect = (nodeId: string): Promise<TransportService> =>
  Effect.runPromise(natsTransport(options(nodeId)).pipe(Effect.provideService(Scope.Scope, scope)))

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
