/** Learners become voters by themselves once they keep up. Raft §4.2.1. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { CoreStatus } from "#actors/raft/core/protocol.ts"

/** A round: how long a learner takes to get what the log held when the round began. */
export interface CatchUp {
  readonly target: number
  readonly since: number
  readonly quickRounds: number
}

// Two in a row: the first may have been short only because little was written.
const roundsWanted = 2

/**
 * How far each learner has come at tick `now`, and the first that may be promoted. A round is quick if it takes no
 * longer than an election timeout: then the group would not wait for this voter longer than for a new leader.
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
    const round = before.get(peer.id) ?? { target: status.lastIndex, since: now, quickRounds: 0 }
    if (peer.match < round.target || peer.state !== "replicate" || peer.silentTicks >= electionTicks) {
      rounds.set(peer.id, round)
      continue
    }
    const quickRounds = now - round.since <= electionTicks ? round.quickRounds + 1 : 0
    rounds.set(peer.id, { target: status.lastIndex, since: now, quickRounds })
    if (quickRounds >= roundsWanted) ready ??= peer.id
  }
  return { rounds, ready }
}
