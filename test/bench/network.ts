/**
 * Ways to a task beside the straight one: a virtual address and a published port on one node, and the overlay to another.
 * Two nodes, containers and a client outside, all of them namespaces with our own rules between them, without Engines. Prints
 * throughput of one connection, and p50 and p99 of small requests on one connection and on new ones. As root:
 * `bun test/bench/network.ts [--rounds 3] [--megabytes 512] [--requests 2000]`.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import net from "node:net"
import process from "node:process"
import { parseArgs } from "node:util"
import { doorsOf, ingressRules } from "#actors/drivers/kernel/ingress.ts"
import { bridgeName } from "#actors/drivers/kernel/names.ts"
import { vipRules } from "#actors/drivers/kernel/vips.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const port = 80
const published = 8080

/** What one way was like; times in milliseconds. */
interface Figures {
  readonly bytesPerSecond: number
  /** Sorted. */
  readonly kept: ReadonlyArray<number>
  readonly fresh: ReadonlyArray<number>
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    megabytes: { type: "string", default: "512" },
    requests: { type: "string", default: "2000" }
  }
})
const [role, host = "", at = ""] = positionals
if (role === "serve") serve()
else if (role === "ask") console.log(JSON.stringify(await measure(host, Number(at))))
else await compare()

/** Answers each byte with one, and `g…` with as many megabytes as it says. */
function serve(): void {
  const block = new Uint8Array(256 * 1024)
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      const text = String(chunk)
      if (!text.startsWith("g")) return void socket.write("!")
      let left = Number(text.slice(1)) * 1024 * 1024
      const send = (): void => {
        while (left > 0) {
          left -= block.length
          if (!socket.write(block)) return
        }
        socket.end()
      }
      socket.on("drain", send)
      send()
    })
  })
  server.listen(port, () => console.log("listens"))
}

async function measure(to: string, on: number): Promise<Figures> {
  const connect = (): Promise<net.Socket> =>
    new Promise((resolve, reject) => {
      const socket = net.connect({ host: to, port: on, noDelay: true }, () => resolve(socket))
      socket.once("error", reject)
    })
  const request = (socket: net.Socket): Promise<void> =>
    new Promise((resolve) => {
      socket.once("data", () => resolve())
      socket.write("?")
    })
  const times = async (what: () => Promise<void>): Promise<ReadonlyArray<number>> => {
    const taken: Array<number> = []
    for (let i = 0; i < Number(values.requests); i++) {
      const began = performance.now()
      await what()
      taken.push(performance.now() - began)
    }
    return taken.sort((a, b) => a - b)
  }
  const held = await connect()
  const kept = await times(() => request(held))
  held.destroy()
  const fresh = await times(async () => {
    const socket = await connect()
    await request(socket)
    socket.destroy()
  })
  const socket = await connect()
  const began = performance.now()
  let bytes = 0
  await new Promise((resolve) => {
    socket.on("data", (chunk) => {
      bytes += chunk.length
    })
    socket.on("close", resolve)
    socket.write(`g${values.megabytes}`)
  })
  return { bytesPerSecond: (bytes * 1_000) / (performance.now() - began), kept, fresh }
}

interface Way {
  readonly name: string
  readonly from: string
  readonly host: string
  readonly port: number
  /** The straight way that it is compared with. */
  readonly beside?: string
}

