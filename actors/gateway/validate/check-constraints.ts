/** The grammar of placement constraints: `key==value` or `key!=value`. What they mean is the scheduler's business. */
import { type Refusal, refuse } from "#actors/model/errors.ts"

const keyPattern = /^[a-z_][a-z0-9\-_.]+$/i
const valuePattern = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i
const operators = ["==", "!="] as const

/** The first constraint that cannot be read. SwarmKit gives these no code, so the Engine answers 500. */
export function checkConstraints(constraints: ReadonlyArray<string>): Refusal | undefined {
  for (const constraint of constraints) {
    const problem = problemOf(constraint)
    if (problem !== undefined) return refuse("unknown", `rpc error: code = Unknown desc = ${problem}`)
  }
  return undefined
}

function problemOf(constraint: string): string | undefined {
  const operator = operators.find((candidate) => constraint.includes(candidate))
  if (operator === undefined) return `constraint expected one operator from ${operators.join(", ")}`
  const at = constraint.indexOf(operator)
  const key = constraint.slice(0, at).trim()
  const value = constraint.slice(at + operator.length).trim()
  if (!keyPattern.test(key)) return `key '${key}' is invalid`
  if (!valuePattern.test(value)) return `value '${value}' is invalid`
  return undefined
}
