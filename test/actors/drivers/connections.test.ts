import { expect, test } from "bun:test"
import { countAccepted } from "#actors/drivers/connections.ts"

const head =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
const line = (at: number, local: string, state: string): string =>
  `   ${at}: ${local} 0A00000A:C350 ${state} 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0\n`

test("connections that came in count, those that were made from here and those that have ended do not", () => {
  const tcp =
    head +
    line(0, "00000000:1F90", "0A") +
    line(1, "0500000A:1F90", "01") +
    line(2, "0500000A:1F90", "08") +
    line(3, "0500000A:1F90", "06") +
    line(4, "0500000A:D431", "01")
  const tcp6 = head + line(0, "0000000000000000FFFF00000500000A:1F90", "01")
  expect(countAccepted([tcp])).toBe(2)
  expect(countAccepted([tcp, tcp6])).toBe(3)
  expect(countAccepted([head])).toBe(0)
})
