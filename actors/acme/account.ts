/** The cluster's ACME account, as the secret that keeps it says. */
import { Schema } from "effect"

export const AcmeAccount = Schema.Struct({
  /** The URL of the server's directory. */
  directory: Schema.String,
  /** Where the server writes to before a certificate ends; absent for nowhere. */
  email: Schema.optionalKey(Schema.String),
  /** PEM, PKCS 8. */
  key: Schema.String,
  /** PEM: whom the server's own certificate is from, where that is nobody whom machines know. */
  root: Schema.optionalKey(Schema.String)
})
export type AcmeAccount = typeof AcmeAccount.Type

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(AcmeAccount))

/** Of the secret's `Data`; `undefined` for what is none. */
export function readAccount(data: string): AcmeAccount | undefined {
  try {
    return decode(Buffer.from(data, "base64").toString())
  } catch {
    return undefined
  }
}
