/**
 * Whether a history of registers is linearizable: some order of its operations, one at a time and each between its
 * call and its answer, explains every answer. Wing & Gong 1993, with Lowe's memory of what was tried (2017), each
 * register by itself (Herlihy & Wing: linearizability is local).
 *
 * Takes plain data, so that histories written down by real clusters are judged by the same code.
 */

/**
 * `start` and `end` order calls and answers: any numbers, all different. `end` and `result` are absent for an operation
 * whose end is unknown: it may have happened at any time since its call, or never. A register begins at 0.
 */
export interface Operation {
  readonly client: string
  readonly key: string
  readonly op: "read" | "write" | "cas"
  /** What is written; absent for a read. */
  readonly value?: number
  /** What `cas` wants to find. */
  readonly expected?: number
  readonly start: number
  readonly end?: number
  /** What was read, or whether `cas` wrote. A write answers nothing. */
  readonly result?: number | boolean
}

export type Judgement =
  | { readonly _tag: "Linearizable" }
  /** `longest`: the best explanation; none goes on with any of `stuck`. */
  | {
      readonly _tag: "Broken"
      readonly key: string
      readonly longest: ReadonlyArray<Operation>
      readonly stuck: ReadonlyArray<Operation>
    }

/** One operation a line; throws on what is none. */
export function parseHistory(lines: string): ReadonlyArray<Operation> {
  return lines
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line, at) => {
      const operation = JSON.parse(line) as Operation
      const isRead = operation.op === "read"
      if (
        typeof operation.key !== "string" ||
        typeof operation.start !== "number" ||
        !["read", "write", "cas"].includes(operation.op) ||
        (!isRead && typeof operation.value !== "number")
      ) {
        throw new Error(`Line ${at + 1} is no operation: ${line}`)
      }
      return operation
    })
}

export const writeHistory = (history: ReadonlyArray<Operation>): string =>
  history.map((operation) => `${JSON.stringify(operation)}\n`).join("")

export function judge(history: ReadonlyArray<Operation>): Judgement {
  const byKey = new Map<string, Array<Operation>>()
  for (const operation of history) {
    // A read without an answer says nothing.
    if (operation.op === "read" && operation.end === undefined) continue
    const ofKey = byKey.get(operation.key)
    if (ofKey === undefined) byKey.set(operation.key, [operation])
    else ofKey.push(operation)
  }
  for (const [key, operations] of byKey) {
    const found = judgeRegister(operations)
    if (found !== undefined) return { _tag: "Broken", key, ...found }
  }
  return { _tag: "Linearizable" }
}

/** The register after `operation` on `value`, or undefined when its answer cannot be. */
function after(operation: Operation, value: number): number | undefined {
  const { op, result } = operation
  if (op === "read") return result === value ? value : undefined
  if (op === "write") return operation.value as number
  const writes = value === operation.expected
  if (result !== undefined && result !== writes) return undefined
  return writes ? (operation.value as number) : value
}

interface Node {
  readonly operation: number
  readonly isCall: boolean
  /** A call's answer. */
  match: Node | undefined
  previous: Node | undefined
  next: Node | undefined
}

/** Undefined when there is an order. */
function judgeRegister(
  operations: ReadonlyArray<Operation>
): { readonly longest: ReadonlyArray<Operation>; readonly stuck: ReadonlyArray<Operation> } | undefined {
  const head = listOf(operations)
  const taken = new Uint8Array(Math.ceil(operations.length / 8))
  const tried = new Set<string>()
  const stack: Array<{ readonly node: Node; readonly value: number }> = []
  let best: ReadonlyArray<number> = []
  let open = operations.filter(({ end }) => end !== undefined).length
  let value = 0
  let at = head.next
  // Operations whose end is unknown may be left over.
  while (open > 0) {
    if (at?.isCall === true) {
      const operation = operations[at.operation] as Operation
      const next = after(operation, value)
      if (next !== undefined) {
        flip(taken, at.operation)
        const state = `${String.fromCharCode(...taken)}${next}`
        if (!tried.has(state)) {
          tried.add(state)
          stack.push({ node: at, value })
          value = next
          if (operation.end !== undefined) open--
          lift(at)
          if (stack.length > best.length) best = stack.map(({ node }) => node.operation)
          at = head.next
          continue
        }
        flip(taken, at.operation)
      }
      at = at.next
      continue
    }
    // An answer whose call was not explained yet, or the end of the list: the last step was wrong.
    const last = stack.pop()
    if (last === undefined) {
      const longest = best.map((index) => operations[index] as Operation)
      const stuck = operations.filter((operation) => !longest.includes(operation))
      return { longest, stuck }
    }
    value = last.value
    flip(taken, last.node.operation)
    if ((operations[last.node.operation] as Operation).end !== undefined) open++
    unlift(last.node)
    at = last.node.next
  }
  return undefined
}

function flip(bits: Uint8Array, at: number): void {
  bits[at >> 3] = (bits[at >> 3] as number) ^ (1 << (at & 7))
}

function listOf(operations: ReadonlyArray<Operation>): Node {
  const events: Array<{ readonly at: number; readonly node: Node }> = []
  for (const [operation, { start, end }] of operations.entries()) {
    const call: Node = { operation, isCall: true, match: undefined, previous: undefined, next: undefined }
    events.push({ at: start, node: call })
    if (end === undefined) continue
    const answer: Node = { operation, isCall: false, match: undefined, previous: undefined, next: undefined }
    call.match = answer
    events.push({ at: end, node: answer })
  }
  events.sort((a, b) => a.at - b.at)
  const head: Node = { operation: -1, isCall: false, match: undefined, previous: undefined, next: undefined }
  let last = head
  for (const { node } of events) {
    last.next = node
    node.previous = last
    last = node
  }
  return head
}

const unlink = (node: Node): void => {
  if (node.previous !== undefined) node.previous.next = node.next
  if (node.next !== undefined) node.next.previous = node.previous
}
const relink = (node: Node): void => {
  if (node.previous !== undefined) node.previous.next = node
  if (node.next !== undefined) node.next.previous = node
}

function lift(call: Node): void {
  unlink(call)
  if (call.match !== undefined) unlink(call.match)
}
function unlift(call: Node): void {
  if (call.match !== undefined) relink(call.match)
  relink(call)
}
