/**
 * Which log is read on, who is answered with what, and which readers are gone.
 *
 * The table of subscriptions belongs to one actor and changes in place.
 */
import type { Batch, LogRequest, LogsAnswer, LogsMessage, WireLine } from "#actors/logs/protocol.ts"
import { cancel, later, reply } from "#runtime/actions.ts"
import type { Moment, ReplyTo, Step } from "#runtime/behaviour.ts"
import { stay } from "#runtime/behaviour.ts"

/** A node with this many open logs has either a very large service or a leaking client. */
export const mostSubscriptions = 2_000
/** An empty answer after this long keeps the reader's own deadline from passing. */
export const answerWithinMs = 10_000
/** Three missed pulls: the reader is gone. */
export const forgetAfterMs = 30_000

/** What reading on came to. Said by this actor's own actions only. */
export interface Read {
  readonly _tag: "Read"
  readonly subscription: string
  readonly lines: ReadonlyArray<WireLine>
  readonly ended: boolean
  readonly problem?: string
}
export type Inside =
  | LogsMessage
  | Read
  | { readonly _tag: "Listed"; readonly asker: ReplyTo; readonly kept: Kept }
  | { readonly _tag: "NothingCame" | "Forget"; readonly subscription: string }

type Kept = Extract<LogsAnswer, { _tag: "Kept" }>

/** Which log is read. */
export interface Source {
  readonly task: string
  readonly container?: string
  /** See `Open`. */
  readonly copyOf?: string
  readonly request: LogRequest
}

export type LogsAction =
  /** Reads the next lines, opening the log if this is the first time; comes back as `Read`. */
  | { readonly _tag: "ReadOn"; readonly subscription: string; readonly source: Source }
  | { readonly _tag: "Shut"; readonly subscription: string }
  /** Looks which tasks are kept; comes back as `Listed`. */
  | { readonly _tag: "ListKept"; readonly asker: ReplyTo; readonly wanted: WantedTasks }
  /** Shuts whatever an earlier life of this actor had open. */
  | { readonly _tag: "ShutAll" }

/** Tasks of one service, or whose ids begin so. */
export interface WantedTasks {
  readonly service?: string
  readonly task?: string
}

interface Subscription {
  readonly source: Source
  /** The newest batch that was made. */
  seq: number
  reading: boolean
  ended: boolean
  /** Answered, but not yet acknowledged by a pull for what follows. */
  sent?: Batch
  /** Read ahead. */
  ready?: Batch
  asker?: ReplyTo
}

export interface LogsState {
  readonly subscriptions: Map<string, Subscription>
}

type Next = Step<LogsState, LogsAction>

export const begin = (): Next =>
  stay<LogsState, LogsAction>({ subscriptions: new Map() }, { _tag: "ShutAll" })

const keep = stay<LogsState, LogsAction>
const answer = (to: ReplyTo, message: LogsAnswer) => reply(to, message)
const waitKey = (id: string): string => `wait:${id}`
const forgetKey = (id: string): string => `forget:${id}`

export function decide(state: LogsState, message: Inside, moment: Moment): Next {
  if (message._tag === "List") return list(state, message, moment)
  if (message._tag === "Listed") {
    return keep(state, answer(message.asker, message.kept))
  }
  const known = state.subscriptions.get(message.subscription)
  switch (message._tag) {
    case "Open":
      return open(state, message, moment)
    case "Pull":
      if (moment.asker === undefined) return keep(state)
      return known
        ? pull(state, message, known, moment.asker)
        : keep(state, answer(moment.asker, { _tag: "Gone" }))
    case "Read":
      return known
        ? take(state, message, known)
        : keep(state, { _tag: "Shut", subscription: message.subscription })
    case "NothingCame": {
      const asker = known?.asker
      if (known === undefined || asker === undefined) return keep(state)
      delete known.asker
      return keep(state, answer(asker, { _tag: "Batch", seq: known.seq, lines: [], ended: false }))
    }
    case "Close":
    case "Forget":
      return forget(state, message.subscription)
  }
}

const list = (
  state: LogsState,
  { service, task }: LogsMessage & { _tag: "List" },
  { asker }: Moment
): Next =>
  asker === undefined
    ? keep(state)
    : keep(state, {
        _tag: "ListKept",
        asker,
        wanted: { ...(service !== undefined && { service }), ...(task !== undefined && { task }) }
      })

function open(state: LogsState, message: LogsMessage & { _tag: "Open" }, moment: Moment): Next {
  const { _tag, subscription, ...source } = message
  const opened = moment.asker === undefined ? [] : [answer(moment.asker, { _tag: "Opened" })]
  // Asked twice, because the first answer was lost.
  if (state.subscriptions.has(subscription)) return keep(state, ...opened)
  if (state.subscriptions.size >= mostSubscriptions) {
    return moment.asker === undefined
      ? keep(state)
      : keep(state, answer(moment.asker, { _tag: "TooMany", limit: mostSubscriptions }))
  }
  state.subscriptions.set(subscription, { source, seq: 0, reading: true, ended: false })
  return keep(
    state,
    { _tag: "ReadOn", subscription, source },
    later(forgetKey(subscription), forgetAfterMs, { _tag: "Forget", subscription }),
    ...opened
  )
}

function pull(
  state: LogsState,
  { subscription, after }: LogsMessage & { _tag: "Pull" },
  known: Subscription,
  asker: ReplyTo
): Next {
  const alive = later(forgetKey(subscription), forgetAfterMs, { _tag: "Forget", subscription })
  // The answer was lost; it is still here.
  if (known.sent !== undefined && known.sent.seq > after) return keep(state, alive, answer(asker, known.sent))
  delete known.sent
  if (known.ready !== undefined) return keep(state, alive, ...hand(subscription, known, asker))
  if (known.ended) {
    // Everything arrived: nothing is left to remember.
    const gone = forget(state, subscription)
    return keep(
      state,
      ...gone.actions,
      answer(asker, { _tag: "Batch", seq: known.seq, lines: [], ended: true })
    )
  }
  known.asker = asker
  return keep(
    state,
    alive,
    later(waitKey(subscription), answerWithinMs, { _tag: "NothingCame", subscription })
  )
}

/** Answers with what was read ahead, and reads on. */
function hand(subscription: string, known: Subscription, asker: ReplyTo): Next["actions"] {
  const batch = known.ready as Batch
  delete known.ready
  delete known.asker
  known.sent = batch
  return [cancel(waitKey(subscription)), answer(asker, batch), ...readOn(subscription, known)]
}

function readOn(subscription: string, known: Subscription): Next["actions"] {
  if (known.reading || known.ended || known.ready !== undefined) return []
  known.reading = true
  return [{ _tag: "ReadOn", subscription, source: known.source }]
}

function take(state: LogsState, read: Read, known: Subscription): Next {
  known.reading = false
  known.ended = read.ended
  known.seq += 1
  known.ready = {
    _tag: "Batch",
    seq: known.seq,
    lines: read.lines,
    ended: read.ended,
    ...(read.problem === undefined ? {} : { problem: read.problem })
  }
  const shut: Next["actions"] = read.ended ? [{ _tag: "Shut", subscription: read.subscription }] : []
  const handed = known.asker === undefined ? [] : hand(read.subscription, known, known.asker)
  return keep(state, ...shut, ...handed)
}

function forget(state: LogsState, subscription: string): Next {
  if (!state.subscriptions.delete(subscription)) return keep(state)
  return keep(
    state,
    { _tag: "Shut", subscription },
    cancel(waitKey(subscription)),
    cancel(forgetKey(subscription))
  )
}
