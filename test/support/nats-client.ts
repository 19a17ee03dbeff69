/** Another system that was let in to a cluster's NATS. */
import type { NatsConnection } from "nats"
import { connectAs } from "#test/actors/nats/support.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"

/** It may look and change nothing. Connects once the daemon has taken it up. */
export async function clientOf(cluster: Cluster): Promise<NatsConnection> {
  const { body } = await cluster.api("POST", "/nats-clients/create", { Name: "other-system", ReadOnly: true })
  const credentials = { seed: body.Seed, publicKey: "", inboxPrefix: body.InboxPrefix }
  let connection: NatsConnection | undefined
  await eventually(async () => {
    connection = await connectAs(cluster.natsUrl, credentials).catch(() => undefined)
    return connection !== undefined
  }, "another system is let in")
  return connection as NatsConnection
}
