/** Lines of a log as an executor gives them. */
import { Buffer } from "node:buffer"
import type { LogLine } from "#actors/drivers/executor.ts"

/** A time of the one day that these tests live on. */
export const timeAt = (seconds: number): string => {
  const nanos = Math.round(seconds * 1e9)
  const time = new Date(Math.floor(nanos / 1e9) * 1000).toISOString().slice(11, 19)
  return `2026-11-26T${time}.${String(nanos % 1e9).padStart(9, "0")}Z`
}

export const aLine = (text: string, seconds: number, stream: LogLine["stream"] = "stdout"): LogLine => ({
  stream,
  timestamp: timeAt(seconds),
  details: "",
  line: Buffer.from(`${text}\n`)
})

export const textsOf = (lines: ReadonlyArray<LogLine>): ReadonlyArray<string> =>
  lines.map(({ line }) => Buffer.from(line).toString().trimEnd())
