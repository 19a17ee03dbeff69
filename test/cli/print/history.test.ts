/** How `troupe history` shows a change to people. */
import { expect, test } from "bun:test"
import { showChange } from "#cli/print/history.ts"

test("a change is a line, and each of its fields another, also where a value has lines of its own", () => {
  const certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  const shown = showChange({
    ...{ Sequence: "7", Time: "2026-11-28T00:26:38.764Z", Kind: "node", Action: "update", ID: "n1id" },
    ...{ Name: "n1", Who: "local", Why: "" },
    Changed: [
      { Field: "Status.State", Before: "down", After: "ready" },
      { Field: "Description.TLSInfo.TrustRoot", After: certificate },
      { Field: "Spec.Labels", Before: { a: "b\nc" } }
    ]
  })
  expect(shown.split("\n")).toEqual([
    "2026-11-28T00:26:38.764Z   node n1 changed   by local",
    "    Status.State: down → ready",
    "    Description.TLSInfo.TrustRoot: none → -----BEGIN CERTIFICATE----- (and 2 more lines)",
    '    Spec.Labels: {"a":"b\\nc"} → none'
  ])
})
