import { afterEach, expect, test } from "bun:test"
import net from "node:net"
import { holdMs, TcpPort } from "#actors/drivers/data-plane/tcp.ts"
import type { PublishedPort } from "#actors/network/plan.ts"
import { until } from "#test/actors/nats/support.ts"

const endings: Array<() => void> = []
afterEach(() => {
  for (const end of endings.splice(0).reverse()) end()
})

async function listening(options: { readonly holdMs?: number }, addresses: ReadonlyArray<string>) {
  const probe = net.createServer()
  await new Promise<void>((resolve) => probe.listen(0, resolve))
  const publishedPort = (probe.address() as net.AddressInfo).port
  await new Promise((resolve) => probe.close(resolve))
  const plan: PublishedPort = {
    serviceId: "s1",
    serviceName: "web",
    protocol: "tcp",
    publishedPort,
    // Nobody listens there.
    targetPort: 1,
    backends: addresses.map((address) => ({ taskId: address, nodeId: "n1", address }))
  }
  const port = new TcpPort(plan, options)
  expect(await port.open()).toBeUndefined()
  endings.push(() => port.close())
  return { port, publishedPort }
}

function knock(publishedPort: number): { readonly ended: Promise<string> } {
  const socket = net.connect({ host: "127.0.0.1", port: publishedPort })
  endings.push(() => socket.destroy())
  const ended = new Promise<string>((resolve) => {
    socket.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? ""))
    socket.on("close", () => resolve("closed"))
  })
  socket.resume()
  return { ended }
}

test("a new connection is held for 10 s at most", () => {
  expect(holdMs).toBe(10_000)
})

test("a client that nobody takes in that time is turned away, and its place is free again", async () => {
  for (const addresses of [[], ["127.0.40.1", "127.0.40.2"]]) {
    const { port, publishedPort } = await listening({ holdMs: 400 }, addresses)
    const since = performance.now()
    const { ended } = knock(publishedPort)
    await until("it is held", () => port.status().held === 1)
    expect(["ECONNRESET", "closed"]).toContain(await ended)
    expect(performance.now() - since).toBeGreaterThan(350)
    expect(port.status()).toMatchObject({ accepted: 1, held: 0, live: 0 })
  }
})

test("a port that is closed sends away those who wait", async () => {
  const { port, publishedPort } = await listening({}, [])
  const { ended } = knock(publishedPort)
  await until("it is held", () => port.status().held === 1)
  port.close()
  expect(["ECONNRESET", "closed"]).toContain(await ended)
  expect(port.status().held).toBe(0)
})
