import { expect, test } from "bun:test"
// The library needs it before anything of its own is loaded.
import "reflect-metadata"
import { Buffer } from "node:buffer"
import { X509Certificate } from "node:crypto"
import { X509CertificateGenerator } from "@peculiar/x509"
import { Effect } from "effect"
import { certify } from "#actors/authority/certify.ts"
import { issuerOf, newRequest, newRoot, readCertificate, sign } from "#actors/authority/x509.ts"

const now = Date.UTC(2026, 10, 25, 12)
const day = 86_400_000
const member = { nodeId: "n1", clusterId: "blue", role: "manager", addresses: ["10.77.0.11"] } as const
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

const issue = async (role: "manager" | "worker" = "manager") => {
  const root = await run(newRoot(now))
  const request = await run(newRequest)
  const signer = { certificate: root.pem, key: root.key }
  const pem = await run(sign(signer, request.pem, certify({ ...member, role }, now, 90 * day)))
  return { root, request, signer, pem }
}

test("a certificate says who a node is, in which role, where it is reached, and until when", async () => {
  const { root, pem } = await issue()
  expect(await run(readCertificate(pem, root.pem))).toEqual({
    nodeId: "n1",
    clusterId: "blue",
    role: "manager",
    addresses: ["10.77.0.11", "127.0.0.1", "0:0:0:0:0:0:0:1"],
    notBefore: now - 3_600_000,
    notAfter: now + 90 * day,
    issuer: issuerOf(root.pem)
  })
  const certificate = new X509Certificate(pem)
  for (const name of ["DNS:n1", "DNS:swarm-manager", "IP Address:10.77.0.11", "IP Address:127.0.0.1"]) {
    expect(certificate.subjectAltName).toContain(name)
  }
  expect(certificate.ca).toBe(false)
})

test("an authority is known by its subject and public key as they stand in its certificate, whatever their sizes", async () => {
  const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2_048 }
  const ec = { name: "ECDSA", hash: "SHA-384", namedCurve: "P-384" }
  for (const [algorithm, name] of [
    [rsa, "CN=ours"],
    [ec, `CN=${"long".repeat(12)}, OU=${"name".repeat(15)}, O=${"here".repeat(15)}`]
  ] as const) {
    const made = { ...algorithm, publicExponent: new Uint8Array([1, 0, 1]) }
    const keys = (await crypto.subtle.generateKey(made, true, ["sign", "verify"])) as CryptoKeyPair
    const root = await X509CertificateGenerator.createSelfSigned({ name, keys, signingAlgorithm: algorithm })
    const base64 = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString("base64")
    expect(issuerOf(root.toString("pem"))).toEqual({
      subject: base64(root.subjectName.toArrayBuffer()),
      publicKey: base64(root.publicKey.rawData)
    })
  }
})

test("a root can sign, and a node's certificate cannot", async () => {
  const { root } = await issue()
  expect(new X509Certificate(root.pem).ca).toBe(true)
})

test("CA-06 of a request only the key is taken, never the name it asks for", async () => {
  const { pem } = await issue("worker")
  const { subject } = new X509Certificate(pem)
  expect(subject.split("\n").sort()).toEqual(["CN=n1", "O=blue", "OU=swarm-worker"])
})

test("CA-07 a request that is not signed by its own key is refused, and so is what is no request", async () => {
  const { signer, request } = await issue()
  const fields = certify(member, now, day)
  const other = await run(newRequest)
  const body = (pem: string): Buffer => Buffer.from(pem.split("\n").slice(1, -1).join(""), "base64")
  // The key of one request under the signature of another.
  const forged = Buffer.concat([body(request.pem).subarray(0, -40), body(other.pem).subarray(-40)])
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${forged.toString("base64")}\n-----END CERTIFICATE REQUEST-----`
  for (const text of [
    pem,
    "",
    "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"
  ]) {
    expect((await run(Effect.flip(sign(signer, text, fields)))).message).toStartWith(
      "Cannot sign the certificate request: "
    )
  }
})

test("CA-21 a certificate of another cluster's root is not taken", async () => {
  const { pem } = await issue()
  const { root } = await issue()
  expect((await run(Effect.flip(readCertificate(pem, root.pem)))).message).toBe(
    "Cannot use the node's certificate: another root signed it"
  )
})

test("CA-09 a certificate counts from an hour ago and for an hour at least", () => {
  expect(certify(member, now, 1_000)).toMatchObject({ notBefore: now - 3_600_000, notAfter: now + 3_600_000 })
})
