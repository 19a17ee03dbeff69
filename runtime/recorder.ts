/**
 * The flight recorder: a bounded ring of what actors decided, from which the decisions can be made again offline.
 *
 * It keeps messages as they are, without a copy: they are plain data that nobody changes. They become text when the
 * ring is written down, or never. What may hold a secret (`secrets` of its definition) is never kept at all.
 */
import type { AnyActor } from "#runtime/actor.ts"
import { type Address, showAddress } from "#runtime/address.ts"
import { type Cell, describeError } from "#runtime/cell.ts"
import { tagOf } from "#runtime/dead-letters.ts"
import { fingerprint, type Unseen } from "#runtime/fingerprint.ts"
import type { FreshState } from "#runtime/ids.ts"
import type { Letter } from "#runtime/mailbox.ts"
import type { DecisionObserver } from "#runtime/observer.ts"
import { NotPlain, type PlainOptions, sizeOf, toPlain } from "#runtime/plain.ts"
import type { Line, Recorded } from "#runtime/recording.ts"

/** State outside of actors that their decisions read, such as replicated tables. */
export interface SharedState {
  /** What it is called in recordings. */
  readonly name: string
  /** The object as it stands in props and states. */
  readonly object: object
  readonly index: () => number
  readonly time: () => number
  /** What a replay needs to follow it: plain, without secrets, oldest first. */
  readonly lines: () => Iterable<unknown>
}

export interface RecorderOptions {
  readonly nodeId: string
  readonly cluster: string
  /** What the ring may take in memory, as far as it can be told without measuring every message. */
  readonly maxBytes?: number
  /** Which kinds are recorded; all of them unless given. */
  readonly records?: (kind: string) => boolean
  /** Names of fields that hold secrets wherever they stand: never written down, never compared. */
  readonly secretFields?: ReadonlySet<string>
  readonly shared?: SharedState
}

const usualBytes = 16 * 1_024 * 1_024
/** Decisions between two checkpoints: what a replay from the middle has to go through at most, were it at hand. */
const checkpointEvery = 256
/** A larger state is not written down; its actor is replayed from its start, while the ring has it. */
const checkpointValues = 4_096
/**
 * What may be recorded of one actor in a slice of time: each decision is so many values for its entry, and those that
 * its fingerprint looks at. A value takes some 20 ns, so a slice costs an actor in a hurry less than 1 % of its time,
 * where all of it would cost more than its own work and leave some 10 ms of everybody's in the ring. What follows in
 * that slice is passed over, and recorded only if it crashes.
 */
const valuesPerSlice = 32_768
const valuesPerEntry = 16
const sliceMs = 250
/** An entry's own objects, beside its message. */
const entryBytes = 240

/** What is kept of an actor as long as it lives. */
interface Subject {
  readonly name: string
  readonly definition: AnyActor
  readonly on: boolean
  life: number
  seq: number
  sinceBase: number
  /** The newest entry from which a replay can begin. */
  base: Entry | undefined
  /** Its state was refused once in this life; it is not tried again. */
  noCheckpoints: boolean
  /** The decision under way. */
  open: Entry | undefined
  /** The decision under way that is passed over, and the state that it was given. */
  passed: Letter | undefined
  passedState: unknown
  sliceEnds: number
  leftInSlice: number
}

interface Entry {
  readonly subject: Subject
  readonly tag: "Started" | "Decided" | "Checkpoint" | "Crashed"
  readonly life: number
  readonly seq: number
  readonly now: number
  readonly fresh: FreshState | undefined
  readonly index: number
  readonly time: number
  /** Props, a letter, a checkpoint's plain state, or an error's words; only a tag where `secret`. */
  readonly content: unknown
  readonly secret: boolean
  readonly bytes: number
  hash: number | undefined
}

export class FlightRecorder implements DecisionObserver {
  readonly #options: RecorderOptions
  readonly #maxBytes: number
  readonly #unseen: Unseen
  readonly #plain: PlainOptions
  /** A queue: what was dropped from its front is cut off now and then. */
  #entries: Entry[] = []
  #first = 0
  #bytes = 0
  #dropped = 0

