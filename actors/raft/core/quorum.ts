/** Who decides: majorities of voters, and of both halves while a joint change is under way. */
import type { Configuration, NodeId } from "#actors/raft/core/configuration.ts"

export const majorityOf = (voters: number): number => Math.floor(voters / 2) + 1

/** Whether those of whom `agrees` is true are a quorum. Without voters there is none. */
export function isQuorum(configuration: Configuration, agrees: (voter: NodeId) => boolean): boolean {
  const { voters, outgoing } = configuration
  return hasMajority(voters, agrees) && (outgoing.length === 0 || hasMajority(outgoing, agrees))
}

function hasMajority(voters: ReadonlyArray<NodeId>, agrees: (voter: NodeId) => boolean): boolean {
  let count = 0
  for (const voter of voters) if (agrees(voter)) count++
  return count >= majorityOf(voters.length)
}

/** How an election stands; `voteOf` is undefined where no answer has come. */
export function tally(
  configuration: Configuration,
  voteOf: (voter: NodeId) => boolean | undefined
): "won" | "lost" | "open" {
  if (isQuorum(configuration, (voter) => voteOf(voter) === true)) return "won"
  return isQuorum(configuration, (voter) => voteOf(voter) !== false) ? "open" : "lost"
}

/** The greatest number that a quorum has reached. */
export function reachedByQuorum(configuration: Configuration, numberOf: (voter: NodeId) => number): number {
  const { voters, outgoing } = configuration
  const reached = reachedByMajority(voters, numberOf)
  return outgoing.length === 0 ? reached : Math.min(reached, reachedByMajority(outgoing, numberOf))
}

function reachedByMajority(voters: ReadonlyArray<NodeId>, numberOf: (voter: NodeId) => number): number {
  if (voters.length === 0) return 0
  const numbers: Array<number> = []
  for (const voter of voters) {
    // Sorted as it grows: there are seven at most in practice, and this runs for every acknowledgement.
    const number = numberOf(voter)
    let at = numbers.length
    while (at > 0 && (numbers[at - 1] as number) < number) {
      numbers[at] = numbers[at - 1] as number
      at--
    }
    numbers[at] = number
  }
  return numbers[majorityOf(voters.length) - 1] as number
}
