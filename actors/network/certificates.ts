/** Which secrets have the certificates that nodes' HTTP entrances show, for which services, and who is given them. */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import { httpRouteOf } from "#actors/model/http-route.ts"
import type { Node, Secret } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

/** Services by the names of their certificates' secrets. A view of the ledger. */
class Certificates {
  readonly #ledger: LedgerReader
  readonly #services = new Map<string, Set<string>>()

  constructor(ledger: LedgerReader) {
    this.#ledger = ledger
    for (const { ID, Spec } of ledger.all("service")) this.#mark(Spec, ID, true)
  }

  changed(change: Change): void {
    if (change.kind !== "service") return
    const { before, after } = change
    if (before !== undefined) this.#mark(before.Spec, before.ID, false)
    if (after !== undefined) this.#mark(after.Spec, after.ID, true)
  }

  /** The secrets themselves, as far as they are there. */
  get secrets(): ReadonlyArray<Secret> {
    return [...this.#services.keys()].flatMap((name) => this.#ledger.byName("secret", name) ?? [])
  }

  /** Ids, in order. */
  servicesWith(name: string): ReadonlyArray<string> {
    return [...(this.#services.get(name) ?? [])].sort()
  }

  #mark(spec: ServiceSpec, id: string, isNew: boolean): void {
    const name = certificateOf(spec)
    if (name === undefined) return
    const services = this.#services.get(name) ?? new Set()
    if (isNew) this.#services.set(name, services.add(id))
    else if (services.delete(id) && services.size === 0) this.#services.delete(name)
  }
}

/** The certificates of a ledger, for `LedgerReader.view`. */
export const certificates = (ledger: LedgerReader): Certificates => new Certificates(ledger)

/** Whoever renews certificates by hand hears of an end in time. */
export const certificateEndsSoonMs = 14 * 24 * 60 * 60 * 1_000

/** The name of the secret that has the certificate of a service's host. */
export const certificateOf = (spec: ServiceSpec | undefined): string | undefined =>
  spec && httpRouteOf(spec)?.tls?.secret

/** Only these are given certificates and their keys. */
export const endsTls = ({ Description }: Node): boolean => Description?.TlsEntrance === true
