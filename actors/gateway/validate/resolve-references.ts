/** Whether what a service's spec names exists, and the spec with ids in the place of names. */
import { find } from "#actors/gateway/find.ts"
import { isRefusal } from "#actors/gateway/response.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, refuse, rpc } from "#actors/model/errors.ts"
import type { NetworkAttachmentConfig, ServiceSpec } from "#actors/model/spec.ts"
import { isPredefined } from "#actors/network/predefined.ts"

/** The networks of a spec where the Engine looks for them: in the task template, else at the service. */
const attachmentsOf = (spec: ServiceSpec): ReadonlyArray<NetworkAttachmentConfig> => {
  const inTask = spec.TaskTemplate?.Networks ?? []
  return inTask.length > 0 ? inTask : (spec.Networks ?? [])
}

export type Resolved =
  | { readonly spec: ServiceSpec }
  | { readonly refusal: Refusal }
  /** No network of ours has this name; the node's Engine may have one, which is another refusal. */
  | { readonly unknown: string }

/** Puts the ids of networks in the place of their names. */
export function resolveNetworks(reader: LedgerReader, spec: ServiceSpec): Resolved {
  const resolved: Array<NetworkAttachmentConfig> = []
  for (const attachment of attachmentsOf(spec)) {
    const target = attachment.Target ?? ""
    if (isPredefined(target)) {
      resolved.push(attachment)
      continue
    }
    const network = find(reader, "network", target)
    if (!isRefusal(network)) {
      if (network.Ingress) {
        return {
          refusal: rpc(
            "invalidArgument",
            `Service cannot be explicitly attached to the ingress network ${JSON.stringify(network.Name)}`
          )
        }
      }
      resolved.push({ ...attachment, Target: network.ID })
    } else if (network.code === "notFound") return { unknown: target }
    else return { refusal: network }
  }
  if (resolved.length === 0) return { spec }
  const inTask = (spec.TaskTemplate?.Networks ?? []).length > 0
  return {
    spec: inTask
      ? { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks: resolved } }
      : { ...spec, Networks: resolved }
  }
}

/** SwarmKit gives an unknown network no code: 500. */
export const unknownNetwork = (name: string): Refusal => refuse("unknown", `network ${name} not found`)

/** Secrets and configs that do not exist, or whose name is not the one that the spec has beside their id. */
export function checkFiles(reader: LedgerReader, spec: ServiceSpec): Refusal | undefined {
  const container = spec.TaskTemplate?.ContainerSpec
  const secrets = (container?.Secrets ?? []).filter(
    ({ SecretID, SecretName }) => reader.get("secret", SecretID ?? "")?.Spec.Name !== SecretName
  )
  const configs = (container?.Configs ?? []).filter(
    ({ ConfigID, ConfigName }) => reader.get("config", ConfigID ?? "")?.Spec.Name !== ConfigName
  )
  return (
    missing(
      "secret",
      secrets.map(({ SecretName }) => SecretName ?? "")
    ) ??
    missing(
      "config",
      configs.map(({ ConfigName }) => ConfigName ?? "")
    )
  )
}

const missing = (kind: string, names: ReadonlyArray<string>): Refusal | undefined =>
  names.length === 0
    ? undefined
    : rpc("invalidArgument", `${kind}${names.length === 1 ? "" : "s"} not found: ${names.join(", ")}`)
