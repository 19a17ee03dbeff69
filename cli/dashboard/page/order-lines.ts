/** Lines of output with when and whose they are, in the order of time: several tasks' last lines come one task after the other. */
import type { LogLine } from "./log-frames.ts"

export interface Line {
  /** Unlike that of any other line. */
  readonly key: number
  /** As the node wrote it. */
  readonly at: string
  readonly taskId: string
  readonly isError: boolean
  readonly text: string
}

/** Colours and other orders to a terminal, which this is not. ECMA-48, 5.4 and 8.3.89. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const orders = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\))/g

/** Of what `timestamps=1&details=1` yields: time, details, text. */
export function readLine({ isError, text }: LogLine, key: number): Line {
  const [, at = "", details = "", rest = ""] = /^(\S*) (\S*) ?([\s\S]*)$/.exec(text) ?? []
  const taskId = /com\.docker\.swarm\.task\.id=(\w+)/.exec(details)?.[1] ?? ""
  return { key, at, taskId, isError, text: rest.replace(orders, "") }
}

/** So that times compare as text, whatever digits of a second were left out. */
const sortable = (at: string): string => {
  const [whole = "", fraction = ""] = at.replace("Z", "").split(".")
  return `${whole}.${fraction.padEnd(9, "0")}`
}

/** `before` is in order already; the newest `most` are kept. */
export function orderLines(
  before: ReadonlyArray<Line>,
  more: ReadonlyArray<Line>,
  most: number
): ReadonlyArray<Line> {
  const all = [...before, ...more]
  const isOrdered = all.every(({ at }, index) => {
    const last = all[index - 1]
    return last === undefined || sortable(last.at) <= sortable(at)
  })
  if (!isOrdered) {
    const keyed = all.map((line) => [sortable(line.at), line] as const)
    keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return keyed.slice(-most).map(([, line]) => line)
  }
  return all.slice(-most)
}
