/**
 * Certificates: the cluster's root, requests of nodes, and what the root signs. ECDSA on P-256 throughout.
 *
 * The library signs and parses; TLS itself checks chains. Revocation is not in here: neither runtime honours lists
 * of revoked certificates alike, so who is a member is looked up in the ledger.
 */
// The library's containers need it before anything of theirs is loaded.
import "reflect-metadata"
import {
  createPrivateKey,
  createSign,
  createVerify,
  type KeyObject,
  X509Certificate as NodeCertificate,
  randomBytes,
  webcrypto
} from "node:crypto"
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
/** Swarm's: a root that ends within a year is not taken. */
const soonestEndMs = 365 * 24 * 3_600_000

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

/** How a key signs; people may bring authorities of their own. */
function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) {
  const curve = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" }[
    asymmetricKeyDetails?.namedCurve ?? ""
  ]
  if (asymmetricKeyType === "ec" && curve !== undefined) {
    return { key: { name: "ECDSA", namedCurve: curve }, signing: signingAlgorithm }
  }
  if (asymmetricKeyType === "rsa") {
    const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }
    return { key: rsa, signing: rsa }
  }
  throw new Error("the key is neither RSA nor ECDSA on P-256, P-384 or P-521")
}

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

/** Who signs. `crossSigned` are certificates of the same key by earlier roots: whoever knows only those follows them. */
export interface Signer {
  readonly certificate: string
  readonly key: string
  readonly crossSigned?: ReadonlyArray<string>
}

/**
 * Signs what `fields` say for the key in `request`, which its owner must have signed. Gives PEM: the certificate, and
 * after it what leads from it to earlier roots.
 */
export const sign = (
  signer: Signer,
  request: string,
  fields: CertificateFields
): Effect.Effect<string, CertificateError> =>
  attempt("Cannot sign the certificate request", async () => {
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
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([
          ...fields.dnsNames.map((value) => ({ type: "dns" as const, value })),
          ...fields.addresses.map((value) => ({ type: "ip" as const, value }))
        ]),
        await SubjectKeyIdentifierExtension.create(wanted.publicKey),
        await authorityOf(issuer)
      ]
    })
    return chained(made.toString("pem"), signer)
  })

/** A certificate that the signer's key made, and after it what leads from it to earlier roots; PEM. */
export const chained = (pem: string, { crossSigned = [] }: Signer): string =>
  [pem, ...crossSigned].map((each) => `${each.trim()}\n`).join("")

/** What is wrong with a certificate that somebody else signed for us; nothing when it is as it was asked for. */
export const checkIssued = (
  pem: string,
  request: string,
  { subject, dnsNames, addresses }: CertificateFields,
  root: string
): Effect.Effect<void, CertificateError> =>
  Effect.flatMap(readCertificate(pem, root), (facts) =>
    attempt("Cannot use its certificate", async () => {
      const made = new X509Certificate(pem)
      if (base64(made.publicKey.rawData) !== base64(new Pkcs10CertificateRequest(request).publicKey.rawData))
        throw new Error("it is of another key")
      const wanted = parseSubject(subject)
      if (
        facts.nodeId !== wanted?.nodeId ||
        facts.role !== wanted.role ||
        facts.clusterId !== wanted.clusterId
      )
        throw new Error(
          `its subject is ${new NodeCertificate(pem).subject.replaceAll("\n", ", ")}: expected ${subject}`
        )
      const names = new NodeCertificate(pem).subjectAltName ?? ""
      const missing = [...dnsNames, ...addresses.filter((each) => !each.includes(":"))].find(
        (each) => !names.split(", ").some((name) => name.endsWith(`:${each}`))
      )
      if (missing !== undefined) throw new Error(`it does not name ${missing}`)
    })
  )

/** Names the issuer by its key: all roots of a cluster may have the same subject. */
async function authorityOf(issuer: X509Certificate): Promise<AuthorityKeyIdentifierExtension> {
  const known = issuer.getExtension(SubjectKeyIdentifierExtension)
  return known === null
    ? await AuthorityKeyIdentifierExtension.create(issuer.publicKey)
    : new AuthorityKeyIdentifierExtension(known.keyId)
}

/** The root `of` as an intermediate of the root `by`: whoever trusts that one takes what `of` signs. Gives PEM. */
export const crossSign = (
  of: string,
  by: { readonly certificate: string; readonly key: string }
): Effect.Effect<string, CertificateError> =>
  attempt("Cannot cross-sign the root certificate", async () => {
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
  })

