import { afterEach, expect, test } from "bun:test"
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Effect } from "effect"
import { mountsBelow } from "#actors/drivers/machine/mounts.ts"
import { vanish } from "#cli/leave.ts"
import type { NodeOptions } from "#cli/node-options.ts"

const folders: Array<string> = []
afterEach(() => {
  for (const folder of folders.splice(0)) {
    for (const point of mountsBelow(folder)) execFileSync("umount", [point])
    rmSync(folder, { recursive: true })
  }
})

/** A node's two folders, and somebody's data mounted in one of them. */
function places() {
  const folder = mkdtempSync(join(tmpdir(), "troupe-leave-"))
  folders.push(folder)
  const [dataDir, runDir, data] = ["data", "run", "theirs"].map((name) => join(folder, name)) as [
    string,
    string,
    string
  ]
  const point = join(runDir, "volumes", "v1", "published")
  for (const path of [dataDir, point, data]) mkdirSync(path, { recursive: true })
  writeFileSync(join(data, "file"), "dear")
  execFileSync("mount", ["--bind", data, point])
  return { dataDir, runDir, point, file: join(data, "file") }
}
const leave = ({ dataDir, runDir }: ReturnType<typeof places>) =>
  Effect.runPromise(vanish({ dataDir, runDir, socket: join(runDir, "docker.sock") } as NodeOptions))

const asRoot = test.skipIf(process.getuid?.() !== 0)

asRoot("what is mounted in a folder of a node that leaves is unmounted, not deleted", async () => {
  const at = places()
  await leave(at)
  expect([at.dataDir, at.runDir].filter((path) => existsSync(path))).toEqual([])
  expect(readFileSync(at.file, "utf8")).toBe("dear")
})

asRoot("where it cannot be unmounted, the folder stays with it", async () => {
  const at = places()
  const user = spawn("sleep", ["60"], { cwd: at.point })
  await leave(at)
  const [held] = mountsBelow(at.runDir)
  expect(held).toBe(at.point)
  expect(existsSync(at.dataDir)).toBe(false)
  expect(readFileSync(at.file, "utf8")).toBe("dear")
  const ended = new Promise((resolve) => user.once("exit", resolve))
  user.kill("SIGKILL")
  await ended
})

asRoot("the daemon's socket stays where it is, also below one of the folders, until it is gone", async () => {
  const at = places()
  const socket = join(at.runDir, "docker.sock")
  writeFileSync(socket, "")
  await leave(at)
  expect(existsSync(at.dataDir)).toBe(false)
  expect(readdirSync(at.runDir)).toEqual(["docker.sock"])
  rmSync(socket)
  await leave(at)
  expect(existsSync(at.runDir)).toBe(false)
  expect(readFileSync(at.file, "utf8")).toBe("dear")
})
