/** YAML with its places: what every later step reads, so that whatever is wrong can be shown where it stands. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from "yaml"

export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}
export type Scalar = string | number | boolean | null
export type Value = {
  readonly at: Place
  /** `!reset` and `!override`, of files that change what earlier ones say. */
  readonly tag?: "reset" | "override"
} & (
  | { readonly kind: "scalar"; readonly scalar: Scalar; readonly text: string }
  | { readonly kind: "list"; readonly items: ReadonlyArray<Value> }
  | { readonly kind: "map"; readonly entries: ReadonlyMap<string, Entry> }
)
export type MapValue = Extract<Value, { kind: "map" }>
export interface Entry {
  /** Where the key stands. */
  readonly at: Place
  readonly value: Value
}

export interface Problem {
  readonly at: Place
  /** `services.web.ports[0]`; empty for the whole file. */
  readonly path: string
  readonly text: string
}

export const showProblem = ({ at, path, text }: Problem): string =>
  `${at.file}:${at.line}:${at.column}: ${path === "" ? "" : `${path}: `}${text}`

/** A Compose file that cannot be meant, with everything that is wrong in it. */
export class ComposeError extends Error {
  readonly exitCode = 1
  readonly problems: ReadonlyArray<Problem>

  constructor(problems: ReadonlyArray<Problem>) {
    super(problems.map(showProblem).join("\n"))
    this.problems = problems
  }
}

export const under = (path: string, key: string | number): string =>
  typeof key === "number" ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`

/** Reads one document. Throws `ComposeError` for what is no YAML, or more than one document. */
export function parseYaml(file: string, source: string): Value {
  const lines = new LineCounter()
  const documents = parseAllDocuments(source, { lineCounter: lines, logLevel: "silent" })
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const document = Array.isArray(documents) ? documents[0] : undefined
  if (document === undefined) return { kind: "map", entries: new Map(), at: placeOf(0) }
  if (Array.isArray(documents) && documents[1] !== undefined) {
    throw new ComposeError([
      { at: placeOf(documents[1].range[0]), path: "", text: "expected one YAML document, found another" }
    ])
  }
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => ({
      at: placeOf(error.pos[0]),
      path: "",
      text: error.message.split(/ at line \d/)[0] ?? error.message
    }))
    throw new ComposeError(problems)
  }

  const read = (node: Node | null | undefined, outside: Place, depth: number): Value => {
    const at = node?.range ? placeOf(node.range[0]) : outside
    // Aliases may nest; this is far beyond what a file means.
    if (depth > 64) throw new ComposeError([{ at, path: "", text: "nested more than 64 levels deep" }])
    if (isAlias(node)) return read(node.resolve(document), at, depth + 1)
    const tag =
      node?.tag === "!reset"
        ? ({ tag: "reset" } as const)
        : node?.tag === "!override"
          ? ({ tag: "override" } as const)
          : {}
    if (isMap(node)) {
      const own = new Map<string, Entry>()
      const merged = new Map<string, Entry>()
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : String(key)
        const keyAt = isScalar(key) && key.range ? placeOf(key.range[0]) : at
        const one = read(value as Node | null, keyAt, depth + 1)
        if (name !== "<<") own.set(name, { at: keyAt, value: one })
        else for (const [inner, entry] of mergedInto(one)) if (!merged.has(inner)) merged.set(inner, entry)
      }
      return { kind: "map", entries: new Map([...merged, ...own]), at, ...tag }
    }
    if (isSeq(node)) {
      return {
        kind: "list",
        items: node.items.map((item) => read(item as Node, at, depth + 1)),
        at,
        ...tag
      }
    }
    const raw = isScalar(node) ? node.value : null
    const scalar: Scalar =
      typeof raw === "string" || typeof raw === "number" || typeof raw === "boolean" ? raw : null
    // As it was written: `1.10` is a version, not a number, where a text is expected.
    const text =
      typeof scalar === "string"
        ? scalar
        : isScalar(node) && node.source !== undefined
          ? node.source
          : String(scalar ?? "")
    return { kind: "scalar", scalar, text, at, ...tag }
  }
  return read(document.contents, placeOf(0), 0)
}

/** What `<<` brings in: one map, or a list of them, the first of which counts. */
function mergedInto(value: Value): ReadonlyArray<readonly [string, Entry]> {
  if (value.kind === "map") return [...value.entries]
  if (value.kind === "list") return value.items.flatMap(mergedInto)
  throw new ComposeError([{ at: value.at, path: "<<", text: "expected a mapping, or a list of mappings" }])
}

export const emptyMap = (at: Place): MapValue => ({ kind: "map", entries: new Map(), at })
export const entryOf = (value: Value | undefined, key: string): Value | undefined =>
  value?.kind === "map" ? value.entries.get(key)?.value : undefined
export const isNull = (value: Value | undefined): boolean =>
  value === undefined || (value.kind === "scalar" && value.scalar === null)

/** The same without places, every scalar as it was written: `1.10` stays `1.10`. Keys that begin with `x-` are nobody's but the author's, and left out. */
// biome-ignore lint/suspicious/noExplicitAny: checked by schema.ts before
export function plain(value: Value | undefined): any {
  if (value === undefined) return undefined
  if (value.kind === "scalar") return value.scalar === null ? null : value.text
  if (value.kind === "list") return value.items.map(plain)
  const entries = [...value.entries].filter(([key]) => !key.startsWith("x-"))
  return Object.fromEntries(entries.map(([key, entry]) => [key, plain(entry.value)]))
}
