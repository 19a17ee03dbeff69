/** The certificate of another system, made with its key: a secret that is handed out once. */
import { X509Certificate } from "node:crypto"
import { Effect } from "effect"
import { certifyClient } from "#actors/authority/certify-client.ts"
import { type CertificateError, newRequest, sign } from "#actors/authority/x509.ts"
import { type Roots, signerOf } from "#actors/model/trust.ts"

export interface ClientCertificate {
  /** All PEM. `root` is whose certificates nats-servers show. */
  readonly root: string
  readonly certificate: string
  readonly key: string
}

export const issueClientCertificate = Effect.fn("authority.issueClientCertificate")(function* (
  roots: Roots,
  name: string,
  clusterId: string,
  now: number
): Effect.fn.Return<ClientCertificate, CertificateError> {
  const { pem, key } = yield* newRequest
  const signer = signerOf(roots)
  const end = Date.parse(new X509Certificate(signer.certificate).validTo)
  const certificate = yield* sign(signer, pem, certifyClient(name, clusterId, now, end))
  return { root: roots.ca.certificate, certificate, key }
})
