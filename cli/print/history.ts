/** What happened to objects, for people: a line each, and below it what changed. */

export interface ShownChange {
  readonly Sequence: string
  readonly Time: string
  readonly Kind: string
  readonly Action: string
  readonly ID: string
  readonly Name: string
  readonly Who: string
  readonly Why: string
  readonly Says?: string
  readonly Changed: ReadonlyArray<{
    readonly Field: string
    readonly Before?: unknown
    readonly After?: unknown
  }>
}

const done: Readonly<Record<string, string>> = { create: "created", update: "changed", remove: "removed" }

export function showChange({ Time, Kind, Name, ID, Action, Who, Why, Says, Changed }: ShownChange): string {
  const by = Who === "" ? "" : `   by ${Who}${Why === "" ? "" : `: ${Why}`}`
  const fields = Changed.map(
    ({ Field, Before, After }) => `    ${Field}: ${showValue(Before)} → ${showValue(After)}`
  )
  return [
    `${Time}   ${Kind} ${Name === "" ? ID : Name} ${done[Action] ?? Action}${by}`,
    ...fields,
    ...(Says === undefined ? [] : [`    says: ${Says}`])
  ].join("\n")
}

/** On one line: of a text of several, such as a certificate, the first and how many follow. */
function showValue(value: unknown): string {
  if (value === undefined) return "none"
  if (typeof value !== "string") return JSON.stringify(value)
  const [first = "", ...others] = value.trimEnd().split("\n")
  return others.length === 0 ? first : `${first} (and ${others.length} more lines)`
}
