/** Durations and sizes as Compose writes them. */

const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9
}

/** `1m30s` as nanoseconds, or `undefined`. */
export function readDuration(text: string): number | undefined {
  if (text === "0") return 0
  if (!/^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/.test(text)) return undefined
  let sum = 0
  for (const [, amount, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)) {
    sum += Number(amount) * (nanoseconds[unit] ?? 0)
  }
  return Math.round(sum)
}

const powers: Readonly<Record<string, number>> = { "": 0, b: 0, k: 1, m: 2, g: 3, t: 4 }

/** `64m` as bytes, or `undefined`. */
export function readBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text)
  if (match === null) return undefined
  return Math.floor(Number(match[1]) * 1024 ** (powers[(match[2] ?? "").toLowerCase()] ?? 0))
}
