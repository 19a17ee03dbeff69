/** Nodes of this machine that are in no cluster and wait for orders; without an Engine, unless told: tasks would be processes. */
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cluster } from "#test/support/cluster.ts"
import { noEngine } from "#test/support/managers.ts"

/** For `docker swarm init` and `join`: on loopback, at any port. */
export const onLoopback = ["--listen-addr", "127.0.0.1:0", "--advertise-addr", "127.0.0.1"]

/** A node that serves. `cleanUp` must follow. */
export async function startIdle(name: string, dockerHost = noEngine): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-idle-"))
  const args = dockerHost === noEngine ? ["--executor", "process"] : []
  const node = new Cluster(folder, { name, role: "none", args, dockerHost })
  try {
    await node.start()
  } catch (error) {
    await node.cleanUp()
    throw error
  }
  return node
}
