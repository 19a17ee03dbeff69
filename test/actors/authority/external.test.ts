/** Certificates that an authority outside of the cluster signs, and what it may not sign. */
import { afterEach, expect, test } from "bun:test"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import type { CertificateFields } from "#actors/authority/certify.ts"
import { issueMembership, newRoots } from "#actors/authority/membership.ts"
import { newRequest, readCertificate, type Signer } from "#actors/authority/x509.ts"
import { type ExternalAuthority, openAuthority } from "#test/support/external-authority.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
const open: Array<ExternalAuthority> = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

async function asked(
  change?: (fields: CertificateFields) => CertificateFields | undefined,
  by?: Signer,
  urls = (url: string): ReadonlyArray<string> => [url]
) {
  const roots = await run(newRoots(Date.now()))
  const authority = await openAuthority(roots.ca, change, by)
  open.push(authority)
  const request = await run(newRequest)
  const issued = issueMembership(roots, {
    member: { nodeId: "n1", clusterId: "blue", role: "manager", addresses: ["10.0.0.1"] },
    csr: request.pem,
    managers: [],
    now: Date.now(),
    expiryMs: 90 * 86_400_000,
    external: urls(authority.url).map((URL) => ({ Protocol: "cfssl", URL }))
  })
  return { roots, authority, issued }
}

test("CA-16 an external authority signs, and the cluster's own key does not", async () => {
  const { roots, authority, issued } = await asked()
  const { certificate } = await run(issued)
  expect(await run(readCertificate(certificate, roots.ca.certificate))).toMatchObject({
    nodeId: "n1",
    clusterId: "blue",
    role: "manager",
    addresses: ["10.0.0.1", "127.0.0.1", "0:0:0:0:0:0:0:1"]
  })
  expect(authority.asked).toEqual(["n1"])
})

test("CA-16 where one is not reached the next one is asked", async () => {
  const { authority, issued } = await asked(undefined, undefined, (url) => ["https://127.0.0.1:1/sign", url])
  await run(issued)
  expect(authority.asked).toEqual(["n1"])
})

test("one that never comes to the end of its answer is given up, and the next one is asked", async () => {
  let drip: ReturnType<typeof setInterval> | undefined
  const slow = createServer((_, response) => {
    drip = setInterval(() => response.write(" "), 100)
  })
  await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve))
  const { port } = slow.address() as AddressInfo
  const { authority, issued } = await asked(undefined, undefined, (url) => [`http://127.0.0.1:${port}`, url])
  await run(issued)
  expect(authority.asked).toEqual(["n1"])
  clearInterval(drip)
  slow.close()
}, 30_000)

test.each<readonly [string, (fields: CertificateFields) => CertificateFields | undefined, string]>([
  ["nothing", () => undefined, "not today"],
  [
    "another node",
    (fields) => ({ ...fields, subject: fields.subject.replace("n1", "n2") }),
    "CN=n2: expected"
  ],
  [
    "another role",
    (fields) => ({ ...fields, subject: fields.subject.replace("manager", "worker") }),
    "expected"
  ],
  ["without its address", (fields) => ({ ...fields, addresses: ["127.0.0.1"] }), "it does not name 10.0.0.1"],
  ["without its role's name", (fields) => ({ ...fields, dnsNames: ["n1"] }), "it does not name swarm-manager"]
])("CA-16 one that signs %s is told from one that does what it was asked", async (_what, change, words) => {
  const { authority, issued } = await asked(change)
  const { message } = await run(Effect.flip(issued))
  expect(message).toStartWith(`external CA ${authority.url}: `)
  expect(message).toContain(words)
})

test("CA-16 one that signs with another root's key is refused, and so is one whose server another root vouches for", async () => {
  const other = await run(newRoots(Date.now()))
  const stranger = await openAuthority(other.ca)
  open.push(stranger)
  const { issued } = await asked(undefined, undefined, () => [stranger.url])
  expect((await run(Effect.flip(issued))).message).toMatch(/external CA .*: .*(certificate|unable)/)
  expect(stranger.asked).toEqual([])
  const forged = await asked(undefined, other.ca)
  expect((await run(Effect.flip(forged.issued))).message).toContain("another root signed it")
})
