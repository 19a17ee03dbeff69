/** Makes an ACME account's key; the server hears of it with the first order. */
import { createHash, createPublicKey, generateKeyPairSync } from "node:crypto"
import type { AcmeAccount } from "#actors/acme/account.ts"
import type { SecretSpec } from "#actors/model/spec.ts"
import { acmeAccountName, acmeThumbprintLabel } from "#actors/network/certificates.ts"

/** Let's Encrypt's. */
export const usualDirectory = "https://acme-v02.api.letsencrypt.org/directory"

/** A new account's secret, with a key of its own. */
export function newAccount(account: Omit<AcmeAccount, "key">): SecretSpec {
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" }
  })
  const Data = Buffer.from(JSON.stringify({ ...account, key: privateKey } satisfies AcmeAccount))
  const Labels = { [acmeThumbprintLabel]: thumbprintOf(privateKey) }
  return { Name: acmeAccountName, Labels, Data: Data.toString("base64") }
}

/** RFC 7638, of a key on P-256. */
export function thumbprintOf(key: string): string {
  const { crv, kty, x, y } = createPublicKey(key).export({ format: "jwk" })
  return createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url")
}
