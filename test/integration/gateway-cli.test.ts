/** The docker CLI through our socket to a real Engine: everything that streams, uploads or is hijacked. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { randomBytes } from "node:crypto"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type CliOptions, type CliResult, clis, docker, startDocker } from "#test/support/docker-cli.ts"
import {
  cleanUp,
  dockerHost,
  engine,
  ensureTestImage,
  eventually,
  testImage,
  uniqueName
} from "#test/support/engine.ts"
import { type OpenTestGateway, openTestGateway } from "#test/support/open-gateway.ts"

const label = uniqueName("gateway-cli")
// Random, so that nothing on the way can shorten it: 20 MB.
const large = randomBytes(20_000_000)
let gateway: OpenTestGateway
let folder = ""

beforeAll(async () => {
  await ensureTestImage()
  folder = await mkdtemp(join(tmpdir(), "troupe-cli-"))
  await writeFile(join(folder, "large"), large)
  gateway = await openTestGateway()
}, 60_000)
afterAll(async () => {
  await gateway.close()
  await cleanUp(label)
  await rm(folder, { recursive: true, force: true })
}, 60_000)

test("there is a docker CLI to test with", () => {
  expect(clis.length).toBeGreaterThan(0)
})

describe.each([...clis])("docker $version", ({ path: cli, version }) => {
  const run = (args: ReadonlyArray<string>, options: CliOptions = {}): Promise<CliResult> =>
    docker(gateway.host, args, { cli, ...options })
  const name = uniqueName("gateway")

  beforeAll(async () => {
    const script = "i=0; while :; do echo line $i; echo error $i >&2; i=$((i+1)); sleep 0.1; done"
    const started = await run(["run", "-d", "--name", name, "--label", label, testImage, "sh", "-c", script])
    expect(started.stderr).toBe("")
  }, 30_000)

  test("version, info and ping speak of the Engine and of us", async () => {
    const shown = await run(["version"])
    expect(shown.code).toBe(0)
    expect(shown.text).toMatch(/Troupe:\s+Version: +0\.0\.0-test/)
    const info = JSON.parse((await run(["info", "--format", "{{json .}}"])).text)
    expect(info.Swarm).toMatchObject({
      LocalNodeState: "active",
      ControlAvailable: true,
      Nodes: 1,
      Managers: 1
    })
    expect(info.Swarm.Cluster.Spec.Orchestration.TaskHistoryRetentionLimit).toBe(5)
    expect(info.ServerVersion).toBe((await engine().version()).Version)
    expect((await run(["node", "ls"])).text).toContain("Leader")
    expect((await run(["ps"])).text).toContain(name)
  }, 30_000)

  test("20 MB go through run -i and come back, and its input's end is its end", async () => {
    const result = await run(["run", "-i", "--rm", "--label", label, testImage, "cat"], { input: large })
    expect(result.stdout.equals(large)).toBe(true)
    expect(result.code).toBe(0)
  }, 60_000)

  test("exec: output, errors, input, 20 MB both ways, and the exit code", async () => {
    const result = await run(["exec", name, "sh", "-c", "echo out; echo err >&2; exit 7"])
    expect(result).toMatchObject({ code: 7, text: "out", stderr: "err\n" })
    expect((await run(["exec", "-i", name, "cat"], { input: Buffer.from("abc") })).text).toBe("abc")
    const echoed = await run(["exec", "-i", name, "cat"], { input: large })
    expect(echoed.stdout.equals(large)).toBe(true)
  }, 60_000)

  test("exec -it has a terminal of the client's size", async () => {
    const result = await run(["exec", "-it", name, "sh", "-c", "test -t 0 && test -t 1 && echo a terminal"], {
      tty: true
    })
    expect(result.text).toContain("a terminal")
  }, 30_000)

  test("logs -f and attach show what comes, until the client has seen enough", async () => {
    for (const args of [
      ["logs", "-f", "--tail", "2", name],
      ["attach", "--no-stdin", "--sig-proxy=false", name]
    ]) {
      const child = startDocker(gateway.host, args, { cli })
      let heard = ""
      child.stdout?.on("data", (part) => {
        heard += String(part)
      })
      await eventually(() => (heard.match(/line \d+/g) ?? []).length > 3, `${args[0]} shows lines`)
      child.kill("SIGKILL")
    }
  }, 60_000)

  test("cp in and out", async () => {
    expect((await run(["cp", join(folder, "large"), `${name}:/large`])).code).toBe(0)
    const back = join(folder, "back")
    expect((await run(["cp", `${name}:/large`, back])).code).toBe(0)
    expect((await readFile(back)).equals(large)).toBe(true)
  }, 60_000)

  test("save and load: an image travels both ways", async () => {
    const saved = await run(["save", testImage])
    expect(saved.stdout.length).toBeGreaterThan(1_000_000)
    expect((await run(["load"], { input: saved.stdout })).text).toContain("Loaded image")
  }, 60_000)

  test("build, with the old builder and, where the CLI brings it, with BuildKit", async () => {
    const context = await mkdtemp(join(tmpdir(), "troupe-build-"))
    const tag = `${uniqueName("gateway-build")}:1`
    try {
      await writeFile(
        join(context, "Dockerfile"),
        `FROM ${testImage}\nCOPY Dockerfile /made-here\nRUN true\n`
      )
      const old = await run(["build", "-t", tag, "--label", label, context])
      expect(old.text).toContain(`Successfully tagged ${tag}`)
      // BuildKit's session is an h2c connection through /session; from 23 on the CLI needs a plugin for it.
      if (Number(version.split(".")[0]) < 23) {
        await writeFile(join(context, "Dockerfile"), `FROM scratch\nCOPY Dockerfile /\n`)
        const built = await run(["build", "-t", `${tag}-kit`, context], { env: { DOCKER_BUILDKIT: "1" } })
        expect(`${built.code} ${built.stderr}`).toMatch(/^0 .*naming to/s)
      }
    } finally {
      await run(["image", "rm", "-f", tag, `${tag}-kit`])
      await rm(context, { recursive: true, force: true })
    }
  }, 60_000)

  test("errors are the Engine's own", async () => {
    const through = await run(["logs", "no-such-container"])
    const straight = await docker(dockerHost, ["logs", "no-such-container"], { cli })
    expect(through).toMatchObject({ code: straight.code, stderr: straight.stderr })
    expect(through.code).not.toBe(0)
  }, 30_000)
})
