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
 *     8  secrets whose driver keeps them; earlier leaders give tasks an empty file. `tasks.change` gives no ended task another
 *        end. A node confirms where traffic goes
 *     9  `volume.create`, `volume.update`, `volume.observe`, `volume.remove`, and tasks that use volumes
 *    10  `cluster.keys`
 *    11  nodes keep copies of each other's logs
 *    12  virtual addresses of IPv6
 *    13  services that share a published port at different addresses of nodes
 *    14  services with routes of the HTTP entrance
 *    15  services that follow their requests, or have no task until somebody asks
 *    16  nodes open consoles beside their tasks
 *    17  services whose host the HTTP entrance answers by TLS
 *    18  services whose output nodes publish
 *    19  services whose certificate is one by ACME
 *    20  no more services with routes than an HTTP entrance has room for
 *    21  no rollback to a spec whose ports or route another service has meanwhile, or that names what is gone
 *    22  clients over NATS that ask on subjects of their own; servers of earlier managers let any client ask there
 *    23  `node.access`: managers know each other's sessions of the dashboard
 *    24  `cluster.alerts`
 *    25  nodes say what the health checks of their tasks came to
 *    26  alerts that a node's clock is off; earlier gateways list none where they find one that they do not know
 *    27  `service.scale`
 *    28  alerts that an update is paused, or that nothing is known of a load
 */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, rpc } from "#actors/model/errors.ts"
import type { Node } from "#actors/model/objects.ts"

export const featureLevel = 28

/**
 * The level from which on something may be written: digests by the leader, and by every manager; keys in rotation; nodes'
 * own addresses, and those of containers that people attach; secrets that are kept elsewhere; cluster
 * volumes; other keys for encrypted overlays; virtual addresses of IPv6; published ports at some addresses alone; routes of the HTTP entrance; requests
 * to scale by; certificates of the HTTP entrance; output that is published; certificates by ACME; what a rollback may not bring back; who asks over NATS; whose sessions managers know; what people were told of, of which clocks, and of which updates and loads; how many tasks a load asks for; or what a node can be asked for.
 */
export const levelOf = {
  "ledger.digest": 2,
  "ledger.digest of all": 4,
  "cluster.rotate": 5,
  "node.gateways": 6,
  "node.attach": 7,
  "secret.create with a driver": 8,
  "tasks.change leaves an end as it is": 8,
  confirm: 8,
  "volume.create": 9,
  "cluster.keys": 10,
  "log copies": 11,
  "service.allot with IPv6": 12,
  "ports at addresses": 13,
  "http routes": 14,
  "requests counted": 15,
  consoles: 16,
  "http tls": 17,
  "logs published": 18,
  "http acme": 19,
  "http routes are counted": 20,
  "rollbacks are judged": 21,
  "nats clients by name": 22,
  "node.access": 23,
  "cluster.alerts": 24,
  health: 25,
  "alerts of clocks": 26,
  "service.scale": 27,
  "alerts of updates and loads": 28
} as const

/**
 * Throws where managers of later releases have raised the level above this one's: what entries come to has another meaning
 * there, so that a state would come of them that no other manager has.
 */
export function mustUnderstand(ledger: Pick<LedgerReader, "cluster">): void {
  const level = ledger.cluster()?.FeatureLevel ?? 0
  if (level <= featureLevel) return
  throw new Error(
    `The cluster has feature level ${level}, and this release can only do ${featureLevel}: there is no way back to it, start the later release again`
  )
}

/** Why something is refused until all managers can do it; `undefined` once they can. */
export function refuseUntil(
  ledger: Pick<LedgerReader, "cluster">,
  what: keyof typeof levelOf,
  words: string
): Refusal | undefined {
  return (ledger.cluster()?.FeatureLevel ?? 0) >= levelOf[what]
    ? undefined
    : rpc("failedPrecondition", `${words}: expected managers of this release only; upgrade the others first`)
}

/** What a node has said that it can; those of before there were levels say nothing. */
export const featureLevelOf = (node: Node): number => node.Description?.FeatureLevel ?? 1
