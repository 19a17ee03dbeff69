/** A server that signs certificates for those who can show that a host is theirs: ACME, RFC 8555. */
import { Context, Effect, Schema } from "effect"
import type { AcmeAccount } from "#actors/acme/account.ts"
import type { Issued } from "#actors/acme/protocol.ts"
import { readCertificate } from "#actors/network/certificate-file.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** Why there is no certificate, in the server's words where it had any. */
export class AcmeError extends Schema.TaggedError<AcmeError>()("AcmeError", { message: Schema.String }) {}

export interface AcmeServerService {
  /**
   * A certificate for the host, its chain and a new key. The server asks the host at port 80 whether it is the
   * account's (HTTP-01), and entrances answer that from the account's thumbprint alone.
   */
  readonly order: (account: AcmeAccount, host: string) => Effect.Effect<Issued, AcmeError>
}

const withinMs = "3 minutes"

const order: AcmeServerService["order"] = (account, host) =>
  Effect.tryPromise({
    try: () => ask(account, host),
    catch: (cause) => new AcmeError({ message: wordsOf(cause) })
  }).pipe(
    Effect.timeoutOrElse({
      duration: withinMs,
      orElse: () => Effect.fail(new AcmeError({ message: `no certificate came within ${withinMs}` }))
    })
  )

export const AcmeServer = Context.Reference<AcmeServerService>("troupe/actors/drivers/AcmeServer", {
  defaultValue: () => ({ order })
})

async function ask({ directory, email, key, root }: AcmeAccount, host: string): Promise<Issued> {
  // Only a leader that orders something loads it.
  const [{ default: acme }, { Agent }] = await Promise.all([import("acme-client"), import("node:https")])
  acme.axios.defaults.httpsAgent = new Agent(root === undefined ? {} : { ca: root })
  // Its own second tries would hide for a minute why there is none; its types do not know the setting.
  const { acmeSettings } = acme.axios.defaults as unknown as { acmeSettings: { retryMaxAttempts: number } }
  acmeSettings.retryMaxAttempts = 0
  const client = new acme.Client({ directoryUrl: directory, accountKey: key })
  const own = await acme.crypto.createPrivateEcdsaKey()
  const [, csr] = await acme.crypto.createCsr({ altNames: [host] }, own)
  const chain = await client.auto({
    csr,
    ...(email !== undefined && { email }),
    // Whoever made the account said so.
    termsOfServiceAgreed: true,
    skipChallengeVerification: true,
    challengePriority: ["http-01"],
    challengeCreateFn: async () => {},
    challengeRemoveFn: async () => {}
  })
  const data = Buffer.from(`${chain.trim()}\n${own.toString("utf8")}`).toString("base64")
  const read = readCertificate(data)
  if ("problem" in read) throw new Error(`what ${directory} issued is of no use: ${read.problem}`)
  const { validFrom, validTo } = read.certificate
  return { data, validFrom, validTo }
}
