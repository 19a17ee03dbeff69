/** What was ever seen to happen, by name: a simulation that never comes somewhere proves nothing about it. */
import type { Message } from "#actors/raft/host/message.ts"
import type { HostStatus } from "#actors/raft/host/protocol.ts"

/** Every mark there is; a batch says which of them it never hit. */
export const markNames = [
  // elections
  "pre-vote granted",
  "pre-vote refused",
  "vote granted",
  "vote refused",
  "vote for a transfer",
  "leader elected",
  "pre-candidate gave up",
  "candidate gave up",
  "leader stepped down",
  "leader stepped down with entries uncommitted",
  "two leaders at one time",
  "removed member was told so",
  "member learnt that it was removed",
  // replication
  "append without entries",
  "append of one entry",
  "append of many entries",
  "append refused",
  "log cut",
  "entry of an older term committed",
  "follower fell back to probing",
  "window full",
  // reads
  "read asked of the leader",
  "read refused by who does not lead",
  "read answered",
  "read failed",
  "read on a learner",
  // proposals
  "proposal forwarded",
  "forward refused",
  "proposal applied",
  "proposal of unknown end",
  "proposal refused for lack of a leader",
  "proposal refused for overload",
  "proposal applied twice, once",
  "proposal tried at another member",
  // configuration
  "learner added",
  "learner promoted",
  "voter demoted",
  "member removed",
  "leader removed",
  "dead member removed",
  "change refused",
  "removed id refused",
  "configuration committed",
  "configuration uncommitted at its leader",
  "configuration taken back",
  "leadership handed over",
  "transfer given up",
  // snapshots
  "snapshot saved",
  "snapshot offered",
  "snapshot chunk sent",
  "snapshot gone",
  "snapshot installed",
  "snapshot installed behind a write",
  "no room for a snapshot",
  // disks and lives
  "restarted",
  "crashed in a write",
  "crashed at recovery",
  "power lost",
  "unacknowledged write lost",
  "unacknowledged write survived",
  "torn tail dropped",
  "disk error ended a member",
  "disk low",
  "leader with a stuck disk stepped down",
  "rot found",
  "rot survived",
  "rolled back and quarantined",
  "wiped and replaced",
  "all members down",
  // network
  "message lost",
  "message repeated",
  "message overtaken",
  "message minutes late",
  "message to who is down",
  "message cut off",
  "message dropped by a full link",
  "message too large",
  "foreign message refused",
  "leader cut off",
  "ticks piled up",
  "peer hinted gone",
  "core of the group came back"
] as const

export type MarkName = (typeof markNames)[number]

export class Marks {
  readonly counts = new Map<string, number>()

  hit(name: MarkName | "two unacknowledged writes survived"): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  sent(message: Message): void {
    switch (message._tag) {
      case "PreVoteReply":
        this.hit(message.granted ? "pre-vote granted" : "pre-vote refused")
        return
      case "VoteReply":
        this.hit(message.granted ? "vote granted" : "vote refused")
        return
      case "Vote":
        if (message.transfer) this.hit("vote for a transfer")
        return
      case "Append":
        this.hit(
          message.entries.length === 0
            ? "append without entries"
            : message.entries.length === 1
              ? "append of one entry"
              : "append of many entries"
        )
        return
      case "AppendReply":
        if (!message.accepted) this.hit("append refused")
        return
      case "SnapshotOffer":
        this.hit("snapshot offered")
        return
      case "SnapshotChunk":
        this.hit("snapshot chunk sent")
        return
      case "SnapshotGone":
        this.hit("snapshot gone")
        return
      case "Forward":
        this.hit("proposal forwarded")
        return
      case "ForwardRefused":
        this.hit("forward refused")
        return
      case "ReadAsk":
        this.hit("read asked of the leader")
        return
      case "ReadAnswer":
        if (message.index === 0) this.hit("read refused by who does not lead")
        return
      case "Removed":
        this.hit("removed member was told so")
        return
      default:
        return
    }
  }

  turned(before: HostStatus | undefined, after: HostStatus): void {
    if (before === undefined) return
    if (after.removed && !before.removed) this.hit("member learnt that it was removed")
    if (after.role !== before.role || after.term !== before.term) {
      if (after.role === "leader") this.hit("leader elected")
      if (after.role === "follower") {
        if (before.role === "pre-candidate") this.hit("pre-candidate gave up")
        if (before.role === "candidate") this.hit("candidate gave up")
      }
      if (before.role === "leader" && after.role !== "leader") {
        this.hit("leader stepped down")
        if (before.commit < before.lastIndex) this.hit("leader stepped down with entries uncommitted")
      }
    }
    if (after.role === "leader" && before.role === "leader") {
      if (before.transferringTo !== undefined && after.transferringTo === undefined)
        this.hit("transfer given up")
      for (const peer of after.peers) {
        const was = before.peers.find(({ id }) => id === peer.id)
        if (was?.state === "replicate" && peer.state === "probe") this.hit("follower fell back to probing")
      }
    }
  }

  add(other: Marks): void {
    for (const [name, count] of other.counts) this.counts.set(name, (this.counts.get(name) ?? 0) + count)
  }
}
