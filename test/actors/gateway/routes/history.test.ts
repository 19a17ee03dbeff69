import { beforeAll, expect, test } from "bun:test"
import type { Gateway } from "#actors/gateway/gateway.ts"
import { historyRoutes } from "#actors/gateway/routes/history.ts"
import { clusterMetrics } from "#actors/meter/families.ts"
import { nodeMetrics } from "#actors/meter/figures.ts"
import { History } from "#actors/meter/history.ts"
import { openMetrics } from "#runtime/openmetrics.ts"
import { nodeId, serviceBody, TestGateway } from "#test/support/gateway.ts"
import { readOpenMetrics } from "#test/support/openmetrics.ts"

const now = Date.parse("2026-11-27T06:00:00Z")
const history = new History()
let cluster: TestGateway
let web: string

beforeAll(async () => {
  cluster = await TestGateway.start()
  web = await cluster.made("/services/create", serviceBody("web"))
  const task = [0.25, 2 ** 20, 1, 2, 3, 4, Number.NaN]
  const figures = { node: nodeMetrics.map((_, index) => index), tasks: new Map([["t1", task]]) }
  for (const at of [now - 2_000, now]) {
    history.take(nodeId, figures, at, () => ({ serviceId: web, nodeId }))
    history.gather(at)
  }
})

async function ask(path: string) {
  const gateway = {
    ledger: () => cluster.ledger,
    membership: () => "active/worker",
    clock: () => now
  } as const
  const routes = historyRoutes({
    gateway: gateway as unknown as Gateway,
    history: () => history,
    headers: () => ({})
  })
  const response = await routes.fetch(new Request(`http://docker${path}`))
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

test("a service's history is asked by name, with gaps as null", async () => {
  expect((await ask("/metrics/history?service=web&metric=cpu,tasks&since=10s")).body).toEqual({
    Kind: "service",
    ID: web,
    Name: "web",
    StepMs: 1_000,
    Times: [now - 2_000, now - 1_000, now],
    Metrics: { cpu: [0.25, null, 0.25], tasks: [1, null, 1] }
  })
  const byMinutes = await ask("/v1.41/metrics/history?node=sk1&since=2h")
  expect(byMinutes.body).toMatchObject({ Kind: "node", Name: "sk1", StepMs: 60_000 })
  expect(Object.keys(byMinutes.body.Metrics as object)).toEqual([...nodeMetrics])
})

test("a task that the ledger has forgotten is remembered by its id", async () => {
  expect((await ask("/metrics/history?task=t1&metric=memory")).body).toMatchObject({
    ID: "t1",
    Metrics: { memory: [2 ** 20, null, 2 ** 20] }
  })
  expect(await ask("/metrics/history?task=t2")).toEqual({
    status: 404,
    body: { message: "task t2 not found" }
  })
})

test("what cannot be meant is refused by name", async () => {
  const message = async (query: string) => {
    const { status, body } = await ask(`/metrics/history?${query}`)
    expect(status).toBe(400)
    return body.message
  }
  expect(await message("")).toBe("expected one of service=, node= or task=, found 0 of them")
  expect(await message("service=web&node=sk1")).toBe(
    "expected one of service=, node= or task=, found 2 of them"
  )
  expect(await message("service=web&metric=rpm")).toStartWith("invalid metric rpm: expected cpu, memory,")
  expect(await message("service=web&since=soon")).toBe(
    "invalid since soon: expected 15m, RFC 3339, or seconds of the epoch"
  )
})

test("the latest figures of all come at once", async () => {
  expect((await ask("/metrics/latest")).body).toMatchObject({
    At: now,
    Nodes: [{ ID: nodeId, Name: "sk1", cpu: 0, diskTotal: nodeMetrics.length - 1 }],
    Services: [{ ID: web, Name: "web", cpu: 0.25, tasks: 1, pids: null }],
    Tasks: [{ ID: "t1", ServiceID: web, NodeID: nodeId, memory: 2 ** 20 }]
  })
})

test("a node that is no manager says so", async () => {
  const worker = historyRoutes({
    gateway: { ledger: () => undefined, membership: () => "active/worker", clock: () => now },
    history: () => undefined,
    headers: () => ({})
  })
  const answer = await worker.fetch(new Request("http://docker/metrics/latest"))
  expect(answer.status).toBe(503)
})

test("monitoring is told of nodes, services and tasks by name, in the OpenMetrics format", () => {
  const families = readOpenMetrics(openMetrics(clusterMetrics(cluster.ledger.read, history, now)))
  const sample = (family: string) => [...(families.get(family)?.samples ?? [])]
  expect(sample("troupe_node_up")[0]?.[0]).toContain('node="sk1"')
  expect(sample("troupe_service_desired_tasks")).toEqual([
    [`troupe_service_desired_tasks{service="web",service_id="${web}"}`, 1]
  ])
  expect(sample("troupe_service_cpu_cores")[0]?.[1]).toBe(0.25)
  expect(sample("troupe_task_memory_bytes")[0]).toEqual([
    `troupe_task_memory_bytes{task="t1",task_id="t1",service="web",node="sk1"}`,
    2 ** 20
  ])
  expect(sample("troupe_task_processes")).toEqual([])
})
