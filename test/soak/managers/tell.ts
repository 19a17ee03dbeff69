/** A history that cannot be, for people: around the place where no order explains it any more. */

import type { Seen } from "#test/soak/managers/clients.ts"
import type { Judgement } from "#test/support/linearizable.ts"

const before = 12
const after = 12

export function tell(history: ReadonlyArray<Seen>, broken: Extract<Judgement, { _tag: "Broken" }>): string {
  const { key, stuck } = broken
  const ofKey = history.filter((one) => one.key === key).sort((a, b) => a.start - b.start)
  // What ended first of all that is left cannot be explained.
  const culprit = [...stuck]
    .filter(({ end }) => end !== undefined)
    .sort((a, b) => (a.end as number) - (b.end as number))[0]
  const at = Math.max(
    0,
    ofKey.findIndex(({ start }) => start === culprit?.start)
  )
  const lines = ofKey.slice(Math.max(0, at - before), at + after + 1).map((one) => {
    const mark = one.start === culprit?.start ? ">" : " "
    const when = `${(one.fromMs / 1_000).toFixed(3)}–${one.toMs === undefined ? "?" : (one.toMs / 1_000).toFixed(3)}`
    return `${mark} ${when.padStart(20)} s  ${one.client.padEnd(16)} ${words(one)}`
  })
  return [
    `The history of ${key} (${ofKey.length} operations) has no order; around its first contradiction:`,
    ...lines
  ].join("\n")
}

function words({ op, expected, value, result }: Seen): string {
  if (op === "read") return `reads ${result}`
  const exchange = `${expected} → ${value}`
  return result === undefined ? `${exchange}: unknown` : result ? exchange : `${exchange}: lost the race`
}
