/** Changes of the group, one member at a time. */
import { notLeader, propose } from "#actors/raft/core/append.ts"
import {
  type ConfigChange,
  type Configuration,
  encodeConfiguration,
  hasRoom,
  isMember,
  type NodeId,
  wasRemoved
} from "#actors/raft/core/configuration.ts"
import type { ConfigResult } from "#actors/raft/core/protocol.ts"
import { majorityOf } from "#actors/raft/core/quorum.ts"
import { configurationIndexOf, configurationOf, type State } from "#actors/raft/core/state.ts"
import { entryType } from "#actors/raft/entry.ts"

const refuse = (reason: string) => ({ _tag: "Refused", reason }) as const

/** The configuration after a change, or why there is none. */
export function changed(
  configuration: Configuration,
  change: ConfigChange
): Configuration | { readonly _tag: "Refused"; readonly reason: string } {
  const { node } = change
  const { voters, learners, removed } = configuration
  const without = (list: ReadonlyArray<NodeId>) => list.filter((id) => id !== node)
  const and = (list: ReadonlyArray<NodeId>) => [...list, node].sort()
  const isLast = voters.length === 1 && voters[0] === node
  switch (change._tag) {
    case "AddLearner":
      if (wasRemoved(configuration, node))
        return refuse(`${node} was removed, and never comes back under that id`)
      if (isMember(configuration, node)) return refuse(`${node} is a member already`)
      if (!hasRoom({ ...configuration, learners: and(learners) }))
        return refuse(`the group has ${voters.length + learners.length} members, and room for no other`)
      return { ...configuration, learners: and(learners) }
    case "Promote":
      if (!learners.includes(node)) return refuse(`${node} is not a learner`)
      return { ...configuration, voters: and(voters), learners: without(learners) }
    case "Demote":
      if (!voters.includes(node)) return refuse(`${node} is not a voter`)
      if (isLast) return refuse(`${node} is the last voter`)
      return { ...configuration, voters: without(voters), learners: and(learners) }
    case "Remove":
      if (!isMember(configuration, node)) return refuse(`${node} is not a member of the group`)
      if (isLast) return refuse(`${node} is the last voter`)
      return {
        ...configuration,
        voters: without(voters),
        learners: without(learners),
        removed: [...removed, node]
      }
  }
}

/** Whether enough of the voters of `next` were heard lately to decide anything. */
function keepsQuorum(state: State, next: Configuration): boolean {
  const isHeard = (id: NodeId): boolean => {
    if (id === state.id) return true
    const peer = state.peers.get(id)
    return peer !== undefined && state.now - peer.heardAt < state.settings.electionTicks
  }
  return next.voters.filter(isHeard).length >= majorityOf(next.voters.length)
}

/** Appends a change, if it may be made now. */
export function reconfigure(state: State, change: ConfigChange, force: boolean): ConfigResult {
  if (state.role !== "leader" || state.resigning) return notLeader(state)
  // Until then, a change of an earlier leader may still be open: Ongaro, raft-dev, July 2015.
  if (state.commit < state.termStart) return refuse("no entry of this term is committed yet")
  if (configurationIndexOf(state) > state.commit) return refuse("another change is not committed yet")
  const configuration = configurationOf(state)
  const next = changed(configuration, change)
  if ("_tag" in next) return next
  if (change._tag === "Promote" && !force && state.peers.get(change.node)?.state !== "replicate") {
    return refuse(`${change.node} has not caught up with the log`)
  }
  if (!force && next.voters !== configuration.voters && !keepsQuorum(state, next)) {
    return refuse("it would leave fewer reachable voters than a decision needs")
  }
  return propose(state, [{ type: entryType.config, data: encodeConfiguration(next) }])
}
