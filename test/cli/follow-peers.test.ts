/** Who the managers are, as a manager itself is told of them. */
import { expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { TrustStoreError } from "#actors/authority/store.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { followPeers } from "#cli/manager.ts"
import { until } from "#test/actors/nats/support.ts"
import { Book, foundCluster } from "#test/support/ledger.ts"
import { someKeys, somePorts } from "#test/support/trust.ts"

test("what its own disk did not take is written once it does", async () => {
  const book = new Book()
  const { node, ...founding } = foundCluster()
  const manager = { ...node, ManagerStatus: { Ports: somePorts }, Keys: someKeys }
  book.must({ ...founding, node: manager } as never)
  const ledger = {
    read: book.tables,
    readIndex: Effect.succeed(0),
    follow: () => ({ unsubscribe: () => {} })
  } as unknown as LedgerService
  let tries = 0
  const held = { membership: { managers: [] as ReadonlyArray<unknown> } }
  const credentials = {
    held: () => held,
    change: (by: (held: unknown) => typeof held) =>
      Effect.suspend(() => {
        if (tries++ === 0) return Effect.fail(new TrustStoreError({ message: "no space left" }))
        Object.assign(held, by(held))
        return Effect.void
      })
  } as unknown as CredentialsService
  const scope = Scope.makeUnsafe()
  const nats = { setPeers: () => Effect.void }
  await Effect.runPromise(Scope.provide(followPeers(credentials, nats, ledger, "20 millis"), scope))
  await until("it is written down", () => held.membership.managers.length === 1)
  expect(held.membership.managers).toMatchObject([{ nodeId: "manager" }])
  await Effect.runPromise(Scope.close(scope, Exit.void))
})
