/** What should run in the soak, and what the Engines say does. */
import { call, filtersOf } from "#test/bench/vs-swarm/api.ts"
import { deploy, type Site } from "#test/bench/vs-swarm/site.ts"

const services = ["red", "green", "blue"]
const replicas = 20

export async function deployAll(site: Site): Promise<void> {
  for (const name of services) await deploy(site, name, replicas)
}

const serviceLabel = "com.docker.swarm.service.name"
const taskNameLabel = "com.docker.swarm.task.name"

/** One line for each slot that runs not at all, or more than once; empty where all is as it should be. */
export async function differences({ engines }: Site): Promise<ReadonlyArray<string>> {
  const found = new Map<string, number>()
  for (const engine of engines) {
    const path = `/containers/json?filters=${filtersOf({ label: [serviceLabel] })}`
    const listed = await call<ReadonlyArray<Listed>>(engine, "GET", path, undefined, 10_000)
    for (const { Labels } of listed) {
      // `red.7.<task id>`
      const slot = (Labels[taskNameLabel] ?? "").split(".").slice(0, 2).join(".")
      found.set(slot, (found.get(slot) ?? 0) + 1)
    }
  }
  const wanted = services.flatMap((name) => Array.from({ length: replicas }, (_, at) => `${name}.${at + 1}`))
  const surplus = [...found.keys()].filter((slot) => !wanted.includes(slot))
  return [...wanted, ...surplus].flatMap((slot) => {
    const [count, right] = [found.get(slot) ?? 0, wanted.includes(slot) ? 1 : 0]
    return count === right ? [] : [`${slot} runs ${count} times rather than ${right}`]
  })
}

interface Listed {
  readonly Labels: Readonly<Record<string, string>>
}
