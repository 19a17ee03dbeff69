/**
 * Certificates: the cluster's root, requests of nodes, and what the root signs. ECDSA on P-256 throughout.
 *
 * The library makes and signs (`signing.ts`); TLS itself checks chains. Revocation is not in here: neither runtime
 * honours lists of revoked certificates alike, so who is a member is looked up in the ledger.
 */
import {
  createPrivateKey,
  createSign,
  createVerify,
  type KeyObject,
  X509Certificate as NodeCertificate
} from "node:crypto"
import { Effect, Schema } from "effect"
import { type CertificateFields, type Member, parseSubject } from "#actors/authority/certify.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** What was handed in is not a certificate, key or request that can be used. */
export class CertificateError extends Schema.TaggedError<CertificateError>()("CertificateError", {
  message: Schema.String
}) {}

/** A certificate, or a request for one, and the key that it is of; both PEM. The key is a secret. */
export interface KeyAndPem {
  readonly pem: string
  readonly key: string
}

/** Swarm's: a root that ends within a year is not taken. */
const soonestEndMs = 365 * 24 * 3_600_000

const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, CertificateError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => new CertificateError({ message: `${what}: ${wordsOf(error)}` })
  })

/** How a key signs; people may bring authorities of their own. */
export function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) {
  const curve = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" }[
    asymmetricKeyDetails?.namedCurve ?? ""
  ]
  if (asymmetricKeyType === "ec" && curve !== undefined) {
    return { key: { name: "ECDSA", namedCurve: curve }, signing: { name: "ECDSA", hash: "SHA-256" } }
  }
  if (asymmetricKeyType === "rsa") {
    const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }
    return { key: rsa, signing: rsa }
  }
  throw new Error("the key is neither RSA nor ECDSA on P-256, P-384 or P-521")
}

/** Who signs. `crossSigned` are certificates of the same key by earlier roots: whoever knows only those follows them. */
export interface Signer {
  readonly certificate: string
  readonly key: string
  readonly crossSigned?: ReadonlyArray<string>
}

const loadSigning = () => import("#actors/authority/signing.ts")

/** A new root that signs for itself. `now` is milliseconds since the epoch. */
export const newRoot = (now: number): Effect.Effect<KeyAndPem, CertificateError> =>
  attempt("Cannot make a root certificate", async () => (await loadSigning()).newRoot(now))

/** A new key and a request for its certificate. */
export const newRequest: Effect.Effect<KeyAndPem, CertificateError> = attempt(
  "Cannot make a certificate request",
  async () => (await loadSigning()).newRequest()
)

/**
 * Signs what `fields` say for the key in `request`, which its owner must have signed. Gives PEM: the certificate, and
 * after it what leads from it to earlier roots.
 */
export const sign = (
  signer: Signer,
  request: string,
  fields: CertificateFields
): Effect.Effect<string, CertificateError> =>
  attempt("Cannot sign the certificate request", async () =>
    (await loadSigning()).sign(signer, request, fields)
  )

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
      const made = new NodeCertificate(pem).publicKey.export({ format: "der", type: "spki" })
      if (made.toString("base64") !== (await loadSigning()).publicKeyOf(request))
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

/** The root `of` as an intermediate of the root `by`: whoever trusts that one takes what `of` signs. Gives PEM. */
export const crossSign = (
  of: string,
  by: Pick<Signer, "certificate" | "key">
): Effect.Effect<string, CertificateError> =>
  attempt("Cannot cross-sign the root certificate", async () => (await loadSigning()).crossSign(of, by))

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

/** The subject of a certificate as it stands in it: RFC 5280 §4.1, fields of TBSCertificate in their order. */
function subjectOf(der: Buffer): Buffer {
  const first = contentOf(der, contentOf(der, 0))
  // The version is there in all but the oldest certificates; serial, algorithm, issuer and validity come before it.
  let at = der[first] === 0xa0 ? endOf(der, first) : first
  for (let fields = 0; fields < 4; fields++) at = endOf(der, at)
  return der.subarray(at, endOf(der, at))
}

/** Where the content of a DER element begins, and where it ends (X.690 §8.1.3). */
const contentOf = (der: Buffer, at: number): number => {
  const length = der[at + 1] ?? 0
  return at + 2 + (length < 0x80 ? 0 : length & 0x7f)
}
const endOf = (der: Buffer, at: number): number => {
  const content = contentOf(der, at)
  const length = content === at + 2 ? (der[at + 1] ?? 0) : der.readUIntBE(at + 2, content - at - 2)
  return content + length
}

/** Asked for again and again of the one root that a cluster has. */
let lastIssuer: { readonly of: string; readonly issuer: Issuer } | undefined

/** How an authority is known in what it signed. */
export function issuerOf(authorityPem: string): Issuer {
  if (lastIssuer?.of === authorityPem) return lastIssuer.issuer
  const { raw, publicKey } = new NodeCertificate(authorityPem)
  const key = publicKey.export({ format: "der", type: "spki" })
  const issuer = { subject: subjectOf(raw).toString("base64"), publicKey: key.toString("base64") }
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
