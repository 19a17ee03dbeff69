/** Learners become voters by themselves once they keep up. Raft §4.2.1. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { CoreStatus } from "#actors/raft/core/protocol.ts"

/** A round: how long a learner takes to get what the log held when the round began. */
export interface CatchUp {
  readonly target: number
  readonly since: number
  readonly quickRounds: number
  /** Since when it was never silent for half an election timeout. */
  readonly steadySince: number
}

// Two in a row: the first may have been short only because little was written.
const roundsWanted = 2

/**
 * How far each learner has come at tick `now`, and the first that may be promoted. A round is quick if it takes no
 * longer than an election timeout: then the group would not wait for this voter longer than for a new leader. For as
 * long it must not have been silent: a process that only starts is held up again and again, and as one of two voters
 * each time it would cost the leader its majority.
 */
export function judgeLearners(
  status: CoreStatus,
  before: ReadonlyMap<NodeId, CatchUp>,
  now: number,
  electionTicks: number
): { readonly rounds: ReadonlyMap<NodeId, CatchUp>; readonly ready: NodeId | undefined } {
  const rounds = new Map<NodeId, CatchUp>()
  let ready: NodeId | undefined
  for (const peer of status.peers) {
    if (peer.voter) continue
    const fresh = { target: status.lastIndex, since: now, quickRounds: 0, steadySince: now }
    const round = before.get(peer.id) ?? fresh
    const steadySince = peer.silentTicks >= electionTicks / 2 ? now : round.steadySince
    if (peer.match < round.target || peer.state !== "replicate" || peer.silentTicks >= electionTicks) {
      rounds.set(peer.id, { ...round, steadySince })
      continue
    }
    const quickRounds = now - round.since <= electionTicks ? round.quickRounds + 1 : 0
    rounds.set(peer.id, { target: status.lastIndex, since: now, quickRounds, steadySince })
    if (quickRounds >= roundsWanted && now - steadySince >= electionTicks) ready ??= peer.id
  }
  return { rounds, ready }
}
