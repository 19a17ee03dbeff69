import { afterAll, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { announceRunning, forgetRunning } from "#cli/running.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-doctor-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url))
const doctor = (...more: ReadonlyArray<string>): string =>
  spawnSync(process.execPath, [program, "doctor", "--data-dir", folder, ...more], { encoding: "utf8" }).stdout

test("the Engine that is looked at is the node's own, unless another is asked for", async () => {
  const dockerHost = `unix://${folder}/engine.sock`
  const none = { nodeId: "", clusterId: "", http: "", nats: "" }
  const running = { ...none, pid: process.pid, socket: join(folder, "docker.sock"), dockerHost }
  const looking = announceRunning(folder, running).pipe(
    Effect.andThen(Effect.sync(() => [doctor(), doctor("--docker-host", `unix://${folder}/other.sock`)])),
    Effect.ensuring(forgetRunning({ dataDir: folder, socket: running.socket }))
  )
  const [own = "", other = ""] = await Effect.runPromise(looking)
  expect(own).toContain(`BAD   no Docker Engine answers at ${dockerHost}`)
  expect(other).toContain(`BAD   no Docker Engine answers at unix://${folder}/other.sock`)
})

test("the disk of a node that does not run is looked at when its data directory is said, with a socket or without", () => {
  expect(doctor()).toContain(` free for ${folder}`)
  const said = doctor("--socket", join(folder, "none.sock"))
  expect(said).toContain(` free for ${folder}`)
  expect(said).toContain(`no node with --data-dir ${folder} has this --socket`)
  expect(said).not.toContain("were not looked at")
})
