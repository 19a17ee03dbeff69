import { expect, test } from "bun:test"
import "reflect-metadata"
import { generateKeyPairSync, KeyObject, webcrypto } from "node:crypto"
import { BasicConstraintsExtension, X509CertificateGenerator } from "@peculiar/x509"
import { Effect } from "effect"
import { certify } from "#actors/authority/certify.ts"
import { newRoots } from "#actors/authority/membership.ts"
import { planRootChange } from "#actors/authority/rotation.ts"
import { crossSign, issuerOf, newRequest, newRoot, readCertificate, sign } from "#actors/authority/x509.ts"
import { featureLevel, levelOf } from "#actors/ledger/features.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { Authority } from "#actors/model/trust.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
const now = Date.now()
const roots = await run(newRoots(now))
const day = 86_400_000

const cluster = (more: Partial<Cluster> = {}): Cluster => ({
  ID: "blue",
  Version: { Index: 1 },
  CreatedAt: "",
  UpdatedAt: "",
  Spec: { CAConfig: { ForceRotate: 2 } },
  RootRotationInProgress: false,
  DefaultAddrPool: [],
  SubnetSize: 24,
  DataPathPort: 4789,
  JoinTokens: { Worker: "", Manager: "" },
  FeatureLevel: featureLevel,
  Roots: roots,
  ...more
})
const plan = (asked: Parameters<typeof planRootChange>[1], of = cluster()) =>
  run(planRootChange(of, asked, now))
const refusal = async (asked: Parameters<typeof planRootChange>[1], of = cluster()) =>
  (await run(Effect.flip(planRootChange(of, asked, now)))).message.replace(/^.*desc = /, "")
const authority = async (): Promise<Authority> => {
  const { pem, key } = await run(newRoot(now))
  return { certificate: pem, key }
}
const asking = ({ certificate, key }: Authority) => ({
  SigningCACert: certificate,
  SigningCAKey: key,
  ForceRotate: 2
})

const rsa = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1])
}

/** A root of a kind that we make none of. */
async function brought(
  algorithm: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams
): Promise<Authority> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair
  const root = await X509CertificateGenerator.createSelfSigned({
    name: "CN=own",
    notAfter: new Date(now + 20 * 365 * day),
    signingAlgorithm: { name: algorithm.name, hash: "SHA-256" },
    keys,
    extensions: [new BasicConstraintsExtension(true, undefined, true)]
  })
  const key = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" })
  return { certificate: `${root.toString("pem")}\n`, key: key.toString() }
}

test("an update that says nothing of the root changes none", async () => {
  for (const asked of [{}, { ForceRotate: 2 }, { NodeCertExpiry: 3_600_000_000_000 }]) {
    expect(await plan(asked)).toBeUndefined()
  }
})

test("CA-13 a forced change makes another root, which whoever trusts the present one follows", async () => {
  const rotation = (await plan({ ForceRotate: 3 }))?.rotation
  if (rotation === undefined) throw new Error("a root follows")
  expect(rotation.certificate).not.toBe(roots.ca.certificate)
  const request = await run(newRequest)
  const member = { nodeId: "n1", clusterId: "blue", role: "worker", addresses: [] } as const
  const chain = await run(sign(rotation, request.pem, certify(member, now, day)))
  for (const root of [roots.ca.certificate, rotation.certificate]) {
    expect((await run(readCertificate(chain, root))).issuer).toEqual(issuerOf(rotation.certificate))
  }
  const stranger = await authority()
  expect((await run(Effect.flip(readCertificate(chain, stranger.certificate)))).message).toContain(
    "another root signed it"
  )
})

