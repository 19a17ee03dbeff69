/** A nats-server's turns: it is followed, restarted once however often that is asked, and told its peers one by one. */
import type { FromNats, NatsAction, NatsMessage } from "#actors/nats/protocol.ts"
import type { NatsServerStatus } from "#actors/nats/server.ts"
import { reply } from "#runtime/actions.ts"
import { type Moment, type ReplyTo, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface NatsProps {
  readonly status: NatsServerStatus
}

export interface NatsState {
  readonly status: NatsServerStatus
  /** Who asked for the restart that is under way. */
  readonly restarting: ReadonlyArray<ReplyTo> | undefined
  /** Who told us peers, in the order in which they are joined. */
  readonly joining: ReadonlyArray<ReplyTo | undefined>
}

type NatsStep = Step<NatsState, NatsAction>
const stay = stayWith<NatsState, NatsAction>

export const begin = ({ status }: NatsProps): NatsStep =>
  stay({ status, restarting: undefined, joining: [] }, { _tag: "Follow", seen: status })

export function decide(state: NatsState, message: NatsMessage, { asker }: Moment): NatsStep {
  switch (message._tag) {
    case "Changed":
      return stay({ ...state, status: message.status }, { _tag: "Follow", seen: message.status })
    case "RestartServer": {
      const waiting = [...(state.restarting ?? []), ...(asker ? [asker] : [])]
      const next = { ...state, restarting: waiting }
      return state.restarting ? stay(next) : stay(next, { _tag: "Restart" })
    }
    case "Restarted": {
      const answer: FromNats = { ...message, _tag: "ServerRestarted" }
      const answers = (state.restarting ?? []).map((each) => reply(each, answer))
      return stay({ ...state, restarting: undefined }, ...answers)
    }
    case "SetPeers":
      return stay({ ...state, joining: [...state.joining, asker] }, { _tag: "Join", peers: message })
    case "Joined": {
      const [first, ...joining] = state.joining
      const answer: FromNats = { ...message, _tag: "PeersSet" }
      return stay({ ...state, joining }, ...(first ? [reply(first, answer)] : []))
    }
  }
}

export function summarize({ status, restarting }: NatsState): string {
  const { state, version, pid, restarts } = status
  const process = pid === undefined ? "" : `, pid ${pid}`
  const times = restarts === 0 ? "" : `, restarted ${restarts} times`
  return `nats-server ${version} ${restarting ? "leaving" : state}${process}${times}`
}
