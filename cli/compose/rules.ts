/** What a value must be, as rules that are put together: each says what it expects, and checks what is inside. */
import { readBytes, readDuration } from "#cli/compose/read-units.ts"
import { isNull, type Problem, under, type Value } from "#cli/compose/value.ts"

export interface Findings {
  readonly problems: Array<Problem>
  /** What is understood and means nothing in a cluster. */
  readonly warnings: Array<Problem>
}
export interface Rule {
  readonly expects: string
  /** Whether this rule is the one for the value, by its shape. */
  readonly takes: (value: Value) => boolean
  readonly inside?: (value: Value, path: string, findings: Findings) => void
}

export function check(value: Value, rule: Rule, path: string, findings: Findings): void {
  if (!rule.takes(value)) {
    const text = `${showValue(value)}: expected ${rule.expects}`
    findings.problems.push({ at: value.at, path, text })
  } else rule.inside?.(value, path, findings)
}

const showValue = (value: Value): string =>
  value.kind === "scalar"
    ? value.scalar === null
      ? "nothing"
      : JSON.stringify(value.text)
    : value.kind === "list"
      ? "a list"
      : "a mapping"

const ofText = (expects: string, fits: (text: string) => boolean): Rule => ({
  expects,
  takes: (value) => value.kind === "scalar" && value.scalar !== null && fits(value.text)
})

export const text = ofText("a text", () => true)
export const whole = ofText("a whole number", (value) => /^-?\d+$/.test(value))
export const count = ofText("a whole number, 0 or more", (value) => /^\d+$/.test(value))
export const atMost = (most: number): Rule =>
  ofText(`a whole number from 0 to ${most}`, (value) => /^\d+$/.test(value) && Number(value) <= most)
export const decimal = ofText("a number, 0 or more", (value) => /^\d+(\.\d+)?$/.test(value))
export const truth = ofText("true or false", (value) => /^(true|false)$/i.test(value))
export const duration = ofText("a duration, as 1m30s", (value) => readDuration(value) !== undefined)
export const bytes = ofText("a size, as 64m", (value) => readBytes(value) !== undefined)
export const matching = (expects: string, pattern: RegExp): Rule =>
  ofText(expects, (value) => pattern.test(value))
export const oneOf = (...words: ReadonlyArray<string>): Rule =>
  ofText(words.length === 1 ? `${words[0]}` : `one of ${words.join(", ")}`, (value) => words.includes(value))

export const nothing: Rule = { expects: "nothing", takes: isNull }

export const list = (item: Rule): Rule => ({
  expects: `a list, each ${item.expects}`,
  takes: (value) => value.kind === "list",
  inside: (value, path, findings) => {
    if (value.kind !== "list") return
    for (const [at, one] of value.items.entries()) check(one, item, under(path, at), findings)
  }
})

/** Where only one of them has a meaning. */
export const listOfOne = (item: Rule): Rule => ({
  ...list(item),
  inside: (value, path, findings) => {
    if (value.kind !== "list") return
    const [, second] = value.items
    if (second === undefined) list(item).inside?.(value, path, findings)
    else {
      const text = `a list of ${value.items.length}: expected one entry`
      findings.problems.push({ at: second.at, path: under(path, 1), text })
    }
  }
})

/** Any names, one rule for what they hold. */
export const mapOf = (item: Rule, expects = "a mapping"): Rule => ({
  expects,
  takes: (value) => value.kind === "map",
  inside: (value, path, findings) => {
    if (value.kind !== "map") return
    for (const [key, entry] of value.entries) {
      if (!key.startsWith("x-")) check(entry.value, item, under(path, key), findings)
    }
  }
})

/** Known keys only, and the author's own, which begin with `x-`. */
export const struct = (keys: Readonly<Record<string, Rule>>): Rule => ({
  expects: "a mapping",
  takes: (value) => value.kind === "map",
  inside: (value, path, findings) => {
    if (value.kind !== "map") return
    for (const [key, entry] of value.entries) {
      if (key.startsWith("x-")) continue
      const rule = Object.hasOwn(keys, key) ? keys[key] : undefined
      if (rule !== undefined) check(entry.value, rule, under(path, key), findings)
      else {
        const near = nearest(key, Object.keys(keys))
        const expected = near ?? `one of ${Object.keys(keys).sort().join(", ")}`
        const text = `unknown key ${JSON.stringify(key)}: expected ${expected}`
        findings.problems.push({ at: entry.at, path: under(path, key), text })
      }
    }
  }
})

export const either = (...rules: ReadonlyArray<Rule>): Rule => ({
  expects: [...new Set(rules.map(({ expects }) => expects))].join(", or "),
  takes: (value) => rules.some((rule) => rule.takes(value)),
  inside: (value, path, findings) => rules.find((rule) => rule.takes(value))?.inside?.(value, path, findings)
})

export const orNothing = (rule: Rule): Rule => ({ ...either(rule, nothing), expects: rule.expects })

const anything: Rule = { expects: "anything", takes: () => true }

/** Of the specification, and without a meaning in a cluster. */
export const ignored = (why: string, { expects, takes } = anything): Rule => ({
  expects,
  takes,
  inside: (value, path, findings) =>
    void findings.warnings.push({ at: value.at, path, text: `ignored: ${why}` })
})

/** The key that was meant, if one is a slip of at most two letters away. */
function nearest(key: string, known: ReadonlyArray<string>): string | undefined {
  const ranked = known.map((one) => ({ one, away: distance(key, one) })).sort((a, b) => a.away - b.away)
  const best = ranked[0]
  return best !== undefined && best.away <= 2 ? best.one : undefined
}

/** Levenshtein's. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
