/**
 * Imitated time: a whole cluster runs in one thread, as fast as it can, and the same seed gives the same run.
 *
 * Events happen in the order of their time and, within one moment, in the order in which they were asked for. Turns of
 * different lanes that are due together are drawn from the seed: each lane keeps its order, as one process does, and
 * nothing orders two of them.
 */
import type { Host } from "#runtime/host.ts"
import { Fresh } from "#runtime/ids.ts"

interface Event {
  readonly at: number
  readonly sequence: number
  fire: (() => void) | undefined
}

/** A turn that never ends is a bug in what runs, and is reported as one instead of hanging the test. */
const mostTurnsAtOnce = 10_000_000

export class VirtualHost implements Host {
  #now: number
  readonly #began: number
  readonly #chance: Fresh
  readonly #dice: Fresh
  #turns: Array<() => void> = []
  /** The lane of each turn. */
  #lanes: number[] = []
  /** A binary heap, earliest first. */
  readonly #events: Event[] = []
  #sequence = 0
  // FNV-1a, 64 bits in two halves: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
  #hashLow = 0x84222325
  #hashHigh = 0xcbf29ce4
  #noted = 0
  /** Sees every line that goes into the trace hash, for telling two runs apart. */
  onNote: ((line: string) => void) | undefined

  constructor(seed: number, startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs
    this.#began = startMs
    this.#chance = Fresh.from(seed)
    this.#dice = Fresh.from(~seed)
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now - this.#began
  }

  random(): number {
    return this.#chance.fraction()
  }

  defer(turn: () => void, lane = 0): void {
    this.#turns.push(turn)
    this.#lanes.push(lane)
  }

  after(ms: number, fire: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, ms), sequence: this.#sequence++, fire }
    this.#push(event)
    return () => {
      event.fire = undefined
    }
  }

  /** Adds a line to the trace: two runs with equal hashes noted the same lines in the same order. */
  note(line: string): void {
    this.#noted++
    const text = `${this.#now} ${line}\n`
    this.onNote?.(text)
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i))
  }

  /** The hash of all lines noted so far, and how many they were. */
  traceHash(): string {
    const half = (bits: number): string => (bits >>> 0).toString(16).padStart(8, "0")
    return `${half(this.#hashHigh)}${half(this.#hashLow)}-${this.#noted}`
  }

  /** Lets `ms` milliseconds pass with everything that happens in them. */
  advance(ms: number): void {
    this.#runTo(this.#now + ms, () => false)
  }

  /** Lets time pass until `holds`, for at most `withinMs`. True when it came to hold. */
  runUntil(holds: () => boolean, withinMs: number): boolean {
    return this.#runTo(this.#now + withinMs, holds)
  }

  /** Runs what is due now, without letting time pass. */
  settle(): void {
    this.#runTo(this.#now, () => false)
  }

  #runTo(until: number, holds: () => boolean): boolean {
    this.#takeTurns()
    if (holds()) return true
    for (;;) {
      const event = this.#events[0]
      if (!event || event.at > until) break
      this.#pop()
      const { fire } = event
      if (!fire) continue
      this.#now = event.at
      fire()
      this.#takeTurns()
      if (holds()) return true
    }
    this.#now = Math.max(this.#now, until)
    return holds()
  }

  #takeTurns(): void {
    let taken = 0
    while (this.#turns.length > 0) {
      const turns = this.#mingle()
      taken += turns.length
      if (taken > mostTurnsAtOnce)
        throw new Error(`More than ${mostTurnsAtOnce} turns at one moment: ${this.#now}`)
      for (const turn of turns) turn()
    }
  }

  /** The turns that are due, those of different lanes mingled by chance. */
  #mingle(): ReadonlyArray<() => void> {
    const [turns, lanes] = [this.#turns, this.#lanes]
    this.#turns = []
    this.#lanes = []
    const first = lanes[0]
    if (lanes.every((lane) => lane === first)) return turns
    const queues = new Map<number, Array<() => void>>()
    for (let i = 0; i < turns.length; i++) {
      const lane = lanes[i] as number
      const queue = queues.get(lane)
      if (queue) queue.push(turns[i] as () => void)
      else queues.set(lane, [turns[i] as () => void])
    }
    const open = [...queues.values()].map((queue) => ({ queue, at: 0 }))
    const mingled: Array<() => void> = []
    while (open.length > 0) {
      const place = this.#dice.below(open.length)
      const drawn = open[place] as (typeof open)[number]
      mingled.push(drawn.queue[drawn.at++] as () => void)
      if (drawn.at === drawn.queue.length) open.splice(place, 1)
    }
    return mingled
  }

  #mix(byte: number): void {
    // Multiplying by the prime 2^40 + 0x1b3 in 32-bit halves.
    const low = (this.#hashLow ^ byte) >>> 0
    const high = this.#hashHigh >>> 0
    const product = low * 0x1b3
    this.#hashLow = product >>> 0
    const carry = Math.floor(product / 2 ** 32)
    this.#hashHigh = (Math.imul(high, 0x1b3) + carry + (low << 8)) >>> 0
  }

  #push(event: Event): void {
    const heap = this.#events
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isEarlier(event, heap[parent] as Event)) break
      heap[at] = heap[parent] as Event
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#events
    const last = heap.pop() as Event
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isEarlier(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!isEarlier(heap[child] as Event, last)) break
      heap[at] = heap[child] as Event
      at = child
    }
    heap[at] = last
  }
}

const isEarlier = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.sequence < b.sequence)
