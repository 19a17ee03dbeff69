import { expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import { keepLoads, parseLoad } from "#actors/meter/loads.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { eventually } from "#test/support/engine.ts"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

test("a load is a number, alone or as a value", () => {
  expect(["25", " 2.5\n", '{"value": 3}'].map(parseLoad)).toEqual([25, 2.5, 3])
  for (const text of ["", "many", "-1", '"3"', "null", "[1]", '{"value":"3"}', "1e999", "1e308"])
    expect(parseLoad(text)).toBeUndefined()
})

test("what is published for a service's label is told to its autoscaler, and to no other's", async () => {
  const cluster = await TestGateway.start()
  const labels = { "troupe.autoscale.max": "3", "troupe.autoscale.nats:orders.waiting": "25" }
  const web = await cluster.made("/services/create", serviceBody("web", { Labels: labels }))
  await cluster.made("/services/create", serviceBody("plain"))
  const host = makeLiveHost()
  const bus = new MemoryBus(host)
  const told: Array<unknown> = []
  const scope = Scope.makeUnsafe()
  const system = { tell: (to: { readonly id: string }, message: unknown) => void told.push([to.id, message]) }
  await Effect.runPromise(
    keepLoads({ transport: bus.connect("m"), ledger: cluster.ledger, system, host }).pipe(
      Scope.provide(scope)
    )
  )
  const other = bus.connect("other")
  const say = (subject: string, text: string) =>
    other.publish(`troupe.load.v1.${subject}`, {}, new TextEncoder().encode(text))
  say(
    "orders.waiting",
    JSON.stringify({ value: 70, from: "the exporter of the queue", at: "2026-01-01T00:00:00Z" })
  )
  say("orders.waiting", "no number")
  say("orders", "5")
  await eventually(() => told.length > 0, "the load is told")
  await Effect.runPromise(Scope.close(scope, Exit.void))
  expect(told[0]).toEqual([web, { _tag: "Published", subject: "orders.waiting", value: 70 }])
  expect(new Set(told.map((one) => JSON.stringify(one))).size).toBe(1)
})
