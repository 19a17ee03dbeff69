import { expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { readIdentity } from "#actors/drivers/machine/identity-file.ts"
import { identityOf, isAlive } from "#actors/drivers/machine/process-identity.ts"

test("a process is known again by its file, and by a damaged one nobody is", () => {
  const folder = mkdtempSync(join(tmpdir(), "troupe-identity-"))
  const file = join(folder, "process.json")
  try {
    expect(readIdentity(file)).toBeUndefined()
    const own = identityOf(process.pid)
    writeFileSync(file, JSON.stringify(own))
    const read = readIdentity(file)
    expect(read).toEqual(own)
    expect(read !== undefined && isAlive(read)).toBe(true)
    for (const damaged of ["", '{"pid":', "null", '{"pid":"7","startTime":"7"}', '{"pid":7}']) {
      writeFileSync(file, damaged)
      expect(readIdentity(file)).toBeUndefined()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
