/**
 * What `/secrets` and `/configs` have in common, which is nearly all: they are small files with a name that tasks
 * can be given, whose content never changes.
 */
import { Effect, type Schema } from "effect"
import { readBody } from "#actors/gateway/body.ts"
import { find } from "#actors/gateway/find.ts"
import {
  allow,
  byId,
  type Call,
  deciding,
  filtersOf,
  findOrRefuse,
  type Gateway,
  type Handled,
  isKnown,
  orRefuse,
  type Route,
  reading,
  write
} from "#actors/gateway/gateway.ts"
import { hasLabels, hasPrefix, isOneOf } from "#actors/gateway/parse-filters.ts"
import { parseVersionIndex } from "#actors/gateway/parse-query.ts"
import { type Answer, created, done, gone, isRefusal, list, okText } from "#actors/gateway/response.ts"
import { checkFileUpdate } from "#actors/gateway/validate/check-file.ts"
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerReader, Tables } from "#actors/ledger/reader.ts"
import { outOfSequence, type Refusal, Refused } from "#actors/model/errors.ts"
import { equal } from "#actors/model/service-facts.ts"

export interface FileKind<K extends "secret" | "config"> {
  readonly kind: K
  readonly spec: Schema.Decoder<Tables[K]["Spec"]>
  readonly filters: ReadonlyArray<string>
  readonly check: (spec: Tables[K]["Spec"]) => Refusal | undefined
  /** Why the cluster cannot keep it yet. */
  readonly postpone?: (reader: LedgerReader, spec: Tables[K]["Spec"]) => Refusal | undefined
  readonly text: (object: Tables[K]) => string
  readonly create: (id: string, spec: Tables[K]["Spec"]) => Command
}

/** The five routes of one kind. */
export function fileRoutes<K extends "secret" | "config">(file: FileKind<K>): ReadonlyArray<Route> {
  const { kind } = file

  const listAll = (reader: LedgerReader, call: Call): Answer | Refusal => {
    const filters = filtersOf(call, file.filters)
    if (isRefusal(filters)) return filters
    const texts: Array<string> = []
    for (const object of byId(reader.all(kind))) {
      const { Name: name = "", Labels: labels } = object.Spec
      const wanted =
        hasPrefix(filters, "id", object.ID) &&
        hasPrefix(filters, "name", name) &&
        isOneOf(filters, "names", name) &&
        hasLabels(filters, "label", labels)
      if (wanted) texts.push(file.text(object))
    }
    return list(texts)
  }

  const inspect = (reader: LedgerReader, call: Call): Answer | Refusal => {
    const object: Tables[K] | Refusal = find(reader, kind, call.param("id"))
    return isRefusal(object) ? object : okText(file.text(object))
  }

  const create = (gateway: Gateway, call: Call): Handled =>
    Effect.gen(function* () {
      const asked = yield* readBody(call.request, file.spec)
      const id = gateway.fresh.id()
      const command = file.create(id, { ...asked, Labels: asked.Labels ?? {} })
      return yield* deciding(gateway, (reader) =>
        allow(file.check(asked) ?? file.postpone?.(reader, asked)).pipe(
          Effect.andThen(write(gateway, call, command, (after) => after.get(kind, id) !== undefined)),
          Effect.as(created({ ID: id }))
        )
      )
    })

  const update = (gateway: Gateway, call: Call): Handled =>
    Effect.gen(function* () {
      const asked = yield* readBody(call.request, file.spec)
      const { version } = yield* orRefuse(parseVersionIndex(call.query, kind))
      const input = call.param("id")
      const labels = asked.Labels ?? {}
      const relabel = Effect.fnUntraced(function* (reader: LedgerReader): Effect.fn.Return<Answer, Refused> {
        const object = yield* findOrRefuse(reader, kind, input)
        yield* allow(checkFileUpdate(object.Spec, asked))
        if (version !== object.Version.Index) return yield* Refused.of(outOfSequence)
        const command: Command = {
          type: `${kind}.update` as "secret.update" | "config.update",
          v: 1,
          id: object.ID,
          version,
          name: asked.Name ?? "",
          labels
        }
        yield* write(gateway, call, command, (after) => {
          const found = after.get(kind, object.ID)
          return found !== undefined && found.Version.Index > version && equal(found.Spec.Labels, labels)
        })
        return done
      })
      return yield* deciding(gateway, relabel, (reader) => isKnown(reader, kind, input))
    })

  const remove = (gateway: Gateway, call: Call): Handled => {
    const input = call.param("id")
    const type = `${kind}.remove` as "secret.remove" | "config.remove"
    return deciding(
      gateway,
      Effect.fnUntraced(function* (reader: LedgerReader): Effect.fn.Return<Answer, Refused> {
        const { ID: id } = yield* findOrRefuse(reader, kind, input)
        yield* write(gateway, call, { type, v: 1, id }, (after) => after.get(kind, id) === undefined)
        return gone
      }),
      (reader) => isKnown(reader, kind, input)
    )
  }

  return [
    { method: "GET", path: `/${kind}s`, handle: reading(listAll) },
    { method: "POST", path: `/${kind}s/create`, handle: create },
    { method: "GET", path: `/${kind}s/:id`, handle: reading(inspect) },
    { method: "DELETE", path: `/${kind}s/:id`, handle: remove },
    { method: "POST", path: `/${kind}s/:id/update`, handle: update }
  ]
}
