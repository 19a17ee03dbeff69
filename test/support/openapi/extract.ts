/**
 * Makes a file of this folder from the Engine's own: `bun test/support/openapi/extract.ts engine-v1.41.yaml > v1.41.json`.
 *
 * Only what we answer is kept, the answers' schemas and what these refer to, without prose and examples.
 */
import { readFile } from "node:fs/promises"
import process from "node:process"
import { parseDocument } from "yaml"

const nouns = /^\/(swarm|nodes|services|tasks|secrets|configs|networks)(\/|$)/
const prose = new Set(["description", "example", "title", "x-go-name", "x-go-type", "x-go-package"])

/** `value` without prose; where `isNamed`, its keys are names that somebody chose, not words of the language. */
function bare(value: unknown, isNamed = false): unknown {
  if (Array.isArray(value)) return value.map((one) => bare(one))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => isNamed || !prose.has(key))
      .map(([key, inner]) => [key, bare(inner, !isNamed && key === "properties")])
  )
}

const referredIn = (value: unknown): ReadonlyArray<string> =>
  [...JSON.stringify(value).matchAll(/#\/definitions\/(\w+)/g)].flatMap(([, name]) => name ?? [])

// The older file has quotes over several lines that are not indented as YAML wants them.
const file = parseDocument(await readFile(process.argv[2] ?? "", "utf8"), { strict: false }).toJS()
const paths: Record<string, Record<string, Record<string, unknown>>> = {}
for (const [path, methods] of Object.entries<
  Record<string, { responses: Record<string, { schema?: unknown }> }>
>(file.paths)) {
  if (!nouns.test(path)) continue
  paths[path] = {}
  for (const [method, { responses }] of Object.entries(methods)) {
    const answers = Object.entries(responses).map(([status, { schema }]) => [status, bare(schema ?? {})])
    paths[path][method] = Object.fromEntries(answers)
  }
}
const definitions: Record<string, unknown> = {}
const waiting = [...referredIn(paths)]
for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
  if (name in definitions) continue
  definitions[name] = bare(file.definitions[name])
  waiting.push(...referredIn(definitions[name]))
}
process.stdout.write(`${JSON.stringify({ version: file.info.version, paths, definitions }, null, 1)}\n`)
