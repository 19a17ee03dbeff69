import { describe, expect, test } from "bun:test"
import { reconcile } from "#actors/drivers/kernel/reconcile.ts"
import type { KernelState, Link } from "#actors/drivers/kernel/state.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const bridge: Link = {
  ifname: "br-tnet1",
  flags: ["UP"],
  address: "02:42:0a:00:01:03",
  ifalias: "troupe n1",
  linkinfo: { info_kind: "bridge", info_data: { nf_call_iptables: 1 } },
  addr_info: [
    { local: "10.0.1.3", prefixlen: 24 },
    { local: "10.0.1.2", prefixlen: 32 }
  ]
}
const device: Link = {
  ifname: "vx-tnet1",
  flags: ["UP"],
  mtu: 1450,
  ifalias: "troupe n1",
  master: "br-tnet1",
  linkinfo: {
    info_kind: "vxlan",
    info_data: { id: 4097, local: "192.168.0.1", port: 4789, learning: false, proxy: true },
    info_slave_data: { learning: false }
  }
}
const table = overlayTable({
  peers: [{ nodeId: "n2", dataPath: "192.168.0.2", gateways: ["10.0.1.4"] }],
  services: [
    {
      serviceId: "web",
      name: "web",
      aliases: [],
      vips: ["10.0.1.2"],
      ports: [],
      tasks: [
        { taskId: "t1", nodeId: "n1", name: "web.1.t1", addresses: ["10.0.1.5"], serving: true },
        { taskId: "t2", nodeId: "n2", name: "web.2.t2", addresses: ["10.0.1.6", "fd00::6"], serving: false }
      ]
    }
  ]
})
const empty: KernelState = { links: [], forwarding: [], neighbours: [] }
const right: KernelState = {
  links: [bridge, device],
  forwarding: ["04", "06"].flatMap((last) => [
    { mac: `02:42:0a:00:01:${last}`, ifname: "vx-tnet1", dst: "192.168.0.2", state: "permanent" },
    { mac: `02:42:0a:00:01:${last}`, ifname: "vx-tnet1", master: "br-tnet1", state: "static" }
  ]),
  neighbours: [
    { dst: "10.0.1.4", dev: "vx-tnet1", lladdr: "02:42:0a:00:01:04" },
    { dst: "10.0.1.6", dev: "vx-tnet1", lladdr: "02:42:0a:00:01:06" },
    { dst: "fd00::6", dev: "vx-tnet1", lladdr: "02:42:0a:00:01:06" }
  ]
}
const nothing = { ip: [], bridge: [], ports: [], bridgeless: [], problems: [] }
const repair = (tables: ReadonlyArray<OverlayTable>, state: KernelState) => reconcile(tables, state, "n1")

