/** Looks ten times a second while a service sleeps, and not at all while none does. */
import type { ActivatorAction, ActivatorMessage, Sleeper } from "#actors/node/activator/protocol.ts"
import type { FromNode } from "#actors/node/protocol.ts"
import { later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface ActivatorState {
  readonly session: string
  readonly sleepers: ReadonlyArray<Sleeper>
  /** A look is under way, or due. */
  readonly looking: boolean
  /** By service, when the leader was told last that somebody waits. */
  readonly toldAt: ReadonlyMap<string, number>
}

type ActivatorStep = Step<ActivatorState, ActivatorAction>
const stay = stayWith<ActivatorState, ActivatorAction>

const lookEveryMs = 100
const tellEveryMs = 1_000

export const start = (_props: undefined, _moment: Moment): ActivatorStep =>
  stay({ session: "", sleepers: [], looking: false, toldAt: new Map() })

export function decide(state: ActivatorState, message: ActivatorMessage, moment: Moment): ActivatorStep {
  switch (message._tag) {
    case "Watch": {
      const { session, sleepers } = message
      const known = { ...state, session, sleepers }
      return state.looking ? stay(known) : look(known)
    }
    case "LookAgain":
      return look(state)
    case "Looked":
      return looked(state, message.waiting, moment)
  }
}

const look = (state: ActivatorState): ActivatorStep =>
  state.sleepers.length === 0
    ? stay({ ...state, looking: false, toldAt: new Map() })
    : stay({ ...state, looking: true }, { _tag: "Look", sleepers: state.sleepers })

function looked(state: ActivatorState, waiting: ReadonlyArray<string>, { self, now }: Moment): ActivatorStep {
  const again = later("look", lookEveryMs, { _tag: "LookAgain" } satisfies ActivatorMessage)
  const due = waiting.filter((id) => now - (state.toldAt.get(id) ?? Number.NEGATIVE_INFINITY) >= tellEveryMs)
  const toldAt = new Map(
    waiting.map((id) => [id, due.includes(id) ? now : (state.toldAt.get(id) ?? now)] as const)
  )
  if (due.length === 0) return stay({ ...state, toldAt }, again)
  const message: FromNode = { _tag: "Waiting", session: state.session, services: due }
  return stay({ ...state, toldAt }, tell(address("leader", "node", self.home), message), again)
}

export const summary = ({ sleepers }: ActivatorState): string => `${sleepers.length} services sleep`
