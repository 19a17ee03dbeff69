/**
 * What reaches nobody, and what never returns: a process of ours survives the first and ends itself at the second.
 *
 * Each case is a process of its own (`test/support/isolation-program.ts`), under Bun and under Deno.
 */
import { afterAll, describe, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { until } from "#test/support/nats-server.ts"

const script = fileURLToPath(new URL("../support/isolation-program.ts", import.meta.url))
const deno = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url))
const runtimes = [
  ["bun", process.execPath, []],
  ...(existsSync(deno) ? [["deno", deno, ["run", "--allow-all", "--quiet"]] as const] : [])
] as ReadonlyArray<readonly ["bun" | "deno", string, ReadonlyArray<string>]>

const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill("SIGKILL")
})

interface Said {
  readonly event?: string
  readonly name?: string
  readonly error?: string
  readonly bystander?: string
  readonly culprit?: string
  readonly restarts?: number
  readonly strays?: number
}

function start(runtime: (typeof runtimes)[number], args: ReadonlyArray<string>) {
  const [, command, before] = runtime
  const child = spawn(command, [...before, script, ...args], { stdio: ["ignore", "pipe", "pipe"] })
  children.push(child)
  let out = ""
  let errors = ""
  child.stdout?.on("data", (chunk) => {
    out += chunk
  })
  child.stderr?.on("data", (chunk) => {
    errors += chunk
  })
  const said = (): ReadonlyArray<Said> =>
    out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line))
  const ended = new Promise<{ code: number | null; said: ReadonlyArray<Said>; errors: string }>((resolve) => {
    child.once("close", (code) => resolve({ code, said: said(), errors }))
  })
  return { child, said, ended }
}

describe.each(runtimes)("under %s", (...runtime) => {
  const [name] = runtime

  test.each([
    ["Throw", "thrown by decide"],
    ["Recurse", expect.stringContaining("Maximum call stack size exceeded")],
    ["perform throws", "thrown by perform"],
    ["perform fails", "failed by perform"],
    ["perform rejects", "rejected by perform"]
  ])(
    "%s: the actor crashes and comes back, and its neighbour notices nothing",
    async (what, error) => {
      const { code, said } = await start(runtime, [what]).ended
      expect(code).toBe(0)
      expect(said).toContainEqual({ event: "Crashed", name: "n1/culprit/main", error })
      expect(said.at(-1)).toEqual({ bystander: "1", culprit: "running", restarts: 1, strays: 0 })
    },
    30_000
  )

  // Which strays a runtime can trace back to their actor is in `strays.ts`; a wrong actor is never accused.
  test.each([
    ["stray rejection", ["deno"]],
    ["stray microtask", ["deno"]],
    ["stray timer", ["bun"]]
  ] as const)(
    "%s out of an actor's work: it crashes where the runtime tells whose it is, and is counted otherwise",
    async (what, traceable) => {
      const { code, said, errors } = await start(runtime, [what]).ended
      const isTraced = (traceable as ReadonlyArray<string>).includes(name)
      expect([code, errors]).toEqual([0, ""])
      expect(said).toContainEqual(
        isTraced
          ? { event: "Crashed", name: "n1/culprit/main", error: what }
          : { event: "Stray", error: what }
      )
      const counts = isTraced ? { restarts: 1, strays: 0 } : { restarts: 0, strays: 1 }
      expect(said.at(-1)).toEqual({ bystander: "1", culprit: "running", ...counts })
    },
    30_000
  )

  test.each(["nobody's rejection", "nobody's exception"])(
    "%s is reported and counted, and everything goes on",
    async (what) => {
      const { code, said } = await start(runtime, [what]).ended
      expect(code).toBe(0)
      expect(said).toContainEqual({ event: "Stray", error: what })
      expect(said.at(-1)).toEqual({ bystander: "1", culprit: "running", restarts: 0, strays: 1 })
    },
    30_000
  )

  test("an endless decision ends the process with code 70, and names the actor and the message", async () => {
    const { code, errors } = await start(runtime, ["Spin", "watched", "1000"]).ended
    expect(code).toBe(70)
    expect(JSON.parse(errors)).toMatchObject({ _tag: "Stuck", actor: "n1/culprit/main", message: "Spin" })
  }, 60_000)

  test("a thread that waits for something, and computes nothing, is not stuck", async () => {
    const { code, said } = await start(runtime, ["block", "watched", "1000"]).ended
    expect([code, said.at(-1)?.bystander]).toEqual([0, "1"])
  }, 60_000)

  test("a process that was stopped and goes on is not stuck", async () => {
    const { child, said, ended } = start(runtime, ["stop me", "watched", "1000"])
    await until(() => said().length > 0, 20_000)
    child.kill("SIGSTOP")
    await Bun.sleep(3_000)
    child.kill("SIGCONT")
    expect(await ended).toMatchObject({ code: 0 })
  }, 60_000)
})
