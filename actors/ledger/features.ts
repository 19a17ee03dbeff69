/**
 * What this release can, as one number. It is raised with every kind of entry that earlier releases do not know, and
 * such an entry is written only once `Cluster.FeatureLevel`, which all managers have reached, allows it.
 *
 *     1  all entries up to `config.remove`
 *     2  `cluster.raise`, `ledger.digest`
 *     3  `cluster.refound`, which a group of one writes and which raises the level itself
 *     4  `ledger.digest` of every manager: earlier releases halt where it is not their own, whoever says it
 *     5  `cluster.rotate`, `cluster.rotated`, `cluster.routes`
 *     6  `node.gateways`
 *     7  `node.attach`, `node.detach`
 */
import type { Node } from "#actors/model/objects.ts"

export const featureLevel = 7

/**
 * The level from which on something may be written: digests by the leader, and by every manager; keys in rotation; nodes'
 * own addresses, and those of containers that people attach.
 */
export const levelOf = {
  "ledger.digest": 2,
  "ledger.digest of all": 4,
  "cluster.rotate": 5,
  "node.gateways": 6,
  "node.attach": 7
} as const

/** What a node has said that it can; those of before there were levels say nothing. */
export const featureLevelOf = (node: Node): number => node.Description?.FeatureLevel ?? 1
