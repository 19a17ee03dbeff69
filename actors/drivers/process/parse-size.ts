/** Sizes as log options give them. */

const units: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4
}

/** `10m` in bytes; `undefined` when it is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim())
  const unit = units[(match?.[2] ?? "").toLowerCase()]
  return match === null || unit === undefined ? undefined : Math.floor(Number(match[1]) * unit)
}
