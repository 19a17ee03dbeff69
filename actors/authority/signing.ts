/**
 * What makes certificates and requests for them: all that needs a library. Apart, because a worker that has its
 * certificate does not need it for weeks, and it takes seven megabytes.
 */
// The library's containers need it before anything of theirs is loaded.
import "reflect-metadata"
import { Buffer } from "node:buffer"
import { createPrivateKey, randomBytes, webcrypto } from "node:crypto"
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator
} from "@peculiar/x509"
import type { CertificateFields } from "#actors/authority/certify.ts"
import { algorithmsOf, chained, type KeyAndPem, type Signer } from "#actors/authority/x509.ts"

const algorithm = { name: "ECDSA", namedCurve: "P-256" } as const
const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" } as const
/** Swarm's roots last as long. */
const rootYears = 20

cryptoProvider.set(webcrypto as unknown as Crypto)

const newKeys = (): Promise<CryptoKeyPair> =>
  webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as Promise<CryptoKeyPair>

const pemOf = async (key: CryptoKey): Promise<string> =>
  PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), PemConverter.PrivateKeyTag)

/** An authority's key, ready to sign. */
async function signerOf(pem: string) {
  const key = createPrivateKey(pem)
  const { key: algorithm, signing } = algorithmsOf(key)
  const der = new Uint8Array(key.export({ format: "der", type: "pkcs8" }))
  const signingKey = await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"])
  return { signingKey, signingAlgorithm: signing }
}

/** Positive, as RFC 5280 §4.1.2.2 wants it, and not to be guessed. */
const newSerial = (): string => `01${randomBytes(15).toString("hex")}`

/** A new root that signs for itself. `now` is milliseconds since the epoch. */
export async function newRoot(now: number): Promise<KeyAndPem> {
  const keys = await newKeys()
  const from = new Date(now)
  const until = new Date(now)
  from.setUTCHours(from.getUTCHours() - 1)
  until.setUTCFullYear(until.getUTCFullYear() + rootYears)
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: "CN=swarm-ca",
    notBefore: from,
    notAfter: until,
    signingAlgorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey)
    ]
  })
  return { pem: `${root.toString("pem")}\n`, key: await pemOf(keys.privateKey) }
}

/** A new key and a request for its certificate. */
export async function newRequest(): Promise<KeyAndPem> {
  const keys = await newKeys()
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=troupe",
    keys,
    signingAlgorithm
  })
  return { pem: request.toString("pem"), key: await pemOf(keys.privateKey) }
}

/**
 * Signs what `fields` say for the key in `request`, which its owner must have signed. Gives PEM: the certificate, and
 * after it what leads from it to earlier roots.
 */
export async function sign(signer: Signer, request: string, fields: CertificateFields): Promise<string> {
  const wanted = new Pkcs10CertificateRequest(request)
  if (!(await wanted.verify())) throw new Error("it is not signed by the key that it names")
  const issuer = new X509Certificate(signer.certificate)
  const made = await X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: fields.subject,
    issuer: issuer.subjectName,
    notBefore: new Date(fields.notBefore),
    notAfter: new Date(fields.notAfter),
    publicKey: wanted.publicKey,
    ...(await signerOf(signer.key)),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([
        ...(fields.isClient ? [] : [ExtendedKeyUsage.serverAuth]),
        ExtendedKeyUsage.clientAuth
      ]),
      new SubjectAlternativeNameExtension([
        ...fields.dnsNames.map((value) => ({ type: "dns" as const, value })),
        ...fields.addresses.map((value) => ({ type: "ip" as const, value }))
      ]),
      await SubjectKeyIdentifierExtension.create(wanted.publicKey),
      await authorityOf(issuer)
    ]
  })
  return chained(made.toString("pem"), signer)
}

/** Names the issuer by its key: all roots of a cluster may have the same subject. */
async function authorityOf(issuer: X509Certificate): Promise<AuthorityKeyIdentifierExtension> {
  const known = issuer.getExtension(SubjectKeyIdentifierExtension)
  return known === null
    ? await AuthorityKeyIdentifierExtension.create(issuer.publicKey)
    : new AuthorityKeyIdentifierExtension(known.keyId)
}

/** The root `of` as an intermediate of the root `by`: whoever trusts that one takes what `of` signs. Gives PEM. */
export async function crossSign(of: string, by: Pick<Signer, "certificate" | "key">): Promise<string> {
  const [root, issuer] = [new X509Certificate(of), new X509Certificate(by.certificate)]
  const keyId = root.getExtension(SubjectKeyIdentifierExtension)
  const made = await X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: root.subjectName,
    issuer: issuer.subjectName,
    notBefore: root.notBefore,
    notAfter: new Date(Math.min(root.notAfter.getTime(), issuer.notAfter.getTime())),
    publicKey: root.publicKey,
    ...(await signerOf(by.key)),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      keyId ?? (await SubjectKeyIdentifierExtension.create(root.publicKey)),
      await authorityOf(issuer)
    ]
  })
  return `${made.toString("pem")}\n`
}

/** The public key that a request is of: DER in base64. */
export const publicKeyOf = (request: string): string =>
  Buffer.from(new Pkcs10CertificateRequest(request).publicKey.rawData).toString("base64")
