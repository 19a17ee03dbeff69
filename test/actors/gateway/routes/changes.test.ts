import { beforeAll, expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import type { Gateway } from "#actors/gateway/gateway.ts"
import { changeRoutes } from "#actors/gateway/routes/changes.ts"
import { keepChanges } from "#actors/history/keeper.ts"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

const scope = Scope.makeUnsafe()
let cluster: TestGateway
let ask: (path: string, lastSeen?: string) => Promise<Response>

beforeAll(async () => {
  cluster = await TestGateway.start()
  const keeping = keepChanges({ ledger: cluster.ledger, dataDir: "/nowhere", unlockKey: () => undefined })
  const kept = await Effect.runPromise(Scope.provide(keeping, scope))
  const changes = () => ({ ...kept, earlier: Effect.void })
  const gateway = {
    ledger: () => cluster.ledger,
    membership: () => "active/manager",
    clock: () => cluster.now
  } as unknown as Gateway
  const stopping = new AbortController()
  const routes = changeRoutes({ gateway, changes, headers: () => ({}), stopping: stopping.signal })
  ask = async (path, lastSeen) =>
    routes.fetch(
      new Request(
        `http://troupe${path}`,
        lastSeen === undefined ? {} : { headers: { "Last-Event-ID": lastSeen } }
      )
    )
  return async () => {
    stopping.abort()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
})

test("who goes on from Newest is told what came after it, also where nothing had happened yet", async () => {
  for (const name of ["one", "two"]) {
    const { Newest } = (await (await ask("/history?limit=1")).json()) as { readonly Newest: string }
    expect((await ask("/history?follow=1", Newest)).status).toBe(200)
    await cluster.made("/services/create", serviceBody(name))
    const later = (await (await ask(`/history?after=${Newest}`)).json()) as {
      readonly Changes: ReadonlyArray<{ readonly Name: string }>
    }
    expect(later.Changes.map(({ Name }) => Name)).toEqual([name])
  }
})

test("a place that the cluster has not reached, as after a restore, is refused: who waited there heard nothing for long", async () => {
  const ahead = `${cluster.ledger.read.index + 2}.1`
  for (const [path, lastSeen] of [
    [`/history?after=${ahead}`],
    [`/history?after=${ahead}&follow=1`],
    ["/history?follow=1", ahead]
  ] as const) {
    const answer = await ask(path, lastSeen)
    expect(answer.status).toBe(410)
    expect(((await answer.json()) as { readonly message: string }).message).toContain(
      `no change ${ahead} yet`
    )
  }
})
