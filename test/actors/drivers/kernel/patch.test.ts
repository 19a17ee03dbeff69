import { expect, test } from "bun:test"
import { patch } from "#actors/drivers/kernel/patch.ts"
import { vipRules } from "#actors/drivers/kernel/vips.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

/** Services by virtual address, each with the last parts of its tasks' addresses; `-` before one that does not serve. */
const rules = (services: Readonly<Record<string, ReadonlyArray<string>>>): string =>
  vipRules(
    [
      overlayTable({
        services: Object.entries(services).map(([vip, tasks]) => ({
          serviceId: vip,
          name: vip,
          aliases: [],
          vips: [vip],
          ports: [],
          tasks: tasks.map((task) => ({
            taskId: task,
            nodeId: "n1",
            name: task,
            addresses: [`10.0.1.${task.replace("-", "")}`],
            serving: !task.startsWith("-")
          }))
        }))
      })
    ],
    "n1"
  ) ?? ""
const changed = (before: Parameters<typeof rules>[0], after: Parameters<typeof rules>[0]) =>
  patch("t", rules(before), rules(after))?.trim().split("\n")

test("a task that leaves changes its service's rule and no other's", () => {
  expect(
    changed({ "10.0.1.2": ["5", "6"], "10.0.1.3": ["7"] }, { "10.0.1.2": ["5", "-6"], "10.0.1.3": ["7"] })
  ).toEqual([
    "delete element inet t themselves { 10.0.1.6 . 10.0.1.6 }",
    "flush chain inet t to_10_0_1_2",
    "add rule inet t to_10_0_1_2 dnat ip to numgen random mod 1 map { 0 : 10.0.1.5 }"
  ])
})

test("a service that begins to be served gets a chain before anything leads there, and loses it after nothing does", () => {
  const [idle, served] = [{ "10.0.1.2": ["-5"] }, { "10.0.1.2": ["5"] }]
  expect(changed(idle, served)).toEqual([
    "delete element inet t expecting { 10.0.1.2 }",
    "add chain inet t to_10_0_1_2",
    "add rule inet t to_10_0_1_2 dnat ip to numgen random mod 1 map { 0 : 10.0.1.5 }",
    "add element inet t themselves { 10.0.1.5 . 10.0.1.5 }",
    "add element inet t services { 10.0.1.2 : goto to_10_0_1_2 }"
  ])
  expect(changed(served, idle)).toEqual([
    "delete element inet t themselves { 10.0.1.5 . 10.0.1.5 }",
    "delete element inet t services { 10.0.1.2 }",
    "add element inet t expecting { 10.0.1.2 }",
    "flush chain inet t to_10_0_1_2",
    "delete chain inet t to_10_0_1_2"
  ])
})

test("where more than services differs, the table is written as a whole", () => {
  const before = rules({ "10.0.1.2": ["5"] })
  expect(patch("t", before, before.replace("priority dstnat - 5", "priority dstnat - 6"))).toBeUndefined()
  expect(patch("t", before, before)).toBe("")
})
