/** A replayed decision as text: the message, what it changed in the state, and the actions that followed. */
import type { ReplayStep } from "#runtime/replay.ts"

const marks: Readonly<Record<ReplayStep["verdict"], string>> = {
  began: "▶",
  same: "=",
  different: "✗",
  crashed: "!",
  "crashed-differently": "✗",
  skipped: "·",
  stopped: "■"
}

/** `undefined` for what is not worth a line, such as a checkpoint on the way. */
export function showStep(step: ReplayStep): string | undefined {
  const { record, verdict, words } = step
  const head = `${marks[verdict]} life ${record.life}, ${record.seq}`
  switch (record._tag) {
    case "Checkpoint":
      return undefined
    case "Crashed":
      return `${head}  crashed: ${words ?? record.error}`
    default: {
      const at = new Date(record.now).toISOString().slice(11, 23)
      const tag = record._tag === "Started" ? "starts" : record.tag
      const from = record._tag === "Decided" && record.from !== undefined ? ` from ${record.from}` : ""
      const lines = [
        `${head}  ${at}  ${tag}${from}${verdict === "skipped" ? "  before anything to begin from" : ""}`
      ]
      if (record._tag === "Decided" && step.message !== undefined)
        lines.push(`    message ${short(step.message)}`)
      if ("after" in step) lines.push(...differences(step.before, step.after).map((line) => `    ${line}`))
      for (const action of step.actions ?? []) lines.push(`    → ${short(action)}`)
      if (words !== undefined) lines.push(`    ${verdict === "stopped" ? "stops here" : "but"}: ${words}`)
      return lines.join("\n")
    }
  }
}

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.getPrototypeOf(value) === Object.prototype

/** The fields of a state that are not what they were, one line each. */
function differences(before: unknown, after: unknown): ReadonlyArray<string> {
  if (before === after) return []
  if (!isPlain(before) || !isPlain(after)) return [`state ${short(after)}`]
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names
    .filter((name) => before[name] !== after[name] && short(before[name]) !== short(after[name]))
    .map((name) => `${name}: ${short(before[name])} ⇒ ${short(after[name])}`)
}

const longest = 400

/** One line; maps and sets by their contents, what is behind methods by its name. */
function short(value: unknown): string {
  const text =
    JSON.stringify(value, (_, one: unknown) => {
      if (one instanceof Map) return Object.fromEntries(one)
      if (one instanceof Set) return [...one]
      if (typeof one === "bigint") return String(one)
      if (typeof one === "object" && one !== null && !Array.isArray(one) && !isPlain(one)) {
        return `<${one.constructor?.name ?? "object"}>`
      }
      return one
    }) ?? String(value)
  return text.length <= longest ? text : `${text.slice(0, longest)}…`
}