  constructor(options: RecorderOptions) {
    const { shared, secretFields = new Set() } = options
    this.#options = options
    this.#maxBytes = options.maxBytes ?? usualBytes
    this.#unseen = { shared: new Set(shared ? [shared.object] : []), secret: secretFields }
    this.#plain = { shared: new Map(shared ? [[shared.object, shared.name]] : []), secret: secretFields }
  }

  /** As estimated. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#entries.length - this.#first
  }

  readonly starting = (cell: Cell, props: unknown, now: number): void => {
    const subject = this.#subjectOf(cell)
    if (!subject.on) return
    subject.life = cell.life
    subject.seq = 0
    subject.sinceBase = 0
    subject.noCheckpoints = subject.definition.secrets !== undefined
    const entry = this.#note(cell, subject, "Started", now, props, sizeOf(props))
    subject.base = entry
    subject.open = entry
  }

  readonly deciding = (cell: Cell, letter: Letter, now: number, state: unknown): void => {
    const subject = this.#subjectOf(cell)
    if (!subject.on) return
    subject.seq++
    if (this.#affords(subject, now)) this.#decide(cell, subject, letter, now, state)
    else {
      subject.base = undefined
      subject.passed = letter
      subject.passedState = state
    }
  }

  #decide(cell: Cell, subject: Subject, letter: Letter, now: number, state: unknown): void {
    subject.sinceBase++
    if (!subject.noCheckpoints && (subject.base === undefined || subject.sinceBase >= checkpointEvery)) {
      this.#checkpoint(cell, subject, now, state)
    }
    const { message } = letter
    const isSecret = subject.definition.secrets?.(message as never) ?? false
    subject.open = isSecret
      ? this.#note(cell, subject, "Decided", now, tagOf(message), 0, true)
      : this.#note(cell, subject, "Decided", now, letter, sizeOf(message))
  }

  readonly decided = (cell: Cell, state: unknown, actions: ReadonlyArray<unknown>): void => {
    const subject = cell.observed as Subject
    const entry = subject.open
    if (!entry) {
      subject.passed = undefined
      subject.passedState = undefined
      return
    }
    const { hash, seen } = fingerprint(this.#unseen, state, actions)
    entry.hash = hash
    subject.leftInSlice -= valuesPerEntry + seen
    subject.open = undefined
  }

  readonly crashed = (cell: Cell, error: unknown): void => {
    const subject = this.#subjectOf(cell)
    if (!subject.on) return
    const { passed } = subject
    if (passed) this.#decide(cell, subject, passed, cell.now, subject.passedState)
    subject.passed = undefined
    subject.passedState = undefined
    subject.open = undefined
    this.#note(cell, subject, "Crashed", cell.now, describeError(error), 64)
  }

  /** What an actor went through lately, oldest first, one line each. */
  recent(of: Address, limit: number): ReadonlyArray<string> {
    return this.recentOf(showAddress(of), limit)
  }

  /** `recent`, for an address as `showAddress` writes it. */
  recentOf(name: string, limit: number): ReadonlyArray<string> {
    const lines: string[] = []
    for (let i = this.#entries.length - 1; i >= this.#first && lines.length < limit; i--) {
      const entry = this.#entries[i] as Entry
      if (entry.subject.name === name && entry.tag !== "Checkpoint") lines.push(describe(entry))
    }
    return lines.reverse()
  }

