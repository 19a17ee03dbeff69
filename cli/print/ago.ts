/** How long something took or is ago, in the one unit that matters. */

const units: ReadonlyArray<readonly [string, number]> = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000]
]

export function duration(ms: number): string {
  for (const [name, length] of units) {
    const count = Math.floor(ms / length)
    if (count >= 1) return `${count} ${name}${count === 1 ? "" : "s"}`
  }
  return "less than a second"
}
