import { expect, test } from "bun:test"
import { zoneOf } from "#actors/network/names/zone.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

test("of a table the names are kept, of ports those that have one, and nothing of nodes", () => {
  const task = { taskId: "t1", nodeId: "n1", name: "web.1.t1", addresses: ["10.0.1.2"], serving: true }
  const named = { ...task, hostname: "box", resolvers: ["9.9.9.9"] }
  const ports = [
    { name: "http", protocol: "tcp", targetPort: 80, publishedPort: 8080 },
    { protocol: "udp", targetPort: 53 }
  ] as const
  const web = {
    serviceId: "web",
    name: "web",
    aliases: ["www"],
    vips: ["10.0.1.9"],
    ports,
    tasks: [task, named]
  }
  const { nodeId: _node, ...plain } = task
  expect(zoneOf(overlayTable({ services: [web] })).services).toEqual([
    {
      name: "web",
      aliases: ["www"],
      vips: ["10.0.1.9"],
      ports: [
        { name: "http", protocol: "tcp", targetPort: 80 },
        { protocol: "udp", targetPort: 53 }
      ],
      tasks: [plain, { ...plain, hostname: "box", resolvers: ["9.9.9.9"] }]
    }
  ])
  expect(zoneOf(overlayTable({ services: [web] })).services[0]?.ports[1]).not.toHaveProperty("name")
})
