import { expect, test } from "bun:test"
import { servingAddresses, targetsOf } from "#actors/drivers/kernel/flows.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

test("a flow leads to where its answers come from", () => {
  const listed = `udp      17 28 src=192.0.2.7 dst=192.0.2.1 sport=4000 dport=53 src=10.0.1.11 dst=192.0.2.7 sport=53 dport=4000 [ASSURED] mark=0 use=1
udp      17 9 src=192.0.2.8 dst=192.0.2.1 sport=4000 dport=53 [UNREPLIED] src=fd00::11 dst=192.0.2.8 sport=53 dport=4000 mark=0 use=1
conntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.
`
  expect([...targetsOf(listed)]).toEqual(["10.0.1.11", "fd00::11"])
})

test("flows may lead to all addresses of tasks that serve, and to no others", () => {
  const task = (taskId: string, serving: boolean) => ({
    taskId,
    nodeId: "n1",
    name: taskId,
    addresses: [`10.0.1.${taskId}`, `fd00::${taskId}`],
    serving
  })
  const services = [
    {
      serviceId: "web",
      name: "web",
      aliases: [],
      vips: [],
      ports: [],
      tasks: [task("1", true), task("2", false)]
    }
  ]
  expect([...servingAddresses([overlayTable({ services })])]).toEqual(["10.0.1.1", "fd00::1"])
})