describe("the kernel of a node", () => {
  test("waits for the Engine to make the bridge", () => {
    expect(repair([table], empty)).toEqual({ ...nothing, bridgeless: ["net1"] })
  })

  test("gets a device on the bridge, and a way to every remote task and node ahead of traffic", () => {
    const bare: Link = { ...bridge, ifalias: undefined as never, address: "02:42:11:22:33:44", addr_info: [] }
    expect(repair([table], { ...empty, links: [bare] })).toEqual({
      ...nothing,
      ip: [
        'link set dev br-tnet1 alias "troupe n1"',
        "link set dev br-tnet1 address 02:42:0a:00:01:03",
        "address add 10.0.1.3/24 dev br-tnet1",
        "address add 10.0.1.2/32 dev br-tnet1",
        "link add vx-tnet1 mtu 1450 type vxlan id 4097 dstport 4789 local 192.168.0.1 nolearning proxy",
        'link set dev vx-tnet1 alias "troupe n1"',
        "link set dev vx-tnet1 master br-tnet1",
        "link set dev vx-tnet1 type bridge_slave learning off",
        "link set dev vx-tnet1 up",
        "neighbour replace 10.0.1.4 lladdr 02:42:0a:00:01:04 dev vx-tnet1 nud permanent",
        "neighbour replace 10.0.1.6 lladdr 02:42:0a:00:01:06 dev vx-tnet1 nud permanent",
        "neighbour replace fd00::6 lladdr 02:42:0a:00:01:06 dev vx-tnet1 nud permanent"
      ],
      bridge: [
        "fdb replace 02:42:0a:00:01:04 dev vx-tnet1 dst 192.168.0.2 self permanent",
        "fdb replace 02:42:0a:00:01:04 dev vx-tnet1 master static",
        "fdb replace 02:42:0a:00:01:06 dev vx-tnet1 dst 192.168.0.2 self permanent",
        "fdb replace 02:42:0a:00:01:06 dev vx-tnet1 master static"
      ]
    })
  })

  test("that is right is left alone, and so is what is somebody else's", () => {
    const theirs: Link = { ...device, ifname: "vx-tother", ifalias: "troupe n9" }
    expect(repair([table], { ...right, links: [...right.links, theirs] })).toEqual(nothing)
  })

  test("has no device while nobody else is on the network, or only others of this machine", () => {
    const links = [bridge]
    const here = { ...table, peers: [{ nodeId: "n2", dataPath: "192.168.0.1", gateways: ["10.0.1.4"] }] }
    expect(repair([{ ...table, peers: [] }], { ...empty, links })).toEqual(nothing)
    expect(repair([here], { ...empty, links })).toEqual(nothing)
  })

  test("never carries an encrypted network past a tunnel, and moves from one to another in one step", () => {
    const encrypted = [{ ...table, encrypted: true }]
    const ways = right.forwarding.filter(({ dst }) => dst !== undefined)
    const inTheClear = reconcile(encrypted, right, "n1")
    expect(inTheClear.bridge.filter((line) => line.startsWith("fdb replace"))).toEqual([])
    for (const { mac } of ways)
      expect(inTheClear.bridge).toContain(`fdb delete ${mac} dev vx-tnet1 dst 192.168.0.2 self`)
    const moved = reconcile(encrypted, right, "n1", new Map([["n2", "wg0-tn1"]]))
    expect(moved.bridge).toEqual(
      ways.map(({ mac }) => `fdb replace ${mac} dev vx-tnet1 dst 192.168.0.2 via wg0-tn1 self permanent`)
    )
    const forwarding = right.forwarding.map((entry) => (entry.dst ? { ...entry, viaIf: "wg0-tn1" } : entry))
    expect(reconcile(encrypted, { ...right, forwarding }, "n1", new Map([["n2", "wg0-tn1"]]))).toEqual(
      nothing
    )
  })

  test("loses the device with the last other node, and with the network", () => {
    expect(repair([{ ...table, peers: [] }], right).ip).toEqual(["link delete dev vx-tnet1"])
    expect(repair([], right).ip).toEqual(["link delete dev vx-tnet1"])
  })

  test("forgets who left, and finds who moved", () => {
    const [web] = table.services
    const [here, there] = web?.tasks ?? []
    const moved = { ...there, nodeId: "n3" } as typeof here & object
    const peers = [...table.peers, { nodeId: "n3", dataPath: "192.168.0.3", gateways: ["10.0.1.7"] }]
    const after = repair(
      [{ ...table, peers, services: [{ ...web, tasks: [here, moved] } as typeof web & object] }],
      right
    )
    expect(after.bridge.slice(0, 2)).toEqual([
      "fdb delete 02:42:0a:00:01:06 dev vx-tnet1 dst 192.168.0.2 self",
      "fdb replace 02:42:0a:00:01:07 dev vx-tnet1 dst 192.168.0.3 self permanent"
    ])
    expect(after.bridge).toContain(
      "fdb replace 02:42:0a:00:01:06 dev vx-tnet1 dst 192.168.0.3 self permanent"
    )
    const gone = repair([{ ...table, services: [] }], right)
    expect(gone.bridge).toEqual([
      "fdb delete 02:42:0a:00:01:06 dev vx-tnet1 dst 192.168.0.2 self",
      "fdb delete 02:42:0a:00:01:06 dev vx-tnet1 master"
    ])
    expect(gone.ip).toEqual([
      "address delete 10.0.1.2/32 dev br-tnet1",
      "neighbour delete 10.0.1.6 dev vx-tnet1",
      "neighbour delete fd00::6 dev vx-tnet1"
    ])
  })

  test("a task that came here from another node is not looked for there any more", () => {
    const [web] = table.services
    const tasks = (web?.tasks ?? []).map((task) => ({ ...task, nodeId: "n1" }))
    const after = repair([{ ...table, services: [{ ...web, tasks } as typeof web & object] }], right)
    expect(after.bridge).toContain("fdb delete 02:42:0a:00:01:06 dev vx-tnet1 master")
  })

  for (const [what, change, line] of [
    ["is down", { flags: [] }, "link set dev vx-tnet1 up"],
    ["was taken off the bridge", { master: undefined }, "link set dev vx-tnet1 master br-tnet1"],
    ["has another MTU", { mtu: 1500 }, "link set dev vx-tnet1 mtu 1450"],
    [
      "learns",
      { linkinfo: { ...device.linkinfo, info_data: { ...device.linkinfo?.info_data, learning: true } } },
      "link delete dev vx-tnet1"
    ],
    [
      "comes from another address",
      { linkinfo: { ...device.linkinfo, info_data: { ...device.linkinfo?.info_data, local: "10.9.9.9" } } },
      "link delete dev vx-tnet1"
    ]
  ] as const) {
    test(`a device that ${what} is mended`, () => {
      const links = [bridge, { ...device, ...change } as Link]
      expect(repair([table], { ...right, links }).ip).toContain(line)
    })
  }

  test("a device that another node of this machine has made is left to it, and that is said", () => {
    const links = [{ ...bridge, ifalias: "troupe n9" }]
    expect(repair([table], { ...empty, links })).toEqual({
      ...nothing,
      problems: ["network front: device br-tnet1 is troupe n9's"]
    })
  })

  test("has virtual addresses on its bridges, takes what comes for them apart, and drops those that are no more", () => {
    const plain = { info_kind: "bridge", info_data: { nf_call_iptables: 0 } }
    const stale = [
      { local: "10.0.1.3", prefixlen: 24 },
      { local: "10.0.1.99", prefixlen: 32 }
    ]
    const port: Link = { ifname: "veth1", flags: ["UP"], master: "br-tnet1" }
    const before = { ...bridge, linkinfo: plain, addr_info: stale }
    expect(repair([table], { ...right, links: [before, device, port] })).toEqual({
      ...nothing,
      ip: [
        "address delete 10.0.1.99/32 dev br-tnet1",
        "address add 10.0.1.2/32 dev br-tnet1",
        "link set dev br-tnet1 type bridge nf_call_iptables 1"
      ],
      ports: ["link set dev veth1 type bridge_slave hairpin on"]
    })
    const looped = { ...port, linkinfo: { info_slave_data: { hairpin: true } } }
    expect(repair([table], { ...right, links: [bridge, device, looped] })).toEqual(nothing)
  })

  test("virtual addresses of IPv6 are the bridge's own, too, at once, and its packets take the same way", () => {
    const six = { subnet: "fd00::/64", gateway: "fd00::3" }
    const web = { ...table.services[0], vips: ["10.0.1.2", "fd00::2"] } as OverlayTable["services"][number]
    const both = { ...table, subnets: [...table.subnets, six], services: [web] }
    const own = { local: "fd00::3", prefixlen: 64 }
    const stale = { local: "fd00::99", prefixlen: 128 }
    const before = { ...bridge, addr_info: [...(bridge.addr_info ?? []), own, stale] }
    expect(repair([both], { ...right, links: [before, device] }).ip).toEqual([
      "address delete fd00::99/128 dev br-tnet1",
      "address add fd00::2/128 dev br-tnet1 nodad preferred_lft 0",
      "link set dev br-tnet1 type bridge nf_call_ip6tables 1"
    ])
    const after = {
      ...bridge,
      addr_info: [...(bridge.addr_info ?? []), own, { local: "fd00::2", prefixlen: 128 }],
      linkinfo: { info_kind: "bridge", info_data: { nf_call_iptables: 1, nf_call_ip6tables: 1 } }
    }
    expect(repair([both], { ...right, links: [after, device] })).toEqual(nothing)
  })
})