/** A node's certificate, read. Times are milliseconds since the epoch. */
export interface NodeCertificateFacts extends Member {
  readonly notBefore: number
  readonly notAfter: number
  /** Who signed it, as the Engine shows that. */
  readonly issuer: Issuer
}

/** DER in base64: the subject, and the public key with its algorithm. */
export interface Issuer {
  readonly subject: string
  readonly publicKey: string
}

const certificatesIn = (pem: string): ReadonlyArray<string> =>
  pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []

const base64 = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString("base64")

/** Asked for again and again of the one root that a cluster has. */
let lastIssuer: { readonly of: string; readonly issuer: Issuer } | undefined

/** How an authority is known in what it signed. */
export function issuerOf(authorityPem: string): Issuer {
  if (lastIssuer?.of === authorityPem) return lastIssuer.issuer
  const { subjectName, publicKey } = new X509Certificate(authorityPem)
  const issuer = { subject: base64(subjectName.toArrayBuffer()), publicKey: base64(publicKey.rawData) }
  lastIssuer = { of: authorityPem, issuer }
  return issuer
}

/** Who a certificate names and until when; checked against the root, over what stands behind it in `pem`. */
export const readCertificate = (
  pem: string,
  root: string
): Effect.Effect<NodeCertificateFacts, CertificateError> =>
  attempt("Cannot use the node's certificate", async () => {
    const [own, ...between] = certificatesIn(pem)
    if (own === undefined) throw new Error("it is none")
    const certificate = new NodeCertificate(own)
    const issuer = [root, ...between].find((authority) => isSignedBy(own, authority))
    if (issuer === undefined || !leadsTo(issuer, between, root)) throw new Error("another root signed it")
    const member = parseSubject(certificate.subject)
    if (member === undefined) throw new Error(`its subject is not a node's: ${certificate.subject}`)
    return {
      ...member,
      addresses: addressesIn(certificate),
      notBefore: Date.parse(certificate.validFrom),
      notAfter: Date.parse(certificate.validTo),
      issuer: issuerOf(issuer)
    }
  })

const addressName = "IP Address:"
const addressesIn = ({ subjectAltName }: NodeCertificate): ReadonlyArray<string> =>
  (subjectAltName ?? "")
    .split(", ")
    .filter((name) => name.startsWith(addressName))
    .map((name) => name.slice(addressName.length))

const isSignedBy = (pem: string, authority: string): boolean =>
  new NodeCertificate(pem).verify(new NodeCertificate(authority).publicKey)

/** Whether `authority` is the root, or signed by it over others. */
function leadsTo(authority: string, others: ReadonlyArray<string>, root: string): boolean {
  if (authority === root || isSignedBy(authority, root)) return true
  const rest = others.filter((other) => other !== authority)
  return rest.some((other) => isSignedBy(authority, other) && leadsTo(other, rest, root))
}

/** Signs words with the key of a certificate; base64. */
export const signWords = (words: string, key: string): string =>
  createSign("sha256").update(words).sign(key, "base64")

/** Whether the owner of the certificate's key signed these words. */
export const isSignatureOf = (words: string, signature: string, pem: string): boolean =>
  createVerify("sha256").update(words).verify(new NodeCertificate(pem).publicKey, signature, "base64")

/** What is wrong with an authority that people bring along; nothing when it can sign. `now` is ms since the epoch. */
export const checkAuthority = (
  authority: { readonly certificate: string; readonly key: string },
  now: number
): Effect.Effect<void, CertificateError> =>
  attempt("invalid CA certificate or key", async () => {
    if (certificatesIn(authority.certificate).length > 1) {
      throw new Error("the desired CA certificate cannot contain multiple certificates")
    }
    const certificate = new NodeCertificate(authority.certificate)
    if (!certificate.ca) throw new Error("the certificate is not one of a CA")
    if (!certificate.verify(certificate.publicKey)) throw new Error("the certificate is not signed by itself")
    if (Date.parse(certificate.validTo) < now + soonestEndMs)
      throw new Error("CA certificate expires too soon")
    const key = createPrivateKey(authority.key)
    algorithmsOf(key)
    if (!certificate.checkPrivateKey(key)) throw new Error("certificate key mismatch")
  })
