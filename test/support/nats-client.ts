/** Another system that was let in to a cluster's NATS. */
import { Effect } from "effect"
import type { NatsConnection } from "nats"
import { createClient } from "#actors/nats/creds.ts"
import { connectAs } from "#test/actors/nats/support.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"

/** It may look and change nothing. Connects once the daemon has taken it up. */
export async function clientOf({ dataDir, natsUrl }: Cluster): Promise<NatsConnection> {
  const createdAt = new Date().toISOString()
  const client = { dataDir, name: "other-system", readOnly: true, createdAt }
  const credentials = await Effect.runPromise(createClient(client))
  let connection: NatsConnection | undefined
  await eventually(async () => {
    connection = await connectAs(natsUrl, credentials).catch(() => undefined)
    return connection !== undefined
  }, "another system is let in")
  return connection as NatsConnection
}
