/**
 * Placement constraints: `node.labels.zone == a`, `node.role != manager`, as Swarm reads and tests them.
 *
 * Keys: node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.<key>,
 * engine.labels.<key>. Values are compared without regard to case.
 */
import type { Node } from "#actors/model/objects.ts"
import { holds, parseAddress, parseSubnet } from "#actors/network/ip.ts"

export interface Constraint {
  readonly key: string
  readonly operator: "==" | "!="
  readonly value: string
}

// SwarmKit, manager/constraint/constraint.go
const operators = ["==", "!="] as const
const keyPattern = /^[a-z_][a-z0-9\-_.]+$/i
const valuePattern = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i

/** The constraints, or the text that says which expression cannot be read. */
export function parseConstraints(expressions: ReadonlyArray<string>): ReadonlyArray<Constraint> | string {
  const constraints: Array<Constraint> = []
  for (const expression of expressions) {
    const parsed = parseConstraint(expression)
    if (typeof parsed === "string") return parsed
    constraints.push(parsed)
  }
  return constraints
}

function parseConstraint(expression: string): Constraint | string {
  const operator = operators.find((candidate) => expression.includes(candidate))
  if (operator === undefined) return `constraint expected one operator from ${operators.join(", ")}`
  const at = expression.indexOf(operator)
  const key = expression.slice(0, at).trim()
  const value = expression.slice(at + operator.length).trim()
  if (!keyPattern.test(key)) return `key '${key}' is invalid`
  if (!valuePattern.test(value)) return `value '${value}' is invalid`
  return { key, operator, value }
}

/** True when the node satisfies every constraint; an unknown key is satisfied by none. */
export function matches(node: Node, constraints: ReadonlyArray<Constraint>): boolean {
  return constraints.every((constraint) => satisfies(node, constraint))
}

function satisfies(node: Node, { key, operator, value }: Constraint): boolean {
  const wantsEqual = operator === "=="
  if (key.toLowerCase() === "node.ip") return matchesAddress(node.Status.Addr, value, wantsEqual)
  const actual = attributeOf(node, key)
  if (actual === undefined) return false
  return (actual.toLowerCase() === value.toLowerCase()) === wantsEqual
}

/** What the node has under `key`; empty for a label it lacks, so that only `!=` holds. */
function attributeOf(node: Node, key: string): string | undefined {
  const labelOf = (prefix: string, labels: Readonly<Record<string, string>> | undefined) =>
    key.length > prefix.length && key.toLowerCase().startsWith(prefix)
      ? (labels?.[key.slice(prefix.length)] ?? "")
      : undefined
  switch (key.toLowerCase()) {
    case "node.id":
      return node.ID
    case "node.hostname":
      return node.Description?.Hostname ?? ""
    case "node.role":
      return node.Spec.Role ?? "worker"
    case "node.platform.os":
      return node.Description?.Platform.OS ?? ""
    case "node.platform.arch":
      return node.Description?.Platform.Architecture ?? ""
    default:
      return (
        labelOf("node.labels.", node.Spec.Labels) ??
        labelOf("engine.labels.", node.Description?.Engine.Labels)
      )
  }
}

function matchesAddress(actual: string | undefined, value: string, wantsEqual: boolean): boolean {
  const address = parseAddress(actual ?? "")
  const wanted = parseAddress(value)
  if (wanted !== undefined) {
    const same = address !== undefined && address.family === wanted.family && address.value === wanted.value
    return same === wantsEqual
  }
  const subnet = parseSubnet(value)
  // What is neither address nor subnet can be met by nobody, whichever way it is asked.
  if (subnet === undefined) return false
  return (address !== undefined && holds(subnet, address)) === wantsEqual
}
