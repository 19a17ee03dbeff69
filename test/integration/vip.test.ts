/** A virtual address whose only task is being replaced, and what is counted, met by real packets between namespaces. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import process from "node:process"
import type { Readable } from "node:stream"
import { setTimeout as pause } from "node:timers/promises"
import { Effect } from "effect"
import { countRules, parseCounts } from "#actors/drivers/kernel/count.ts"
import { doorsOf, ingressRules } from "#actors/drivers/kernel/ingress.ts"
import { countTable, ingressTable, vipTable } from "#actors/drivers/kernel/names.ts"
import { replacing } from "#actors/drivers/kernel/nft-text.ts"
import { vipRules } from "#actors/drivers/kernel/vips.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

setDefaultTimeout(60_000)

const [node, client, task] = ["n", "c", "t"].map((name) => `tvi${process.pid}${name}`) as [
  string,
  string,
  string
]
const [vip, vip6] = ["10.0.1.2", "fd00::2"]
/** The node's own, at which it publishes ports. */
const own = "192.0.2.1"
const within = (namespace: string, command: string, input = ""): string =>
  spawnSync("ip", ["netns", "exec", namespace, "sh", "-c", command], { input, encoding: "utf8" }).stdout
const call = `timeout 12 bash -c 'exec 3<>/dev/tcp/${vip}/80' 2>&1 && echo taken`

function rules(serving: boolean): void {
  const row = { taskId: "t1", nodeId: "n1", name: "web.1.t1", addresses: ["10.0.1.6", "fd00::6"], serving }
  const ports = (["tcp", "udp"] as const).map((protocol) => ({
    protocol,
    targetPort: 80,
    publishedPort: 8080
  }))
  const web = { serviceId: "web", name: "web", aliases: [], vips: [vip, vip6], ports, tasks: [row] }
  const tables = [overlayTable({ services: [web], ingress: true })]
  const ways = { ip: true, ip6: true, udp: true, isStrict: false }
  const doors = doorsOf(tables, ["tcp/8080", "udp/8080"], ways)
  within(
    node,
    "nft -f -",
    replacing(vipTable("n1"), vipRules(tables, "n1")) +
      replacing(ingressTable("n1"), ingressRules(tables, doors, ways, "n1"))
  )
}

let server: ReturnType<typeof spawn> | undefined

beforeAll(async () => {
  for (const name of [node, client, task]) execFileSync("ip", ["netns", "add", name])
  within(
    node,
    `ip link add br-tnet1 type bridge nf_call_iptables 1 nf_call_ip6tables 1; ip link set br-tnet1 up; ip link set lo up
     sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ip address add ${own}/32 dev lo
     for address in 10.0.1.3/24 ${vip}/32; do ip address add $address dev br-tnet1; done
     ip address add fd00::3/64 dev br-tnet1 nodad; ip address add ${vip6}/128 dev br-tnet1 nodad preferred_lft 0`
  )
  for (const [name, last] of [
    [client, 5],
    [task, 6]
  ] as const) {
    within(
      node,
      `ip link add v${last} type veth peer name eth0 netns ${name}; ip link set v${last} master br-tnet1 up`
    )
    within(
      name,
      `ip address add 10.0.1.${last}/24 dev eth0; ip link set eth0 up; ip link set lo up
       ip route add default via 10.0.1.3; ip address add fd00::${last}/64 dev eth0 nodad`
    )
  }
  const listen = 'require("net").createServer((s) => s.end()).listen(80, () => console.log("up"))'
  server = spawn("ip", ["netns", "exec", task, process.execPath, "-e", listen], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  await once(server.stdout as Readable, "data")
})
afterAll(() => {
  server?.kill()
  for (const name of [node, client, task]) spawnSync("ip", ["netns", "del", name])
})

test("whoever calls while a task is replaced is held, and taken by the next one", async () => {
  rules(false)
  const calling = spawn("ip", ["netns", "exec", client, "sh", "-c", call])
  const said = new Promise<string>((resolve) => calling.stdout?.once("data", (text) => resolve(String(text))))
  while (!within(node, `nft list set inet ${vipTable("n1")} held`).includes("10.0.1.5")) await pause(20)
  rules(true)
  expect((await said).trim()).toBe("taken")
})

test("the kernel counts connections by virtual address and by published port, whatever else is written anew", async () => {
  const reach = (namespace: string, address: string, port: number): string =>
    within(namespace, `timeout 5 bash -c 'exec 3<>/dev/tcp/${address}/${port}' 2>&1 && echo taken`).trim()
  const counts = () => {
    const listed = within(node, `nft -j list table inet ${countTable("n1")}`)
    return Effect.runSync(parseCounts(listed, new Set([vip, vip6])).pipe(Effect.map(Object.fromEntries)))
  }
  rules(true)
  within(node, "nft -f -", replacing(countTable("n1"), countRules("n1")))
  expect(counts()).toEqual({})
  // These are led nowhere. And a first packet that had to wait for its neighbour would be sent again, and counted again.
  for (const address of ["10.0.1.6", "fd00::6"]) expect(reach(node, address, 80)).toBe("taken")
  for (const _ of [1, 2, 3]) expect(reach(client, vip, 80)).toBe("taken")
  for (const _ of [1, 2]) expect(reach(client, vip6, 80)).toBe("taken")
  for (const _ of [1, 2, 3, 4]) expect(reach(node, own, 8080)).toBe("taken")
  for (const _ of [1, 2]) within(node, `bash -c 'echo 1 >/dev/udp/${own}/8080'`)
  expect(counts()).toEqual({ [vip]: 3, [vip6]: 2, "tcp/8080": 4, "udp/8080": 2 })
  // As the Engine leads to a port in host mode, which may have the number of another at a virtual address.
  const lead = `ip daddr ${own} tcp dport 80 dnat to 10.0.1.6:80`
  within(node, "nft -f -", `table ip engine { chain sent { type nat hook output priority -100; ${lead}; }; }`)
  for (const _ of [1, 2, 3]) expect(reach(node, own, 80)).toBe("taken")
  expect(counts()).toMatchObject({ [vip]: 3, "tcp/8080": 4, "host tcp/80": 3 })
  within(node, "nft delete table ip engine")
  rules(false)
  expect(reach(node, own, 8080)).not.toBe("taken")
  rules(true)
  expect(reach(client, vip, 80)).toBe("taken")
  expect(counts()).toMatchObject({ [vip]: 4, [vip6]: 2, "tcp/8080": 4, "udp/8080": 2, "host tcp/80": 3 })
})
