import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { decode, type User } from "@nats-io/jwt"
import { Effect } from "effect"
import {
  issueMembership,
  newOwnKeys,
  newRoots,
  type OwnKeys,
  publicKeysOf
} from "#actors/authority/membership.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import { dropRoots, type Held, readHeld, readRoots, writeHeld, writeRoots } from "#actors/authority/store.ts"
import { readCertificate } from "#actors/authority/x509.ts"
import { somePorts } from "#test/support/trust.ts"

const now = Date.UTC(2026, 10, 25)
const day = 86_400_000
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
const dataDir = mkdtempSync(join(tmpdir(), "troupe-trust-"))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const grantOf = async () => {
  const roots = await run(newRoots(now))
  const { own, csr, keys } = await run(newOwnKeys())
  const membership = await run(
    issueMembership(roots, {
      member: { nodeId: "n1", clusterId: "blue", role: "manager", addresses: ["10.0.0.1"] },
      csr,
      keys,
      managers: [],
      revocations: {},
      now,
      expiryMs: 90 * day
    })
  )
  return { roots, own, membership }
}

const heldOf = (membership: Membership, own: OwnKeys): Held => ({
  origin: "founded",
  ports: somePorts,
  membership,
  own
})

const rightsOf = (pass: string) => decode<User>(pass)

test("certificate and passes of one membership end together", async () => {
  const { membership } = await grantOf()
  const { notAfter } = await run(readCertificate(membership.certificate, membership.root))
  for (const pass of Object.values(membership.passes.users)) {
    expect(rightsOf(pass).exp).toBe(notAfter / 1000)
  }
})

test("a pass is good for the key that asked, and nobody else's", async () => {
  const { own, membership } = await grantOf()
  const keys = publicKeysOf(own.seeds)
  for (const [which, pass] of Object.entries(membership.passes.users)) {
    expect(rightsOf(pass).sub).toBe(keys[which as keyof typeof keys])
  }
})

test("only the pass for Raft speaks on Raft's subjects, and only as itself", async () => {
  const { membership } = await grantOf()
  const { raft, ...others } = membership.passes.users
  expect(rightsOf(raft).nats.pub?.allow).toEqual(["troupe.v1.blue.*.raft.n1.*"])
  const speaksRaft = /^troupe\.v1\.blue\.[^.]+\.(raft|\*|>)/
  for (const pass of Object.values(others)) {
    for (const subject of rightsOf(pass).nats.pub?.allow ?? []) {
      expect(subject).not.toBe(">")
      expect(subject).not.toBe("troupe.>")
      expect(subject).not.toMatch(speaksRaft)
    }
  }
})

test("every inbox that a pass may hear is its own", async () => {
  const { membership } = await grantOf()
  const inboxes = Object.values(membership.passes.users).flatMap((pass) =>
    (rightsOf(pass).nats.sub?.allow ?? []).filter((subject) => subject.startsWith("_INBOX"))
  )
  expect(inboxes.sort()).toEqual(["_INBOX.api-n1.>", "_INBOX.n1.>", "_INBOX.system-n1.>"])
})

test("what a node holds is read back as it was written, and only its owner may read it", async () => {
  expect(await run(readHeld(dataDir))).toBeUndefined()
  const { own, membership, roots } = await grantOf()
  await run(writeHeld(dataDir, heldOf(membership, own)))
  await run(writeRoots(dataDir, roots))
  expect(await run(readHeld(dataDir))).toMatchObject({ membership, own })
  expect(await run(readRoots(dataDir))).toEqual(roots)
  expect(statSync(join(dataDir, "trust/member.json")).mode & 0o777).toBe(0o600)
  expect(statSync(join(dataDir, "trust")).mode & 0o777).toBe(0o700)
  await run(dropRoots(dataDir))
  expect(await run(readRoots(dataDir))).toBeUndefined()
})

test("CA-11 a damaged file is said to be damaged, without a word of what is in it", async () => {
  const { own, membership } = await grantOf()
  await run(writeHeld(dataDir, heldOf(membership, own)))
  const path = join(dataDir, "trust/member.json")
  for (const text of ['{"format":1,"own":{"key":"hush"', '{"format":1,"own":{"key":"hush"}}']) {
    writeFileSync(path, text)
    expect((await run(Effect.flip(readHeld(dataDir)))).message).toBe(`Cannot use ${path}: it is damaged`)
  }
})
