import { afterAll, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"

const folder = mkdtempSync(join(tmpdir(), "troupe-doctor-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("the disk of a node that does not run is looked at when its data directory is said, with a socket or without", () => {
  const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url))
  const doctor = (...more: ReadonlyArray<string>): string =>
    spawnSync(process.execPath, [program, "doctor", "--data-dir", folder, ...more], { encoding: "utf8" })
      .stdout
  expect(doctor()).toContain(`GiB free for ${folder}`)
  const said = doctor("--socket", join(folder, "none.sock"))
  expect(said).toContain(`GiB free for ${folder}`)
  expect(said).toContain(`no node with --data-dir ${folder} runs with this --socket`)
  expect(said).not.toContain("were not looked at")
})
