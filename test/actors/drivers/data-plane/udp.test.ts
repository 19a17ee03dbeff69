import { expect, test } from "bun:test"
import dgram from "node:dgram"
import type { AddressInfo } from "node:net"
import { UdpPort } from "#actors/drivers/data-plane/udp.ts"
import { until } from "#test/actors/nats/support.ts"

test("a session ends when it has been quiet for its time", async () => {
  const backend = dgram.createSocket("udp4")
  backend.on("message", (message, from) => backend.send(message, from.port, from.address))
  await new Promise<void>((resolve) => backend.bind(0, "127.0.0.1", resolve))
  const probe = dgram.createSocket("udp4")
  await new Promise<void>((resolve) => probe.bind(0, resolve))
  const publishedPort = (probe.address() as AddressInfo).port
  await new Promise<void>((resolve) => probe.close(() => resolve()))

  const port = new UdpPort(
    {
      serviceId: "s1",
      serviceName: "dns",
      protocol: "udp",
      publishedPort,
      targetPort: (backend.address() as AddressInfo).port,
      backends: [{ taskId: "t1", nodeId: "n1", address: "127.0.0.1" }]
    },
    { idleMs: 50 }
  )
  expect(await port.open()).toBeUndefined()
  const client = dgram.createSocket("udp4")
  const answered = new Promise<string>((resolve) => client.once("message", (text) => resolve(String(text))))
  client.send("hello", publishedPort, "127.0.0.1")
  expect(await answered).toBe("hello")
  expect(port.status()).toMatchObject({ serviceId: "s1", accepted: 1, live: 1 })
  await until("the session is over", () => port.status().live === 0)
  client.close()
  port.close()
  backend.close()
})
