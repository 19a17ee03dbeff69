/** A certificate with its chain and its key, as people give it: one file of PEM. */
import { Buffer } from "node:buffer"
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto"

export interface Certificate {
  /** The certificate, its chain and its key; no blank line, and nothing else that stood around them. */
  readonly pem: string
  /** Host names that it is for, in lower case; the first part may be `*`. */
  readonly names: ReadonlyArray<string>
  /** Milliseconds since the epoch. */
  readonly validFrom: number
  readonly validTo: number
}

/** haproxy takes a command of 16 KiB with all that belongs to it. */
const mostBytes = 15 * 1024

const block = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g

/** `data` is base64. What is wrong with it says what was expected and what was found. */
export function readCertificate(
  data: string
): { readonly certificate: Certificate } | { readonly problem: string } {
  const text = Buffer.from(data, "base64").toString("latin1")
  const blocks = [...text.matchAll(block)].map(([whole, kind = ""]) => ({
    kind,
    pem: `${whole
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "")
      .join("\n")}\n`
  }))
  const chain = blocks.filter(({ kind }) => kind === "CERTIFICATE")
  const [key, another] = blocks.filter(({ kind }) => kind.endsWith("PRIVATE KEY"))
  if (chain.length === 0) return { problem: "expected a certificate in PEM, found none" }
  if (key === undefined)
    return { problem: "expected the certificate's private key in PEM beside it, found none" }
  if (another !== undefined) return { problem: "expected one private key, found several" }
  const certificates = chain.map(({ pem }) => parsed(() => new X509Certificate(pem)))
  const [leaf] = certificates
  const bad = certificates.indexOf(undefined)
  if (leaf === undefined || bad >= 0)
    return { problem: `expected certificates, found that number ${bad + 1} cannot be read` }
  const own = parsed(() => publicPart(createPublicKey(createPrivateKey(key.pem))))
  if (own === undefined)
    return { problem: "expected a private key without a passphrase, found one that cannot be read" }
  if (!publicPart(leaf.publicKey).equals(own))
    return { problem: "expected the key of the first certificate, found another" }
  const pem = [...chain, key].map((one) => one.pem).join("")
  if (pem.length > mostBytes)
    return { problem: `expected at most ${mostBytes} bytes of PEM, found ${pem.length}` }
  const validFrom = Date.parse(leaf.validFrom)
  const validTo = Date.parse(leaf.validTo)
  return { certificate: { pem, names: namesOf(leaf), validFrom, validTo } }
}

const known = new WeakMap<object, ReturnType<typeof readCertificate>>()

/** The same, of what `holder` has, which never changes: it is read at the first time. */
export function readCertificateOnce(holder: object, data: string): ReturnType<typeof readCertificate> {
  const read = known.get(holder) ?? readCertificate(data)
  known.set(holder, read)
  return read
}

/** RFC 6125: `*` stands for one part of a name, the first. */
export const covers = ({ names }: Certificate, host: string): boolean =>
  names.some(
    (name) => name === host || (name.startsWith("*.") && name.slice(1) === host.replace(/^[^.]+/, ""))
  )

const publicPart = (key: KeyObject): Buffer => Buffer.from(key.export({ type: "spki", format: "der" }))

/** Those that browsers look at: the subject's common name is not among them. */
const namesOf = ({ subjectAltName = "" }: X509Certificate): ReadonlyArray<string> =>
  subjectAltName.split(", ").flatMap((name) => (name.startsWith("DNS:") ? [name.slice(4).toLowerCase()] : []))

function parsed<Value>(parse: () => Value): Value | undefined {
  try {
    return parse()
  } catch {
    return undefined
  }
}
