/** The numbers of a member around the core, in ticks of 50 ms. */
import { coreSettings } from "#actors/raft/core/settings.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"

export const hostSettings: HostSettings = {
  core: coreSettings,
  proposalTicks: 100,
  readTicks: 60,
  // 1 s: an election takes less; whoever waits longer has lost the majority.
  patienceTicks: 20,
  resendTicks: 10,
  pendingProposals: 8_192,
  pendingBytes: 32 * 1024 * 1024,
  snapshotEntries: 50_000,
  snapshotBytes: 16 * 1024 * 1024,
  snapshotBytesAtMost: 256 * 1024 * 1024,
  chunksAtOnce: 8,
  // 0.3 s and 3 s: half a megabyte takes so long at 14 Mbit/s.
  chunkTicks: 6,
  fetchTicks: 60,
  autoPromote: true
}
