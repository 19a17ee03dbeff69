/** What runs on every node. A manager is a node, too. */
import { certificate } from "#actors/authority/certificate/actor.ts"
import { consoles } from "#actors/console/actor.ts"
import { logs } from "#actors/logs/actor.ts"
import { logKeeper } from "#actors/logs/keeper/actor.ts"
import { natsServer } from "#actors/nats/actor.ts"
import type { NatsServerStatus } from "#actors/nats/server.ts"
import { network } from "#actors/network/actor.ts"
import { activator } from "#actors/node/activator/actor.ts"
import { engineWatch } from "#actors/node/engine-watch/actor.ts"
import { session } from "#actors/node/session/actor.ts"
import { stats } from "#actors/node/stats/actor.ts"
import { task } from "#actors/task/actor.ts"
import { mounts } from "#actors/volumes/mounts/actor.ts"
import { many, permanent, type SupervisorSpec, supervisor } from "#runtime/supervisor.ts"

export interface NodeTreeOptions {
  readonly nodeId: string
  readonly clusterId: string
  /** Where other nodes reach this one; shown as the node's address. */
  readonly addr?: string
  /** Where VXLAN packets reach it, where that is not `addr`. */
  readonly dataPath?: string
  /** Its HTTP entrance answers by TLS. */
  readonly tlsEntrance?: boolean
  /** What the node is called; the machine's own name unless given. */
  readonly name?: string
  /** How the node's own nats-server fares, where it has one. */
  readonly nats?: NatsServerStatus
  /** Whether it holds a certificate, to be renewed in time; then its actors need `Credentials`, too. */
  readonly certified?: boolean
}

/**
 * The node's tree, to be run at home `nodeId`. Its actors need `Executor`, `SecretStore`, `DataPlane`, `LogReaders`,
 * `LogMemory`, `OpenConsoles` and `System`, and `NatsServer` where the node has one.
 *
 * One for one: each asks the others again when it begins again (`Awake`, `Look`, `Need`), and a task that is disturbed
 * for nothing has to find its container anew.
 */
export const nodeTree = ({
  clusterId,
  addr = "127.0.0.1",
  dataPath,
  tlsEntrance = false,
  name,
  nats,
  certified = false
}: NodeTreeOptions): SupervisorSpec =>
  supervisor({
    name: "node",
    strategy: "one-for-one",
    children: [
      // Following a server never ends by itself.
      ...(nats ? [permanent(natsServer, { props: { status: nats }, stopWithin: 0 })] : []),
      ...(certified ? [permanent(certificate, { props: { addr } })] : []),
      permanent(network),
      permanent(mounts, { stopWithin: "1 second" }),
      // Following the Engine never ends by itself.
      permanent(engineWatch, { props: { clusterId }, stopWithin: 0 }),
      // A container outlives its actor: a stop that is cut short is asked for again by the next life.
      many(task, { restart: "transient", stopWithin: "1 second" }),
      permanent(stats, { stopWithin: 0 }),
      permanent(activator, { stopWithin: 0 }),
      permanent(session, {
        props: {
          clusterId,
          addr,
          certified,
          tlsEntrance,
          ...(name !== undefined && { name }),
          ...(dataPath !== undefined && { dataPath })
        }
      }),
      permanent(logs),
      // What is open ends with `OpenConsoles`.
      permanent(consoles, { stopWithin: 0 }),
      // What it has read is written as it is read; the rest is read again.
      permanent(logKeeper, { stopWithin: 0 })
    ]
  })
