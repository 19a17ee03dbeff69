/** Four machines of a lab, with Engines: what only real ones show. The lab's words, too, where they make no sense. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { spawnSync } from "node:child_process"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { Machine } from "#test/lab/machines.ts"

setDefaultTimeout(150_000)

// A lab of its own: read once, when the lab's modules are.
process.env.TROUPE_LAB = "tt"
process.env.TROUPE_LAB_NET = "10.79.0"
const { call, containersOf, elapsed } = await import("#test/bench/vs-swarm/api.ts")
const { deploy, openSite } = await import("#test/bench/vs-swarm/site.ts")
const { engineOf } = await import("#test/lab/machines.ts")
const { freeze, thaw } = await import("#test/lab/power.ts")

const service = "web"
const replicas = 8
type Site = Awaited<ReturnType<typeof openSite>>
let site: Site

beforeAll(async () => {
  site = await openSite("troupe", 4, 3)
  await deploy(site, service, replicas)
}, 180_000)
afterAll(async () => {
  await site?.close()
}, 60_000)

/** How many containers of the service run on each of these machines. */
const runningOn = (machines: ReadonlyArray<Machine>): Promise<ReadonlyArray<number>> =>
  Promise.all(
    machines.map(async ({ name }) => {
      const containers = await containersOf(engineOf(name), service)
      return containers.filter(({ State }) => State === "running").length
    })
  )
const total = (counts: ReadonlyArray<number>): number => counts.reduce((sum, count) => sum + count, 0)

interface Seen {
  readonly Description: { readonly Hostname: string }
  readonly Status: { readonly State: string; readonly Message?: string }
}
async function statusOf({ name }: Machine): Promise<Seen["Status"]> {
  const nodes = await call<ReadonlyArray<Seen>>(site.doors()[0] as string, "GET", "/nodes")
  return nodes.find(({ Description }) => Description.Hostname === name)?.Status ?? { State: "" }
}

const everythingOnce = () =>
  elapsed("everything once", async () => total(await runningOn(site.machines)) === replicas, 200, 60_000)

describe("in a lab", () => {
  test("DI-05 tasks of a worker that is cut off run elsewhere, and once only when it is back", async () => {
    const worker = site.machines[3] as Machine
    const others = site.machines.filter((machine) => machine !== worker)
    site.cutOff(worker)
    await elapsed("tasks elsewhere", async () => total(await runningOn(others)) === replicas, 200, 60_000)
    expect((await statusOf(worker)).State).toBe("down")
    expect(total(await runningOn([worker]))).toBeGreaterThan(0)
    await site.mend()
    await everythingOnce()
    expect(await runningOn([worker])).toEqual([0])
  })

  test("a node whose Engine is frozen is down and says why, and is ready when it is thawed", async () => {
    const machine = site.machines[2] as Machine
    const others = site.machines.filter((other) => other !== machine)
    freeze(machine, "engine")
    await elapsed("tasks elsewhere", async () => total(await runningOn(others)) === replicas, 200, 60_000)
    expect(await statusOf(machine)).toMatchObject({
      State: "down",
      Message: "the Engine did not answer in time"
    })
    thaw(machine)
    await elapsed("a ready node", async () => (await statusOf(machine)).State === "ready", 200, 60_000)
    await everythingOnce()
  })
})

describe("words that make no sense", () => {
  const lab = (...words: ReadonlyArray<string>) => {
    const program = fileURLToPath(new URL("main.ts", import.meta.url))
    const env = { ...process.env, TROUPE_LAB: "tx", TROUPE_LAB_DIR: "/nonexistent/lab" }
    const { status, stderr } = spawnSync(process.execPath, [program, ...words], { encoding: "utf8", env })
    return { status, said: stderr.trim() }
  }
  const cases: ReadonlyArray<readonly [string, string]> = [
    ["up many", "up 'many': expected a whole number from 1 to 20"],
    ["up 5 --managers 6", "--managers '6': expected a whole number from 1 to 5"],
    [
      "up 3 --swarm --without-engines",
      "--swarm --without-engines: expected one of the two, Swarm is a part of the Engine"
    ],
    ["freeze n1", "'n1': expected one of none: run up first"],
    ["cut --swarm", "cut: --managers, --swarm and --without-engines go with up"],
    ["down now", "down: 'now' is one word too many"],
    ["jump", "'jump': expected one of up, status, cut, heal, freeze, thaw, kill, start, load, down"]
  ]
  for (const [words, said] of cases) {
    test(`lab ${words}`, () => expect(lab(...words.split(" "))).toEqual({ status: 1, said: `lab: ${said}` }))
  }
})
