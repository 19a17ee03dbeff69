/** The audit trail: its file, what of it is remembered, and a flood of refusals. */
import { afterAll, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { type AuditLine, openAudit } from "#actors/gateway/access/audit.ts"
import { eventually } from "#test/support/engine.ts"
import { emptyDisk, fillDisk, removeDisk, smallDisk } from "#test/support/small-disk.ts"

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

test.skipIf(process.getuid?.() !== 0)(
  "a full disk costs no line and tears none: they are written when there is room, and that is said once",
  async () => {
    const disk = smallDisk("1m")
    try {
      const problems: Array<string> = []
      const audit = openAudit(disk, Date.now, (problem) => void problems.push(problem))
      const file = join(disk, "audit.log")
      const change = { at: "", who: "local", method: "POST", status: 201 }
      const note = (at: number): void => audit.note({ ...change, path: `/${at}/${"x".repeat(300)}` })
      const paths = (): ReadonlyArray<string> =>
        readFileSync(file, "utf8")
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line).path.split("/")[1])
      note(0)
      await eventually(() => existsSync(file) && paths().length === 1, "the first is written")
      fillDisk(disk)
      // More than is left of the page.
      for (let at = 1; at <= 40; at++) note(at)
      await eventually(() => problems.length > 0, "it is said")
      expect(problems).toEqual([
        expect.stringContaining(`Cannot write ${file}, tried again each second: ENOSPC`)
      ])
      await eventually(() => readFileSync(file, "utf8").endsWith("\n"), "no line is torn")
      emptyDisk(disk)
      await eventually(() => paths().length === 41, "all are written")
      expect(paths()).toEqual(Array.from({ length: 41 }, (_, at) => `${at}`))
      expect(problems).toHaveLength(1)
    } finally {
      removeDisk(disk)
    }
  }
)
