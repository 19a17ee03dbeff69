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
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { outOfSequence, rpc } from "#actors/model/errors.ts"

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
  const users = tables.servicesUsing(kind, id).map((service) => service.Spec.Name ?? service.ID)
  if (users.length > 0) {
    const which = users.length === 1 ? "service" : "services"
    return invalid(
      `${kind} '${object.Spec.Name ?? id}' is in use by the following ${which}: ${users.join(", ")}`
    )
  }
  tables.remove(kind, id)
  return { id }
}
