import { afterAll, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { trustRoot } from "#actors/authority/certificate/renewal.ts"
import { Credentials, joinedBy, openCredentials } from "#actors/authority/credentials.ts"
import { issueMembership, newRoots } from "#actors/authority/membership.ts"
import { type Held, readHeld } from "#actors/authority/store.ts"
import { crossSign, newRequest, newRoot } from "#actors/authority/x509.ts"
import type { Roots } from "#actors/model/trust.ts"
import { somePorts } from "#test/support/trust.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
const now = Date.now()
const dataDir = mkdtempSync(join(tmpdir(), "troupe-credentials-"))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** A worker that trusts the old root and is certified by the one to come. */
async function between() {
  const [old, next] = [await run(newRoots(now)), await run(newRoot(now))]
  const crossSigned = [await run(crossSign(next.pem, old.ca))]
  const roots: Roots = { ...old, rotation: { certificate: next.pem, key: next.key, crossSigned } }
  const { pem: csr, key } = await run(newRequest)
  const member = { nodeId: "n1", clusterId: "blue", role: "worker", addresses: [] } as const
  const membership = await run(
    issueMembership(roots, { member, csr, managers: [], now, expiryMs: 86_400_000 })
  )
  const held: Held = { origin: "joined", ports: somePorts, membership, key }
  return { old: old.ca.certificate, next: next.pem, held }
}

test("CA-19 a node trusts another root only if its own certificate is of it", async () => {
  const { old, next, held } = await between()
  expect(held.membership.root).toBe(old)
  const credentials = await run(openCredentials(dataDir, held))
  const trusting = (root: string) =>
    run(Effect.result(trustRoot(root).pipe(Effect.provideService(Credentials, credentials))))
  const stranger = (await run(newRoot(now))).pem
  expect((await trusting(stranger))._tag).toBe("Failure")
  expect((await trusting("nonsense"))._tag).toBe("Failure")
  expect(credentials.held().membership.root).toBe(old)
  expect((await trusting(next))._tag).toBe("Success")
  expect(credentials.held().membership.root).toBe(next)
  expect((await run(readHeld(dataDir)))?.membership.root).toBe(next)
})

test("what the next life begins with is written last, whatever is still under way", async () => {
  const { held } = await between()
  const credentials = await run(openCredentials(dataDir, held))
  const next: Held = { ...held, membership: { ...held.membership, role: "manager", raftId: "r2" } }
  await run(credentials.supersede(next))
  await run(credentials.superseded)
  await run(credentials.change((now) => ({ ...now, key: "late" })))
  expect(await run(readHeld(dataDir))).toMatchObject({ key: held.key, membership: { raftId: "r2" } })
})

test("where that cannot be written, this life goes on, and what it changes is written", async () => {
  const { held } = await between()
  const folder = join(dataDir, "full")
  const credentials = await run(openCredentials(folder, held))
  writeFileSync(folder, "in the way")
  expect((await run(Effect.result(credentials.supersede(held))))._tag).toBe("Failure")
  rmSync(folder)
  mkdirSync(folder)
  await run(credentials.change((now) => ({ ...now, key: "another" })))
  expect((await run(readHeld(folder)))?.key).toBe("another")
})

test("who uses what a node holds hears of a change once it is written", async () => {
  const { held } = await between()
  const credentials = await run(openCredentials(dataDir, held))
  const seen = await run(
    Effect.scoped(
      Effect.gen(function* () {
        const heard = Promise.withResolvers<string | undefined>()
        yield* credentials.follow(({ key }) =>
          Effect.map(readHeld(dataDir), (written) => heard.resolve(`${key} ${written?.key}`)).pipe(
            Effect.orDie
          )
        )
        yield* credentials.change((now) => ({ ...now, key: "another" }))
        return yield* Effect.promise(() => heard.promise)
      })
    )
  )
  expect(seen).toBe("another another")
})

test("an older password of routes does not take the place of a newer one", async () => {
  const { held } = await between()
  const roots = (number: number): Roots => ({
    ca: { certificate: "", key: "" },
    routePassword: `p${number}`,
    routes: { number, holders: [] }
  })
  const newer = joinedBy(roots(3))(held)
  expect(newer.membership).toMatchObject({ routePassword: "p3", routes: 3 })
  expect(joinedBy(roots(2))(newer)).toBe(newer)
  expect(joinedBy(roots(4))(newer).membership.routePassword).toBe("p4")
})
