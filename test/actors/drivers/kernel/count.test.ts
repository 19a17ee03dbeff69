import { expect, test } from "bun:test"
import { Effect } from "effect"
import { countedEndpoints, hostCounter, parseCounts } from "#actors/drivers/kernel/count.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const web = {
  serviceId: "web",
  name: "web",
  aliases: [],
  vips: ["10.0.1.2", "fd00::2"],
  ports: [
    { protocol: "tcp", targetPort: 80, publishedPort: 8080 },
    { protocol: "udp", targetPort: 80, publishedPort: 8080 },
    { protocol: "tcp", targetPort: 81 }
  ],
  tasks: []
} as const

test("counters stand for virtual addresses on each network, and on the ingress network for ports that are this node's", () => {
  const vip = (networkId: string) => ({ _tag: "VirtualIp", serviceId: "web", networkId }) as const
  expect(Object.fromEntries(countedEndpoints([overlayTable({ services: [web] })], ["tcp/8080"]))).toEqual({
    "10.0.1.2": vip("net1"),
    "fd00::2": vip("net1")
  })
  const ingress = overlayTable({
    networkId: "net2",
    ingress: true,
    services: [{ ...web, vips: ["10.0.0.2"] }]
  })
  expect(Object.fromEntries(countedEndpoints([ingress], ["tcp/8080"]))).toEqual({
    "10.0.0.2": vip("net2"),
    "tcp/8080": { _tag: "Port", serviceId: "web", protocol: "tcp", publishedPort: 8080 }
  })
})

test("what nft lists is read by set, and what is no listing is an error", async () => {
  const element = (val: string | number, packets: number) => ({
    elem: { val, expires: 599, counter: { packets, bytes: 60 * packets } }
  })
  const at = (address: string, port: number, packets: number) => ({
    elem: { val: { concat: [address, port] }, expires: 599, counter: { packets, bytes: 60 * packets } }
  })
  const set = (name: string, ...elem: ReadonlyArray<object>) => ({
    set: { family: "inet", name, type: "inet_service", ...(elem.length > 0 && { elem }) }
  })
  const listing = {
    nftables: [
      { metainfo: { version: "1.0.6" } },
      set("tcp_ports", element(8080, 6), element(8081, 1)),
      set("udp_ports", element(8080, 2)),
      set("tcp_host", at("192.0.2.1", 8080, 3), at("192.0.2.2", 8080, 1), at("10.0.1.2", 8080, 9)),
      set("tcp_host6", at("2001:db8::1", 8080, 2)),
      set("udp_host"),
      set("vips", element("10.0.1.2", 4)),
      set("vips6"),
      { rule: { handle: 6, expr: [] } }
    ]
  }
  const counts = await Effect.runPromise(parseCounts(JSON.stringify(listing), new Set(["10.0.1.2"])))
  expect(Object.fromEntries(counts)).toEqual({
    "tcp/8080": 6,
    "tcp/8081": 1,
    "udp/8080": 2,
    "host tcp/8080": 6,
    "10.0.1.2": 4
  })
  const port = { _tag: "Port", serviceId: "web", mode: "host", protocol: "tcp", publishedPort: 8080 } as const
  expect(counts.get(hostCounter(port))).toBe(6)
  expect(await Effect.runPromise(Effect.flip(parseCounts("[]")))).toMatchObject({ _tag: "KernelError" })
})
