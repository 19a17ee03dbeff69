/** What can be set, and what cannot. */
import { expect, test } from "bun:test"
import { coreSettings, settingsProblem } from "#actors/raft/core/settings.ts"

test("C3 F7: nothing can be set that acknowledges before the disk, reads by a lease, or does without pre-vote and check-quorum", () => {
  expect(Object.keys(coreSettings).sort()).toEqual([
    "appendBytes",
    "applyBytes",
    "applyEntries",
    "diskStuckTicks",
    "electionTicks",
    "heartbeatTicks",
    "inFlightBytes",
    "inFlightMessages",
    "persistBytes",
    "persistEntries",
    "persistsInFlight",
    "tickMs",
    "trailingBytes",
    "trailingEntries",
    "uncommittedBytes",
    "uncommittedEntries"
  ])
})

test("timeouts that elect without need are refused", () => {
  expect(settingsProblem(coreSettings)).toBeUndefined()
  expect(settingsProblem({ ...coreSettings, electionTicks: 9 })).toContain("5 × heartbeatTicks")
  expect(settingsProblem({ ...coreSettings, heartbeatTicks: 0 })).toContain("above 0")
  expect(settingsProblem({ ...coreSettings, appendBytes: 1.5 })).toContain("whole number")
})
