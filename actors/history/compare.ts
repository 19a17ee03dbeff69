/** What of an object is different, field by field, with everything that opens something left out. */
import { secretFields } from "#actors/ledger/history.ts"
import { isSensitive, redact } from "#actors/ledger/redact.ts"
import { equal } from "#actors/model/service-facts.ts"

/** One field: where it is, `Spec.Mode.Replicated.Replicas`, and its values, of which one may be absent. */
export interface ChangedField {
  readonly Field: string
  readonly Before?: unknown
  readonly After?: unknown
}

/** A reader of a history wants to see what changed, not to be given the object anew. */
const mostFields = 64
const mostCharacters = 512

/** Fields that follow from every change, or that repeat what stands elsewhere. */
const unsaid: ReadonlySet<string> = new Set([
  "Version",
  "CreatedAt",
  "UpdatedAt",
  "PreviousSpec",
  "PreviousSpecVersion",
  "LastSeen",
  "Timestamp"
])

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The fields in which two states of an object differ, at most 64 of them; lists are compared as a whole. */
export function compare(before: object, after: object): ReadonlyArray<ChangedField> {
  const found: Array<ChangedField> = []
  walk(before as Fields, after as Fields, "", false, found)
  return found
}

function walk(
  before: Fields,
  after: Fields,
  path: string,
  hidden: boolean,
  found: Array<ChangedField>
): void {
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (unsaid.has(name)) continue
    if (found.length >= mostFields) return
    const [a, b] = [before[name], after[name]]
    if (a === b) continue
    const hide = hidden || isSensitive(name) || secretFields.has(name)
    const field = path === "" ? name : `${path}.${name}`
    if (
      (isFields(a) || isFields(b)) &&
      (a === undefined || isFields(a)) &&
      (b === undefined || isFields(b))
    ) {
      walk(a ?? {}, b ?? {}, field, hide, found)
    } else if (!equal(a, b)) {
      found.push({
        Field: field,
        ...(a !== undefined && { Before: shown(a, name, hide) }),
        ...(b !== undefined && { After: shown(b, name, hide) })
      })
    }
  }
}

function shown(value: unknown, name: string, hide: boolean): unknown {
  const open = redact(value, name, hide)
  if (typeof open === "string") return cut(open)
  if (typeof open !== "object" || open === null) return open
  const text = JSON.stringify(open)
  return text.length <= mostCharacters ? open : cut(text)
}

const cut = (text: string): string =>
  text.length <= mostCharacters ? text : `${text.slice(0, mostCharacters - 1)}…`
