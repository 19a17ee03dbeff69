/** A cluster in the lab that is measured, Troupe's or Docker's own, and what is done to it. */
import { setTimeout as pause } from "node:timers/promises"
import { call, containersOf, elapsed, type NodeView, running, specOf } from "#test/bench/vs-swarm/api.ts"
import { apiOf, engineOf, freshMachines, type Machine } from "#test/lab/machines.ts"
import { cut, heal } from "#test/lab/network.ts"
import { takeDown } from "#test/lab/power.ts"
import { isAlive, signal } from "#test/lab/processes.ts"
import { raise, startAgain } from "#test/lab/raise.ts"

export interface Site {
  readonly orchestrator: Machine["orchestrator"]
  readonly machines: ReadonlyArray<Machine>
  /** The sockets of all managers but those that are away. */
  readonly doors: () => ReadonlyArray<string>
  readonly engines: ReadonlyArray<string>
  readonly leader: () => Promise<Machine>
  /** Not a manager, or one that follows where all are managers. */
  readonly worker: () => Promise<Machine>
  readonly idOf: (machine: Machine) => Promise<string>
  /** What runs on it goes on; it is only not heard of. */
  readonly cutOff: (machine: Machine) => void
  /** What orchestrates there ends with -9. */
  readonly killManager: (machine: Machine) => void
  /** Everything as it was before: all nodes are there. */
  readonly mend: () => Promise<void>
  readonly close: () => Promise<void>
}

export async function openSite(
  orchestrator: Machine["orchestrator"],
  count: number,
  managers: number
): Promise<Site> {
  const machines = freshMachines(count, (at) => ({
    orchestrator,
    role: at <= managers ? "manager" : "worker"
  }))
  const close = (): Promise<void> => takeDown(machines)
  try {
    await raise(machines)
  } catch (error) {
    await close()
    throw error
  }
  const away = new Set<Machine>()
  const doors = (): ReadonlyArray<string> =>
    machines.filter((machine) => machine.role === "manager" && !away.has(machine)).map(apiOf)
  const nodes = async (): Promise<ReadonlyArray<NodeView>> => {
    for (const door of doors()) {
      const listed = await call<ReadonlyArray<NodeView>>(door, "GET", "/nodes", undefined, 5_000).catch(
        () => []
      )
      if (listed.length > 0) return listed
    }
    throw new Error("no manager says which nodes there are")
  }
  const named = (name: string | undefined): Machine => {
    const machine = machines.find((one) => one.name === name)
    if (machine === undefined) throw new Error(`no machine is called ${name}`)
    return machine
  }
  const leader = async (): Promise<Machine> =>
    named((await nodes()).find(({ ManagerStatus }) => ManagerStatus?.Leader === true)?.Description.Hostname)
  const isWhole = async (): Promise<boolean> => {
    const all = await nodes()
    const reachable = all.filter(({ ManagerStatus }) => ManagerStatus?.Reachability === "reachable")
    return (
      all.length === count &&
      all.every(({ Status }) => Status.State === "ready") &&
      reachable.length === managers
    )
  }
  return {
    orchestrator,
    machines,
    doors,
    engines: machines.map(({ name }) => engineOf(name)),
    leader,
    worker: async () => {
      const leading = await leader()
      const other = machines.findLast((machine) => machine !== leading)
      return named(other?.name)
    },
    idOf: async ({ name }) => (await nodes()).find((node) => node.Description.Hostname === name)?.ID ?? "",
    cutOff: (machine) => {
      away.add(machine)
      cut(machine)
    },
    killManager: (machine) => {
      away.add(machine)
      signal(orchestrator === "swarm" ? machine.enginePid : machine.nodePid, "SIGKILL")
    },
    mend: async () => {
      for (const machine of away) {
        heal(machine)
        const pid = orchestrator === "swarm" ? machine.enginePid : machine.nodePid
        if (!isAlive(pid)) await startAgain(machine)
      }
      away.clear()
      await elapsed("all nodes are there", isWhole, 200)
      // A swarm that has just been mended is still busy with it.
      await pause(2_000)
    },
    close
  }
}

/** Creates a service and waits until all its tasks run; the milliseconds it took. */
export async function deploy({ doors }: Site, name: string, replicas: number): Promise<number> {
  const door = doors()[0] as string
  const began = performance.now()
  await call(door, "POST", "/services/create", specOf(name, replicas))
  await elapsed(`${replicas} tasks of ${name}`, async () => (await running(door, name)).length >= replicas)
  return performance.now() - began
}

/** Removes a service with all its containers. */
export async function undeploy({ doors, engines }: Site, name: string): Promise<void> {
  await call(doors()[0] as string, "DELETE", `/services/${name}`)
  await elapsed(`the end of ${name}`, async () => {
    const left = await Promise.all(engines.map((engine) => containersOf(engine, name)))
    return left.every((containers) => containers.length === 0)
  })
  await pause(500)
}
