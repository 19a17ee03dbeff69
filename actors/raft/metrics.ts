/** What a manager tells monitoring about its part in the Raft group: every queue, how long writes take, who leads. */
import type { RaftFigures } from "#actors/raft/protocol.ts"
import { counter, gauge, histogram } from "#runtime/metrics.ts"
import type { Family, Sample } from "#runtime/openmetrics.ts"

const one = (value: number): ReadonlyArray<Sample> => [{ labels: {}, value }]

export function raftMetrics({ status, host, storage, gauges }: RaftFigures): ReadonlyArray<Family> {
  const byPeer = (value: (peer: (typeof host.peers)[number]) => number): ReadonlyArray<Sample> =>
    host.peers.map((peer) => ({ labels: { peer: peer.id }, value: value(peer) }))
  const voters = host.configuration.voters.length
  return [
    gauge("troupe_raft_term", "The term that this member is in.", one(host.term)),
    gauge("troupe_raft_leading", "1 where this member leads.", one(status.role === "leader" ? 1 : 0)),
    gauge("troupe_raft_voters", "Members that decide.", one(voters)),
    gauge(
      "troupe_raft_problem",
      "1 where this member says why it takes no part.",
      one(status.problem === undefined ? 0 : 1)
    ),
    gauge("troupe_raft_commit", "The last entry that is known here to be committed.", one(host.commit)),
    gauge(
      "troupe_raft_unapplied",
      "Committed entries that wait to be applied.",
      one(host.commit - host.applied)
    ),
    gauge(
      "troupe_raft_uncommitted",
      "Entries of the log that wait for a majority.",
      one(host.lastIndex - host.commit)
    ),
    gauge(
      "troupe_raft_undurable",
      "Entries of the log that wait for this disk.",
      one(host.lastIndex - host.durable)
    ),
    gauge(
      "troupe_raft_proposals",
      "Proposals of this node that wait for their end.",
      one(host.pendingProposals)
    ),
    gauge("troupe_raft_reads", "Reads of this node that wait for an answer.", one(host.pendingReads)),
    gauge(
      "troupe_raft_peer_behind",
      "Entries that a member has not acknowledged; told by the leader.",
      byPeer(({ match }) => host.lastIndex - match)
    ),
    gauge(
      "troupe_raft_peer_in_flight",
      "Appends on their way to a member; told by the leader.",
      byPeer(({ inFlight }) => inFlight)
    ),
    gauge(
      "troupe_raft_peer_quarantined",
      "1 where a member lost what it had acknowledged; told by the leader.",
      byPeer(({ quarantined }) => (quarantined ? 1 : 0))
    ),
    gauge("troupe_raft_log_bytes", "Log since the last snapshot.", one(storage.logBytes)),
    gauge("troupe_raft_disk_bytes", "Log and snapshots on disk.", one(storage.diskBytes)),
    gauge(
      "troupe_raft_disk_low",
      "1 where there is too little room for new entries.",
      one(storage.low ? 1 : 0)
    ),
    gauge(
      "troupe_raft_damage",
      "Damaged files that were found and are not replaced yet.",
      one(storage.damage.length)
    ),
    histogram(
      "troupe_raft_write_seconds",
      "From handing a write to the disk until it is durable.",
      gauges.writes
    ),
    histogram("troupe_raft_tick_late_seconds", "By how much ticks came late.", gauges.lateness),
    counter("troupe_raft_elections", "Elections that this member won.", one(gauges.elections)),
    counter("troupe_raft_leaders", "Leaders that this member came to know of.", one(gauges.leaders)),
    counter("troupe_raft_hints", "News that another member's process had ended.", one(gauges.hints)),
    counter(
      "troupe_raft_hints_false",
      "Such news about members that were heard again at once.",
      one(gauges.falseHints)
    )
  ]
}
