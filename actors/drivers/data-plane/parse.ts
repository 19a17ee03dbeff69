/** Values from outside, read by hand: each error names the field, the value and what is expected. */

export function parseObject(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw unexpected(at, value, "an object")
  return value as Readonly<Record<string, unknown>>
}

export function parseText(value: unknown, at: string): string {
  if (typeof value !== "string") throw unexpected(at, value, "text")
  return value
}

export function parsePortNumber(value: unknown, at: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 65_535) {
    throw unexpected(at, value, "a port from 1 to 65535")
  }
  return value
}

export function listOf<T>(
  value: unknown,
  at: string,
  parse: (one: unknown, at: string) => T
): ReadonlyArray<T> {
  if (!Array.isArray(value)) throw unexpected(at, value, "a list")
  return value.map((one, i) => parse(one, `${at}[${i}]`))
}

export const unexpected = (field: string, value: unknown, expected: string): Error =>
  new Error(`${field} is ${JSON.stringify(value) ?? "absent"}: expected ${expected}`)
