/**
 * Which secrets have the certificates that nodes' HTTP entrances show, for which services, and who is given them. Those by
 * ACME are secrets like all others, with a label that names their host; of several, the newest counts.
 */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import { byAcme, type HttpRoute, httpRouteOf } from "#actors/model/http-route.ts"
import type { Node, Secret } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

/** On a secret: the host whose certificate by ACME it has. */
export const acmeHostLabel = "troupe.acme.host"
/** On the same: when it begins and ends to be valid, RFC 3339. */
export const acmeBeginsLabel = "troupe.acme.begins"
export const acmeEndsLabel = "troupe.acme.ends"
/** The secret that has the cluster's ACME account and its key. */
export const acmeAccountName = "acme-account"
/** What stands for it where there is none of that name, because another one was just taking its place. */
export const acmeSuccessorName = "acme-account-successor"
/** On that secret: the thumbprint of its key (RFC 7638), which every entrance may know. */
export const acmeThumbprintLabel = "troupe.acme.thumbprint"

export interface AcmeAccount {
  readonly secret: Secret
  readonly thumbprint: string
}

/** No secret is called so. */
const nameByAcme = (host: string): string => `${byAcme} ${host}`

/** A view of the ledger. */
class Certificates {
  readonly #ledger: LedgerReader
  /** Services by the names of their certificates, as `certificateOf` gives them. */
  readonly #services = new Map<string, Set<string>>()
  /** Hosts whose certificates are by ACME, by those names. */
  readonly #hosts = new Map<string, string>()
  /** Secrets by the host whose certificate by ACME they have. */
  readonly #issued = new Map<string, Map<string, Secret>>()

  constructor(ledger: LedgerReader) {
    this.#ledger = ledger
    for (const { ID, Spec } of ledger.all("service")) this.#mark(Spec, ID, true)
    for (const secret of ledger.all("secret")) this.#keep(secret, true)
  }

  changed(change: Change): void {
    if (change.kind === "secret") {
      if (change.before !== undefined) this.#keep(change.before, false)
      if (change.after !== undefined) this.#keep(change.after, true)
    }
    if (change.kind !== "service") return
    const { before, after } = change
    if (before !== undefined) this.#mark(before.Spec, before.ID, false)
    if (after !== undefined) this.#mark(after.Spec, after.ID, true)
  }

  /** The secrets themselves, as far as they are there. */
  get secrets(): ReadonlyArray<Secret> {
    return [...this.#services.keys()].flatMap((name) => this.named(name) ?? [])
  }

  /** The secret that has a certificate now, by the certificate's name. */
  named(name: string): Secret | undefined {
    const host = this.#hosts.get(name)
    return host === undefined ? this.#ledger.byName("secret", name) : this.issuedFor(host).at(-1)
  }

  /** Ids, in order. */
  servicesWith(name: string): ReadonlyArray<string> {
    return [...(this.#services.get(name) ?? [])].sort()
  }

  /** Hosts whose certificates are by ACME, in order. */
  get acmeHosts(): ReadonlyArray<string> {
    return [...this.#hosts.values()].sort()
  }

  /** Secrets with certificates of the host by ACME, the newest last. */
  issuedFor(host: string): ReadonlyArray<Secret> {
    const key = ({ CreatedAt, ID }: Secret): string => `${CreatedAt} ${ID}`
    return [...(this.#issued.get(host)?.values() ?? [])].sort((a, b) => (key(a) < key(b) ? -1 : 1))
  }

  /** Hosts of which there is a certificate by ACME, whether anybody asks for it or not. */
  get issuedHosts(): ReadonlyArray<string> {
    return [...this.#issued.keys()].sort()
  }

  /** Services that are shown by another certificate, or answer for another account, when this secret comes or goes. */
  servicesTouchedBy({ Spec }: Secret): ReadonlyArray<string> {
    const host = Spec.Labels?.[acmeHostLabel]
    if (host !== undefined) return this.servicesWith(nameByAcme(host))
    return Spec.Name === acmeAccountName || Spec.Name === acmeSuccessorName
      ? [...this.#hosts.keys()].flatMap((name) => this.servicesWith(name))
      : []
  }

  get account(): AcmeAccount | undefined {
    const named = (name: string) => this.#ledger.byName("secret", name)
    const secret = named(acmeAccountName) ?? named(acmeSuccessorName)
    const thumbprint = secret?.Spec.Labels?.[acmeThumbprintLabel]
    return secret === undefined || thumbprint === undefined ? undefined : { secret, thumbprint }
  }

  #mark(spec: ServiceSpec, id: string, isNew: boolean): void {
    const name = certificateOf(spec)
    if (name === undefined) return
    const host = acmeHostOf(spec)
    const services = this.#services.get(name) ?? new Set()
    if (isNew) {
      this.#services.set(name, services.add(id))
      if (host !== undefined) this.#hosts.set(name, host)
    } else if (services.delete(id) && services.size === 0) {
      this.#services.delete(name)
      this.#hosts.delete(name)
    }
  }

  #keep(secret: Secret, isThere: boolean): void {
    const host = secret.Spec.Labels?.[acmeHostLabel]
    if (host === undefined) return
    const secrets = this.#issued.get(host) ?? new Map<string, Secret>()
    if (isThere) this.#issued.set(host, secrets.set(secret.ID, secret))
    else if (secrets.delete(secret.ID) && secrets.size === 0) this.#issued.delete(host)
  }
}

/** The certificates of a ledger, for `LedgerReader.view`. */
export const certificates = (ledger: LedgerReader): Certificates => new Certificates(ledger)

/** Whoever renews certificates by hand hears of an end in time. */
export const certificateEndsSoonMs = 14 * 24 * 60 * 60 * 1_000

/** The host of a service whose certificate is one by ACME. */
export function acmeHostOf(spec: ServiceSpec): string | undefined {
  const route = httpRouteOf(spec)
  return route?.tls?.secret === byAcme ? route.host : undefined
}

/** The name of the certificate of a service's host: its secret's, or one that stands for the host where it is by ACME. */
export function certificateOf(spec: ServiceSpec | undefined): string | undefined {
  const route = spec && httpRouteOf(spec)
  const secret = route?.tls?.secret
  return route !== undefined && secret === byAcme ? nameByAcme(route.host) : secret
}

/** A service's route as entrances are told of it; by ACME there is no TLS before the first certificate. */
export function routeShown(ledger: LedgerReader, spec: ServiceSpec): HttpRoute | undefined {
  const route = httpRouteOf(spec)
  if (route?.tls?.secret !== byAcme) return route
  const { tls, ...plain } = route
  const view = ledger.view(certificates)
  const secret = view.named(nameByAcme(route.host))?.Spec.Name
  const { thumbprint } = view.account ?? {}
  return {
    ...plain,
    ...(secret !== undefined && { tls: { ...tls, secret } }),
    ...(thumbprint !== undefined && { thumbprint })
  }
}

/** Only these are given certificates and their keys. */
export const endsTls = ({ Description }: Node): boolean => Description?.TlsEntrance === true
