/** What the session makes of its overlays and tasks for those who count requests and connections, and who wait for callers. */
import { expect, test } from "bun:test"
import type { TaskStatus } from "#actors/model/objects.ts"
import type { OverlayTable, ServiceRow } from "#actors/network/table.ts"
import type { AssignedTask } from "#actors/node/protocol.ts"
import { hosted, noHoldings, routed, sleepers } from "#actors/node/session/holdings.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const http = { host: "shop", path: "/", port: 80, protocol: "http1" } as const
const row = (serviceId: string, more: Partial<ServiceRow>): ServiceRow => ({
  serviceId,
  name: serviceId,
  aliases: [],
  vips: [],
  ports: [],
  tasks: [],
  ...more
})
const task = (serving: boolean) => ({ taskId: "t", nodeId: "n", name: "t", addresses: ["10.0.0.5"], serving })
const port = (protocol: "tcp" | "udp", publishedPort: number) => ({ protocol, targetPort: 80, publishedPort })

const holding = (...tables: ReadonlyArray<OverlayTable>) => ({
  ...noHoldings(),
  overlays: new Map(tables.map((table) => [table.networkId, table]))
})

test("who sleeps is a service that a caller begins, while no task of it serves, with the doors where callers come", () => {
  const services = [
    row("a", { awaits: "caller", http }),
    row("b", { awaits: "caller", ports: [port("tcp", 8080), port("udp", 53)] }),
    row("begun", { awaits: "task", http }),
    row("gone", { http }),
    row("awake", { awaits: "caller", http, tasks: [task(true)] }),
    row("rising", { awaits: "caller", tasks: [task(false)] })
  ]
  const ingress = overlayTable({ networkId: "in", ingress: true, services })
  const other = overlayTable({ networkId: "o", services: [row("elsewhere", { awaits: "caller", http })] })
  expect(sleepers(holding(ingress, other))).toEqual([
    { id: "a", routed: true, ports: [] },
    { id: "b", routed: false, ports: [8080] },
    { id: "rising", routed: false, ports: [] }
  ])
  expect([...routed(holding(ingress, other))]).toEqual(["a", "begun", "awake"])
})

test("ports in host mode are counted of tasks that run, where a number was asked for and the kernel knows the protocol", () => {
  const held = (id: string, state: "running" | "starting") =>
    [
      id,
      {
        assigned: {
          id,
          serviceId: "web",
          hostPorts: [
            { TargetPort: 80, PublishedPort: 8080, PublishMode: "host" },
            { Protocol: "udp", TargetPort: 53, PublishedPort: 5353, PublishMode: "host" },
            { Protocol: "sctp", TargetPort: 90, PublishedPort: 9090, PublishMode: "host" },
            { TargetPort: 81, PublishMode: "host" }
          ]
        } as unknown as AssignedTask,
        status: { State: state, Timestamp: "" } satisfies TaskStatus
      }
    ] as const
  const port = { _tag: "Port", serviceId: "web", mode: "host" } as const
  expect(hosted({ ...noHoldings(), tasks: new Map([held("t1", "running")]) })).toEqual([
    { ...port, protocol: "tcp", publishedPort: 8080 },
    { ...port, protocol: "udp", publishedPort: 5353 }
  ])
  expect(hosted({ ...noHoldings(), tasks: new Map([held("t1", "starting")]) })).toEqual([])
})
