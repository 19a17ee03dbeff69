/**
 * A service under load through every machine, by its published port and by the HTTP entrance, while its tasks come and go:
 * no request is lost.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import process from "node:process"
import { httpAppTask } from "#test/lab/http-app-task.ts"
import { Load } from "#test/lab/load.ts"
import { ownLab } from "#test/lab/own-lab.ts"

setDefaultTimeout(120_000)

const entrance = 8081
process.env.TROUPE_HTTP_ENTRANCE = `${entrance}`
const { machines, machine, door, open, close } = await ownLab("tf", "10.82.0")
const { call, elapsed, running, specOf } = await import("#test/bench/vs-swarm/api.ts")

const port = 8080
const perSecond = 160
const second = 1_000_000_000

interface View {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: ReturnType<typeof specFor>
  readonly UpdateStatus?: { readonly State: string }
}
const view = (): Promise<View> => call<View>(door(), "GET", "/services/app")

const specFor = (replicas: number, order: "start-first" | "stop-first") => {
  const spec = specOf("app", replicas)
  return {
    ...spec,
    // As the requests of the load have it.
    Labels: { "troupe.http.host": "app", "troupe.http.port": `${port}` },
    TaskTemplate: httpAppTask(spec.TaskTemplate, port),
    EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: port, PublishedPort: port }] },
    UpdateConfig: { Parallelism: 1, Monitor: second / 2, Order: order }
  }
}

const change = async (to: (spec: View["Spec"]) => View["Spec"]): Promise<void> => {
  const { ID, Version, Spec } = await view()
  await call(door(), "POST", `/services/${ID}/update?version=${Version.Index}`, to(Spec))
}
const scale = (replicas: number): Promise<void> =>
  change((spec) => ({ ...spec, Mode: { Replicated: { Replicas: replicas } } }))
const run = (count: number): Promise<number> =>
  elapsed(`${count} run`, async () => (await running(door(), "app")).length === count, 50, 90_000)

interface Door {
  readonly host: string
  readonly port: number
}
const doors = (): ReadonlyArray<Door> =>
  machines().flatMap(({ address }) => [port, entrance].map((each) => ({ host: address, port: each })))
const leads = ({ host, port: at }: Door): Promise<boolean> =>
  fetch(`http://${host}:${at}/`, { method: "POST", headers: { host: "app" } }).then(
    ({ status }) => status === 200,
    () => false
  )

/** What came of the load through every machine, half by its port and half by its entrance, while `happens`. */
async function under(happens: () => Promise<unknown>, withinMs?: number): Promise<ReturnType<Load["end"]>> {
  const load = new Load(doors(), perSecond / 2, withinMs)
  await elapsed("the load flows", async () => load.answered > perSecond, 20, 20_000)
  await happens()
  const before = load.answered
  await elapsed("the load flows on", async () => load.answered > before + perSecond, 20, 20_000)
  return load.end()
}

const update = async (): Promise<void> => {
  await change((spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: spec.TaskTemplate.ForceUpdate + 1 }
  }))
  await elapsed("updated", async () => (await view()).UpdateStatus?.State === "completed", 50, 90_000)
}

beforeAll(async () => {
  await open()
  await call(door(), "POST", "/services/create", specFor(1, "start-first"))
  await run(1)
  await elapsed(
    "every door leads to it",
    async () => (await Promise.all(doors().map(leads))).every(Boolean),
    50,
    20_000
  )
}, 240_000)
afterAll(close, 60_000)

test("an update of one replica, the new one started first, loses no request", async () => {
  const { failures } = await under(update)
  expect(failures).toEqual([])
})

test("an update of one replica, the old one stopped first, holds connections and requests meanwhile and loses none", async () => {
  await change((spec) => ({ ...spec, UpdateConfig: { ...spec.UpdateConfig, Order: "stop-first" } }))
  // As long as connections are held; a machine that does nothing else needs 2 or 3 s.
  const { failures } = await under(update, 10_000)
  expect(failures).toEqual([])
  await change((spec) => ({ ...spec, UpdateConfig: { ...spec.UpdateConfig, Order: "start-first" } }))
})

test("a rolling update of three replicas, draining a node, and going back to one replica lose no request", async () => {
  await scale(3)
  await run(3)
  expect((await under(update)).failures).toEqual([])

  const { address } = machine(2)
  const drained = await under(async () => {
    const nodes = await call<
      ReadonlyArray<{ ID: string; Version: { Index: number }; Spec: object; Status: { Addr: string } }>
    >(door(), "GET", "/nodes")
    const node = nodes.find(({ Status }) => Status.Addr === address)
    const spec = { ...node?.Spec, Availability: "drain" }
    await call(door(), "POST", `/nodes/${node?.ID}/update?version=${node?.Version.Index}`, spec)
    await elapsed("empty", async () =>
      (await running(door(), "app")).every(({ NodeID }) => NodeID !== node?.ID)
    )
    await run(3)
  })
  expect(drained.failures).toEqual([])

  const scaled = await under(async () => {
    await scale(1)
    await run(1)
  })
  expect(scaled.failures).toEqual([])
})
