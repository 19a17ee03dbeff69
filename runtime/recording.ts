/**
 * A flight recording as a file: JSON lines, so that what was written before a process died can be read.
 *
 * The first line says whose it is. Then come the lines of what actors share (a `Shared` line is its owner's to read),
 * then what happened, oldest first.
 */
import { Schema } from "effect"

const Header = Schema.Struct({
  _tag: Schema.Literal("Recording"),
  version: Schema.Literal(1),
  nodeId: Schema.String,
  cluster: Schema.String,
  /** When it was written, milliseconds since the epoch. */
  at: Schema.Number,
  /** How many records had been pushed out of the ring. */
  dropped: Schema.Number
})

/** Where the shared state stood: its last entry, and that entry's time. */
const Position = Schema.Struct({ index: Schema.Number, time: Schema.Number })

const Fresh = Schema.Tuple([Schema.Number, Schema.Number, Schema.Number, Schema.Number])

/** What every record says: whose, which life, and its place among that life's decisions; the start is 0. */
const place = { actor: Schema.String, life: Schema.Number, seq: Schema.Number }

const input = {
  now: Schema.Number,
  fresh: Fresh,
  shared: Schema.optionalKey(Position),
  /** The fingerprint of the state and the actions that followed; absent when the decision threw. */
  hash: Schema.optionalKey(Schema.Number)
}

const Started = Schema.Struct({
  _tag: Schema.Literal("Started"),
  ...place,
  ...input,
  /** As `toPlain` writes it. */
  props: Schema.optionalKey(Schema.Unknown),
  /** Why the props are not here. */
  withheld: Schema.optionalKey(Schema.String)
})

const Decided = Schema.Struct({
  _tag: Schema.Literal("Decided"),
  ...place,
  ...input,
  tag: Schema.String,
  id: Schema.optionalKey(Schema.String),
  from: Schema.optionalKey(Schema.String),
  asker: Schema.optionalKey(Schema.Struct({ to: Schema.String, deadline: Schema.Number })),
  message: Schema.optionalKey(Schema.Unknown),
  withheld: Schema.optionalKey(Schema.String)
})

/** The state before the decision of the same `seq`: a replay can begin here. */
const Checkpoint = Schema.Struct({ _tag: Schema.Literal("Checkpoint"), ...place, state: Schema.Unknown })

const Crashed = Schema.Struct({
  _tag: Schema.Literal("Crashed"),
  ...place,
  now: Schema.Number,
  error: Schema.String
})

/** A line about what actors share, by its name in states and props. */
const Shared = Schema.Struct({ _tag: Schema.Literal("Shared"), name: Schema.String, body: Schema.Unknown })

const Line = Schema.Union([Header, Started, Decided, Checkpoint, Crashed, Shared])

export type Header = typeof Header.Type
export type Started = typeof Started.Type
export type Decided = typeof Decided.Type
export type Checkpoint = typeof Checkpoint.Type
export type Crashed = typeof Crashed.Type
export type Shared = typeof Shared.Type
export type Recorded = Started | Decided | Checkpoint | Crashed
export type Line = typeof Line.Type

export interface Recording {
  readonly header: Header
  readonly shared: ReadonlyArray<Shared>
  readonly records: ReadonlyArray<Recorded>
  /** Lines that could not be read, such as the last one of a process that died while it wrote. */
  readonly broken: number
}

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Line))

/** Reads a recording; an error says why it is none. */
export function readRecording(text: string): Recording | Error {
  let header: Header | undefined
  const shared: Shared[] = []
  const records: Recorded[] = []
  let broken = 0
  for (const line of text.split("\n")) {
    if (line === "") continue
    const read = decode(line)
    if (read._tag === "Failure") broken++
    else if (read.success._tag === "Recording") header ??= read.success
    else if (read.success._tag === "Shared") shared.push(read.success)
    else records.push(read.success)
  }
  if (!header) return new Error("its first line is not that of a flight recording of version 1")
  return { header, shared, records, broken }
}
