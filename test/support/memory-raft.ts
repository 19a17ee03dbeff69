/** A log of one member without a disk: entries are applied at once, and its faults are switches. */
import { Effect } from "effect"
import type { Leadership, OpenRaft, ProposeOutcome, RaftStatus } from "#actors/raft/protocol.ts"
import { aloneAs, NoLeader } from "#actors/raft/protocol.ts"

export class MemoryRaft {
  index = 0
  /** Proposals are answered with this instead of being applied. */
  answer: ProposeOutcome | undefined
  /** Proposals are applied, but the proposer is told that nobody knows. */
  forgetful = false
  /** Reads and proposals fail at once, as without a leader. */
  leaderless = false
  /** Reads never end, as on a member that lost its majority and has not noticed. */
  silent = false
  ageMs: number | undefined
  /** What it says of itself instead. */
  standing: Partial<RaftStatus> = {}
  /** How many rounds of reads were asked for. */
  reads = 0

  readonly open: OpenRaft<never> = ({ nodeId, machine }) => {
    const leading: Leadership = { _tag: "Leading", term: 1 }
    const status = (): RaftStatus => ({
      nodeId,
      role: "leader",
      term: 1,
      leader: nodeId,
      commit: this.index,
      applied: this.index,
      lastIndex: this.index,
      snapshotIndex: 0,
      diskBytes: 0,
      ...(this.ageMs === undefined ? {} : { ageMs: this.ageMs }),
      ...this.standing
    })
    return Effect.succeed({
      propose: (data, _id, done) => {
        if (this.answer !== undefined) return done(this.answer)
        if (this.leaderless) return done({ _tag: "NotLeader" })
        this.index += 1
        const result = machine.apply(this.index, data)
        done(
          this.forgetful
            ? { _tag: "Unknown", message: "lost leadership" }
            : { _tag: "Applied", index: this.index, result }
        )
      },
      readIndex: Effect.suspend(() => {
        this.reads += 1
        if (this.silent) return Effect.never
        return this.leaderless ? Effect.fail(new NoLeader("no leader")) : Effect.succeed(this.index)
      }),
      status,
      leadership: () => leading,
      onLeadership: (listen) => {
        listen(leading)
        return { unsubscribe: () => {} }
      },
      compact: Effect.void,
      group: aloneAs(nodeId)
    })
  }
}
