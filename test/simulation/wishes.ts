/** What people ask of a cluster, as commands made from its present state; `undefined` when there is nothing to ask. */
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export type Wish = (ledger: LedgerReader) => Command | undefined

/** A template whose container runs `image`; restarts without delay. */
export const template = (image = "web:1"): NonNullable<ServiceSpec["TaskTemplate"]> => ({
  ContainerSpec: { Image: image },
  RestartPolicy: { Delay: 0 }
})

export const creation =
  (name: string, spec: ServiceSpec): Wish =>
  (ledger) =>
    ledger.byName("service", name) === undefined
      ? {
          type: "service.create",
          v: 1,
          service: {
            // Who comes after somebody of the same name is somebody else.
            ID: `id-${name}-${ledger.index}`,
            SpecVersion: 1,
            Spec: { TaskTemplate: template(), ...spec, Name: name },
            ...(spec.Mode?.ReplicatedJob !== undefined && { JobStatus: { JobIteration: { Index: 0 } } })
          }
        }
      : undefined

export const updating =
  (name: string, change: (spec: ServiceSpec) => ServiceSpec): Wish =>
  (ledger) => {
    const service = ledger.byName("service", name)
    if (service === undefined) return undefined
    const spec = change(service.Spec)
    if (JSON.stringify(spec) === JSON.stringify(service.Spec)) return undefined
    return { type: "service.update", v: 1, id: service.ID, version: service.Version.Index, spec }
  }

export const removal =
  (name: string): Wish =>
  (ledger) => {
    const service = ledger.byName("service", name)
    return service === undefined ? undefined : { type: "service.remove", v: 1, id: service.ID }
  }

export const setting =
  (node: string, availability: "active" | "pause" | "drain"): Wish =>
  (ledger) => {
    const known = ledger.get("node", node)
    if (known === undefined || known.Spec.Availability === availability) return undefined
    const spec = { ...known.Spec, Availability: availability }
    return { type: "node.update", v: 1, id: node, version: known.Version.Index, spec }
  }

/** Gives the node a label, or takes it away. */
export const labelling =
  (node: string, zone: string | undefined): Wish =>
  (ledger) => {
    const known = ledger.get("node", node)
    if (known === undefined || known.Spec.Labels?.zone === zone) return undefined
    const spec = { ...known.Spec, Labels: zone === undefined ? {} : { zone } }
    return { type: "node.update", v: 1, id: node, version: known.Version.Index, spec }
  }
