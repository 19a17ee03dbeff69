import { expect, test } from "bun:test"
import { parseBusy } from "#actors/drivers/connections.ts"

const listen = "LISTEN 0      4096         0.0.0.0:8080      0.0.0.0:*     cubic cwnd:10"
const line = (state: string, port: number, info: string, queues = "0      0"): string =>
  `${state} ${queues}      10.0.1.5:${port} 10.0.1.9:41110 cubic rto:200 ${info} pacing_rate 299bps`

const answered = "bytes_sent:9 bytes_received:4 lastsnd:212 lastrcv:236 lastack:212"
const asked = "bytes_sent:9 bytes_received:8 lastsnd:212 lastrcv:3 lastack:212"
const askedFirst = "bytes_received:4 lastsnd:320 lastrcv:320 lastack:320"
const opened = (ms: number): string => `lastsnd:${ms} lastrcv:${ms} lastack:${ms}`

test("a connection has work while what came last is not answered, or the answer is on its way", () => {
  const count = (...lines: ReadonlyArray<string>): number =>
    parseBusy([listen, ...lines.map((one, at) => one.replace("41110", `4111${at}`)), ""].join("\n")).size
  expect(count(line("ESTAB", 8080, asked), line("CLOSE-WAIT", 8080, askedFirst))).toBe(2)
  expect(count(line("ESTAB", 8080, answered))).toBe(0)
  expect(count(line("ESTAB", 8080, answered, "0      512"))).toBe(1)
  expect(count(line("ESTAB", 8080, answered, "4      0"))).toBe(1)
  expect(count(line("ESTAB", 8080, opened(20)), line("ESTAB", 8080, opened(2_000)))).toBe(1)
})

test("connections that were made from here do not count, nor do those that are over", () => {
  expect(parseBusy([listen, line("ESTAB", 54_321, asked), line("TIME-WAIT", 8080, "")].join("\n")).size).toBe(
    0
  )
  const here = [line("ESTAB", 8080, asked), listen.replace("0.0.0.0:8080", "[::]:8080")]
  expect([...parseBusy(here.join("\n"))]).toEqual(["10.0.1.5:8080 10.0.1.9:41110"])
  expect(parseBusy("").size).toBe(0)
})