async function compare(): Promise<void> {
  const tag = `tnb${process.pid}`
  const [near, far, outside] = [`${tag}n`, `${tag}f`, `${tag}o`]
  const [asking, here, there] = [`${tag}a`, `${tag}h`, `${tag}t`]
  const servers: Array<ChildProcess> = []
  const inside = (namespace: string, script: string, input = ""): void =>
    void execFileSync("ip", ["netns", "exec", namespace, "sh", "-ec", script], { input })
  process.once("exit", () => {
    for (const server of servers) server.kill()
    for (const name of [near, far, outside, asking, here, there]) spawnSync("ip", ["netns", "del", name])
  })
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(1))

  const table = overlay()
  const bridge = bridgeName(table.networkId)
  for (const name of [near, far, outside, asking, here, there]) {
    execFileSync("ip", ["netns", "add", name])
    inside(name, "ip link set lo up")
  }
  const link = (a: string, b: string, subnet: string): void => {
    const device = `l${subnet.replaceAll(".", "")}`
    inside(a, `ip link add ${device} type veth peer name ${device} netns ${b}`)
    inside(a, `ip address add ${subnet}.1/24 dev ${device}; ip link set ${device} up`)
    inside(b, `ip address add ${subnet}.2/24 dev ${device}; ip link set ${device} up`)
  }
  link(near, far, "192.168.79")
  link(near, outside, "192.168.80")
  inside(outside, "ip route add 10.9.0.0/16 via 192.168.80.1")
  for (const [node, own, other] of [
    [near, 1, 2],
    [far, 2, 1]
  ] as const) {
    const way = `dstport 4789 remote 192.168.79.${other} local 192.168.79.${own}`
    inside(
      node,
      `sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0
       ip link add ${bridge} type bridge nf_call_iptables 1; ip address add 10.9.0.${own}/16 dev ${bridge}
       ip link add vx mtu 1450 type vxlan id 9 ${way}; ip link set vx master ${bridge} up; ip link set ${bridge} up
       ip link add bare mtu 1450 type vxlan id 10 ${way}; ip address add 10.10.0.${own}/24 dev bare; ip link set bare up
       ip link add plain type bridge; ip link add pv mtu 1450 type vxlan id 11 ${way}; ip link set pv master plain up; ip link set plain up`
    )
  }
  // The same containers, on a network that nobody but the kernel has a hand in.
  for (const [name, node, own] of [
    [asking, near, 1],
    [there, far, 2]
  ] as const) {
    inside(node, `ip link add pe type veth peer name eth1 netns ${name}; ip link set pe master plain up`)
    inside(name, `ip address add 10.11.0.${own}/24 dev eth1; ip link set eth1 mtu 1450 up`)
  }
  for (const [name, node, address] of [
    [asking, near, "10.9.1.1"],
    [here, near, "10.9.1.2"],
    [there, far, "10.9.2.1"]
  ] as const) {
    const end = `v${address.replaceAll(".", "")}`
    inside(
      node,
      `ip link add ${end} type veth peer name eth0 netns ${name}; ip link set ${end} master ${bridge} up`
    )
    inside(
      name,
      `ip address add ${address}/16 dev eth0; ip link set eth0 mtu 1450 up; ip route add default via 10.9.0.${node === near ? 1 : 2}`
    )
  }
  const ways = { ip: true, ip6: false, udp: true, isStrict: false }
  const doors = doorsOf([table], [`tcp/${published}`, `tcp/${published + 1}`], ways)
  inside(near, `ip address add 10.9.0.9/32 dev ${bridge}; nft -f -`, vipRules([table], "n1"))
  inside(near, "nft -f -", ingressRules([table], doors, ways, "n1"))
  for (const name of [here, there, far]) {
    const args = ["netns", "exec", name, process.execPath, process.argv[1] as string, "serve"]
    const server = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] })
    servers.push(server)
    await new Promise((resolve) => server.stdout?.once("data", resolve))
  }

  await print([
    { name: "the bridge, straight", from: asking, host: "10.9.1.2", port },
    { name: "a virtual address", from: asking, host: "10.9.0.9", port, beside: "the bridge, straight" },
    { name: "from outside, straight", from: outside, host: "10.9.1.2", port },
    {
      name: "a published port",
      from: outside,
      host: "192.168.80.1",
      port: published,
      beside: "from outside, straight"
    },
    { name: "a bare VXLAN device", from: near, host: "10.10.0.2", port },
    {
      name: "a bare VXLAN between containers",
      from: asking,
      host: "10.11.0.2",
      port,
      beside: "a bare VXLAN device"
    },
    {
      name: "the overlay",
      from: asking,
      host: "10.9.2.1",
      port,
      beside: "a bare VXLAN between containers"
    },
    {
      name: "a published port of another's task",
      from: outside,
      host: "192.168.80.1",
      port: published + 1,
      beside: "the overlay"
    }
  ])
  process.exit()
}

/** A service on this node, behind a virtual address and a port, and one on the other node. */
function overlay(): OverlayTable {
  const row = (
    serviceId: string,
    nodeId: string,
    address: string,
    vips: ReadonlyArray<string>,
    publishedPort: number
  ) => ({
    serviceId,
    name: serviceId,
    aliases: [],
    vips,
    ports: [{ protocol: "tcp", targetPort: port, publishedPort } as const],
    tasks: [{ taskId: serviceId, nodeId, name: serviceId, addresses: [address], serving: true }]
  })
  return overlayTable({
    networkId: "bench",
    ingress: true,
    subnets: [{ subnet: "10.9.0.0/16", gateway: "10.9.0.1" }],
    services: [
      row("here", "n1", "10.9.1.2", ["10.9.0.9"], published),
      row("there", "n2", "10.9.2.1", [], published + 1)
    ]
  })
}

/** In turn, so that what else goes on touches all alike; the best of each. */
async function print(ways: ReadonlyArray<Way>): Promise<void> {
  const best = new Map<string, { bytes: number; kept: [number, number]; fresh: [number, number] }>()
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const way of ways) {
      const own = [process.execPath, process.argv[1] as string, "ask", way.host, String(way.port)]
      const more = ["--megabytes", values.megabytes, "--requests", values.requests]
      const text = execFileSync("ip", ["netns", "exec", way.from, ...own, ...more], {
        encoding: "utf8",
        maxBuffer: 1 << 26
      })
      const { bytesPerSecond, kept, fresh } = JSON.parse(text) as Figures
      const before = best.get(way.name)
      const least = (
        times: ReadonlyArray<number>,
        known: readonly [number, number] | undefined
      ): [number, number] => [
        Math.min(quantile(times, 0.5), known?.[0] ?? Number.POSITIVE_INFINITY),
        Math.min(quantile(times, 0.99), known?.[1] ?? Number.POSITIVE_INFINITY)
      ]
      best.set(way.name, {
        bytes: Math.max(bytesPerSecond, before?.bytes ?? 0),
        kept: least(kept, before?.kept),
        fresh: least(fresh, before?.fresh)
      })
    }
  }
  for (const { name, beside } of ways) {
    const own = best.get(name)
    const straight = best.get(beside ?? "")
    if (own === undefined) continue
    const ratio = (of: number, to: number | undefined): string =>
      to === undefined ? "" : ` (${(of / to).toFixed(2)} ×)`
    const pair = (times: readonly [number, number], others: readonly [number, number] | undefined): string =>
      `p50 ${(times[0] * 1_000).toFixed(0)} µs${ratio(times[0], others?.[0])}, p99 ${(times[1] * 1_000).toFixed(0)} µs${ratio(times[1], others?.[1])}`
    console.log(
      `${name}: ${(own.bytes / 1e6).toFixed(0)} MB/s${ratio(own.bytes, straight?.bytes)}; one connection ${pair(own.kept, straight?.kept)}; new ones ${pair(own.fresh, straight?.fresh)}${beside === undefined ? "" : `; beside ${beside}`}`
    )
  }
}

function quantile(sorted: ReadonlyArray<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}
