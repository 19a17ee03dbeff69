/** Virtual addresses over three machines with Engines of their own. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync } from "node:child_process"
import process from "node:process"
import type { Machine } from "#test/lab/machines.ts"
import { docker } from "#test/support/docker-cli.ts"

setDefaultTimeout(90_000)

// A lab of its own: read once, when the lab's modules are.
process.env.TROUPE_LAB = "tv"
process.env.TROUPE_LAB_NET = "10.79.0"
const { call, containersOf, elapsed, specOf } = await import("#test/bench/vs-swarm/api.ts")
const { openSite } = await import("#test/bench/vs-swarm/site.ts")
const { engineOf, namespaceOf, socketOf } = await import("#test/lab/machines.ts")

type Site = Awaited<ReturnType<typeof openSite>>
let site: Site
const door = (): string => socketOf((site.machines[0] as Machine).name)

/** Answers with its host's name, which is its container's id. */
const serve = [
  "sh",
  "-c",
  "trap exit TERM; mkdir /www; hostname > /www/name; httpd -p 8080 -h /www; while :; do sleep 1 & wait; done"
]
const get = (address: string): string => `timeout 3 wget -qO- http://${address}:8080/name`

interface View {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: Readonly<Record<string, unknown>>
  readonly Endpoint: { readonly VirtualIPs?: ReadonlyArray<{ readonly Addr: string }> }
}
const view = (service: string): Promise<View> => call<View>(door(), "GET", `/services/${service}`)
const vipOf = async (service: string): Promise<string> =>
  (await view(service)).Endpoint.VirtualIPs?.[0]?.Addr.split("/")[0] ?? ""

async function containerOn(at: Machine, service: string): Promise<string> {
  const [found] = (await containersOf(engineOf(at.name), service)).filter(({ State }) => State === "running")
  return found?.Id ?? ""
}

/** Which container answers at the address, asked from inside the service's container on a machine; empty where none does. */
async function answers(at: Machine, service: string, address: string): Promise<string> {
  const asked = ["sh", "-c", get(address)]
  const id = await containerOn(at, service)
  return (await docker(`unix://${engineOf(at.name)}`, ["exec", id, ...asked])).text.trim()
}

const hostnames = async (service: string): Promise<ReadonlyArray<string>> =>
  (await Promise.all(site.machines.map((at) => containerOn(at, service)))).map((id) => id.slice(0, 12)).sort()

beforeAll(async () => {
  site = await openSite("troupe", 3, 1)
  await call(door(), "POST", "/networks/create", { Name: "front", Driver: "overlay" })
  const spec = specOf("web", 1)
  await call(door(), "POST", "/services/create", {
    ...spec,
    Mode: { Global: {} },
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Command: serve },
      Networks: [{ Target: "front" }]
    }
  })
  await elapsed(
    "web on every machine",
    async () => {
      const names = await Promise.all(site.machines.map((at) => answers(at, "web", "127.0.0.1")))
      return names.every((name) => name !== "")
    },
    100,
    60_000
  )
}, 240_000)
afterAll(async () => {
  await site?.close()
}, 60_000)

test("a virtual address leads from every machine to the tasks of all of them, the asking one included", async () => {
  const vip = await vipOf("web")
  const all = await hostnames("web")
  for (const at of site.machines) {
    const seen = new Set<string>()
    await elapsed(
      `all tasks answered ${at.name}`,
      async () => {
        for (let asked = 0; asked < 6; asked++) seen.add(await answers(at, "web", vip))
        return all.every((name) => seen.has(name))
      },
      10,
      40_000
    )
    // Nobody was left without an answer on the way.
    expect([...seen].sort()).toEqual([...all])
  }
})

test("rules that somebody deletes are back, and so are addresses", async () => {
  const vip = await vipOf("web")
  const [at] = site.machines as [Machine]
  const on = (...command: ReadonlyArray<string>): string =>
    execFileSync("nsenter", [`--net=/run/netns/${namespaceOf(at.name)}`, ...command], { encoding: "utf8" })
  const table = on("nft", "list", "tables").match(/troupe_vip_\w+/)?.[0] ?? ""
  on("nft", "flush", "table", "inet", table)
  const bridge = on("ip", "-o", "address", "show", "to", vip).match(/br-t\w+/)?.[0] ?? ""
  on("ip", "address", "delete", `${vip}/32`, "dev", bridge)
  expect(on("ip", "-o", "address", "show", "to", vip)).toBe("")
  await elapsed("an answer", async () => (await answers(at, "web", vip)) !== "", 100, 20_000)
})

test("a container whose first instruction connects to a virtual address succeeds every time", async () => {
  const vip = await vipOf("web")
  const spec = specOf("first", 9)
  const Command = ["sh", "-c", `${get(vip)} && exec sleep 1000`]
  await call(door(), "POST", "/services/create", {
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Command },
      RestartPolicy: { Condition: "none" },
      Networks: [{ Target: "front" }]
    }
  })
  const states = async (): Promise<ReadonlyArray<string>> => {
    const filters = encodeURIComponent(JSON.stringify({ service: ["first"] }))
    const tasks = await call<ReadonlyArray<{ Status: { State: string } }>>(
      door(),
      "GET",
      `/tasks?filters=${filters}`
    )
    return tasks.map(({ Status }) => Status.State)
  }
  await elapsed(
    "all nine have begun",
    async () =>
      (await states()).filter((state) => ["running", "failed", "complete"].includes(state)).length === 9,
    100,
    60_000
  )
  expect(await states()).toEqual(Array(9).fill("running"))
})