test("CA-19 who has slept through the end of one change of the root follows the next, and no further", async () => {
  const chain: Array<Authority> = [roots.ca]
  let present = cluster()
  for (let round = 3; round < 6; round++) {
    const rotation = (await plan({ ForceRotate: round }, present))?.rotation
    if (rotation === undefined) throw new Error("a root follows")
    chain.push(rotation)
    present = cluster({ Roots: { ...roots, ca: rotation } })
  }
  const last = chain.at(-1) as Authority
  expect(last.crossSigned).toHaveLength(2)
  const request = await run(newRequest)
  const member = { nodeId: "n1", clusterId: "blue", role: "worker", addresses: [] } as const
  const certificate = await run(sign(last, request.pem, certify(member, now, day)))
  const takes = chain.map(({ certificate: root }) =>
    run(Effect.map(Effect.result(readCertificate(certificate, root)), ({ _tag }) => _tag))
  )
  expect(await Promise.all(takes)).toEqual(["Failure", "Success", "Success", "Success"])
})

test("a root that people bring along follows, once, and the present one ends what is under way", async () => {
  const own = await authority()
  const rotation = (await plan(asking(own)))?.rotation
  expect(rotation).toMatchObject({ certificate: own.certificate })
  const during = cluster({ Roots: { ...roots, ...(rotation && { rotation }) } })
  expect(await plan(asking(own), during)).toBeUndefined()
  // As `docker swarm update` sends it back: the certificate, which it was shown, without the key.
  expect(await plan({ SigningCACert: own.certificate, ForceRotate: 2 }, during)).toBeUndefined()
  expect(await plan(asking(roots.ca), during)).toEqual({})
  expect(await plan(asking(roots.ca))).toBeUndefined()
})

test("roots of RSA and of larger curves sign, too", async () => {
  for (const own of [await brought(rsa), await brought({ name: "ECDSA", namedCurve: "P-384" })]) {
    const rotation = (await plan(asking(own)))?.rotation as Authority
    const request = await run(newRequest)
    const member = { nodeId: "n1", clusterId: "blue", role: "worker", addresses: [] } as const
    const chain = await run(sign(rotation, request.pem, certify(member, now, day)))
    for (const root of [roots.ca.certificate, rotation.certificate]) {
      expect((await run(readCertificate(chain, root))).nodeId).toBe("n1")
    }
    // And they hand over to the next.
    const next = await authority()
    expect(await run(crossSign(next.certificate, rotation))).toContain("BEGIN CERTIFICATE")
  }
})

test("what cannot sign is refused, and why", async () => {
  const own = await authority()
  const other = await authority()
  const request = await run(newRequest)
  const member = { nodeId: "n1", clusterId: "blue", role: "worker", addresses: [] } as const
  const leaf = {
    certificate: await run(sign(own, request.pem, certify(member, now, 900 * day))),
    key: request.key
  }
  expect(await refusal({ SigningCAKey: own.key })).toBe(
    "if a signing CA key is provided, the signing CA cert must also be provided"
  )
  expect(await refusal({ SigningCACert: own.certificate })).toContain(
    "CAConfig.SigningCACert: expected the key of that certificate in CAConfig.SigningCAKey"
  )
  const invalid = "invalid CA certificate or key: "
  expect(await refusal(asking({ ...own, key: other.key }))).toBe(`${invalid}certificate key mismatch`)
  expect(await refusal(asking(leaf))).toBe(`${invalid}the certificate is not one of a CA`)
  expect(await refusal(asking({ ...own, certificate: own.certificate + other.certificate }))).toBe(
    `${invalid}the desired CA certificate cannot contain multiple certificates`
  )
  const old = await run(newRoot(now - 19.5 * 365 * day))
  expect(await refusal(asking({ certificate: old.pem, key: old.key }))).toBe(
    `${invalid}CA certificate expires too soon`
  )
  const { privateKey } = generateKeyPairSync("ed25519")
  const strange = privateKey.export({ type: "pkcs8", format: "pem" }).toString()
  expect(await refusal(asking({ ...own, key: strange }))).toBe(
    `${invalid}the key is neither RSA nor ECDSA on P-256, P-384 or P-521`
  )
  expect(await refusal(asking({ certificate: "nonsense", key: own.key }))).toStartWith(invalid)
  expect(
    await refusal({ ForceRotate: 3 }, cluster({ FeatureLevel: levelOf["cluster.rotate"] - 1 }))
  ).toContain("before all managers run this release")
})
