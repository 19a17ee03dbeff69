import { describe, expect, test } from "bun:test"
import {
  chooseTunnels,
  configurationOf,
  isConfigured,
  type Key,
  tunnelsOf
} from "#actors/drivers/wireguard/plan.ts"
import { parseShown, type Shown } from "#actors/drivers/wireguard/show.ts"
import type { OverlayTable, Peer } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const own = (epoch: number): Key => ({
  Epoch: epoch,
  PublicKey: `own${epoch}`,
  PrivateKey: `secret${epoch}`,
  Port: 51820 + epoch
})
const peer = (nodeId: string, dataPath: string, ...epochs: ReadonlyArray<number>): Peer => ({
  nodeId,
  dataPath,
  gateways: [],
  keys: epochs.map((epoch) => ({ Epoch: epoch, PublicKey: `${nodeId}-${epoch}`, Port: 51900 + epoch }))
})
const encrypted = (...peers: ReadonlyArray<Peer>): OverlayTable =>
  overlayTable({ encrypted: true, mtu: 1370, peers })
const two = peer("n2", "192.168.0.2", 1, 2)
const three = peer("n3", "192.168.0.3", 1)

/** Devices on which the node has shaken hands with these. */
const met = (...keys: ReadonlyArray<string>): Shown => ({
  privateKey: "",
  port: 0,
  peers: new Map(keys.map((key) => [key, { endpoint: "e", allowed: "a", keepAlive: 25, hasMet: true }]))
})

describe("tunnels", () => {
  test("are there for encrypted networks with other machines alone", () => {
    const plain = overlayTable({ peers: [two] })
    const twin = encrypted(peer("n4", "192.168.0.1", 1))
    expect(tunnelsOf([plain, twin, encrypted()], [own(1)], "n1")).toEqual([])
  })

  test("have a device for each key, and on it those with a key of the same epoch, once whatever they share", () => {
    const again = { ...encrypted(two), networkId: "net2", mtu: 8900 }
    const tunnels = tunnelsOf([encrypted(three, two), again], [own(2), own(1)], "n1")
    expect(
      tunnels.map(({ device, mtu, peers }) => [device, mtu, peers.map(({ publicKey }) => publicKey)])
    ).toEqual([
      ["wg0-tn1", 8970, ["n2-2"]],
      ["wg1-tn1", 8970, ["n2-1", "n3-1"]]
    ])
  })

  test("are told to WireGuard with what passes from each and where it is", () => {
    const [tunnel] = tunnelsOf([encrypted(two)], [own(2)], "n1")
    expect(tunnel && configurationOf(tunnel)).toBe(`[Interface]
PrivateKey = secret2
ListenPort = 51822
[Peer]
PublicKey = n2-2
AllowedIPs = 192.168.0.2/32
Endpoint = 192.168.0.2:51902
PersistentKeepalive = 25
`)
  })

  test("are right when WireGuard shows them so, wherever a peer was heard from last", () => {
    const [tunnel] = tunnelsOf([encrypted(two)], [own(2)], "n1")
    const dump = (line: string): Shown => parseShown(`secret2\town2\t51822\toff\n${line}`)
    const right = "n2-2\t(none)\t10.9.9.9:1\t192.168.0.2/32\t0\t0\t0\t25\n"
    if (tunnel === undefined) throw new Error("there is one")
    expect(isConfigured(tunnel, dump(right))).toBe(true)
    expect(isConfigured(tunnel, undefined)).toBe(false)
    for (const other of [{ PrivateKey: "other" }, { Port: 51899 }])
      expect(isConfigured({ ...tunnel, key: { ...own(2), ...other } }, dump(right))).toBe(false)
    for (const [is, was] of [
      ["n9", "n2-2"],
      ["0.0.0.0/0", "192.168.0.2/32"],
      ["(none)", "10.9.9.9:1"],
      ["off", "25\n"]
    ] as const) {
      expect(isConfigured(tunnel, dump(right.replace(was, is)))).toBe(false)
    }
    expect(isConfigured(tunnel, dump(`${right}${right.replace("n2-2", "n9")}`))).toBe(false)
  })
})

describe("who is reached", () => {
  const tables = [encrypted(two, three)]
  const tunnels = tunnelsOf(tables, [own(2), own(1)], "n1")
  const choose = (shown: Record<string, Shown>) =>
    chooseTunnels(tables, tunnels, new Map(Object.entries(shown)))

  test("goes through the newer key only once both have shaken hands by it", () => {
    const before = choose({ "wg1-tn1": met("n2-1", "n3-1"), "wg0-tn1": met() })
    expect([...before.tunnels]).toEqual([
      ["n2", "wg1-tn1"],
      ["n3", "wg1-tn1"]
    ])
    const after = choose({ "wg1-tn1": met("n2-1", "n3-1"), "wg0-tn1": met("n2-2") })
    expect([...after.tunnels]).toEqual([
      ["n2", "wg0-tn1"],
      ["n3", "wg1-tn1"]
    ])
  })

  test("is nobody who has no key of an epoch that this node has, or a data path of IPv6", () => {
    const stranger = [
      encrypted(peer("n5", "192.168.0.5", 9), peer("n6", "fd00::6", 2), { ...two, keys: [] }, three)
    ]
    const chosen = chooseTunnels(stranger, tunnelsOf(stranger, [own(2)], "n1"), new Map())
    expect(chosen.tunnels.size).toBe(0)
    expect(chosen.unreached).toEqual(["n2", "n3", "n5", "n6"])
  })
})

test("what WireGuard shows is read: no endpoint, no handshake, no keepalive", () => {
  const shown = parseShown(
    "s\tp\t51820\toff\nk1\t(none)\t(none)\t192.168.0.2/32\t0\t0\t0\toff\nk2\t(none)\t1.2.3.4:5\t(none)\t1795779016\t1\t1\t25\n"
  )
  expect(shown).toEqual({
    privateKey: "s",
    port: 51820,
    peers: new Map([
      ["k1", { endpoint: undefined, allowed: "192.168.0.2/32", keepAlive: 0, hasMet: false }],
      ["k2", { endpoint: "1.2.3.4:5", allowed: "(none)", keepAlive: 25, hasMet: true }]
    ])
  })
})
