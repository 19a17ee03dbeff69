/** Virtual addresses over three machines with Engines of their own. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import type { Machine } from "#test/lab/machines.ts"
import { ownLab } from "#test/lab/own-lab.ts"

setDefaultTimeout(90_000)

const { machines, machine, door, on, containerOn, inside, open, close } = await ownLab("tv", "10.80.0")
const { call, elapsed, specOf } = await import("#test/bench/vs-swarm/api.ts")

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

/** Which container answers at the address, asked from inside the service's container on a machine; empty where none does. */
const answers = async (at: Machine, service: string, address: string): Promise<string> =>
  (await inside(service, at, "sh", "-c", get(address))).text.trim()

const hostnames = async (service: string): Promise<ReadonlyArray<string>> =>
  (await Promise.all(machines().map((at) => containerOn(at, service)))).map((id) => id.slice(0, 12)).sort()

beforeAll(async () => {
  await open()
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
      const names = await Promise.all(machines().map((at) => answers(at, "web", "127.0.0.1")))
      return names.every((name) => name !== "")
    },
    100,
    60_000
  )
}, 240_000)
afterAll(close, 60_000)

test("a virtual address leads from every machine to the tasks of all of them, the asking one included", async () => {
  const vip = await vipOf("web")
  const all = await hostnames("web")
  for (const at of machines()) {
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
  const at = machine(0)
  const table = on(at, "nft", "list", "tables").match(/troupe_vip_\w+/)?.[0] ?? ""
  on(at, "nft", "flush", "table", "inet", table)
  const bridge = on(at, "ip", "-o", "address", "show", "to", vip).match(/br-t\w+/)?.[0] ?? ""
  on(at, "ip", "address", "delete", `${vip}/32`, "dev", bridge)
  expect(on(at, "ip", "-o", "address", "show", "to", vip)).toBe("")
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
