/** The firewall's rules met by real packets, between namespaces that stand for a node, its containers and another node. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync, spawnSync } from "node:child_process"
import process from "node:process"
import { Effect } from "effect"
import { describe as rulesFor } from "#actors/drivers/firewall/describe.ts"
import { firewallTable, vipTable } from "#actors/drivers/kernel/names.ts"
import { OwnTables } from "#actors/drivers/kernel/own-tables.ts"
import { vipRules } from "#actors/drivers/kernel/vips.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

setDefaultTimeout(60_000)

const tag = `tfw${process.pid}`
const [node, front, back, other] = ["n", "f", "b", "o"].map((name) => `${tag}${name}`) as [
  string,
  string,
  string,
  string
]
const ip = (...args: ReadonlyArray<string>): void => void execFileSync("ip", args)
const within = (namespace: string, command: string, input = ""): number =>
  spawnSync("ip", ["netns", "exec", namespace, "sh", "-c", command], { input }).status ?? -1
/** Nothing listens anywhere: what gets through is refused, and what is dropped is not answered within so many seconds. */
const gets = (namespace: string, address: string, port: number, seconds = 10): boolean =>
  within(namespace, `timeout ${seconds} bash -c '</dev/tcp/${address}/${port}' 2>&1 | grep -q refused`) === 0
const reaches = (namespace: string, address: string, seconds?: number): boolean =>
  gets(namespace, address, 9, seconds)

const overlay = (networkId: string, gateway: string, peer: string): OverlayTable =>
  overlayTable({
    networkId,
    name: networkId,
    vni: networkId === "front" ? 4097 : 4098,
    dataPath: "192.168.77.1",
    subnets: [{ subnet: `${gateway}/24`, gateway }],
    peers: [{ nodeId: "n2", dataPath: peer, gateways: [] }]
  })
const facts = { nodeId: "n1", controlPorts: [2377] }
const firewall = (peer: string): void => {
  const table = `table inet ${firewallTable(facts.nodeId)}\n`
  const rules = rulesFor([overlay("front", "10.0.1.3", peer), overlay("back", "10.0.2.3", peer)], facts)
  expect(within(node, "nft -f -", `${table}delete ${table}${rules}`)).toBe(0)
}

beforeAll(() => {
  for (const name of [node, front, back, other]) ip("netns", "add", name)
  within(node, "sysctl -qw net.ipv4.ip_forward=1; ip link set lo up")
  for (const [bridge, container, subnet] of [
    ["br-tfront", front, "10.0.1"],
    ["br-tback", back, "10.0.2"]
  ] as const) {
    ip("-n", node, "link", "add", bridge, "type", "bridge")
    ip("-n", node, "address", "add", `${subnet}.3/24`, "dev", bridge)
    ip("-n", node, "link", "set", bridge, "up")
    ip("-n", node, "link", "add", `v${subnet}`, "type", "veth", "peer", "name", "eth0", "netns", container)
    ip("-n", node, "link", "set", `v${subnet}`, "master", bridge, "up")
    ip("-n", container, "address", "add", `${subnet}.5/24`, "dev", "eth0")
    ip("-n", container, "link", "set", "eth0", "up")
    ip("-n", container, "route", "add", "default", "via", `${subnet}.3`)
  }
  ip("-n", node, "link", "add", "out", "type", "veth", "peer", "name", "out", "netns", other)
  for (const [namespace, end, far] of [
    [node, 1, 2],
    [other, 2, 1]
  ] as const) {
    ip("-n", namespace, "address", "add", `192.168.77.${end}/24`, "dev", "out")
    ip("-n", namespace, "link", "set", "out", "up")
    const way = ["id", "4097", "dstport", "4789", "remote", `192.168.77.${far}`, "local", `192.168.77.${end}`]
    ip("-n", namespace, "link", "add", "vx", "type", "vxlan", ...way)
    ip("-n", namespace, "link", "set", "vx", "up")
  }
  ip("-n", node, "link", "set", "vx", "master", "br-tfront")
  ip("-n", other, "address", "add", "10.0.1.9/24", "dev", "vx")
  ip("-n", other, "route", "add", "10.0.2.0/24", "via", "192.168.77.1")
})
afterAll(() => {
  for (const name of [node, front, back, other]) spawnSync("ip", ["netns", "del", name])
})

test("before there are rules, everything reaches everything", () => {
  expect(reaches(front, "10.0.2.5")).toBe(true)
  expect(reaches(front, "10.0.2.3")).toBe(true)
  expect(gets(front, "10.0.1.3", 2377)).toBe(true)
  expect(gets(front, "192.168.77.2", 2377)).toBe(true)
  expect(reaches(other, "10.0.1.5")).toBe(true)
})

test("from one overlay neither containers nor the node's address on another are reached", () => {
  firewall("192.168.77.2")
  expect(reaches(front, "10.0.2.5", 1)).toBe(false)
  expect(reaches(back, "10.0.1.5", 1)).toBe(false)
  expect(reaches(front, "10.0.2.3", 1)).toBe(false)
  expect(reaches(front, "10.0.1.3")).toBe(true)
})

test("containers reach no control port of this node or another, and other ports as before", () => {
  firewall("192.168.77.2")
  for (const address of ["10.0.1.3", "192.168.77.1", "192.168.77.2"]) {
    expect([address, gets(front, address, 2377, 1)]).toEqual([address, false])
    expect([address, gets(front, address, 2378)]).toEqual([address, true])
  }
})

