/** What of a cluster is not as it was ordered. */
import { readdir, readFile } from "node:fs/promises"
import {
  type Listed,
  listed,
  managersOf,
  raftOf,
  type Site,
  swarmOf,
  type Wanted
} from "#test/soak/operators/site.ts"
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
  readonly NodeID: string
  readonly Slot?: number
  readonly DesiredState: string
  readonly Status: { readonly State: string }
}

interface Service {
  readonly ID: string
  readonly Spec: {
    readonly Name: string
    readonly Mode: { readonly ReplicatedJob?: object; readonly Global?: object }
    readonly TaskTemplate: {
      readonly Placement?: { readonly Constraints?: ReadonlyArray<string>; readonly MaxReplicas?: number }
    }
  }
  readonly ServiceStatus: { readonly CompletedTasks: number }
}

async function ofServices(site: Site, by: Cluster): Promise<ReadonlyArray<string>> {
  const tasks: ReadonlyArray<Task> = await by.get("/tasks")
  const nodes = await listed(by)
  const found: ReadonlyArray<Service> = await by.get("/services?status=true")
  const processes = await sleepers()
  const wrong: Array<string> = []
  for (const name of site.services.keys())
    if (!found.some(({ Spec }) => Spec.Name === name)) wrong.push(`${name} is gone`)
  for (const service of found) {
    const wanted = site.services.get(service.Spec.Name)
    if (wanted === undefined) continue
    const running = tasks.filter(
      ({ ServiceID, DesiredState, Status }) =>
        ServiceID === service.ID && DesiredState === "running" && Status.State === "running"
    )
    const say = (what: string): void => void wrong.push(`${service.Spec.Name} ${what}`)
    const places = placesOf(service, nodes)
    const { CompletedTasks } = service.ServiceStatus
    if (service.Spec.Mode.ReplicatedJob === undefined) ofTasks(service, wanted, running, places, say)
    else if (places.active.length > 0 && CompletedTasks !== wanted.replicas)
      say(`has completed ${CompletedTasks} of ${wanted.replicas}`)
    const alive = processes.filter((seconds) => seconds === wanted.seconds).length
    if (alive !== running.length) say(`has ${running.length} tasks that run, and ${alive} processes`)
  }
  return wrong
}

interface Places {
  readonly nodes: ReadonlyArray<Listed>
  /** Where tasks may be; a paused node keeps what it has, and gets nothing. */
  readonly mayHave: ReadonlyArray<Listed>
  readonly active: ReadonlyArray<Listed>
}

function placesOf({ Spec }: Service, nodes: ReadonlyArray<Listed>): Places {
  const { Constraints = [] } = Spec.TaskTemplate.Placement ?? {}
  const mayHave = nodes.filter(
    (node) =>
      node.Status.State === "ready" &&
      node.Spec.Availability !== "drain" &&
      (Constraints.length === 0 || node.Spec.Labels?.zone === "a")
  )
  return { nodes, mayHave, active: mayHave.filter((node) => node.Spec.Availability === "active") }
}

function ofTasks(
  { Spec }: Service,
  { replicas }: Wanted,
  running: ReadonlyArray<Task>,
  { nodes, mayHave, active }: Places,
  say: (what: string) => void
): void {
  const { MaxReplicas = 0 } = Spec.TaskTemplate.Placement ?? {}
  const most = replicas === undefined ? 1 : MaxReplicas || replicas
  const [least, atMost] = [active, mayHave].map(({ length }) => Math.min(replicas ?? length, length * most))
  const { length } = running
  if (length < (least ?? 0) || length > (atMost ?? 0)) say(`has ${length} of ${least} to ${atMost}`)
  for (const node of nodes) {
    const here = running.filter(({ NodeID }) => NodeID === node.ID).length
    if (here > most) say(`has ${here} at ${node.Description.Hostname}`)
    if (here > 0 && !mayHave.includes(node)) say(`is at ${node.Description.Hostname}`)
    if (here === 0 && replicas === undefined && active.includes(node))
      say(`is not at ${node.Description.Hostname}`)
  }
  if (replicas !== undefined && new Set(running.map(({ Slot }) => Slot)).size < length)
    say("has a slot with two tasks")
}

/** For how long each process of this machine sleeps that does nothing else. */
async function sleepers(): Promise<ReadonlyArray<string>> {
  const found: Array<string> = []
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue
    const [program, seconds] = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0")
    if (program?.endsWith("sleep") && seconds !== undefined) found.push(seconds)
  }
  return found
}
