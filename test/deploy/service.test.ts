/** `bun run fresh` installs the unit on a machine of its own; here systemd only reads it. */
import { expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"

test("the unit is one that systemd understands, and names programs that are there", () => {
  const folder = mkdtempSync(join(tmpdir(), "troupe-unit-"))
  try {
    const unit = readFileSync("deploy/systemd/troupe.service", "utf8")
    const installed = join(folder, "troupe.service")
    writeFileSync(installed, unit.replaceAll("/opt/troupe", process.cwd()))
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", installed], { encoding: "utf8" })
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