test("a VXLAN packet of a peer comes in, one of anybody else is dropped", () => {
  firewall("192.168.77.2")
  expect(reaches(other, "10.0.1.5")).toBe(true)
  firewall("192.168.77.3")
  expect(reaches(other, "10.0.1.5", 1)).toBe(false)
})

test("a table that was deleted or changed by hand is written again, and nobody else's is touched", async () => {
  const name = firewallTable(tag)
  const tables = new OwnTables(0)
  // In this machine's own network: of devices that are not there.
  const rules = `table inet ${name} {\n  chain input {\n    type filter hook input priority -10; policy accept;\n    iifname "br-t-none" udp dport 4789 counter drop\n  }\n}\n`
  const bring = async (wanted: string | undefined, isLook = true): Promise<boolean> =>
    (await Effect.runPromise(tables.bring(new Map([[name, wanted]]), isLook))).changed.has(name)
  const nft = (...args: ReadonlyArray<string>): string => execFileSync("nft", args, { encoding: "utf8" })
  const foreign = `inet ${tag}_foreign`
  nft(`add table ${foreign}`)
  try {
    expect([await bring(rules), await bring(rules)]).toEqual([true, false])
    nft("delete", "table", "inet", name)
    expect([await bring(rules), await bring(rules)]).toEqual([true, false])
    nft("flush", "chain", "inet", name, "input")
    expect([await bring(rules), await bring(rules)]).toEqual([true, false])
    expect(nft("list", "table", "inet", name)).toContain("br-t-none")
    // Whoever waits for something new does not wait for that, too.
    nft("delete", "table", "inet", name)
    expect([await bring(rules, false), await bring(rules)]).toEqual([false, true])
    expect([await bring(undefined), await bring(undefined)]).toEqual([true, false])
    expect(nft("list", "tables")).not.toContain(name)
    expect(nft("list", "tables")).toContain(foreign)
  } finally {
    nft(`delete table ${foreign}`)
    spawnSync("nft", ["delete", "table", "inet", name])
  }
})

test("a table of which a part is written is as if all of it were, which it is at the next look", async () => {
  const service = (at: number, ...backends: ReadonlyArray<number>) => ({
    serviceId: `s${at}`,
    name: `s${at}`,
    aliases: [],
    vips: [`192.0.2.${at}`],
    ports: [],
    tasks: [1, 2].map((task) => ({
      taskId: `t${at}-${task}`,
      nodeId: tag,
      name: `s${at}.${task}`,
      addresses: [`192.0.2.${at + task}`],
      serving: backends.includes(task)
    }))
  })
  const rules = (...services: ReadonlyArray<ReturnType<typeof service>>) =>
    vipRules([overlayTable({ services })], tag)
  const [before, after] = [
    rules(service(10, 1), service(20), service(30, 1)),
    rules(service(10, 1, 2), service(20, 2), service(30))
  ]
  const name = vipTable(tag)
  const listed = (): ReadonlyArray<string> =>
    execFileSync("nft", ["-s", "list", "table", "inet", name], { encoding: "utf8" }).split("\n").sort()
  const bring = (tables: OwnTables, wanted: string | undefined, isLook = true) =>
    Effect.runPromise(tables.bring(new Map([[name, wanted]]), isLook))
  const flush = (): void => void execFileSync("nft", ["flush", "chain", "inet", name, "nobody"])
  const amend = (tables: OwnTables, wanted: string | undefined) =>
    Effect.runPromise(tables.amend(new Map([[name, wanted]])))
  const seldom = new OwnTables(60_000)
  try {
    // Nothing is begun by taking away from it.
    await amend(seldom, before)
    expect(listed).toThrow("No such file")
    await bring(seldom, before)
    await amend(seldom, after)
    const amended = listed()
    expect((await bring(seldom, after)).changed.size).toBe(0)
    expect(listed()).toEqual(amended)
    await bring(seldom, before)
    expect(listed()).not.toEqual(amended)
    expect([...(await bring(seldom, after)).changed]).toEqual([name])
    const patched = listed()
    expect(patched).toEqual(amended)
    expect(await bring(new OwnTables(0), after)).toMatchObject({ failed: new Map() })
    expect(listed()).toEqual(patched)

    const often = new OwnTables(0)
    await bring(often, before)
    await bring(often, after, false)
    flush()
    expect((await bring(often, after)).changed.size).toBe(0)
    expect(listed()).toEqual(patched)
    // How the look left it is known from then on.
    flush()
    expect((await bring(often, after)).changed.size).toBe(1)
    expect(listed()).toEqual(patched)
    // The same where a change has written all of it.
    const another = new OwnTables(0)
    await bring(another, after, false)
    flush()
    await bring(another, after)
    expect(listed()).toEqual(patched)
    // A look that has something to change does not take for ours what others did meanwhile.
    flush()
    await bring(another, before)
    await bring(another, after)
    expect(listed()).toEqual(patched)
    // What somebody deleted has no part that could be written.
    await bring(seldom, before)
    execFileSync("nft", ["delete", "table", "inet", name])
    await bring(seldom, after)
    expect(listed()).toEqual(patched)
  } finally {
    await bring(seldom, undefined)
  }
})
