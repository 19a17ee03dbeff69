/** The clusters of one node that the sweep runs on: Troupe's, or Docker's own Swarm, each on an Engine of its own. */
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Target, TargetMachine } from "#test/conformance/case.ts"
import { Cluster, startCluster } from "#test/support/cluster.ts"
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
  return { kind: "troupe", host: cluster.host, engine: engine.docker, machine: troupeMachine, close }
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
  return { kind: "swarm", host: engine.dockerHost, engine: engine.docker, machine: swarmMachine, close }
}

async function troupeMachine(): Promise<TargetMachine> {
  const engine = await PrivateEngine.open()
  const folder = await mkdtemp(join(tmpdir(), "troupe-conformance-"))
  const node = new Cluster(folder, { role: "none", dockerHost: engine.dockerHost })
  const close = async () => {
    await node.cleanUp()
    await engine.close()
  }
  const restart = async () => {
    await node.kill9()
    await node.start()
  }
  try {
    await node.start()
  } catch (error) {
    await close()
    throw error
  }
  return { host: node.host, engine: engine.docker, restart, close }
}

async function swarmMachine(): Promise<TargetMachine> {
  const engine = await PrivateEngine.open()
  const restart = async () => {
    await engine.kill()
    await engine.start()
  }
  const close = async () => {
    await engine.docker.swarmLeave({ force: true }).catch(() => {})
    await engine.close()
  }
  return { host: engine.dockerHost, engine: engine.docker, restart, close }
}
