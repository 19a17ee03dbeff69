import { expect, test } from "bun:test"
import { generateKeyPairSync } from "node:crypto"
import { covers, readCertificate } from "#actors/network/certificate-file.ts"
import { siteCertificate } from "#test/support/site-certificate.ts"

const shop = await siteCertificate(["shop.example.com", "*.shop.example.com"])
const other = await siteCertificate(["other"])
const base64 = (text: string): string => Buffer.from(text).toString("base64")

test("a certificate, its chain and its key are read, in any order and with anything around them", () => {
  const text = `a key\r\n${shop.key.replaceAll("\n", " \r\n")}\n\n${shop.certificate}\n# issuer\n${other.certificate}`
  const read = readCertificate(base64(text))
  expect(read).toMatchObject({ certificate: { names: ["shop.example.com", "*.shop.example.com"] } })
  const { certificate } = read as Extract<typeof read, { certificate: unknown }>
  expect(certificate.pem).toBe(`${shop.certificate}${other.certificate}${shop.key}`)
  expect(certificate.validTo - certificate.validFrom).toBe(91 * 86_400_000)
  const hosts = ["shop.example.com", "a.shop.example.com", "a.b.shop.example.com", "example.com"]
  expect(hosts.map((host) => covers(certificate, host))).toEqual([true, true, false, false])
})

const locked = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "word" }
}).privateKey

test.each([
  ["nothing", "s3cr3t", "expected a certificate in PEM, found none"],
  ["no key", shop.certificate, "expected the certificate's private key in PEM beside it, found none"],
  ["two keys", shop.certificate + shop.key + other.key, "expected one private key, found several"],
  ["another's key", shop.certificate + other.key, "expected the key of the first certificate, found another"],
  ["a locked key", shop.certificate + locked, "expected a private key without a passphrase"],
  [
    "a broken chain",
    `${shop.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n${shop.key}`,
    "found that number 2 cannot be read"
  ],
  ["a long chain", shop.certificate.repeat(40) + shop.key, "expected at most 15360 bytes of PEM"]
])("%s is refused", (_, text, problem) => {
  expect(readCertificate(base64(text))).toEqual({ problem: expect.stringContaining(problem) })
})
