/** The pieces of a chain of messages, as several processes saw them, put together: what led to one, and what it led to. */
import type { TraceRecord } from "#runtime/trace.ts"

/** What one process knows. */
export interface Piece {
  readonly nodeId: string
  readonly record: TraceRecord
}

/** One message with everything that is known of it, and the messages it led to, oldest first. */
export interface TraceNode {
  readonly id: string
  readonly pieces: ReadonlyArray<Piece>
  readonly children: ReadonlyArray<TraceNode>
}

export interface Chain {
  /** What led to the message, oldest first; the first may be one of which only its id is known. */
  readonly ancestors: ReadonlyArray<Omit<TraceNode, "children">>
  readonly node: TraceNode
}

/** What is known so far, and what to ask for next. */
export class TraceSearch {
  readonly #pieces = new Map<string, Piece[]>()
  readonly #led = new Map<string, Set<string>>()
  readonly #askedExact = new Set<string>()
  readonly #askedLed = new Set<string>()
  readonly #id: string

  constructor(id: string) {
    this.#id = id
  }

  get size(): number {
    return this.#pieces.size
  }

  /** Ids not asked for yet: `exact` backwards along the causes, `ledBy` forwards from the message. */
  next(): { readonly exact: ReadonlyArray<string>; readonly ledBy: ReadonlyArray<string> } {
    const exact = this.#back().filter((id) => !this.#askedExact.has(id))
    const ledBy = [...this.#forward()].filter((id) => !this.#askedLed.has(id))
    for (const id of exact) this.#askedExact.add(id)
    for (const id of ledBy) this.#askedLed.add(id)
    return { exact, ledBy }
  }

  take(nodeId: string, records: ReadonlyArray<TraceRecord>): void {
    for (const record of records) {
      const known = this.#pieces.get(record.id) ?? []
      const isNews = !known.some((piece) => piece.nodeId === nodeId && piece.record.to === record.to)
      if (isNews) known.push({ nodeId, record })
      this.#pieces.set(record.id, known)
      if (record.cause === undefined) continue
      const led = this.#led.get(record.cause) ?? new Set()
      led.add(record.id)
      this.#led.set(record.cause, led)
    }
  }

  /** `undefined` when nobody knew the message. */
  chain(): Chain | undefined {
    if (!this.#pieces.has(this.#id) && !this.#led.has(this.#id)) return undefined
    const ancestors = this.#back()
      .slice(1)
      .reverse()
      .map((id) => ({ id, pieces: this.#sorted(id) }))
    return { ancestors, node: this.#node(this.#id, new Set()) }
  }

  #node(id: string, above: ReadonlySet<string>): TraceNode {
    const below = new Set([...above, id])
    const children = [...(this.#led.get(id) ?? [])]
      .filter((child) => !below.has(child))
      .map((child) => this.#node(child, below))
      .sort((left, right) => timeOf(left) - timeOf(right))
    return { id, pieces: this.#sorted(id), children }
  }

  #sorted(id: string): ReadonlyArray<Piece> {
    return [...(this.#pieces.get(id) ?? [])].sort((left, right) => left.record.at - right.record.at)
  }

  /** The message and its causes, the nearest first. */
  #back(): ReadonlyArray<string> {
    const found = [this.#id]
    for (;;) {
      const pieces = this.#pieces.get(found.at(-1) as string) ?? []
      const cause = pieces.find(({ record }) => record.cause !== undefined)?.record.cause
      if (cause === undefined || found.includes(cause)) return found
      found.push(cause)
    }
  }

  #forward(): ReadonlySet<string> {
    const found = new Set([this.#id])
    for (const id of found) for (const child of this.#led.get(id) ?? []) found.add(child)
    return found
  }
}

const timeOf = ({ pieces }: TraceNode): number => pieces[0]?.record.at ?? 0
