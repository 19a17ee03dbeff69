import { expect, test } from "bun:test"
import { ledBy } from "#actors/drivers/data-plane/live.ts"

test("a port that is open at several addresses has a counter at each, and one of nobody stands for nothing", () => {
  const port = { protocol: "tcp", publishedPort: 80, backends: 1, live: 0, held: 0 } as const
  const ports = [
    { ...port, serviceId: "web", host: "192.168.1.5", accepted: 3 },
    { ...port, serviceId: "web", host: "192.168.1.6", accepted: 4 },
    { ...port, publishedPort: 81, accepted: 5 }
  ]
  const { counts, endpoints } = ledBy({ ports })
  expect(Object.fromEntries(counts)).toEqual({ "tcp/80 192.168.1.5": 3, "tcp/80 192.168.1.6": 4 })
  const endpoint = { _tag: "Port", serviceId: "web", protocol: "tcp", publishedPort: 80 } as const
  expect([...endpoints.values()]).toEqual([endpoint, endpoint])
})
