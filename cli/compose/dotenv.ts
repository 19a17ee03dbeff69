// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the file writes its variables so
/** Files of variables: `.env`, and what `env_file` names. */
import { fill, type Variables } from "#cli/compose/interpolate.ts"
import { ComposeError } from "#cli/compose/value.ts"

/** `NAME=value` per line, quotes and comments as in a shell. A name without `=` is taken from `outside`. */
export function parseDotenv(file: string, source: string, outside: Variables): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [index, line] of source.split(/\r?\n/).entries()) {
    const text = line.trim()
    if (text === "" || text.startsWith("#")) continue
    const wrong = (expected: string): never => {
      const at = { file, line: index + 1, column: 1 }
      throw new ComposeError([{ at, path: "", text: `${JSON.stringify(text)}: expected ${expected}` }])
    }
    const match = /^(?:export\s+)?([A-Za-z_][\w.-]*)\s*(?:=\s*(.*))?$/.exec(text)
    if (match === null) return wrong("NAME=value")
    const [, name = "", raw] = match
    if (raw === undefined) {
      const value = outside[name]
      if (value !== undefined) found[name] = value
      continue
    }
    const single = /^'([^']*)'\s*(#.*)?$/.exec(raw)
    if (single !== null) {
      found[name] = single[1] ?? ""
      continue
    }
    const double = /^"((?:[^"\\]|\\.)*)"\s*(#.*)?$/.exec(raw)
    if (double === null && /^["']/.test(raw)) return wrong("a closing quote on the same line")
    const value = double === null ? raw.replace(/(^|\s+)#.*$/, "").trim() : unescaped(double[1] ?? "")
    const filled = fill(value, { ...found, ...outside }, () => {})
    if (typeof filled !== "string") return wrong("$NAME or ${NAME}, and $$ for a dollar sign")
    found[name] = filled
  }
  return found
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" }
const unescaped = (text: string): string =>
  text.replace(/\\(.)/g, (_, one: string) => escapes[one] ?? (one === "$" ? "$$" : one))
