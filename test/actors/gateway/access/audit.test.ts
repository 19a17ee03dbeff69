/** The audit trail: its file, what of it is remembered, and a flood of refusals. */
import { afterAll, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type AuditLine, openAudit } from "#actors/gateway/access/audit.ts"
import { eventually } from "#test/support/engine.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-audit-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, "audit.log")
const written = (): ReadonlyArray<AuditLine> =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((text) => JSON.parse(text))
    : []

test("a flood of refusals is cut short on the disk, changes are not, and both go on being told", async () => {
  let now = 5_000
  const audit = openAudit(
    folder,
    () => now,
    (problem) => expect(problem).toBe("")
  )
  const told: Array<AuditLine> = []
  audit.follow((line) => void told.push(line))
  const refusal = {
    at: "",
    who: "nobody",
    method: "GET",
    path: "/services",
    status: 401,
    refused: "no token"
  }
  const change = { at: "", who: "local", method: "POST", path: "/services/create", status: 201 }
  for (let at = 0; at < 150; at++) audit.note(refusal)
  audit.note(change)
  now += 1_000
  audit.note({ ...refusal, who: "of the next second" })
  await eventually(() => written().length === 102, "a hundred refusals, the change, and the next second's")
  expect(
    written()
      .slice(-2)
      .map(({ who }) => who)
  ).toEqual(["local", "of the next second"])
  expect(told).toHaveLength(152)
  expect(audit.recent()).toHaveLength(152)
  expect(
    openAudit(
      folder,
      () => now,
      () => {}
    ).recent()
  ).toHaveLength(102)
})
