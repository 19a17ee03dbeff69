/** `${VAR}` and its relatives in a file's texts, by the Compose Specification's "Interpolation". */
import { ComposeError, type Entry, type Scalar, under, type Value } from "#cli/compose/value.ts"

export type Variables = Readonly<Record<string, string | undefined>>

/** Puts variables into every text below `value`. Calls `unset` with each that is neither set nor has a default. */
export function interpolate(
  value: Value,
  variables: Variables,
  unset: (name: string, value: Value) => void,
  path = ""
): Value {
  if (value.kind === "list") {
    const items = value.items.map((item, at) => interpolate(item, variables, unset, under(path, at)))
    return { ...value, items }
  }
  if (value.kind === "map") {
    const entries = new Map<string, Entry>()
    for (const [key, entry] of value.entries) {
      entries.set(key, { ...entry, value: interpolate(entry.value, variables, unset, under(path, key)) })
    }
    return { ...value, entries }
  }
  if (typeof value.scalar !== "string" || !value.scalar.includes("$")) return value
  const filled = fill(value.scalar, variables, (name) => unset(name, value))
  if (typeof filled === "string") return { ...value, scalar: retyped(filled), text: filled }
  throw new ComposeError([{ at: value.at, path, text: filled.problem }])
}

/** A number or truth that came out of a variable is one, as it would be if it had been written there. */
function retyped(text: string): Scalar {
  if (text === "true" || text === "false") return text === "true"
  return /^-?(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : text
}

type Filled = string | { readonly problem: string }

/** One text filled in, or what is wrong with it. */
export function fill(text: string, variables: Variables, unset: (name: string) => void): Filled {
  let out = ""
  for (let at = 0; at < text.length; ) {
    if (text[at] !== "$") {
      out += text[at]
      at += 1
      continue
    }
    const rest = text.slice(at + 1)
    const name = /^[A-Za-z_]\w*/.exec(rest)?.[0]
    if (rest.startsWith("$")) {
      out += "$"
      at += 2
    } else if (name !== undefined) {
      if (variables[name] === undefined) unset(name)
      out += variables[name] ?? ""
      at += 1 + name.length
    } else {
      const end = rest.startsWith("{") ? closing(rest) : -1
      const filled = end < 0 ? invalid(text) : expression(rest.slice(1, end), text, variables, unset)
      if (typeof filled !== "string") return filled
      out += filled
      at += end + 2
    }
  }
  return out
}

const invalid = (text: string): Filled => ({
  problem: `${JSON.stringify(text)}: invalid interpolation: expected $NAME or \${NAME}, and $$ for a dollar sign`
})

/** Where the brace at 0 closes, or −1. */
function closing(text: string): number {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{" && (at === 0 || text[at - 1] === "$")) depth += 1
    else if (text[at] === "}") {
      depth -= 1
      if (depth === 0) return at
    }
  }
  return -1
}

function expression(
  inside: string,
  whole: string,
  variables: Variables,
  unset: (name: string) => void
): Filled {
  const match = /^([A-Za-z_]\w*)(?:(:?[-?+])([\s\S]*))?$/.exec(inside)
  if (match === null) return invalid(whole)
  const [, name = "", operator = "", word = ""] = match
  const value = variables[name]
  const isThere = operator.startsWith(":") ? (value ?? "") !== "" : value !== undefined
  switch (operator.at(-1)) {
    case "-":
      return isThere ? (value ?? "") : fill(word, variables, unset)
    case "+":
      return isThere ? fill(word, variables, unset) : ""
    case "?": {
      if (isThere) return value ?? ""
      const why = fill(word, variables, unset)
      if (typeof why !== "string") return why
      return { problem: `required variable ${name} is missing a value${why === "" ? "" : `: ${why}`}` }
    }
    default:
      if (value === undefined) unset(name)
      return value ?? ""
  }
}
