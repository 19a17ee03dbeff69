/** Ten seconds of `bun run soak:actors`: real processes, real nats-servers, and both of them killed meanwhile. */
import { expect, test } from "bun:test"
import { soak } from "#test/soak/soak.ts"

test("every question ends once, in time, and every tree is what it was, whatever is killed or frozen meanwhile", async () => {
  const { problems, outcomes, faults, notes } = await soak({ seconds: 8, asksPerMinute: 20_000, seed: 3 })
  expect(problems).toEqual([])
  expect(outcomes.Answer).toBeGreaterThan(500)
  expect(notes.heard).toBeGreaterThan(500)
  expect(Object.keys(faults)).toContain("an actor crashes")
  expect(Object.keys(faults)).toContain("a process is killed")
}, 120_000)
