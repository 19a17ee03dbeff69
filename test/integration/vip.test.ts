/** A virtual address whose only task is being replaced, met by real packets between namespaces. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { vipTable } from "#actors/drivers/kernel/names.ts"
import { replacing } from "#actors/drivers/kernel/nft-text.ts"
import { vipRules } from "#actors/drivers/kernel/vips.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

setDefaultTimeout(30_000)

const [node, client, task] = ["n", "c", "t"].map((name) => `tvi${process.pid}${name}`) as [
  string,
  string,
  string
]
const vip = "10.0.1.2"
const within = (namespace: string, command: string, input = ""): string =>
  spawnSync("ip", ["netns", "exec", namespace, "sh", "-c", command], { input, encoding: "utf8" }).stdout
const call = `timeout 12 bash -c 'exec 3<>/dev/tcp/${vip}/80' 2>&1 && echo taken`

function rules(serving: boolean): void {
  const row = { taskId: "t1", nodeId: "n1", name: "web.1.t1", addresses: ["10.0.1.6"], serving }
  const web = { serviceId: "web", name: "web", aliases: [], vips: [vip], ports: [], tasks: [row] }
  within(node, "nft -f -", replacing(vipTable("n1"), vipRules([overlayTable({ services: [web] })], "n1")))
}

let server: ReturnType<typeof spawn> | undefined

beforeAll(() => {
  for (const name of [node, client, task]) execFileSync("ip", ["netns", "add", name])
  within(
    node,
    `ip link add br-tnet1 type bridge nf_call_iptables 1; ip address add 10.0.1.3/24 dev br-tnet1
     ip address add ${vip}/32 dev br-tnet1; ip link set br-tnet1 up; sysctl -qw net.ipv4.ip_forward=1`
  )
  for (const [name, last] of [
    [client, 5],
    [task, 6]
  ] as const) {
    within(
      node,
      `ip link add v${last} type veth peer name eth0 netns ${name}; ip link set v${last} master br-tnet1 up`
    )
    within(name, `ip address add 10.0.1.${last}/24 dev eth0; ip link set eth0 up; ip link set lo up`)
  }
  const listen = 'require("net").createServer((s) => s.end()).listen(80)'
  server = spawn("ip", ["netns", "exec", task, process.execPath, "-e", listen], { stdio: "ignore" })
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
