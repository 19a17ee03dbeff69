/** Small facts of services that several parts share. */
import { expect, test } from "bun:test"
import { nameOfTask } from "#actors/model/service-facts.ts"

test("a task is named by its slot, and by its node where it has none or is a job's in slot 0", () => {
  expect(nameOfTask("web", { ID: "t", Slot: 2, NodeID: "n" })).toBe("web.2.t")
  expect(nameOfTask("agent", { ID: "t", NodeID: "n" })).toBe("agent.n.t")
  expect(nameOfTask("job", { ID: "t", Slot: 0, NodeID: "n" })).toBe("job.n.t")
})
