/** What of a cluster is not as it was ordered. */
import { listed, managersOf, raftOf, type Site, swarmOf } from "#test/soak/operators/site.ts"
import type { Cluster } from "#test/support/cluster.ts"

/** A node as it sees itself. */
interface Itself {
  readonly name: string
  readonly controls: boolean
}

export async function differences(site: Site): Promise<ReadonlyArray<string>> {
  const { selves, wrong } = await asTheySee(site)
  const managers = await managersOf(site)
  const by = managers[site.chance.below(managers.length)]
  if (by === undefined) return [...wrong, "nobody manages"]
  const states = new Set<string>()
  for (const one of managers) {
    wrong.push(...(await ofNodes(site, one, selves)))
    const { role, applied, digest } = await raftOf(one)
    if (role === "learner") wrong.push(`${site.nameOf(one)} is a learner`)
    states.add(`${applied} ${digest}`)
  }
  if (states.size > 1) wrong.push(`managers have applied ${[...states].join(", ")}`)
  return [...wrong, ...(await ofServices(site, by))]
}

async function asTheySee(site: Site) {
  const selves = new Map<string, Itself>()
  const wrong: Array<string> = []
  for (const node of site.nodes) {
    const swarm = await swarmOf(node).catch((error: Error) => ({ LocalNodeState: error.message }))
    const name = site.nameOf(node)
    if (swarm.LocalNodeState === "active")
      selves.set(swarm.NodeID, { name, controls: swarm.ControlAvailable })
    else if (swarm.LocalNodeState !== "inactive")
      wrong.push(`${name} is ${swarm.LocalNodeState} ${swarm.Error ?? ""}`)
  }
  return { selves, wrong }
}

async function ofNodes(
  site: Site,
  by: Cluster,
  selves: ReadonlyMap<string, Itself>
): Promise<ReadonlyArray<string>> {
  const wrong: Array<string> = []
  const list = await listed(by)
  for (const { ID, Spec, Description, Status, ManagerStatus } of list) {
    const itself = selves.get(ID)
    const say = (what: string): void => {
      wrong.push(`${site.nameOf(by)} says of ${Description.Hostname}: ${what}`)
    }
    if (itself === undefined) {
      if (Status.State !== "down") say(`${Status.State}, and no node has its id`)
      continue
    }
    if (Status.State !== "ready") say(`${Status.State} ${Status.Message ?? ""}`)
    if ((Spec.Role === "manager") !== itself.controls)
      say(`${Spec.Role}, and it sees itself as a ${itself.controls ? "manager" : "worker"}`)
    if (itself.controls && ManagerStatus?.Reachability !== "reachable")
      say(ManagerStatus?.Reachability ?? "no manager")
  }
  for (const [id, { name }] of selves)
    if (!list.some(({ ID }) => ID === id)) wrong.push(`${site.nameOf(by)} does not know ${name}`)
  return wrong
}

interface Task {
  readonly ServiceID: string
  readonly DesiredState: string
  readonly Status: { readonly State: string }
}

async function ofServices({ services }: Site, by: Cluster): Promise<ReadonlyArray<string>> {
  const tasks: ReadonlyArray<Task> = await by.get("/tasks")
  const wrong: Array<string> = []
  for (const { ID, Spec } of await by.get("/services")) {
    const running = tasks.filter(
      ({ ServiceID, DesiredState, Status }) =>
        ServiceID === ID && DesiredState === "running" && Status.State === "running"
    ).length
    const wanted = services.get(Spec.Name)
    if (running !== wanted) wrong.push(`${Spec.Name} has ${running} of ${wanted}`)
  }
  return wrong
}
