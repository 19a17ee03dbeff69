/** `troupe tree --watch` in a terminal: `script` (util-linux) makes one, and this is the person before it. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { noEngine } from "#test/support/managers.ts"

setDefaultTimeout(90_000)

const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url))
const isHere = existsSync("/usr/bin/script")
let cluster: Cluster
beforeAll(async () => {
  if (!isHere) return
  cluster = await startCluster({
    dockerHost: noEngine,
    args: ["--executor", "process"]
  })
}, 120_000)
afterAll(() => cluster?.cleanUp(), 90_000)

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** The view in a terminal of 110 × 24; `settings` are the terminal's, as `stty` tells them, before it and after. */
function watching(): { readonly child: ChildProcess; readonly screen: () => string } {
  const view = [process.execPath, program, "tree", "--watch", "--data-dir", cluster.dataDir]
  const settings = "echo settings=$(stty -g)"
  const line = `stty cols 110 rows 24; ${settings}; ${view.map(quoted).join(" ")}; echo code=$?; ${settings}`
  const child = spawn("script", ["-qfc", line, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] })
  let text = ""
  child.stdout?.on("data", (chunk) => {
    text += String(chunk)
  })
  return { child, screen: () => text }
}

const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"

test.skipIf(!isHere).each([
  ["q", "q"],
  ["Ctrl-C", "\u0003"]
])("shows the tree, and %s leaves the terminal as it was", async (_, key) => {
  const { child, screen } = watching()
  try {
    const ended = once(child, "exit")
    await eventually(() => screen().includes("session/main"), "the tree is shown", 60_000)
    expect(screen()).toContain(enter)
    expect(screen()).not.toContain(leave)
    child.stdin?.write("/")
    child.stdin?.write("zzz")
    await eventually(() => screen().includes("/zzz█"), "the filter is typed", 30_000)
    child.stdin?.write("\r")
    child.stdin?.write(key)
    await ended
    const [before, after] = [...screen().matchAll(/settings=(\S+)/g)].map(([, settings]) => settings)
    expect(before).toMatch(/:/)
    expect(after).toBe(before as string)
    expect(screen().lastIndexOf(leave)).toBeGreaterThan(screen().lastIndexOf(enter))
    expect(screen()).toContain("code=0")
  } finally {
    child.kill("SIGKILL")
  }
})

test.skipIf(!isHere)("Enter shows what the cursor stands on, and r restarts it after a yes", async () => {
  const { child, screen } = watching()
  const shows = (text: string, what: string): Promise<unknown> =>
    eventually(() => screen().includes(text), what, 60_000)
  try {
    await shows("session/main", "the tree is shown")
    for (const key of "/session") child.stdin?.write(key)
    await shows("/session█", "the filter is typed")
    child.stdin?.write("\r")
    // The filter's line is gone once it is taken; from then on Enter is another key.
    await eventually(() => !screen().endsWith("/session█"), "the filter is taken")
    child.stdin?.write("\r")
    await shows("session/main on ", "the actor's own page is shown")
    child.stdin?.write("x")
    child.stdin?.write("r")
    await shows("restart session/main? y for yes", "it is asked whether it is meant")
    expect(await cluster.restarts()).toEqual({})
    child.stdin?.write("y")
    const restarted = async () =>
      Object.keys(await cluster.restarts()).some((path) => path.endsWith("/session/main"))
    await eventually(restarted, "the actor has been restarted", 60_000)
  } finally {
    child.stdin?.write("q")
    child.kill("SIGKILL")
  }
})
