/** What entries about secrets and configs do to the tables: small files whose content never changes. */
import {
  type At,
  born,
  invalid,
  notFound,
  type Of,
  touched,
  type Verdict
} from "#actors/ledger/apply/verdict.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { outOfSequence, rpc } from "#actors/model/errors.ts"
import type { Config, Secret } from "#actors/model/objects.ts"
import { certificates } from "#actors/network/certificates.ts"

export function createNamed(
  tables: LedgerTables,
  at: At,
  kind: "secret" | "config",
  object: Of<"secret.create">["secret"] | Of<"config.create">["config"]
): Verdict {
  const name = object.Spec.Name ?? ""
  if (tables.byName(kind, name) !== undefined) {
    return rpc("alreadyExists", `${kind} ${name} already exists`)
  }
  tables.put(kind, { ...object, ...born(at) })
  return { id: object.ID }
}

export function relabel(
  tables: LedgerTables,
  at: At,
  kind: "secret" | "config",
  command: Of<"secret.update"> | Of<"config.update">
): Verdict {
  const object = tables.get(kind, command.id)
  if (object === undefined) return notFound(kind, command.id)
  if (object.Version.Index !== command.version) return outOfSequence
  if (command.name !== (object.Spec.Name ?? "")) return invalid("only updates to Labels are allowed")
  tables.put(kind, { ...object, Spec: { ...object.Spec, Labels: command.labels }, ...touched(at) })
  return { id: object.ID }
}

export function removeUsable(tables: LedgerTables, kind: "secret" | "config", id: string): Verdict {
  const object = tables.get(kind, id)
  if (object === undefined) return notFound(kind, id)
  const users = usersOf(tables, kind, object)
  const inUse = (what: string, names: ReadonlyArray<string>): Verdict =>
    invalid(
      `${kind} '${object.Spec.Name ?? id}' is in use by the following ${what}${names.length === 1 ? "" : "s"}: ${names.join(", ")}`
    )
  if (users.length > 0) return inUse("service", users)
  const volumes = kind === "secret" ? volumesWith(tables, id) : []
  if (volumes.length > 0) return inUse("volume", volumes)
  tables.remove(kind, id)
  return { id }
}

/** Names of services whose tasks are given it, and of those whose host is shown by the certificate in it, in the order of their ids. */
function usersOf(
  tables: LedgerTables,
  kind: "secret" | "config",
  { ID, Spec }: Secret | Config
): ReadonlyArray<string> {
  const knowsTls = kind === "secret" && (tables.cluster()?.FeatureLevel ?? 0) >= levelOf["http tls"]
  const shown = knowsTls ? tables.view(certificates).servicesWith(Spec.Name ?? "") : []
  const ids = new Set([...tables.servicesUsing(kind, ID).map((service) => service.ID), ...shown])
  return [...ids].sort().map((id) => tables.get("service", id)?.Spec.Name ?? id)
}

/** Names of the volumes whose plugin is given the secret, in an order that is the same on every member. */
const volumesWith = (tables: LedgerTables, secretId: string): ReadonlyArray<string> =>
  [...tables.all("volume")]
    .filter(({ Spec }) => Spec.Secrets.some(({ Secret }) => Secret === secretId))
    .map(({ Spec }) => Spec.Name)
    .sort()
