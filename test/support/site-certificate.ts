/** A certificate as people have one for their web site: PEM, with its key in the same file. */
import "reflect-metadata"
import { webcrypto } from "node:crypto"
import {
  cryptoProvider,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator
} from "@peculiar/x509"

const algorithm = { name: "ECDSA", namedCurve: "P-256" } as const
const dayMs = 86_400_000

export interface Site {
  readonly certificate: string
  readonly key: string
  /** Both, in base64, as a secret has them. */
  readonly data: string
}

/** For these hosts, signed by itself, valid for the days from now between the two. */
export async function siteCertificate(
  hosts: ReadonlyArray<string>,
  [first, last]: readonly [number, number] = [-1, 90]
): Promise<Site> {
  cryptoProvider.set(webcrypto as unknown as Crypto)
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=site",
    keys,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    notBefore: new Date(Date.now() + first * dayMs),
    notAfter: new Date(Date.now() + last * dayMs),
    extensions: [new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: "dns", value })))]
  })
  const certificate = `${made.toString("pem")}\n`
  const key = `${PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY")}\n`
  return { certificate, key, data: Buffer.from(certificate + key).toString("base64") }
}
