import { expect, test } from "bun:test"
import { Effect } from "effect"
import { Ledger } from "#actors/ledger/service.ts"
import { attach } from "#actors/node/attach.ts"
import { fakeEngine, TestGateway } from "#test/support/gateway.ts"

test("containers that come at once are all given addresses, each its own", async () => {
  const gateway = await TestGateway.start({}, fakeEngine())
  const network = await gateway.made("/networks/create", { Name: "n", Driver: "overlay", Attachable: true })
  const ipam = { Driver: "default", Config: [{ Subnet: "10.0.1.0/24", Gateway: "10.0.1.1" }] }
  await gateway.write({ type: "network.allot", v: 1, networks: [{ id: network, ipam, vni: 4097 }] })
  const [node] = [...gateway.ledger.read.all("node")]
  // A log takes its time.
  const ledger = Ledger.of({
    ...gateway.ledger,
    propose: (...asked) => Effect.andThen(Effect.sleep("2 millis"), gateway.ledger.propose(...asked))
  })
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, at) =>
      Effect.runPromise(
        attach(node?.ID ?? "", { id: `c${at}`, network, name: `c${at}` }).pipe(
          Effect.provideService(Ledger, ledger)
        )
      )
    )
  )
  const addresses = answers.map((answer) => ("addresses" in answer ? answer.addresses.join() : answer))
  expect(addresses.filter((address) => typeof address !== "string")).toEqual([])
  expect(new Set(addresses).size).toBe(40)
})
