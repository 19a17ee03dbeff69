/** What is wrong with the certificate that a service's host is shown by. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { byAcme, httpRouteOf, tlsLabel } from "#actors/model/http-route.ts"
import type { Secret } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { toIso } from "#actors/model/time.ts"
import { covers, readCertificate } from "#actors/network/certificate-file.ts"
import { certificateEndsSoonMs, certificateOf, certificates, endsTls } from "#actors/network/certificates.ts"

/** The entrance cannot ask for it anew, nor fill it in. */
const isPlain = ({ Spec }: Secret): boolean =>
  Spec.Driver === undefined && (Spec.Templating?.Name ?? "") === ""

export interface Verdict {
  /** Nobody could be answered by TLS. */
  readonly isFault: boolean
  /** In words, each with the label that it is about. */
  readonly says: ReadonlyArray<string>
}

/** What is to be said, at that time, of the certificate that a service's host is shown by. */
export function checkCertificate(ledger: LedgerReader, spec: ServiceSpec, now: number): Verdict {
  const route = httpRouteOf(spec)
  if (route?.tls === undefined) return { isFault: false, says: [] }
  const label = `label ${tlsLabel} ${JSON.stringify(route.tls.secret)}`
  const fault = (words: string): Verdict => ({ isFault: true, says: [`${label}: ${words}`] })
  const isByAcme = route.tls.secret === byAcme
  const view = ledger.view(certificates)
  if (isByAcme && view.account === undefined)
    return fault("expected an ACME account: `troupe acme use` makes one for the cluster")
  const secret = view.named(certificateOf(spec) ?? "")
  if (isByAcme && (secret === undefined || "problem" in readCertificate(secret.Spec.Data ?? "")))
    return {
      isFault: false,
      says: [`${label}: ${route.host} has no certificate yet, and is not asked by TLS`]
    }
  if (secret === undefined) return fault("expected the name of a secret, found none of that name")
  if (!isPlain(secret))
    return fault("expected a secret whose content the cluster keeps, found one of a driver")
  const read = readCertificate(secret.Spec.Data ?? "")
  if ("problem" in read) return fault(read.problem)
  const { validFrom, validTo, names } = read.certificate
  if (now > validTo)
    return fault(`expected a certificate that is valid, found one that ended at ${toIso(validTo)}`)
  if (now < validFrom)
    return fault(`expected a certificate that is valid, found one that begins at ${toIso(validFrom)}`)
  const says: Array<string> = []
  if (!covers(read.certificate, route.host))
    says.push(`the certificate is not for ${route.host}, but for ${names.join(", ") || "no host"}`)
  if (validTo - now < certificateEndsSoonMs) says.push(`the certificate ends at ${toIso(validTo)}`)
  if (![...ledger.all("node")].some(endsTls))
    says.push("no node has an HTTP entrance with TLS (--http-entrance-tls)")
  return { isFault: false, says: says.map((words) => `${label}: ${words}`) }
}
