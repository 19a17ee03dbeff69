/** What a write is decided over: what this manager knows as long as that will do, the present state otherwise. */
import { expect, test } from "bun:test"
import { Effect } from "effect"
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

/** A manager that hears what others wrote only when it asks, or when its own write comes after theirs. */
async function behind(when: "asked" | "written", missed: (ledger: LedgerService) => ReadonlyArray<Command>) {
  const made = await TestGateway.start()
  let isBehind = true
  let proposals = 0
  const hear = Effect.suspend(() => {
    if (!isBehind) return Effect.void
    isBehind = false
    return Effect.forEach(missed(made.ledger), (command) =>
      made.ledger.propose(command, { who: "another", why: "test" })
    )
  })
  const gateway = await TestGateway.start({
    ledger: {
      ...made.ledger,
      readIndex: Effect.andThen(when === "asked" ? hear : Effect.void, made.ledger.readIndex),
      propose: (command, origin) => {
        proposals += 1
        return Effect.andThen(when === "written" ? hear : Effect.void, made.ledger.propose(command, origin))
      }
    }
  })
  return { made, gateway, proposals: () => proposals }
}

const another = (id: string, name: string): Command => ({
  type: "service.create",
  v: 1,
  service: { ID: id, Spec: { Name: name, Mode: { Replicated: {} } }, SpecVersion: 1 }
})

test("a write that nothing stands against asks nobody first", async () => {
  const gateway = await TestGateway.start()
  const before = gateway.raft.reads
  const id = await gateway.made("/services/create", serviceBody("web"))
  const { Index } = gateway.ledger.read.get("service", id)?.Version ?? { Index: 0 }
  expect((await gateway.post(`/services/web/update?version=${Index}`, serviceBody("web"))).status).toBe(200)
  expect((await gateway.delete(`/services/${id}`)).status).toBe(200)
  const secret = await gateway.made("/secrets/create", { Name: "s", Data: "aGk=" })
  expect((await gateway.delete(`/secrets/${secret}`)).status).toBe(204)
  expect(gateway.raft.reads).toBe(before)
})

test("what this manager has not heard of is asked for before it is refused", async () => {
  const { gateway } = await behind("asked", () => [another("a".repeat(25), "web")])
  expect((await gateway.delete("/services/web")).status).toBe(200)
})

test("a name that means another object by now is looked up again", async () => {
  const { made, gateway, proposals } = await behind("written", ({ read }) => [
    { type: "service.remove", v: 1, id: read.byName("service", "web")?.ID ?? "" },
    another("b".repeat(25), "web")
  ])
  await made.made("/services/create", serviceBody("web"))
  expect((await gateway.delete("/services/web")).status).toBe(200)
  expect(proposals()).toBe(2)
  expect(made.ledger.read.byName("service", "web")).toBeUndefined()
})

test("the beginning of an id, and what only the cluster can allow, are decided over the present state", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  const before = gateway.raft.reads
  const privileged = { Image: "nginx", Labels: { "troupe.privileged": "true" } }
  const asking = serviceBody("asks", { TaskTemplate: { ContainerSpec: privileged } })
  expect((await gateway.post("/services/create", asking)).status).toBe(403)
  expect(gateway.raft.reads).toBe(before + 1)
  expect((await gateway.delete(`/services/${id.slice(0, 8)}`)).status).toBe(200)
  expect(gateway.raft.reads).toBe(before + 2)
})

test("a write of unknown end is not tried again", async () => {
  const { made, gateway, proposals } = await behind("asked", () => [])
  made.raft.answer = { _tag: "Unknown", message: "lost leadership" }
  expect((await gateway.post("/services/create", serviceBody("web"))).status).toBe(503)
  expect(proposals()).toBe(1)
})
