import { expect, test } from "bun:test"
import type { OverlayTable, ServiceRow, TaskRow } from "#actors/network/table.ts"
import { withdraw } from "#actors/network/withdraw.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const row = (serviceId: string, tasks: Readonly<Record<string, boolean>>): ServiceRow => ({
  serviceId,
  name: serviceId,
  aliases: [],
  vips: [],
  ports: [],
  tasks: Object.entries(tasks).map(
    ([taskId, serving]): TaskRow => ({ taskId, nodeId: "n1", name: taskId, addresses: [], serving })
  )
})
const overlay = (...services: ReadonlyArray<ServiceRow>): ReadonlyArray<OverlayTable> => [
  overlayTable({ networkId: "front", services })
]
/** Of each service, its tasks; those that do not serve in brackets. */
const shown = (tables: ReadonlyArray<OverlayTable> | undefined) =>
  tables?.flatMap(({ services }) =>
    services.map(
      ({ serviceId, tasks }) =>
        `${serviceId}: ${tasks.map(({ taskId, serving }) => (serving ? taskId : `(${taskId})`)).join(" ")}`
    )
  )

test("who serves no more goes first, and nothing else changes with that", () => {
  const before = overlay(row("a", { a1: true, a2: true, a3: false }), row("b", { b1: true }))
  const now = overlay(
    row("a", { a2: true, a3: true, a4: true }),
    row("b", { b1: true }),
    row("c", { c1: true })
  )
  expect(shown(withdraw(before, now))).toEqual(["a: a2 (a3)", "b: b1"])
  const ends = overlay(row("a", { a1: false, a2: true, a3: false }), row("b", { b1: true }))
  expect(shown(withdraw(before, ends))).toEqual(["a: a2 (a3)", "b: b1"])
})

test("of a service that would be left without any, the others take their place at once", () => {
  const before = overlay(row("a", { a1: true, a2: false }))
  expect(withdraw(before, overlay(row("a", { a2: true })))).toBeUndefined()
  expect(withdraw(before, overlay(row("a", {})))).toBeUndefined()
  expect(withdraw(before, overlay())).toBeUndefined()
  expect(withdraw(before, [])).toBeUndefined()
})

test("what only comes, or is as it was, needs no such beginning", () => {
  const before = overlay(row("a", { a1: true }))
  expect(withdraw(before, before)).toBeUndefined()
  expect(withdraw(before, overlay(row("a", { a1: true, a2: true })))).toBeUndefined()
  expect(withdraw([], before)).toBeUndefined()
})
