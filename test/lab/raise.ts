/** Brings machines of the lab up, with what orchestrates them. */
import { startEngine } from "#test/lab/engine.ts"
import { type Machine, writeMachines } from "#test/lab/machines.ts"
import { connect } from "#test/lab/network.ts"
import { raiseSwarm } from "#test/lab/swarm.ts"
import { invitationOf, isMember, startNode, untilWhole } from "#test/lab/troupe.ts"

/** The first founds the cluster, the others join it by way of the first. What runs already is left alone. */
export async function raise(machines: ReadonlyArray<Machine>): Promise<void> {
  writeMachines(machines)
  for (const machine of machines) connect(machine)
  await Promise.all(machines.map(startEngine)).finally(() => writeMachines(machines))
  if (machines[0]?.orchestrator === "swarm") return raiseSwarm(machines)
  await raiseTroupe(machines).finally(() => writeMachines(machines))
  await untilWhole(machines)
}

async function raiseTroupe(machines: ReadonlyArray<Machine>): Promise<void> {
  const [founder, ...others] = machines
  if (founder === undefined) return
  // All there are decide who leads.
  await Promise.all([founder, ...others.filter(isMember)].map((machine) => startNode(machine)))
  const invitation = others.every(isMember) ? undefined : await invitationOf(founder)
  await Promise.all(others.map((machine) => startNode(machine, invitation)))
}

/** Starts a machine that was killed. */
export async function startAgain(machine: Machine): Promise<void> {
  connect(machine)
  await startEngine(machine)
  if (machine.orchestrator === "troupe") await startNode(machine)
}
