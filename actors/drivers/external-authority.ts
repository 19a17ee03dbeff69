/**
 * An authority outside of the cluster that signs nodes' certificates, for clusters whose people keep the root's key
 * elsewhere. It is asked as SwarmKit asks it: CFSSL's `sign`, JSON over HTTPS, which names the subject and the hosts.
 *
 * Its server is trusted by the cluster's root, by what `CACert` holds, and as any other on this machine. No certificate is
 * shown to it: who may ask is for its own network to say.
 */
import { request as requestHttp } from "node:http"
import { request as requestHttps } from "node:https"
import { rootCertificates } from "node:tls"
import { Effect, Schema } from "effect"
import type { CertificateFields } from "#actors/authority/certify.ts"
import { CertificateError, checkIssued } from "#actors/authority/x509.ts"
import type { ExternalCA } from "#actors/model/spec.ts"

export interface SigningRequest {
  /** PEM. */
  readonly csr: string
  readonly fields: CertificateFields
  /** By whom it must be signed, PEM. */
  readonly root: string
}

const withinMs = 5_000
/** No certificate is longer. */
const largestBytes = 256 * 1024

const Signed = Schema.fromJsonString(
  Schema.Struct({
    success: Schema.Boolean,
    result: Schema.optional(Schema.NullOr(Schema.Struct({ certificate: Schema.String }))),
    errors: Schema.optional(Schema.NullOr(Schema.Array(Schema.Struct({ message: Schema.String }))))
  })
)

/** Asks one after the other until one signs. PEM; fails with what the last of them said. */
export const signOutside = (
  [first, ...others]: readonly [ExternalCA, ...ReadonlyArray<ExternalCA>],
  request: SigningRequest
): Effect.Effect<string, CertificateError> =>
  others.reduce(
    (sooner, authority) => Effect.catch(sooner, () => signBy(authority, request)),
    signBy(first, request)
  )

const signBy = ({ URL: url = "", CACert = "", Options }: ExternalCA, { csr, fields, root }: SigningRequest) =>
  post(
    url,
    JSON.stringify({ ...wordsOf(csr, fields), ...(Options?.profile && { profile: Options.profile }) }),
    [root, CACert, ...rootCertificates]
  ).pipe(
    Effect.flatMap((text) =>
      Effect.mapError(
        Schema.decodeEffect(Signed)(text),
        () => `it answered ${JSON.stringify(text.slice(0, 200))}`
      )
    ),
    Effect.flatMap(({ success, result, errors }) =>
      success && result
        ? Effect.succeed(result.certificate)
        : Effect.fail((errors ?? []).map(({ message }) => message).join("; ") || "it did not sign")
    ),
    Effect.mapError((problem) => new CertificateError({ message: `external CA ${url}: ${problem}` })),
    Effect.tap((pem) =>
      checkIssued(pem, csr, fields, root).pipe(
        Effect.mapError(({ message }) => new CertificateError({ message: `external CA ${url}: ${message}` }))
      )
    ),
    Effect.map((pem) => `${pem.trim()}\n`)
  )

/** CFSSL's `signer.SignRequest`. */
function wordsOf(csr: string, { subject, dnsNames, addresses }: CertificateFields): object {
  const parts = Object.fromEntries(subject.split(", ").map((part) => part.split("=", 2)))
  return {
    certificate_request: csr,
    hosts: [...dnsNames, ...addresses],
    subject: { CN: parts.CN, names: [{ OU: parts.OU, O: parts.O }] }
  }
}

const post = (url: string, body: string, ca: ReadonlyArray<string>): Effect.Effect<string, string> =>
  Effect.callback<string, string>((resume) => {
    const options = {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      ca: ca.filter((pem) => pem !== "")
    }
    const asked = url.startsWith("https:") ? requestHttps(url, options) : requestHttp(url, options)
    asked.on("response", (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (part: string) => {
        text += part
        if (text.length > largestBytes) asked.destroy(new Error("its answer is too long"))
      })
      response.on("end", () => resume(Effect.succeed(text)))
      response.on("error", (error) => resume(Effect.fail(error.message)))
    })
    asked.on("error", (error) => resume(Effect.fail(error.message || "it is not reached")))
    asked.end(body)
    return Effect.sync(() => asked.destroy())
  }).pipe(
    Effect.timeoutOrElse({
      duration: withinMs,
      orElse: () => Effect.fail(`no answer within ${withinMs / 1000} s`)
    })
  )
