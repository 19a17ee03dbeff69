/** The clusters of one node that the sweep runs on: Troupe's, or Docker's own Swarm, each on an Engine of its own. */
import type { Target } from "#test/conformance/case.ts"
import { startCluster } from "#test/support/cluster.ts"
import { PrivateEngine } from "#test/support/dockerd.ts"
import { ensureTestImage } from "#test/support/engine.ts"

export async function openTarget(kind: Target["kind"]): Promise<Target> {
  // Both have what `--generic-resource` asks for.
  const engine = await PrivateEngine.open({ genericResources: ["gpu=one", "gpu=two", "ssd=3"] })
  try {
    await ensureTestImage(engine.docker)
    return kind === "troupe" ? await troupe(engine) : await swarm(engine)
  } catch (error) {
    await engine.close()
    throw error
  }
}

async function troupe(engine: PrivateEngine): Promise<Target> {
  const cluster = await startCluster({ dockerHost: engine.dockerHost })
  const close = async () => {
    await cluster.cleanUp()
    await engine.close()
  }
  return { kind: "troupe", host: cluster.host, engine: engine.docker, close }
}

async function swarm(engine: PrivateEngine): Promise<Target> {
  await engine.docker.swarmInit({
    ListenAddr: "127.0.0.1:0",
    AdvertiseAddr: "127.0.0.1",
    ForceNewCluster: false
  })
  const close = async () => {
    await engine.docker.swarmLeave({ force: true }).catch(() => {})
    await engine.close()
  }
  return { kind: "swarm", host: engine.dockerHost, engine: engine.docker, close }
}
