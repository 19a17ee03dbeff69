/**
 * Objects in the order and with the zeros that the Engine's JSON has.
 *
 * A layout lists a type's fields as its Go struct does. One table serves both ways: what comes in is laid out
 * before it is stored, so that equal specs are equal text, and what goes out needs no second thought.
 */

/**
 * When a field is there: `filled` when it is not empty (Go's `omitempty`), `present` when it was given at all
 * (a pointer), `always` with `zero` in its place, `null` likewise with `null`, on the way out only.
 */
export interface Rule {
  readonly when: "filled" | "present" | "always" | "null"
  readonly zero?: unknown
  /** An empty one counts as none. */
  readonly filled?: true
  /** The fields of the object, or of each object of the list, that stands here. */
  readonly inside?: Layout
}
export type Layout = ReadonlyArray<readonly [name: string, rule: Rule]>

export const filled: Rule = { when: "filled" }
export const present: Rule = { when: "present" }
export const always = (zero: unknown): Rule => ({ when: "always", zero })
export const orNull = (inside: Layout): Rule => ({ when: "null", inside })
export const object = (inside: Layout): Rule => ({ when: "present", inside })
export const list = (inside: Layout): Rule => ({ when: "filled", inside })
/** An object that is there even when it was not given. */
export const part = (inside: Layout): Rule => ({ when: "always", zero: {}, inside })

type Direction = "in" | "out"

/** `value` with the fields of `layout`, in its order; fields that it does not name are dropped. */
export function render(layout: Layout, value: object, direction: Direction): Record<string, unknown> {
  const source = value as Readonly<Record<string, unknown>>
  const result: Record<string, unknown> = {}
  for (const [name, rule] of layout) {
    const given = source[name]
    const found = given === undefined || given === null ? undefined : inner(rule, given, direction)
    switch (rule.when) {
      case "filled":
        if (!isEmpty(found)) result[name] = found
        break
      case "present":
        if (found !== undefined) result[name] = found
        break
      case "always":
        result[name] = found ?? (rule.inside === undefined ? rule.zero : render(rule.inside, {}, direction))
        break
      case "null":
        if (found !== undefined && !(rule.filled && isEmpty(found))) result[name] = found
        else if (direction === "out") result[name] = null
        break
    }
  }
  return result
}

function inner(rule: Rule, given: unknown, direction: Direction): unknown {
  const { inside } = rule
  if (inside === undefined || typeof given !== "object" || given === null) return given
  if (Array.isArray(given)) return given.map((entry) => render(inside, entry as object, direction))
  return render(inside, given, direction)
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true
  if (Array.isArray(value)) return value.length === 0
  return typeof value === "object" && Object.keys(value).length === 0
}
