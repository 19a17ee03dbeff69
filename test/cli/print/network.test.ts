import { expect, test } from "bun:test"
import type { NetworkView } from "#actors/network/protocol.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { showNetwork } from "#cli/print/network.ts"

const table = {
  networkId: "net1",
  name: "front",
  vni: 4097,
  subnets: [{ subnet: "10.0.1.0/24", gateway: "10.0.1.3" }],
  peers: [{}, {}],
  services: [{ tasks: [{}, {}, {}] }]
} as unknown as OverlayTable
const view: NetworkView = {
  tables: [table],
  rounds: 7,
  repairs: 1,
  problems: [],
  isLaying: false,
  bridgeless: []
}
const right = { ip: [], bridge: [], ports: [], bridgeless: [], problems: [] }

test("a node's overlays, how often they were looked at, and that nothing differs", () => {
  expect(showNetwork(view, right)).toBe(
    [
      "NETWORK   VNI    OWN ADDRESS   OTHER NODES   TASKS",
      "front     4097   10.0.1.3      2             3",
      "7 looks at the kernel, 1 repair",
      "the kernel is as it should be"
    ].join("\n")
  )
})

test("what differs is shown as what would mend it, beside what cannot be mended", () => {
  const repair = { ...right, ip: ["link delete dev vx-told"], bridgeless: ["net1"] }
  expect(showNetwork({ ...view, tables: [], problems: ["ip: not found"] }, repair).split("\n")).toEqual([
    "this node takes part in no overlay",
    "7 looks at the kernel, 1 repair",
    "ip: not found",
    "network net1 has no bridge here yet",
    "1 difference, to be mended by:",
    "  link delete dev vx-told"
  ])
})

test("who may not read the kernel is told so", () => {
  expect(showNetwork(view, undefined)).toContain("read as root only")
})
