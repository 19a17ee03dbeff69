/**
 * JSON to a spec, as Go's decoder would: `null` is an absent field, names match whatever their case, unknown
 * fields are dropped, and what does not fit is told by its path.
 *
 * Apart from the reading of requests because it only computes.
 */
import { Schema, type SchemaAST } from "effect"
import { type Refusal, refuse } from "#actors/model/errors.ts"

type Ast = SchemaAST.AST

const invalid = (text: string): Refusal => refuse("invalidArgument", `invalid JSON: ${text}`)

export type Decoded<T> = { readonly value: T } | { readonly refusal: Refusal }

/** Parses a request's body. A body of white space only is an error; the caller knows whether there was one. */
export function parseJson(text: string): Decoded<unknown> {
  if (text.trim() === "") return { refusal: invalid("got EOF while reading request body") }
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    const end = endOfValue(text)
    if (end === undefined) return { refusal: invalid("unexpected EOF") }
    if (text.slice(end).trim() !== "" && isJson(text.slice(0, end))) {
      return { refusal: refuse("invalidArgument", "unexpected content after JSON") }
    }
    return { refusal: invalid(error instanceof Error ? error.message : "not JSON") }
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Where the first JSON value of `text` ends, or `undefined` when the text ends before it does. */
function endOfValue(text: string): number | undefined {
  let depth = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (quoted) {
      if (char === "\\") at += 1
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === "{" || char === "[") depth += 1
    else if (char === "}" || char === "]") depth -= 1
    else if (depth === 0 && char !== undefined && /\s/.test(char) && at > 0) {
      if (text.slice(0, at).trim() !== "") return at
    }
    if (depth === 0 && !quoted && (char === "}" || char === "]" || char === '"')) return at + 1
  }
  return depth === 0 && !quoted ? text.length : undefined
}

/** Fits parsed JSON to `schema`, or says which field does not fit and what it should be. */
export function fit<T>(schema: Schema.Decoder<T>, json: unknown): Decoded<T> {
  const loosened = loosen(schema.ast, json ?? {})
  if (loosened === tooDeep) return { refusal: invalid("exceeded max depth") }
  const result = validatorOf(schema)(loosened)
  if (result instanceof Promise || result.issues === undefined) {
    return { value: (result as { readonly value: unknown }).value as T }
  }
  const issue = result.issues[0]
  const path = (issue?.path ?? []) as ReadonlyArray<PropertyKey>
  const expected = (issue?.message ?? "Expected something else").replace(/^Expected/, "expected")
  const found = describe(loosened, path)
  const text = `${showPath(path)}: ${expected}, got ${found}`
  // A word that is none of a field's choices is good JSON.
  const isChoice = expected.startsWith('expected "') && found.startsWith('"')
  return { refusal: isChoice ? refuse("invalidArgument", text) : invalid(text) }
}

type Validate = ReturnType<typeof Schema.toStandardSchemaV1>["~standard"]["validate"]
const validators = new WeakMap<object, Validate>()

function validatorOf(schema: Schema.Decoder<unknown>): Validate {
  const known = validators.get(schema)
  if (known !== undefined) return known
  const validate = Schema.toStandardSchemaV1(schema)["~standard"].validate as Validate
  validators.set(schema, validate)
  return validate
}

const showPath = (path: ReadonlyArray<PropertyKey>): string =>
  path.length === 0
    ? "body"
    : path
        .map((key, at) => (typeof key === "number" ? `[${key}]` : at === 0 ? key : `.${String(key)}`))
        .join("")

/** What was found at `path`, short; never the content of a field that may hold a secret. */
function describe(value: unknown, path: ReadonlyArray<PropertyKey>): string {
  let found = value
  for (const key of path) found = (found as Record<PropertyKey, unknown> | undefined)?.[key]
  if (Array.isArray(found)) return "a list"
  if (typeof found === "object" && found !== null) return "an object"
  if (path.at(-1) === "Data" || path.at(-1) === "JoinToken") return `a ${typeof found}`
  const text = JSON.stringify(found) ?? "nothing"
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

const tooDeep = Symbol("too deep")
// Parts without a schema are kept as they come; deeper ones than this are no description of anything.
const depthOfUnknown = 64

interface Fields {
  readonly exact: ReadonlyMap<string, Ast>
  readonly lower: ReadonlyMap<string, string>
}
const fieldsOf = new WeakMap<object, Fields>()

function fieldsFor(ast: SchemaAST.Objects): Fields {
  const known = fieldsOf.get(ast)
  if (known !== undefined) return known
  const exact = new Map<string, Ast>()
  const lower = new Map<string, string>()
  for (const { name, type } of ast.propertySignatures) {
    exact.set(String(name), type)
    lower.set(String(name).toLowerCase(), String(name))
  }
  const fields = { exact, lower }
  fieldsOf.set(ast, fields)
  return fields
}

/** `value` as Go would see it, as far as `ast` describes it. What has the wrong type is left for the schema. */
function loosen(ast: Ast, value: unknown): unknown {
  switch (ast._tag) {
    case "Objects":
      return isRecord(value) ? loosenObject(ast, value) : value
    case "Arrays": {
      const item = ast.rest[0]
      if (!Array.isArray(value) || item === undefined) return value
      return all(value.map((entry) => loosen(item, entry ?? zeroOf(item))))
    }
    case "Union":
      return typeof value === "string" ? (choiceIn(ast, value.toLowerCase()) ?? value) : value
    case "Unknown":
      return isShallow(value, depthOfUnknown) ? value : tooDeep
    default:
      return value
  }
}

function loosenObject(ast: SchemaAST.Objects, value: Record<string, unknown>): unknown {
  const entries: Array<[string, unknown]> = []
  const index = ast.indexSignatures[0]
  if (index !== undefined) {
    for (const [key, entry] of Object.entries(value)) {
      entries.push([key, loosen(index.type, entry ?? zeroOf(index.type))])
    }
  } else {
    const fields = fieldsFor(ast)
    for (const [key, entry] of Object.entries(value)) {
      const name = fields.exact.has(key) ? key : fields.lower.get(key.toLowerCase())
      const type = name === undefined ? undefined : fields.exact.get(name)
      // An empty choice is Go's zero value: the field is not set.
      if (name === undefined || type === undefined || entry === null) continue
      if (type._tag === "Union" && entry === "") continue
      entries.push([name, loosen(type, entry)])
    }
  }
  return entries.some(([, entry]) => entry === tooDeep) ? tooDeep : Object.fromEntries(entries)
}

const all = (values: ReadonlyArray<unknown>): unknown => (values.includes(tooDeep) ? tooDeep : values)

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

function choiceIn(ast: SchemaAST.Union, text: string): string | undefined {
  for (const type of ast.types) if (type._tag === "Literal" && type.literal === text) return text
  return undefined
}

/** What Go puts where a list or a map has `null`. */
function zeroOf(ast: Ast): unknown {
  switch (ast._tag) {
    case "String":
      return ""
    case "Number":
      return 0
    case "Boolean":
      return false
    case "Objects":
      return {}
    case "Arrays":
      return []
    default:
      return null
  }
}

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true
  if (levels === 0) return false
  return Object.values(value).every((entry) => isShallow(entry, levels - 1))
}
