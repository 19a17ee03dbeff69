/** The pass-through under Deno: the docker CLI's streams, uploads and hijacked connections once more. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { docker, startDocker } from "#test/support/docker-cli.ts"
import {
  cleanUp,
  dockerHost,
  ensureTestImage,
  eventually,
  testImage,
  uniqueName
} from "#test/support/engine.ts"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const label = uniqueName("gateway-deno")
const name = uniqueName("deno")
const large = randomBytes(20_000_000)
let folder = ""
let host = ""
let deno: ChildProcess

beforeAll(async () => {
  await ensureTestImage()
  folder = await mkdtemp(join(tmpdir(), "troupe-deno-"))
  const socket = join(folder, "docker.sock")
  host = `unix://${socket}`
  deno = spawn(
    join(root, "node_modules/.bin/deno"),
    ["run", "-A", "test/integration/proxy-smoke.ts", socket, dockerHost],
    { cwd: root, detached: true, stdio: ["ignore", "pipe", "inherit"] }
  )
  await new Promise((resolve, reject) => {
    deno.stdout?.once("data", resolve)
    deno.once("exit", (code) => reject(new Error(`deno ended with ${code}`)))
  })
  const script = "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done"
  await docker(host, ["run", "-d", "--name", name, "--label", label, testImage, "sh", "-c", script])
}, 60_000)
afterAll(async () => {
  // The program is a shell around the real one: the whole group ends.
  if (deno.pid !== undefined) process.kill(-deno.pid, "SIGKILL")
  await cleanUp(label)
  await rm(folder, { recursive: true, force: true })
}, 60_000)

test("20 MB go through run -i and exec -i and come back", async () => {
  const run = await docker(host, ["run", "-i", "--rm", "--label", label, testImage, "cat"], { input: large })
  expect(run.stdout.equals(large)).toBe(true)
  const exec = await docker(host, ["exec", "-i", name, "cat"], { input: large })
  expect(exec.stdout.equals(large)).toBe(true)
}, 60_000)

test("exit codes, terminals, copies and images", async () => {
  expect(await docker(host, ["exec", name, "sh", "-c", "echo out; exit 7"])).toMatchObject({
    code: 7,
    text: "out"
  })
  const tty = await docker(host, ["exec", "-it", name, "sh", "-c", "test -t 1 && echo a terminal"], {
    tty: true
  })
  expect(tty.text).toContain("a terminal")
  await writeFile(join(folder, "large"), large)
  await docker(host, ["cp", join(folder, "large"), `${name}:/large`])
  await docker(host, ["cp", `${name}:/large`, join(folder, "back")])
  expect((await readFile(join(folder, "back"))).equals(large)).toBe(true)
  const saved = await docker(host, ["save", testImage])
  expect((await docker(host, ["load"], { input: saved.stdout })).text).toContain("Loaded image")
}, 60_000)

test("logs -f and attach show what comes", async () => {
  for (const args of [
    ["logs", "-f", "--tail", "2", name],
    ["attach", "--no-stdin", "--sig-proxy=false", name]
  ]) {
    const child = startDocker(host, args)
    let heard = ""
    child.stdout?.on("data", (part) => {
      heard += String(part)
    })
    await eventually(() => (heard.match(/line \d+/g) ?? []).length > 3, `${args[0]} shows lines`)
    child.kill("SIGKILL")
  }
}, 60_000)
