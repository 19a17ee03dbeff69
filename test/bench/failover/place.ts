/** Where failover is measured: managers as plain processes on loopback, or each in a network of its own, over TLS. */
import process from "node:process"
import { type Machine, socketOf, threeMachines, writeMachines } from "#test/lab/machines.ts"
import { cut, heal } from "#test/lab/network.ts"
import { takeDown } from "#test/lab/power.ts"
import { until } from "#test/lab/processes.ts"
import { raise } from "#test/lab/raise.ts"
import { request } from "#test/lab/request.ts"
import { untilWhole } from "#test/lab/troupe.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { configNames, Managers, writeConfig } from "#test/support/managers.ts"

/** One manager. */
export interface Spot {
  readonly name: string
  /** Writes one config; the answer's status. Fails where there was no answer. */
  readonly write: () => Promise<number>
}

export interface Place {
  readonly spots: ReadonlyArray<Spot>
  /** Waits until one leads. */
  readonly leader: () => Promise<Spot>
  readonly lose: (spot: Spot, how: "killed" | "ended" | "cut") => Promise<void>
  /** Back to three managers that all can be reached. */
  readonly restore: (spot: Spot) => Promise<void>
  readonly close: () => Promise<void>
}

/** What a client of a cluster waits at most for one answer. */
const writeWithinMs = 15_000
let next = 0
const freshName = (): string => `failover-${process.pid}-${next++}`

/** A cluster that is written to for long holds many configs, which is not what is measured. */
export async function onLoopback(): Promise<Place> {
  const managers = await Managers.start(3)
  const clusters = new Map<Spot, Cluster>()
  for (const [at, cluster] of managers.all.entries()) {
    const write = async (): Promise<number> => (await writeConfig(cluster, freshName(), writeWithinMs)).status
    clusters.set({ name: `m${at + 1}`, write }, cluster)
  }
  const spots = [...clusters.keys()]
  const clusterOf = (spot: Spot): Cluster => clusters.get(spot) as Cluster
  return {
    spots,
    leader: async () => {
      const leading = await managers.leader()
      return spots.find((spot) => clusterOf(spot) === leading) as Spot
    },
    lose: async (spot, how) => {
      if (how === "cut") throw new Error("what is on loopback cannot be cut off")
      if (how === "killed") await clusterOf(spot).kill9()
      else await clusterOf(spot).stop()
    },
    restore: async (spot) => {
      await clusterOf(spot).restart()
      await managers.settled()
      const [first] = managers.all as [Cluster]
      if ((await configNames(first)).length > 2_000)
        for (const name of await configNames(first)) await first.api("DELETE", `/configs/${name}`)
    },
    close: () => managers.cleanUp()
  }
}

/** Needs Linux and root, and no lab that is up. */
export async function inLab(): Promise<Place> {
  const machines = threeMachines()
  writeMachines(machines)
  const close = (): Promise<void> => takeDown(machines)
  try {
    await raise(machines)
  } catch (error) {
    await close()
    throw error
  }
  const byName = new Map(machines.map((machine) => [machine.name, machine]))
  const machineOf = ({ name }: Spot): Machine => byName.get(name) as Machine
  const spots = machines.map(
    ({ name }): Spot => ({
      name,
      write: async () => {
        const config = { Name: freshName(), Data: "eA==" }
        return (await request(socketOf(name), "POST", "/configs/create", config, writeWithinMs)).status
      }
    })
  )
  return {
    spots,
    leader: async () => {
      let leading: Spot | undefined
      await until("a leader", 20, async () => {
        for (const spot of spots) {
          const { body } = await request(socketOf(spot.name), "GET", "/raft", undefined, 2_000)
          if (body.role === "leader") leading = spot
        }
        return leading !== undefined
      })
      return leading as Spot
    },
    lose: async (spot, how) => {
      if (how !== "cut") throw new Error("managers of the lab are cut off only")
      cut(machineOf(spot))
    },
    restore: async (spot) => {
      heal(machineOf(spot))
      await untilWhole(machines)
    },
    close
  }
}
