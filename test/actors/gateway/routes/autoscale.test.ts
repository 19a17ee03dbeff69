import { beforeAll, expect, test } from "bun:test"
import { Effect } from "effect"
import type { Explained } from "#actors/autoscaler/protocol.ts"
import type { Gateway } from "#actors/gateway/gateway.ts"
import { autoscaleRoutes } from "#actors/gateway/routes/autoscale.ts"
import type { Address } from "#runtime/address.ts"
import { NotHere } from "#runtime/errors.ts"
import type { SystemService } from "#runtime/system.ts"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

let cluster: TestGateway
let web: string
const said = new Map<string, Explained>()

beforeAll(async () => {
  cluster = await TestGateway.start()
  const Labels = { "troupe.autoscale.max": "9", "troupe.autoscale.cpu": "50%", other: "label" }
  web = await cluster.made("/services/create", serviceBody("web", { Labels }))
  await cluster.made("/services/create", serviceBody("plain"))
})

async function ask(path: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const system: Pick<SystemService, "ask"> = {
    ask: <Answer>(to: Address) => {
      const answer = said.get(to.id)
      return answer === undefined
        ? Effect.fail(new NotHere({ address: "nobody", message: "nobody" }))
        : Effect.succeed(answer as Answer)
    }
  }
  const gateway = { ledger: () => cluster.ledger, membership: () => "active/manager" } as unknown as Gateway
  const routes = autoscaleRoutes({ gateway, system, headers: () => ({}) })
  expect(routes.owns("GET", path)).toBe(true)
  const response = await routes.fetch(new Request(`http://docker${path}`))
  return { status: response.status, body: await response.json() }
}

test("services that follow their load are listed with what their labels ask for, also where no leader answers", async () => {
  said.clear()
  const { status, body } = await ask("/autoscale")
  expect(status).toBe(200)
  expect(body).toMatchObject([
    {
      ID: web,
      Name: "web",
      Replicas: 1,
      Running: 0,
      Min: 1,
      Max: 9,
      Targets: [{ Name: "cpu", Metric: "cpu", Goal: 0.5 }],
      Changes: []
    }
  ])
})

test("one service tells its last decision with what it was made from, and its changes", async () => {
  const vote = { target: "cpu", goal: 0.5, mean: 1.4, recent: 1.6, wants: 3, panics: true }
  const decision = { at: 0, from: 1, to: 3, running: 1, votes: [vote], wanted: 3, why: "cpu 1.4" }
  said.set(web, { _tag: "Explained", service: web, min: 1, max: 9, now: decision, changes: [decision] })
  const { body } = await ask("/autoscale/web")
  const shown = {
    At: "1970-01-01T00:00:00.000Z",
    From: 1,
    To: 3,
    Running: 1,
    Wanted: 3,
    Why: "cpu 1.4",
    Votes: [{ Target: "cpu", Goal: 0.5, Mean: 1.4, Recent: 1.6, Wants: 3, Panics: true }]
  }
  expect(body).toMatchObject({ Name: "web", Now: shown, Changes: [shown] })
})

test("a service that does not follow its load is said to be none, and an unknown one is not found", async () => {
  expect(await ask("/autoscale/plain")).toEqual({
    status: 404,
    body: { message: "service plain does not follow its load: it has no label troupe.autoscale.*" }
  })
  expect(await ask("/autoscale/no")).toEqual({ status: 404, body: { message: "service no not found" } })
})
