/** How a process of ours ends: its exit codes, its last words, and what signals do to it. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { isBun, isDeno, selfCommand } from "#runtime/platform.ts"
import { until } from "#test/support/nats-server.ts"

// A process of its own takes seconds to start on a busy machine.
setDefaultTimeout(60_000)

const script = new URL("./main-program.ts", import.meta.url)

interface Ran {
  readonly child: ChildProcess
  readonly out: () => string
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly errors: string }>
}

const children: ChildProcess[] = []

afterAll(() => {
  for (const child of children) child.kill("SIGKILL")
})

function start(command: string, args: ReadonlyArray<string>): Ran {
  const child = spawn(command, [...args], { stdio: ["ignore", "pipe", "pipe"], cwd: tmpdir() })
  children.push(child)
  let out = ""
  let errors = ""
  child.stdout?.on("data", (chunk) => {
    out += chunk
  })
  child.stderr?.on("data", (chunk) => {
    errors += chunk
  })
  const ended = new Promise<{ code: number | null; out: string; errors: string }>((resolve) => {
    child.once("close", (code) => resolve({ code, out, errors }))
  })
  return { child, out: () => out, ended }
}

const run = (program: string): Ran => {
  const { command, args } = selfCommand(script, [program])
  return start(command, args)
}

describe("a program that is the process", () => {
  test("runs under the same runtime when it starts itself, from any directory", async () => {
    expect([isBun, isDeno]).toEqual([true, false])
    expect(await run("ends").ended).toEqual({ code: 0, out: `bun ${process.versions.bun}\n`, errors: "" })
  })

  test("ends with 0 when it succeeds, and everything it wrote has arrived", async () => {
    const { code, out } = await run("talks").ended
    expect(code).toBe(0)
    expect(out.length).toBe(1_000_001)
  })

  test("ends with 1 and the error in one line when it fails", async () => {
    expect(await run("fails").ended).toEqual({ code: 1, out: "", errors: "no such stack: shop\n" })
  })

  test("ends with the code that the error names", async () => {
    expect(await run("refuses").ended).toMatchObject({ code: 2, errors: "unknown flag --colour\n" })
  })

  test("shows where a defect came from", async () => {
    const { code, errors } = await run("breaks").ended
    expect(code).toBe(1)
    expect(errors).toContain("TypeError: a bug")
    expect(errors).toContain("main-program.ts")
  })

  test.each([
    ["SIGTERM", 0],
    ["SIGINT", 130]
  ] as const)("releases what it holds after %s, and ends with %d", async (signal, code) => {
    const { child, out, ended } = run("waits")
    await until(() => out().includes("ready"), 30_000)
    child.kill(signal)
    expect(await ended).toEqual({ code, out: "ready\nreleased\n", errors: "" })
  })

  test("ends at once at the second signal", async () => {
    const { child, out, ended } = run("hangs")
    await until(() => out().includes("ready"), 30_000)
    child.kill("SIGTERM")
    await until(() => out().includes("releasing"), 30_000)
    child.kill("SIGTERM")
    expect((await ended).code).toBe(143)
  })

  const deno = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url))
  test.skipIf(!existsSync(deno))(
    "does the same under Deno",
    async () => {
      const run = (program: string): Ran =>
        start(deno, ["run", "--allow-all", "--quiet", fileURLToPath(script), program])
      expect(await run("ends").ended).toMatchObject({ code: 0, errors: "" })
      expect(await run("fails").ended).toEqual({ code: 1, out: "", errors: "no such stack: shop\n" })
      const { child, out, ended } = run("waits")
      await until(() => out().includes("ready"), 30_000)
      child.kill("SIGTERM")
      expect(await ended).toMatchObject({ code: 0, out: "ready\nreleased\n" })
    },
    60_000
  )
})
