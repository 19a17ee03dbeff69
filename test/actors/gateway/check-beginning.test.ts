import { expect, test } from "bun:test"
import { managerAt } from "#actors/gateway/validate/check-beginning.ts"

test("a manager is joined at the port that it usually listens at where none is given, as in Swarm", () => {
  for (const [given, meant] of [
    ["10.0.0.1", "10.0.0.1:2377"],
    ["10.0.0.1:", "10.0.0.1:2377"],
    ["m1.example", "m1.example:2377"],
    ["[fd00::1]", "[fd00::1]:2377"],
    ["10.0.0.1:2378", "10.0.0.1:2378"],
    ["[fd00::1]:2378", "[fd00::1]:2378"]
  ] as const)
    expect(managerAt(given)).toBe(meant)
})