  /** The recording as text, a line each; `at` is the time now. */
  *lines(at: number): IterableIterator<string> {
    const { nodeId, cluster, shared } = this.#options
    const line = (value: Line): string => JSON.stringify(value)
    yield line({ _tag: "Recording", version: 1, nodeId, cluster, at, dropped: this.#dropped })
    for (const body of shared?.lines() ?? []) yield line({ _tag: "Shared", name: shared?.name ?? "", body })
    for (let i = this.#first; i < this.#entries.length; i++)
      yield line(this.#write(this.#entries[i] as Entry))
  }

  #subjectOf(cell: Cell): Subject {
    if (cell.observed !== undefined) return cell.observed as Subject
    const { definition, life } = cell
    const subject: Subject = {
      name: showAddress(cell.self),
      definition,
      on: this.#options.records?.(definition.kind) ?? true,
      life,
      seq: 0,
      sinceBase: 0,
      base: undefined,
      noCheckpoints: definition.secrets !== undefined,
      open: undefined,
      passed: undefined,
      passedState: undefined,
      sliceEnds: 0,
      leftInSlice: 0
    }
    cell.observed = subject
    return subject
  }

  /** Whether one more decision of this actor is recorded; what it takes from the slice is known once it was made. */
  #affords(subject: Subject, now: number): boolean {
    if (now >= subject.sliceEnds || now < subject.sliceEnds - sliceMs) {
      subject.sliceEnds = now + sliceMs
      subject.leftInSlice = valuesPerSlice
    }
    return subject.leftInSlice > 0
  }

  #note(
    cell: Cell,
    subject: Subject,
    tag: Entry["tag"],
    now: number,
    content: unknown,
    bytes: number,
    secret = false
  ): Entry {
    const { shared } = this.#options
    const isDecision = tag === "Started" || tag === "Decided"
    const entry: Entry = {
      subject,
      tag,
      life: subject.life,
      seq: subject.seq,
      now,
      fresh: isDecision ? cell.fresh.state() : undefined,
      index: shared?.index() ?? 0,
      time: shared?.time() ?? 0,
      content,
      secret,
      bytes: bytes + entryBytes,
      hash: undefined
    }
    this.#entries.push(entry)
    this.#bytes += entry.bytes
    while (this.#bytes > this.#maxBytes) this.#drop()
    return entry
  }

  #drop(): void {
    const entry = this.#entries[this.#first] as Entry
    this.#entries[this.#first] = undefined as never
    this.#first++
    this.#bytes -= entry.bytes
    this.#dropped++
    if (entry.subject.base === entry) entry.subject.base = undefined
    if (this.#first > 1_024 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
  }

  #checkpoint(cell: Cell, subject: Subject, now: number, state: unknown): void {
    try {
      const text = JSON.stringify(toPlain(state, { ...this.#plain, most: checkpointValues }))
      subject.sinceBase = 0
      subject.base = this.#note(cell, subject, "Checkpoint", now, text, text.length)
    } catch (error) {
      if (!(error instanceof NotPlain)) throw error
      subject.noCheckpoints = true
    }
  }

  #write(entry: Entry): Recorded {
    const { subject, life, seq, now } = entry
    const place = { actor: subject.name, life, seq }
    if (entry.tag === "Crashed") return { _tag: "Crashed", ...place, now, error: String(entry.content) }
    if (entry.tag === "Checkpoint") {
      return { _tag: "Checkpoint", ...place, state: JSON.parse(String(entry.content)) }
    }
    const input = {
      now,
      fresh: entry.fresh as FreshState,
      ...(this.#options.shared && { shared: { index: entry.index, time: entry.time } }),
      ...(entry.hash !== undefined && { hash: entry.hash })
    }
    if (entry.tag === "Started") {
      return { _tag: "Started", ...place, ...input, ...this.#content("props", entry.content) }
    }
    if (entry.secret) {
      const withheld = "it may hold a secret"
      return { _tag: "Decided", ...place, ...input, tag: String(entry.content), withheld }
    }
    const { message, from, asker, cause } = entry.content as Letter
    return {
      _tag: "Decided",
      ...place,
      ...input,
      tag: tagOf(message),
      ...(cause && { id: cause.id }),
      ...(from && { from: showAddress(from) }),
      ...(asker && { asker }),
      ...this.#content("message", message)
    }
  }

  #content(name: string, value: unknown): Readonly<Record<string, unknown>> {
    try {
      return { [name]: toPlain(value, this.#plain) }
    } catch (error) {
      if (error instanceof NotPlain) return { withheld: `it is not plain data: ${error.message}` }
      throw error
    }
  }
}

function describe(entry: Entry): string {
  const at = new Date(entry.now).toISOString().slice(11, 23)
  switch (entry.tag) {
    case "Started":
      return `${at} started, life ${entry.life}`
    case "Crashed":
      return `${at} crashed: ${entry.content}`
    default: {
      const letter = entry.content as Letter
      const tag = entry.secret ? String(entry.content) : tagOf(letter.message)
      const from = !entry.secret && letter.from ? ` from ${showAddress(letter.from)}` : ""
      const id = !entry.secret && letter.cause ? ` [message ${letter.cause.id}]` : ""
      return `${at} ${tag}${from}${id}`
    }
  }
}
