/** What is measured, on Troupe and on Swarm by the same requests. */
import { setTimeout as pause } from "node:timers/promises"
import {
  call,
  command,
  containersOf,
  createServices,
  elapsed,
  running,
  type ServiceView,
  specOf
} from "#test/bench/vs-swarm/api.ts"
import { deploy, type Site, undeploy } from "#test/bench/vs-swarm/site.ts"
import { testImage, uniqueName } from "#test/support/engine.ts"

/** A row's name to what was measured, once or several times. */
export type Figures = Record<string, Array<number>>

export interface Measure {
  readonly name: string
  readonly run: (site: Site, runs: number) => Promise<Figures>
}

const replicas = 30
const evacuees = 20
const inFlight = 8
/** What a client waits for one answer while something is broken. */
const patienceMs = 2_000

const percentile = (values: ReadonlyArray<number>, share: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? Number.NaN
export const median = (values: ReadonlyArray<number>): number => percentile(values, 0.5)

/** Creates and starts containers straight on the Engines, as many at once on each as we do. */
async function straight({ engines }: Site): Promise<number> {
  const made: Array<readonly [string, string]> = []
  let next = 0
  const began = performance.now()
  await Promise.all(
    Array.from({ length: engines.length * inFlight }, async () => {
      while (next < replicas) {
        const engine = engines[next++ % engines.length] as string
        const body = { Image: testImage, Cmd: command, HostConfig: {} }
        const { Id } = await call<{ readonly Id: string }>(engine, "POST", "/containers/create", body)
        made.push([engine, Id])
        await call(engine, "POST", `/containers/${Id}/start`)
      }
    })
  )
  const took = performance.now() - began
  await Promise.all(made.map(([engine, id]) => call(engine, "DELETE", `/containers/${id}?force=1`)))
  return took
}

const deploying: Measure = {
  name: "deploy",
  run: async (site, runs) => {
    const figures = { "containers straight on the Engines": [] as Array<number>, deploy: [] as Array<number> }
    for (let run = 0; run < runs; run++) {
      figures["containers straight on the Engines"].push(await straight(site))
      const name = uniqueName("deploy")
      figures.deploy.push(await deploy(site, name, replicas))
      await undeploy(site, name)
    }
    return figures
  }
}

const killed: Measure = {
  name: "killed",
  run: async (site, runs) => {
    const name = uniqueName("killed")
    const count = 6
    await deploy(site, name, count)
    const [door] = site.doors() as [string]
    const took: Array<number> = []
    for (let kills = 0; kills < runs * 3; kills++) {
      await pause(1_500)
      const [victim] = await running(door, name)
      const id = victim?.Status.ContainerStatus?.ContainerID ?? ""
      const engine = await holderOf(site, name, id)
      const began = performance.now()
      await call(engine, "POST", `/containers/${id}/kill`)
      await elapsed(
        "a replacement",
        async () => {
          const tasks = await running(door, name)
          return tasks.filter(({ Status }) => Status.ContainerStatus?.ContainerID !== id).length >= count
        },
        10
      )
      took.push(performance.now() - began)
    }
    await undeploy(site, name)
    return { "killed container → replacement": took }
  }
}

async function holderOf({ engines }: Site, service: string, id: string): Promise<string> {
  for (const engine of engines)
    if ((await containersOf(engine, service)).some(({ Id }) => Id === id)) return engine
  throw new Error(`no Engine has container ${id}`)
}

const updates: Measure = {
  name: "updates",
  run: async (site, runs) => {
    const [door] = site.doors() as [string]
    const name = uniqueName("updates")
    await call(door, "POST", "/services/create", specOf(name, 0))
    const took: Array<number> = []
    for (let at = 0; at < runs * 100; at++) {
      const { ID, Version, Spec } = await call<ServiceView>(door, "GET", `/services/${name}`)
      const spec = { ...Spec, Labels: { at: String(at) } }
      const began = performance.now()
      await call(door, "POST", `/services/${ID}/update?version=${Version.Index}`, spec)
      took.push(performance.now() - began)
    }
    await call(door, "DELETE", `/services/${name}`)
    return { "service update, p50": [percentile(took, 0.5)], "service update, p99": [percentile(took, 0.99)] }
  }
}

const creates: Measure = {
  name: "creates",
  run: async (site, runs) => {
    const [door] = site.doors() as [string]
    const perSecond: Array<number> = []
    const count = 800
    const clients = 16
    for (let run = 0; run < runs; run++) {
      const began = performance.now()
      const spec = () => specOf(uniqueName("create"), 0)
      const ids = await createServices(door, { count, clients, spec })
      perSecond.push(count / ((performance.now() - began) / 1_000))
      for (const id of ids) await call(door, "DELETE", `/services/${id}`)
    }
    return { "service creates a second, 16 clients": perSecond }
  }
}

const lists: Measure = {
  name: "lists",
  run: async (site, runs) => {
    const [door] = site.doors() as [string]
    const ids: Array<string> = []
    for (let at = 0; at < 100; at++) {
      const spec = specOf(uniqueName("list"), 0)
      ids.push((await call<{ readonly ID: string }>(door, "POST", "/services/create", spec)).ID)
    }
    const took: Array<number> = []
    for (let at = 0; at < runs * 100; at++) {
      const began = performance.now()
      await call(door, "GET", "/services")
      took.push(performance.now() - began)
    }
    for (const id of ids) await call(door, "DELETE", `/services/${id}`)
    return { "list of 100 services, p50": [percentile(took, 0.5)] }
  }
}

/** From now until a manager that is left accepts a write. */
function nextWrite({ doors }: Site): Promise<number> {
  const left = doors()
  let at = 0
  return elapsed(
    "an accepted write",
    async () => {
      const door = left[at++ % left.length] as string
      await call(door, "POST", "/services/create", specOf(uniqueName("write"), 0), patienceMs)
      return true
    },
    10
  )
}

/** From now until the service's tasks run on other nodes than this one, as a manager says that is left. */
function evacuation({ doors }: Site, service: string, nodeId: string): Promise<number> {
  const left = doors()
  let at = 0
  return elapsed(
    "tasks elsewhere",
    async () => {
      const tasks = await running(left[at++ % left.length] as string, service, patienceMs)
      return tasks.filter(({ NodeID }) => NodeID !== nodeId).length >= evacuees
    },
    50
  )
}

const workerCut: Measure = {
  name: "worker-cut",
  run: async (site, runs) => {
    const took: Array<number> = []
    for (let run = 0; run < runs; run++) {
      const name = uniqueName("worker-cut")
      await deploy(site, name, evacuees)
      const worker = await site.worker()
      const id = await site.idOf(worker)
      site.cutOff(worker)
      took.push(await evacuation(site, name, id))
      await site.mend()
      await undeploy(site, name)
    }
    return { "worker cut off → its tasks run elsewhere": took }
  }
}

const leaderCut: Measure = {
  name: "leader-cut",
  run: async (site, runs) => {
    const writes: Array<number> = []
    const evacuated: Array<number> = []
    for (let run = 0; run < runs; run++) {
      const name = uniqueName("leader-cut")
      await deploy(site, name, evacuees)
      const leader = await site.leader()
      const id = await site.idOf(leader)
      site.cutOff(leader)
      const [write, moved] = await Promise.all([nextWrite(site), evacuation(site, name, id)])
      writes.push(write)
      evacuated.push(moved)
      await site.mend()
      await undeploy(site, name)
    }
    return {
      "leader's node cut off → next accepted write": writes,
      "leader's node cut off → its tasks run elsewhere": evacuated
    }
  }
}

const leaderKilled: Measure = {
  name: "leader-killed",
  run: async (site, runs) => {
    const took: Array<number> = []
    for (let run = 0; run < runs; run++) {
      site.killManager(await site.leader())
      took.push(await nextWrite(site))
      await site.mend()
    }
    return { "leader killed (-9) → next accepted write": took }
  }
}

export const measures: ReadonlyArray<Measure> = [
  creates,
  updates,
  lists,
  deploying,
  killed,
  workerCut,
  leaderKilled,
  leaderCut
]
