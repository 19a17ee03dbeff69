/** Everything that crosses a process boundary by a schema, by the folder of `test/wire/v1/` that keeps its examples. */
import type { Schema, SchemaAST } from "effect"
import { FiredAnswer, ToAlerts } from "#actors/alerts/protocol.ts"
import { ClusterEvent } from "#actors/api/events.ts"
import { ExplainedAnswer, ToAutoscaler } from "#actors/autoscaler/protocol.ts"
import { ConsolesAnswer, ConsolesMessage } from "#actors/console/protocol.ts"
import { BlockHead } from "#actors/drivers/log-store/block.ts"
import { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { Command, Entry } from "#actors/ledger/commands.ts"
import { CopyAnswer, ToCopy } from "#actors/logs/copies/protocol.ts"
import { LogsAnswer, LogsMessage } from "#actors/logs/protocol.ts"
import { PublishedLines } from "#actors/logs/publish/protocol.ts"
import { FromNats, ToNats } from "#actors/nats/protocol.ts"
import { FromLeader, FromNode, ToNodeAnswer } from "#actors/node/protocol.ts"
import { SysMessage } from "#runtime/inspect.ts"
import { ToFollower, ToPublisher } from "#runtime/streams/protocol.ts"

export interface Family {
  readonly name: string
  readonly schema: Schema.Codec<unknown, unknown>
  /** The field that tells its variants apart; absent when there is one shape only. */
  readonly tag?: "_tag" | "type"
}

const family = (name: string, schema: Schema.Top, tag?: Family["tag"]): Family => ({
  name,
  schema: schema as unknown as Family["schema"],
  ...(tag === undefined ? {} : { tag })
})

export const families: ReadonlyArray<Family> = [
  family("from-node", FromNode, "_tag"),
  family("to-node-answer", ToNodeAnswer, "_tag"),
  family("from-leader", FromLeader, "_tag"),
  family("sys", SysMessage, "_tag"),
  family("logs", LogsMessage, "_tag"),
  family("logs-answer", LogsAnswer, "_tag"),
  family("consoles", ConsolesMessage, "_tag"),
  family("consoles-answer", ConsolesAnswer, "_tag"),
  family("to-copy", ToCopy, "_tag"),
  family("copy-answer", CopyAnswer, "_tag"),
  family("to-nats", ToNats, "_tag"),
  family("from-nats", FromNats, "_tag"),
  family("to-alerts", ToAlerts, "_tag"),
  family("from-alerts", FiredAnswer, "_tag"),
  family("to-autoscaler", ToAutoscaler, "_tag"),
  family("from-autoscaler", ExplainedAnswer, "_tag"),
  family("to-publisher", ToPublisher, "_tag"),
  family("to-follower", ToFollower, "_tag"),
  family("log-block", BlockHead),
  family("log-task", TaskFacts),
  family("event", ClusterEvent),
  family("published-lines", PublishedLines),
  family("command", Command, "type"),
  family("entry", Entry)
]

export type Ast = SchemaAST.AST

/** The shapes of a family by their names; a family of one shape has it under its own name. */
export function variantsOf({ name, schema, tag }: Family): ReadonlyMap<string, Ast> {
  if (tag === undefined) return new Map([[name, schema.ast]])
  const types = schema.ast._tag === "Union" ? schema.ast.types : [schema.ast]
  return new Map(types.map((type) => [literalOf(type, tag), type]))
}

function literalOf(ast: Ast, field: string): string {
  const signature =
    ast._tag === "Objects" ? ast.propertySignatures.find(({ name }) => name === field) : undefined
  if (signature?.type._tag !== "Literal") throw new Error(`A shape has no literal field ${field}`)
  return String(signature.type.literal)
}

/** Every field that a schema knows, as `service.Spec.Labels.*` or `tasks[].id`; each nested shape once. */
export function fieldsOf(ast: Ast, at = ""): ReadonlyArray<string> {
  switch (ast._tag) {
    case "Objects":
      return [
        ...ast.propertySignatures.flatMap(({ name, type }) => {
          const path = at === "" ? String(name) : `${at}.${String(name)}`
          return [path, ...fieldsOf(type, path)]
        }),
        ...ast.indexSignatures.flatMap(({ type }) => fieldsOf(type, `${at}.*`))
      ]
    case "Arrays":
      return ast.rest.flatMap((type) => [`${at}[]`, ...fieldsOf(type, `${at}[]`)])
    case "Union":
      return ast.types.flatMap((type) => fieldsOf(type, at))
    default:
      return []
  }
}

/** Whether a value may be of this branch of a union, by its outer shape. */
function takes(ast: Ast, value: unknown): boolean {
  if (ast._tag === "Arrays") return Array.isArray(value)
  if (ast._tag === "Objects") return typeof value === "object" && !Array.isArray(value)
  return ast._tag !== "Literal"
}

/** The fields, named as by `fieldsOf`, that `value` has. */
export function fieldsIn(ast: Ast, value: unknown, at = ""): ReadonlyArray<string> {
  switch (ast._tag) {
    case "Objects": {
      const fields = Object.entries(value as Record<string, unknown>)
      const known = new Map(ast.propertySignatures.map(({ name, type }) => [String(name), type]))
      const index = ast.indexSignatures[0]
      return fields.flatMap(([name, inner]) => {
        const type = known.get(name)
        if (type === undefined) return index === undefined ? [] : fieldsIn(index.type, inner, `${at}.*`)
        const path = at === "" ? name : `${at}.${name}`
        return [path, ...fieldsIn(type, inner, path)]
      })
    }
    case "Arrays":
      // Of a union, the other shape may be the one that is here.
      if (!Array.isArray(value)) return []
      return value.flatMap((inner: unknown) =>
        ast.rest.flatMap((type) => [`${at}[]`, ...fieldsIn(type, inner, `${at}[]`)])
      )
    case "Union":
      return ast.types.filter((type) => takes(type, value)).flatMap((type) => fieldsIn(type, value, at))
    default:
      return []
  }
}

/** `value` with a field that nobody knows in each of its shapes; maps, whose keys are the sender's, stay. */
export function withStrangers(ast: Ast, value: unknown): unknown {
  switch (ast._tag) {
    case "Objects": {
      const known = new Map(ast.propertySignatures.map(({ name, type }) => [String(name), type]))
      const index = ast.indexSignatures[0]
      const entries = Object.entries(value as Record<string, unknown>).map(([name, inner]) => {
        const type = known.get(name) ?? index?.type
        return [name, type === undefined ? inner : withStrangers(type, inner)] as const
      })
      // An empty shape, such as the mode `Global`, takes and keeps anything.
      const strangers = known.size === 0 ? {} : { fromTheFuture: { of: ["what"] } }
      return { ...Object.fromEntries(entries), ...strangers }
    }
    case "Arrays":
      return (value as ReadonlyArray<unknown>).map((inner) =>
        ast.rest[0] === undefined ? inner : withStrangers(ast.rest[0], inner)
      )
    default:
      return value
  }
}
