/**
 * Where a virtual address is translated: in each container's network namespace, or once on the node. Two nodes joined by
 * VXLAN, a task on one, a hundred containers on the other; all of it namespaces, without an Engine, which only adds its own
 * time to both. As root: `bun test/bench/vip-place.ts [--containers 100] [--changes 20]`.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import process from "node:process"
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    containers: { type: "string", default: "100" },
    changes: { type: "string", default: "20" }
  }
})
const [containers, changes] = [Number(values.containers), Number(values.changes)]
const tag = `tvp${process.pid}`
const [near, far, task] = [`${tag}a`, `${tag}b`, `${tag}t`]
const [vip, backend, port] = ["10.9.0.2", "10.9.200.1", 80]
const made: Array<string> = []

const run = (command: string, args: ReadonlyArray<string>, input = ""): void =>
  void execFileSync(command, args, { input, stdio: ["pipe", "ignore", "inherit"] })
const ip = (...args: ReadonlyArray<string>): void => run("ip", args)
const enter = (name: string): string => `--net=/run/netns/${name}`

function namespace(name: string): void {
  ip("netns", "add", name)
  made.push(name)
}

/** A container on a node's bridge. */
function container(name: string, node: string, address: string): void {
  namespace(name)
  const end = `v${made.length}`
  run(
    "ip",
    ["-n", node, "-batch", "-"],
    `link add ${end} type veth peer name eth0 netns ${name}
link set ${end} master br up
`
  )
  run(
    "ip",
    ["-n", name, "-batch", "-"],
    `address add ${address}/16 dev eth0
link set lo up
link set eth0 up
`
  )
}

function nodes(): void {
  namespace(near)
  namespace(far)
  ip("-n", near, "link", "add", "out", "type", "veth", "peer", "name", "out", "netns", far)
  for (const [name, own, other] of [
    [near, 1, 2],
    [far, 2, 1]
  ] as const) {
    run(
      "ip",
      ["-n", name, "-batch", "-"],
      `address add 192.168.79.${own}/24 dev out
link set out up
link set lo up
link add name br type bridge
address add 10.9.0.1${own}/16 dev br
link set dev br up
link add name vx mtu 1450 type vxlan id 9 dstport 4789 remote 192.168.79.${other} local 192.168.79.${own}
link set vx master br up
`
    )
    run("nsenter", [
      enter(name),
      "sysctl",
      "-qw",
      "net.ipv4.ip_forward=1",
      "net.ipv4.conf.all.send_redirects=0"
    ])
  }
}

const rules = (hook: string, spare: number): string =>
  `table ip vips\ndelete table ip vips\ntable ip vips { chain to { type nat hook ${hook} priority -105; ip daddr ${vip} tcp dport ${port} dnat to numgen inc mod 2 map { 0 : ${backend}, 1 : ${backend} }; ip daddr 10.9.255.${spare} dnat to ${backend}; }; }`

/** The first thing that the container does. */
const connects = (name: string): Promise<boolean> =>
  new Promise((resolve) => {
    const script = `exec 3<>/dev/tcp/${vip}/${port}`
    const child = spawn("nsenter", [enter(name), "timeout", "2", "bash", "-c", script], { stdio: "ignore" })
    child.on("close", (code) => resolve(code === 0))
  })

/** One `nft` that stays; `tell` ends once it has done what it was told. */
function persistent(name: string): {
  readonly child: ChildProcess
  readonly tell: (script: string) => Promise<void>
} {
  const child = spawn("nsenter", [enter(name), "nft", "-i"], { stdio: ["pipe", "pipe", "inherit"] })
  const waiting: Array<() => void> = []
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.includes("table ip done")) waiting.shift()?.()
  })
  return {
    child,
    tell: (script) =>
      new Promise((resolve) => {
        waiting.push(resolve)
        child.stdin.write(`${script.replaceAll("\n", "; ")}\nadd table ip done; list table ip done\n`)
      })
  }
}

async function timed(what: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await what()
  return performance.now() - start
}

function say(place: string, times: ReadonlyArray<number>, connected: number): void {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number): string =>
    `${(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(0)} ms`
  console.log(
    `${place}: a change p50 ${at(0.5)}, p99 ${at(0.99)}; first instruction connected ${connected} of ${containers}`
  )
}

const inTurn = async <T>(count: number, what: (at: number) => Promise<T>): Promise<ReadonlyArray<T>> => {
  const answers: Array<T> = []
  for (let at = 0; at < count; at++) answers.push(await what(at))
  return answers
}

async function inEachContainer(): Promise<void> {
  const tools: Array<ReturnType<typeof persistent>> = []
  const connected = await inTurn(containers, async (at) => {
    const name = `${tag}i${at}`
    container(name, near, `10.9.1.${at + 1}`)
    // As with Docker: the process starts as soon as there is a namespace, and nobody waits for the rules.
    const tool = persistent(name)
    tools.push(tool)
    const [does] = await Promise.all([connects(name), tool.tell(rules("output", 0))])
    return does
  })
  const times = await inTurn(changes, (change) =>
    timed(() => Promise.all(tools.map(({ tell }) => tell(rules("output", change + 1)))))
  )
  say("in each container", times, connected.filter(Boolean).length)
  for (const { child } of tools) child.stdin?.end()
}

async function onTheNode(): Promise<void> {
  ip("-n", near, "address", "add", `${vip}/32`, "dev", "br")
  ip("-n", near, "link", "set", "dev", "br", "type", "bridge", "nf_call_iptables", "1")
  const write = (spare: number): Promise<number> =>
    timed(async () => run("nsenter", [enter(near), "nft", "-f", "-"], rules("prerouting", spare)))
  await write(0)
  const connected = await inTurn(containers, (at) => {
    container(`${tag}h${at}`, near, `10.9.2.${at + 1}`)
    return connects(`${tag}h${at}`)
  })
  say("on the node", await inTurn(changes, (change) => write(change + 1)), connected.filter(Boolean).length)
}

let server: ChildProcess | undefined
process.on("exit", () => {
  server?.kill()
  for (const name of made) spawnSync("ip", ["netns", "del", name])
})
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(1))

nodes()
container(task, far, backend)
const listen = `require("node:net").createServer((socket) => socket.end()).listen(${port}, "${backend}", () => console.log("listens"))`
server = spawn("nsenter", [enter(task), process.execPath, "-e", listen], {
  stdio: ["ignore", "pipe", "inherit"]
})
await new Promise((resolve) => server?.stdout?.once("data", resolve))
await inEachContainer()
await onTheNode()
process.exit()
