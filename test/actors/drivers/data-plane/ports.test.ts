import { expect, test } from "bun:test"
import { placesOf } from "#actors/drivers/data-plane/ports.ts"
import type { PublishedPort } from "#actors/network/plan.ts"

test("a port is open once for each of the machine's addresses that are meant, and at none where it has none", () => {
  const port: PublishedPort = {
    ...{
      serviceId: "s",
      serviceName: "web",
      protocol: "tcp",
      publishedPort: 80,
      targetPort: 80,
      backends: []
    }
  }
  const own = ["127.0.0.1", "192.168.1.5", "192.168.1.5", "192.168.2.5", "fd00::5"]
  const hosts = (...only: ReadonlyArray<string>) => placesOf({ ...port, only }, own).map(({ host }) => host)
  expect(placesOf(port, own)).toEqual([port])
  expect(hosts("192.168.1.0/24", "fd00::/64")).toEqual(["192.168.1.5", "fd00::5"])
  expect(hosts("192.168.2.5/32")).toEqual(["192.168.2.5"])
  expect(hosts("10.0.0.0/8")).toEqual([])
})
