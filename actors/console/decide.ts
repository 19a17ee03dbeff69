/**
 * Which console is begun, read, and ended, and who is answered with what.
 *
 * The table of consoles belongs to one actor and changes in place.
 */
import type { ConsolesAnswer, ConsolesMessage, Health, Output } from "#actors/console/protocol.ts"
import { cancel, later, reply } from "#runtime/actions.ts"
import type { Moment, ReplyTo, Step } from "#runtime/behaviour.ts"
import { stay } from "#runtime/behaviour.ts"

/** Each is a process beside a task, and a connection to the Engine. */
export const mostConsoles = 64
/** An empty answer after this long keeps the asker's own deadline from passing. */
export const answerWithinMs = 10_000
/** Three questions that did not come: the gateway is gone. */
export const forgetAfterMs = 30_000

type Open = Extract<ConsolesMessage, { _tag: "Open" }>
type Examine = Extract<ConsolesMessage, { _tag: "Examine" }>
export type Examination = Health | Extract<ConsolesAnswer, { _tag: "Gone" | "Refused" }>

/** Beside what others say: what became of this actor's own actions, and its timers. */
export type Inside =
  | ConsolesMessage
  | { readonly _tag: "Begun"; readonly console: string; readonly problem?: string }
  | { readonly _tag: "Came"; readonly console: string; readonly output: Output }
  | { readonly _tag: "Wrote"; readonly asker: ReplyTo }
  | { readonly _tag: "Examined"; readonly asker: ReplyTo; readonly found: Examination }
  | { readonly _tag: "NothingCame" | "Forget"; readonly console: string }

export type ConsolesAction =
  /** Runs the command; comes back as `Begun`. */
  | { readonly _tag: "Begin"; readonly open: Open }
  /** Waits for the next part of the output; comes back as `Came`. */
  | { readonly _tag: "ReadOn"; readonly console: string }
  /** Comes back as `Wrote`. */
  | { readonly _tag: "WriteOn"; readonly console: string; readonly data: string; readonly asker: ReplyTo }
  | { readonly _tag: "SetSize"; readonly console: string; readonly columns: number; readonly rows: number }
  /** Ends the command. */
  | { readonly _tag: "Shut"; readonly console: string }
  /** Looks what the health check came to; comes back as `Examined`. */
  | { readonly _tag: "LookAt"; readonly examine: Examine; readonly asker: ReplyTo }
  /** Ends whatever an earlier life of this actor had open. */
  | { readonly _tag: "ShutAll" }

interface Known {
  /** Who waits for it to be open, and then for output. */
  asker?: ReplyTo | undefined
  /** Read, but not asked for yet. */
  ready?: Output | undefined
}

export interface ConsolesState {
  readonly consoles: Map<string, Known>
}

type Next = Step<ConsolesState, ConsolesAction>

export const begin = (): Next =>
  stay<ConsolesState, ConsolesAction>({ consoles: new Map() }, { _tag: "ShutAll" })

const keep = stay<ConsolesState, ConsolesAction>
const answer = (to: ReplyTo | undefined, message: ConsolesAnswer) =>
  to === undefined ? [] : [reply(to, message)]
const waitKey = (id: string): string => `wait:${id}`
const forgetKey = (id: string): string => `forget:${id}`
const alive = (console: string) => later(forgetKey(console), forgetAfterMs, { _tag: "Forget", console })

export function decide(state: ConsolesState, message: Inside, { asker }: Moment): Next {
  if (message._tag === "Wrote") return keep(state, reply(message.asker, { _tag: "Taken" }))
  if (message._tag === "Examined") return keep(state, reply(message.asker, message.found))
  if (message._tag === "Examine")
    return asker === undefined ? keep(state) : keep(state, { _tag: "LookAt", examine: message, asker })
  const id = message.console
  const known = state.consoles.get(id)
  if (message._tag === "Open") return open(state, message, asker)
  if (message._tag === "Begun") return begun(state, message, known)
  if (known === undefined) return keep(state, ...answer(asker, { _tag: "Gone" }))
  switch (message._tag) {
    case "Read": {
      const { ready } = known
      if (ready === undefined) {
        known.asker = asker
        return keep(
          state,
          alive(id),
          later(waitKey(id), answerWithinMs, { _tag: "NothingCame", console: id })
        )
      }
      known.ready = undefined
      return hand(state, id, ready, asker)
    }
    case "Came": {
      const waiting = known.asker
      known.asker = undefined
      if (waiting !== undefined) return hand(state, id, message.output, waiting)
      known.ready = message.output
      return keep(state)
    }
    case "NothingCame": {
      const waiting = known.asker
      known.asker = undefined
      return keep(state, ...answer(waiting, { _tag: "Output" }))
    }
    case "Write":
      return asker === undefined
        ? keep(state)
        : keep(state, alive(id), { _tag: "WriteOn", console: id, data: message.data, asker })
    case "Resize":
      return keep(state, { _tag: "SetSize", console: id, columns: message.columns, rows: message.rows })
    case "Close":
    case "Forget":
      return keep(state, ...answer(known.asker, { _tag: "Gone" }), ...forget(state, id))
  }
}

function open(state: ConsolesState, message: Open, asker: ReplyTo | undefined): Next {
  // Asked twice, because the first answer was late.
  if (state.consoles.has(message.console)) return keep(state, ...answer(asker, { _tag: "Opened" }))
  if (state.consoles.size >= mostConsoles)
    return keep(state, ...answer(asker, { _tag: "TooMany", limit: mostConsoles }))
  state.consoles.set(message.console, { asker })
  return keep(state, { _tag: "Begin", open: message }, alive(message.console))
}

function begun(
  state: ConsolesState,
  { console: id, problem }: Inside & { _tag: "Begun" },
  known: Known | undefined
): Next {
  // Whoever wanted it is gone.
  if (known === undefined) return keep(state, { _tag: "Shut", console: id })
  const waiting = known.asker
  known.asker = undefined
  return problem === undefined
    ? keep(state, ...answer(waiting, { _tag: "Opened" }), { _tag: "ReadOn", console: id })
    : keep(state, ...answer(waiting, { _tag: "Refused", message: problem }), ...forget(state, id))
}

/** Answers with what came, and reads on. */
function hand(state: ConsolesState, id: string, output: Output, asker: ReplyTo | undefined): Next {
  return output.ended === undefined
    ? keep(state, alive(id), cancel(waitKey(id)), ...answer(asker, output), { _tag: "ReadOn", console: id })
    : keep(state, ...answer(asker, output), ...forget(state, id))
}

function forget(state: ConsolesState, id: string): Next["actions"] {
  state.consoles.delete(id)
  return [{ _tag: "Shut", console: id }, cancel(waitKey(id)), cancel(forgetKey(id))]
}
