/**
 * What one seed's life is like. Not everything goes wrong in every life: each seed draws the kinds of faults it has
 * and how hard they hit, because lives in which everything fails all the time never get anywhere (swarm testing,
 * Groce et al. 2012).
 */
import { coreSettings } from "#actors/raft/core/settings.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import type { Limits } from "#actors/raft/storage/layout.ts"
import { Fresh } from "#runtime/ids.ts"

export const faultNames = [
  "partition",
  "one-way",
  "clog",
  "refuse-large",
  "crash",
  "power-loss",
  "crash-in-write",
  "crash-all",
  "pause",
  "stall",
  "clock",
  "slow-disk",
  "stuck-disk",
  "disk-full",
  "disk-error",
  "rot",
  "rollback",
  "wipe",
  "membership",
  "transfer",
  "hint",
  "foreign"
] as const

/** Those that wait for the moment in which they may harm most; only the harsh plans have them. */
const timedFaults = ["rollback-soon", "full-at-snapshot", "sender-leaves"] as const

export type FaultName = (typeof faultNames)[number] | (typeof timedFaults)[number]

/**
 * What few seeds would draw together by chance: disks that go back and lose power while the links change sides, groups
 * that change meanwhile, snapshots whose sender changes and for which there is no room, clocks that cannot be relied on.
 */
const mixes: ReadonlyArray<ReadonlyArray<FaultName>> = [
  ["rollback", "disk-error", "crash-in-write", "one-way", "partition"],
  ["rollback", "power-loss", "crash-in-write", "membership", "partition", "crash"],
  ["rollback", "power-loss", "disk-full", "transfer", "crash", "pause", "one-way"],
  ["clock", "pause", "stall", "slow-disk", "transfer", "one-way", "partition"],
  ["membership", "transfer", "stuck-disk", "slow-disk", "crash", "one-way"]
]
const timedMixes: ReadonlyArray<ReadonlyArray<FaultName>> = [
  ["rollback-soon", "membership", "power-loss", "partition", "crash-in-write"],
  ["rollback-soon", "sender-leaves", "disk-error", "one-way", "transfer"],
  ["full-at-snapshot", "sender-leaves", "membership", "power-loss", "crash"]
]

export interface NetworkPlan {
  readonly minMs: number
  readonly meanMs: number
  /** Chances in a thousand. */
  readonly loss: number
  readonly duplicate: number
  readonly replay: number
  readonly reorder: number
  /** Messages that a link holds at most. */
  readonly capacity: number
  /** Whether messages cross as bytes, by the product's codec. */
  readonly bytes: boolean
}

export interface Plan {
  readonly seed: number
  readonly voters: number
  readonly learners: number
  readonly settings: HostSettings
  readonly limits: Limits
  readonly network: NetworkPlan
  readonly faults: ReadonlyArray<FaultName>
  /** The mean time between two faults. */
  readonly faultEveryMs: number
  readonly clients: number
  readonly keys: number
  /** A client's mean pause between an answer and the next operation. */
  readonly pauseMs: number
  /** How long clients and faults go on. */
  readonly lifeMs: number
  readonly diskMs: number
  /** What a snapshot's chunks hold. */
  readonly chunkBytes: number
}

export function planOf(seed: number): Plan {
  const chance = Fresh.from(seed)
  const pick = <A>(...choices: ReadonlyArray<A>): A => choices[chance.below(choices.length)] as A
  const one = (of: number): boolean => chance.below(of) === 0
  const voters = pick(3, 3, 3, 3, 3, 3, 5, 5, 5, 1, 2, 2, 4, 6, 7)
  const calm = one(8)
  const tiny = !one(4)
  const faults = calm ? [] : faultNames.filter(() => one(4))
  const plan: Plan = {
    seed,
    voters,
    learners: pick(0, 0, 0, 1, 2),
    settings: {
      ...hostSettings,
      pendingProposals: pick(2, 8_192),
      snapshotEntries: tiny ? pick(3, 5, 10, 20) : pick(50, 50_000),
      snapshotBytes: pick(1, 64 * 1024, 16 * 1024 * 1024),
      chunksAtOnce: pick(1, 2, 8),
      autoPromote: !one(4),
      core: {
        ...coreSettings,
        appendBytes: tiny ? pick(1, 128, 512, 64 * 1024) : coreSettings.appendBytes,
        persistEntries: pick(1, 2, 1_024),
        persistsInFlight: pick(1, 1, 2, 3),
        inFlightMessages: tiny ? pick(1, 2, 4) : 64,
        uncommittedEntries: pick(3, 8_192, 8_192),
        applyEntries: pick(1, 3, 1_024),
        trailingEntries: tiny ? pick(1, 2, 5, 20) : 50_000
      }
    },
    limits: { segmentBytes: pick(16, 32, 64) * 1024, reserveBytes: 1024, zeroBytes: 8 * 1024 },
    network: {
      minMs: pick(0, 0, 1, 5, 30),
      meanMs: pick(1, 1, 2, 5, 20, 60),
      loss: calm ? 0 : pick(0, 0, 10, 50, 150, 300),
      duplicate: calm ? 0 : pick(0, 0, 20, 200),
      replay: calm ? 0 : pick(0, 0, 10, 50),
      reorder: pick(0, 100, 1_000),
      capacity: calm ? 1_000 : pick(1_000, 1_000, 20, 5),
      bytes: one(3)
    },
    faults,
    faultEveryMs: pick(200, 600, 1_500, 4_000),
    clients: pick(1, 2, 3, 5),
    keys: pick(1, 2, 4),
    pauseMs: pick(10, 100, 100),
    lifeMs: pick(3_000, 3_000, 6_000, 6_000, 12_000),
    diskMs: pick(0, 0, 1, 5, 20),
    chunkBytes: pick(64, 512, 64 * 1024)
  }
  const harsh = one(8) ? pick(...mixes) : one(8) ? pick(...timedMixes) : undefined
  return harsh === undefined ? plan : { ...plan, faults: harsh, faultEveryMs: 200, lifeMs: 12_000 }
}

/** One line that says what a life was like. */
export function showPlan({ voters, learners, network, faults, lifeMs, clients }: Plan): string {
  const { minMs, meanMs, loss, duplicate, replay, reorder } = network
  return (
    `${voters} voters, ${learners} learners, ${clients} clients, ${lifeMs} ms; ` +
    `delay ${minMs}+${meanMs} ms, loss ${loss}‰, twice ${duplicate}‰, late ${replay}‰, reordered ${reorder}‰; ` +
    `faults: ${faults.join(", ") || "none"}`
  )
}
