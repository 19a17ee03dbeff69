/**
 * Certificates: the cluster's root, requests of nodes, and what the root signs. ECDSA on P-256 throughout.
 *
 * The library signs and parses; TLS itself checks chains. Revocation is not in here: neither runtime honours lists
 * of revoked certificates alike, so who is a member is looked up in the ledger.
 */
// The library's containers need it before anything of theirs is loaded.
import "reflect-metadata"
import { X509Certificate as NodeCertificate, randomBytes, webcrypto } from "node:crypto"
import {
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
import { Effect, Schema } from "effect"
import { type CertificateFields, type Member, parseSubject } from "#actors/authority/certify.ts"

/** What was handed in is not a certificate, key or request that can be used. */
export class CertificateError extends Schema.TaggedError<CertificateError>()("CertificateError", {
  message: Schema.String
}) {}

/** A certificate, or a request for one, and the key that it is of; both PEM. The key is a secret. */
export interface KeyAndPem {
  readonly pem: string
  readonly key: string
}

const algorithm = { name: "ECDSA", namedCurve: "P-256" } as const
const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" } as const
/** Swarm's roots last as long. */
const rootYears = 20

cryptoProvider.set(webcrypto as unknown as Crypto)

const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, CertificateError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) =>
      new CertificateError({ message: `${what}: ${error instanceof Error ? error.message : error}` })
  })

const newKeys = (): Promise<CryptoKeyPair> =>
  webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as Promise<CryptoKeyPair>

const pemOf = async (key: CryptoKey): Promise<string> =>
  PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), PemConverter.PrivateKeyTag)

const keyOf = (pem: string): Promise<CryptoKey> =>
  webcrypto.subtle.importKey("pkcs8", PemConverter.decodeFirst(pem), algorithm, false, ["sign"])

/** Positive, as RFC 5280 §4.1.2.2 wants it, and not to be guessed. */
const newSerial = (): string => `01${randomBytes(15).toString("hex")}`

/** A new root that signs for itself. `now` is milliseconds since the epoch. */
export const newRoot = (now: number): Effect.Effect<KeyAndPem, CertificateError> =>
  attempt("Cannot make a root certificate", async () => {
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
  })

/** A new key and a request for its certificate. */
export const newRequest: Effect.Effect<KeyAndPem, CertificateError> = attempt(
  "Cannot make a certificate request",
  async () => {
    const keys = await newKeys()
    const request = await Pkcs10CertificateRequestGenerator.create({
      name: "CN=troupe",
      keys,
      signingAlgorithm
    })
    return { pem: request.toString("pem"), key: await pemOf(keys.privateKey) }
  }
)

/** Signs what `fields` say for the key in `request`, which its owner must have signed. Gives PEM. */
export const sign = (
  root: { readonly certificate: string; readonly key: string },
  request: string,
  fields: CertificateFields
): Effect.Effect<string, CertificateError> =>
  attempt("Cannot sign the certificate request", async () => {
    const wanted = new Pkcs10CertificateRequest(request)
    if (!(await wanted.verify())) throw new Error("it is not signed by the key that it names")
    const issuer = new X509Certificate(root.certificate)
    const made = await X509CertificateGenerator.create({
      serialNumber: newSerial(),
      subject: fields.subject,
      issuer: issuer.subject,
      notBefore: new Date(fields.notBefore),
      notAfter: new Date(fields.notAfter),
      signingAlgorithm,
      publicKey: wanted.publicKey,
      signingKey: await keyOf(root.key),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([
          ...fields.dnsNames.map((value) => ({ type: "dns" as const, value })),
          ...fields.addresses.map((value) => ({ type: "ip" as const, value }))
        ]),
        await SubjectKeyIdentifierExtension.create(wanted.publicKey)
      ]
    })
    return `${made.toString("pem")}\n`
  })

/** Who a certificate names and until when, in milliseconds since the epoch; checked against its root. */
export const readCertificate = (
  pem: string,
  root: string
): Effect.Effect<Omit<Member, "addresses"> & { readonly notAfter: number }, CertificateError> =>
  attempt("Cannot use the node's certificate", async () => {
    const certificate = new NodeCertificate(pem)
    if (!certificate.verify(new NodeCertificate(root).publicKey)) throw new Error("another root signed it")
    const member = parseSubject(certificate.subject)
    if (member === undefined) throw new Error(`its subject is not a node's: ${certificate.subject}`)
    return { ...member, notAfter: Date.parse(certificate.validTo) }
  })
