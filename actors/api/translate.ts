/**
 * What can be asked over NATS, and the HTTP request that each of it is.
 *
 * The bodies are the Docker API's: a service is created from its spec, updated by what an inspection answered with
 * `Spec` changed, and named by its `ID`. So there is one implementation, one set of rules and of errors.
 */
import { Schema, type SchemaAST, SchemaIssue } from "effect"
import { eitherOf } from "#actors/model/errors.ts"

/** An HTTP request that stands for a NATS one, and what of a list's answer is wanted. */
export interface Translation {
  readonly method: "GET" | "POST" | "DELETE"
  /** Path and query. */
  readonly path: string
  /** JSON text. */
  readonly body?: string
  readonly page?: Page
}

/** A part of a list in the order of ids: what comes after the id `after`, at most `limit` objects. */
export interface Page {
  readonly after?: string
  readonly limit?: number
}

/** A request that says something else than the API takes. */
export interface Misspoken {
  readonly mistake: string
}

export interface Endpoint {
  readonly resource: string
  readonly verb: string
  readonly translate: (body: string) => Translation | Misspoken
}

const text = Schema.String
const optional = Schema.optionalKey

/** A path would lose an empty one, and lead elsewhere by those of dots alone. */
const Id = text.check(Schema.isPattern(/[^.]/, { message: "an id or a name" }))
const Named = Schema.Struct({ ID: Id })
const Listing = Schema.Struct({
  filters: optional(
    Schema.Record(text, Schema.Union([Schema.Array(text), Schema.Record(text, Schema.Boolean)]))
  ),
  limit: optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 }))),
  after: optional(text)
})
const ServiceListing = Schema.Struct({ ...Listing.fields, status: optional(Schema.Boolean) })
const ServiceInspection = Schema.Struct({ ...Named.fields, insertDefaults: optional(Schema.Boolean) })
const Revision = Schema.Struct({
  ID: Id,
  Version: Schema.Struct({ Index: Schema.Int }),
  Spec: Schema.Unknown,
  rollback: optional(Schema.Literal("previous")),
  registryAuthFrom: optional(Schema.Literals(["spec", "previous-spec"]))
})

const Catching = Schema.Struct({
  Object: optional(text),
  kind: optional(text),
  tasks: optional(Schema.Boolean),
  since: optional(text),
  until: optional(text),
  after: optional(text),
  limit: optional(Schema.Int)
})

const query = (parameters: Readonly<Record<string, string | undefined>>): string => {
  const given = new URLSearchParams()
  for (const name in parameters) {
    const value = parameters[name]
    if (value !== undefined) given.set(name, value)
  }
  return given.size === 0 ? "" : `?${given}`
}

const segment = (id: string): string => encodeURIComponent(id)

/** Has every key of its own by name, so that those can be said. */
type Shape<Body> = Schema.Codec<Body, unknown> & { readonly ast: SchemaAST.AST }

/**
 * What a body says, or what is wrong with it; an empty one is an empty object. A key that is not known is wrong: who
 * asks for something and gets something else must not take it for what it asked for.
 */
export function readBody<Body>(
  shape: Shape<Body>,
  raw: string,
  prepare: (value: unknown) => unknown = (value) => value
): { readonly body: Body } | Misspoken {
  let value: unknown
  try {
    value = prepare(raw.trim() === "" ? {} : JSON.parse(raw))
  } catch {
    return { mistake: "the body is not JSON: expected an object" }
  }
  const decoded = Schema.decodeUnknownResult(shape, { onExcessProperty: "error" })(value)
  return decoded._tag === "Success"
    ? { body: decoded.success }
    : { mistake: sayIssue(standardIssues(decoded.failure.issue).issues[0], value, shape.ast) }
}

/** Reads the body and hands it over. */
const taking =
  <Body>(shape: Shape<Body>, translate: (body: Body) => Translation, prepare?: (value: unknown) => unknown) =>
  (raw: string): Translation | Misspoken => {
    const read = readBody(shape, raw, prepare)
    return "mistake" in read ? read : translate(read.body)
  }

const standardIssues = SchemaIssue.makeFormatterStandardSchemaV1()
type Issue = ReturnType<typeof standardIssues>["issues"][number]

