import { expect, test } from "bun:test"
import { Effect } from "effect"
import { newRoots } from "#actors/authority/membership.ts"
import { renew } from "#actors/authority/renew.ts"
import { newRequest } from "#actors/authority/x509.ts"
import { Ledger } from "#actors/ledger/service.ts"
import { fakeEngine, TestGateway } from "#test/support/gateway.ts"
import { someKeys, somePorts } from "#test/support/trust.ts"

test("a node that was demoted while its certificate was made is given no place among the managers", async () => {
  const roots = await Effect.runPromise(newRoots(Date.now()))
  const gateway = await TestGateway.start({}, fakeEngine(), { roots })
  const { read } = gateway.ledger
  await gateway.write({
    type: "node.register",
    v: 1,
    node: {
      ID: "n2",
      Spec: { Role: "manager", Availability: "active" },
      Status: { State: "ready", Addr: "10.0.0.2" },
      Keys: someKeys
    }
  })
  const { pem } = await Effect.runPromise(newRequest)
  const asked = (raftId: string) =>
    Effect.runPromise(
      renew({ nodeId: "n2", raftId, csr: pem, addr: "10.0.0.2", ports: somePorts }).pipe(
        Effect.provideService(Ledger, gateway.ledger),
        Effect.match({ onSuccess: ({ role }) => role, onFailure: ({ message }) => message })
      )
    )
  expect(await asked("r1")).toBe("manager")
  expect(read.get("node", "n2")?.ManagerStatus?.RaftId).toBe("r1")
  await gateway.write({
    type: "node.update",
    v: 1,
    id: "n2",
    version: read.get("node", "n2")?.Version.Index ?? 0,
    spec: { Role: "worker", Availability: "active" }
  })
  await gateway.write({ type: "node.observe", v: 1, nodes: [{ id: "n2", retired: true }] })
  expect(await asked("r2")).toBe("this node is to be a worker")
  expect(read.get("node", "n2")?.ManagerStatus).toBeUndefined()
})
