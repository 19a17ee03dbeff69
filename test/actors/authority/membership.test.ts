import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { issueMembership, newRoots } from "#actors/authority/membership.ts"
import { dropRoots, type Held, readHeld, readRoots, writeHeld, writeRoots } from "#actors/authority/store.ts"
import { newRequest } from "#actors/authority/x509.ts"
import { somePorts } from "#test/support/trust.ts"

const now = Date.UTC(2026, 10, 25)
const day = 86_400_000
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
const dataDir = mkdtempSync(join(tmpdir(), "troupe-trust-"))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const grant = async (role: "manager" | "worker") => {
  const roots = await run(newRoots(now))
  const request = await run(newRequest)
  const membership = await run(
    issueMembership(roots, {
      member: { nodeId: "n1", clusterId: "blue", role, addresses: ["10.0.0.1"] },
      csr: request.pem,
      managers: [],
      now,
      expiryMs: 90 * day
    })
  )
  const held: Held = { origin: "founded", ports: somePorts, membership, key: request.key }
  return { roots, held, membership }
}

test("a manager learns what nats-servers show each other, a worker does not", async () => {
  const { roots, membership } = await grant("manager")
  expect(membership.routePassword).toBe(roots.routePassword)
  expect((await grant("worker")).membership.routePassword).toBeUndefined()
})

test("what a node holds is read back as it was written, and only its owner may read it", async () => {
  expect(await run(readHeld(dataDir))).toBeUndefined()
  const { held, roots } = await grant("manager")
  await run(writeHeld(dataDir, held))
  await run(writeRoots(dataDir, roots))
  expect(await run(readHeld(dataDir))).toMatchObject(held)
  expect(await run(readRoots(dataDir))).toEqual(roots)
  expect(statSync(join(dataDir, "trust/member.json")).mode & 0o777).toBe(0o600)
  expect(statSync(join(dataDir, "trust")).mode & 0o777).toBe(0o700)
  await run(dropRoots(dataDir))
  expect(await run(readRoots(dataDir))).toBeUndefined()
})

test("CA-11 a damaged file is said to be damaged, without a word of what is in it", async () => {
  const { held } = await grant("manager")
  await run(writeHeld(dataDir, held))
  const path = join(dataDir, "trust/member.json")
  for (const text of ['{"format":1,"key":"hush"', '{"format":1,"key":"hush"}']) {
    writeFileSync(path, text)
    expect((await run(Effect.flip(readHeld(dataDir)))).message).toBe(`Cannot use ${path}: it is damaged`)
  }
})
