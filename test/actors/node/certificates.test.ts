/** From when the certificates count that the leader gives its nodes. */
import { expect, test } from "bun:test"
import { X509Certificate } from "node:crypto"
import { Clock, Effect } from "effect"
import { newRoots } from "#actors/authority/membership.ts"
import { newRequest } from "#actors/authority/x509.ts"
import { Ledger } from "#actors/ledger/service.ts"
import { node } from "#actors/node/actor.ts"
import type { NodeAction, NodeMessage } from "#actors/node/decide.ts"
import { address } from "#runtime/address.ts"
import { Book } from "#test/support/ledger.ts"
import { somePorts } from "#test/support/trust.ts"

test("is what the machine's clock shows, and not the runtime's time, which goes on where that was set back", async () => {
  const roots = await Effect.runPromise(newRoots(Date.now()))
  const book = new Book().cluster({ Roots: roots }).node("n1")
  const { pem: csr } = await Effect.runPromise(newRequest)
  const shows = Date.now() - 86_400_000
  const clock: Clock.Clock = Object.assign(Object.create(Clock.Clock.defaultValue()), {
    currentTimeMillis: Effect.succeed(shows)
  })
  const asker = { to: "n1", deadline: 0 }
  const request = { nodeId: "n1", csr, addr: "10.0.0.1", ports: somePorts }
  const actions: ReadonlyArray<NodeAction> = [
    { _tag: "Certify", nodeId: "n1", csr, asker },
    { _tag: "Issue", request, asker }
  ]
  const perform = node.perform as unknown as (
    action: NodeAction,
    self: unknown
  ) => Effect.Effect<NodeMessage, never, Ledger>
  for (const action of actions) {
    const message = await perform(action, address("leader", "node", "n1")).pipe(
      Effect.provideService(Ledger, { read: book.tables } as never),
      Effect.provideService(Clock.Clock, clock),
      Effect.runPromise
    )
    if (message._tag !== "Certified" && message._tag !== "Issued") throw new Error(message._tag)
    if (message.answer._tag !== "Renewed") throw new Error(JSON.stringify(message.answer))
    const { validFrom } = new X509Certificate(message.answer.membership.certificate)
    expect(Math.abs(Date.parse(validFrom) - (shows - 3_600_000))).toBeLessThan(1_000)
  }
})
