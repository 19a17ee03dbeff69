import { expect, test } from "bun:test"
import { Effect, Layer } from "effect"
import { DataPlane, type DataPlaneService } from "#actors/drivers/data-plane.ts"
import { Executor, type ExecutorService } from "#actors/drivers/executor.ts"
import { Kernel, nothingLaid } from "#actors/drivers/kernel.ts"
import type { WireGuard } from "#actors/model/objects.ts"
import { network } from "#actors/network/actor.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"
import { address } from "#runtime/address.ts"

const plan = (options: Record<string, string>): NetworkPlan => ({
  ...{ id: "net1", name: "safe", subnets: [], internal: false, attachable: false, ipv6: false },
  labels: {},
  options
})

/** What becomes of the wish for a bridge, and whether the Engine was asked for one. */
async function ensure(options: Record<string, string>, wireGuard: WireGuard) {
  let asked = 0
  const executor = {
    ensureNetwork: () =>
      Effect.sync(() => {
        asked += 1
        return "br-tnet1"
      })
  } as Partial<ExecutorService> as ExecutorService
  const world = Layer.mergeAll(
    Layer.succeed(Executor, executor),
    Layer.succeed(DataPlane, {} as DataPlaneService),
    Layer.succeed(Kernel, {
      lay: () => Effect.succeed(nothingLaid),
      withdraw: () => Effect.void,
      giveWay: Effect.void,
      settle: () => Effect.succeed([]),
      count: () => Effect.succeed(undefined),
      makeKey: () => Effect.succeed(wireGuard)
    })
  )
  const wish = { _tag: "EnsureNetwork", plan: plan(options) } as const
  const done = network.perform?.(wish, address("n1", "network", "main")) ?? Effect.die("it performs")
  return [asked, await Effect.runPromise(Effect.provide(done, world)), asked] as const
}

test("a node that cannot encrypt refuses an encrypted network for good, with the reason, and makes no bridge of it", async () => {
  const without = { Keys: [], Refusal: "there is no wg here: install wireguard-tools" }
  const [, refused, asked] = await ensure({ encrypted: "" }, without)
  expect(refused as unknown).toEqual({
    _tag: "NotEnsured",
    id: "net1",
    message:
      "network safe is encrypted, which this node cannot do: there is no wg here: install wireguard-tools",
    temporary: false
  })
  expect(asked).toBe(0)
  const [, plain] = await ensure({}, without)
  expect(plain as unknown).toMatchObject({ _tag: "Ensured" })
  const [, encrypted] = await ensure({ encrypted: "" }, { Keys: [] })
  expect(encrypted as unknown).toMatchObject({ _tag: "Ensured" })
})
