/**
 * What an answer has that the Engine's OpenAPI file does not allow. It knows as much of Swagger 2.0 as those files use.
 *
 * `null` counts as absent, because Go's lists and maps are `null` when they are empty and the files do not say so.
 */
import { readFileSync } from "node:fs"

interface Schema {
  readonly $ref?: string
  readonly type?: string | ReadonlyArray<string>
  readonly enum?: ReadonlyArray<unknown>
  readonly allOf?: ReadonlyArray<Schema>
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly required?: ReadonlyArray<string>
}

interface ApiFile {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Schema>>>>>>
  readonly definitions: Readonly<Record<string, Schema>>
}

const read = (name: string): ApiFile =>
  JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), "utf8"))
const oldest = read("v1.41")
const latest = read("latest")

interface Answered {
  readonly method: string
  /** With the version before it, or without, and with the query. */
  readonly path: string
  /** The content's type. */
  readonly type: string | undefined
  /** Where the path names none. */
  readonly version: string
  readonly status: number
  readonly body: unknown
  /** Fields that the file does not have are no fault: a real Engine answers with some of newer files'. */
  readonly mayHaveMore?: boolean
}

/** Fails with every line that is wrong. What is no JSON, or is not ours to answer, is not looked at. */
export function mustFit({
  method,
  path,
  type = "",
  version,
  status,
  body,
  mayHaveMore = false
}: Answered): void {
  if (!type.startsWith("application/json")) return
  const [, named = version, rest = ""] = /^(?:\/v(1\.\d+))?(\/[^?]*)/.exec(path) ?? []
  const wrong = complain(named, method, rest, status, body).filter(
    (line) => !mayHaveMore || !line.endsWith(unknown)
  )
  if (wrong.length > 0) throw new Error(`Not as the Engine's OpenAPI file has it:\n${wrong.join("\n")}`)
}

const unknown = " is not known"

/** The Engine answers these with `ID`, whatever the files say, and clients look for it. */
const answeredWithId = new Set(["/configs/create", "/secrets/create"])

/** What the Engine itself answers and its files have forgotten: recorded answers of it have these. */
const forgotten = [
  /\.Status: PortStatus is not known$/,
  /^GET \/networks 200\[\d+\]: Containers is not known$/,
  /^GET \/services\S* 200\S*: PreviousSpec is not known$/,
  /\.NetworksAttachments\[\d+\]\.Network: \w+ is not known$/,
  /\.UpdateStatus\.State: expected .*, found "rollback_\w+"$/
]

/** Per line what is wrong where. */
export function complain(
  version: string,
  method: string,
  path: string,
  status: number,
  body: unknown
): ReadonlyArray<string> {
  if (answeredWithId.has(path) && status === 201) return []
  const file = version === "1.41" ? oldest : latest
  const answers = answersOf(file, path)?.[method.toLowerCase()]
  if (answers === undefined) return []
  const at = `${method} ${path} ${status}`
  const schema = answers[status]
  if (schema === undefined) {
    // Of refusals the files name the usual ones only.
    return status < 400
      ? [`${at}: expected ${Object.keys(answers).join(" or ")}`]
      : judge(file, at, refusal, body)
  }
  const wrong = Object.keys(schema).length === 0 ? [] : judge(file, at, schema, body)
  return wrong.filter((line) => !forgotten.some((one) => one.test(line)))
}

const refusal: Schema = { $ref: "#/definitions/ErrorResponse" }

function answersOf({ paths }: ApiFile, path: string) {
  if (paths[path] !== undefined) return paths[path]
  const words = path.split("/")
  const found = Object.keys(paths).find((one) => {
    const known = one.split("/")
    return (
      known.length === words.length && known.every((word, at) => word === words[at] || word.startsWith("{"))
    )
  })
  return found === undefined ? undefined : paths[found]
}

function judge(file: ApiFile, at: string, schema: Schema, value: unknown): ReadonlyArray<string> {
  if (value === null || value === undefined) return []
  const whole = flat(file, schema)
  const { properties, additionalProperties: others, required = [] } = whole
  const types = whole.type === undefined ? [] : [whole.type].flat()
  const type = typeOf(value)
  if (types.length > 0 && !types.includes(type) && !(type === "integer" && types.includes("number"))) {
    return [`${at}: expected ${types.join(" or ")}, found ${JSON.stringify(value)?.slice(0, 80)}`]
  }
  if (whole.enum !== undefined && !whole.enum.includes(value)) {
    return [`${at}: expected one of ${whole.enum.join(", ")}, found ${JSON.stringify(value)}`]
  }
  if (Array.isArray(value)) {
    return value.flatMap((one, index) => judge(file, `${at}[${index}]`, whole.items ?? {}, one))
  }
  if (type !== "object") return []
  const fields = value as Readonly<Record<string, unknown>>
  return [
    ...required.filter((name) => !(name in fields)).map((name) => `${at}: ${name} is missing`),
    ...Object.entries(fields).flatMap(([name, inner]) => {
      const known = properties?.[name]
      if (known !== undefined) return judge(file, `${at}.${name}`, known, inner)
      if (typeof others === "object") return judge(file, `${at}.${name}`, others, inner)
      return inner === null || properties === undefined || others === true ? [] : [`${at}: ${name}${unknown}`]
    })
  ]
}

/** The schema with what it refers to and what it is made of as one. */
function flat(file: ApiFile, schema: Schema): Schema {
  if (schema.$ref !== undefined) {
    const named = file.definitions[schema.$ref.slice("#/definitions/".length)]
    return named === undefined ? {} : flat(file, named)
  }
  if (schema.allOf === undefined) return schema
  const parts = [
    { ...schema, allOf: undefined } as unknown as Schema,
    ...schema.allOf.map((one) => flat(file, one))
  ]
  const properties = Object.assign({}, ...parts.map((part) => part.properties ?? {}))
  return {
    ...Object.assign(
      {},
      ...parts.map((part) => Object.fromEntries(Object.entries(part).filter(([, to]) => to !== undefined)))
    ),
    ...(Object.keys(properties).length > 0 && { properties }),
    required: parts.flatMap((part) => part.required ?? [])
  }
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return "array"
  return typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value
}