/** The field by its path, and the schema's own words. */
function sayIssue(issue: Issue | undefined, body: unknown, shape: SchemaAST.AST): string {
  const path = (issue?.path ?? []).map(String)
  if (issue?.message === "Missing key") return `the body has no ${path.join(".")}`
  const isUnknown = issue?.message === "Expected no excess property"
  const words = isUnknown ? keysAt(shape, path.slice(0, -1)) : issue?.message.replace(/^Expected /, "")
  let found = body
  for (const key of path) found = (found as Record<string, unknown> | undefined)?.[key]
  const text = JSON.stringify(found)?.slice(0, 60) ?? "nothing"
  return `the body${path.length === 0 ? "" : `'s ${path.join(".")}`}: expected ${words}, found ${text}`
}

/** The names of what may stand there, `filters, limit or after`. */
function keysAt(shape: SchemaAST.AST, path: ReadonlyArray<string>): string {
  let at: SchemaAST.AST | undefined = shape
  for (const key of path)
    at = at?._tag === "Objects" ? at.propertySignatures.find(({ name }) => name === key)?.type : undefined
  const names = at?._tag === "Objects" ? at.propertySignatures.map(({ name }) => String(name)) : []
  return eitherOf(names)
}

/** Whoever updates sends all that an inspection answered, of whatever release; what it asks for is in lower case. */
function ofInspection(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value).filter(([key]) => key in Revision.fields || !/^[A-Z]/.test(key))
  )
}

const list = (path: string, shape: Shape<typeof ServiceListing.Type> = Listing) =>
  taking(shape, ({ filters, status, after, limit }) => ({
    method: "GET",
    path: `${path}${query({
      filters: filters === undefined ? undefined : JSON.stringify(filters),
      status: status === undefined ? undefined : String(status)
    })}`,
    page: { ...(after === undefined ? {} : { after }), ...(limit === undefined ? {} : { limit }) }
  }))

const inspect = (path: string, shape: Shape<typeof ServiceInspection.Type> = Named) =>
  taking(shape, ({ ID, insertDefaults }) => ({
    method: "GET",
    path: `${path}/${segment(ID)}${query({
      insertDefaults: insertDefaults === undefined ? undefined : String(insertDefaults)
    })}`
  }))

/** Everything of the Docker API that is answered over NATS, as `troupe.api.v1.<resource>.<verb>`. */
export const endpoints: ReadonlyArray<Endpoint> = [
  { resource: "service", verb: "list", translate: list("/services", ServiceListing) },
  { resource: "service", verb: "inspect", translate: inspect("/services", ServiceInspection) },
  {
    resource: "service",
    verb: "create",
    // As it is: what is wrong with a spec, HTTP says.
    translate: (body) => ({ method: "POST", path: "/services/create", body })
  },
  {
    resource: "service",
    verb: "update",
    translate: taking(
      Revision,
      ({ ID, Version, Spec, rollback, registryAuthFrom }) => ({
        method: "POST",
        path: `/services/${segment(ID)}/update${query({ version: String(Version.Index), rollback, registryAuthFrom })}`,
        body: JSON.stringify(Spec)
      }),
      ofInspection
    )
  },
  {
    resource: "service",
    verb: "remove",
    translate: taking(Named, ({ ID }) => ({ method: "DELETE", path: `/services/${segment(ID)}` }))
  },
  { resource: "task", verb: "list", translate: list("/tasks") },
  { resource: "task", verb: "inspect", translate: inspect("/tasks") },
  { resource: "node", verb: "list", translate: list("/nodes") },
  { resource: "node", verb: "inspect", translate: inspect("/nodes") },
  {
    resource: "history",
    verb: "list",
    translate: taking(Catching, ({ Object: name, tasks, limit, ...rest }) => ({
      method: "GET",
      path: `/history${name === undefined ? "" : `/${segment(name)}`}${query({
        ...rest,
        tasks: tasks === undefined ? undefined : String(tasks),
        limit: limit === undefined ? undefined : String(limit)
      })}`
    }))
  }
]

/** The part of a list that was asked for, in the order of ids. */
export function paginate(objects: ReadonlyArray<unknown>, page: Page): ReadonlyArray<unknown> {
  const { after, limit } = page
  if (after === undefined && limit === undefined) return objects
  const rows = objects
    .map((object) => ({ id: idOf(object), object }))
    .sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  const later = after === undefined ? rows : rows.filter(({ id }) => id > after)
  return later.slice(0, limit).map(({ object }) => object)
}

const idOf = (object: unknown): string =>
  typeof object === "object" && object !== null && "ID" in object ? String(object.ID) : ""
