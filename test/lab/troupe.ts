/** Troupe's nodes on machines of the lab. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { inside, root } from "#test/lab/engine.ts"
import { dataOf, engineOf, folderOf, type Machine, socketOf } from "#test/lab/machines.ts"
import { background, isAlive, LabError, until, untilReady } from "#test/lab/processes.ts"
import { request } from "#test/lab/request.ts"

/** Whether it founded or joined a cluster in this or an earlier life. */
export const isMember = ({ name }: Machine): boolean => existsSync(join(dataOf(name), "identity.json"))

/** How other machines join by way of one that is a manager. */
export interface Invitation {
  readonly address: string
  readonly tokens: { readonly Manager: string; readonly Worker: string }
}

/** A node that founds the cluster, or joins one; in the Engine's own namespaces, so that what it mounts is seen there. */
export async function startNode(machine: Machine, invitation?: Invitation): Promise<void> {
  const { name, address, role } = machine
  if (isAlive(machine.nodePid)) return
  const token = role === "manager" ? invitation?.tokens.Manager : invitation?.tokens.Worker
  const command = [
    ...[process.execPath, join(root, "cli/main.ts"), "node", "--role", role, "--name", name],
    ...["--advertise-addr", address, "--listen-addr", address],
    ...["--data-dir", dataOf(name), "--socket", socketOf(name)],
    ...(machine.hasEngine ? ["--docker-host", `unix://${engineOf(name)}`] : ["--executor", "process"]),
    ...(invitation === undefined || token === undefined
      ? []
      : ["--join", invitation.address, "--token", token])
  ]
  const log = join(folderOf(name), "node.log")
  const entering = machine.hasEngine
    ? ["-t", String(machine.enginePid), "-n", "-m", "-u", `--wd=${root}`, ...command]
    : inside(machine, command.join(" "))
  machine.nodePid = background(log, root, "nsenter", entering)
  // A worker has nothing to list, and says only of itself that it is a member.
  const [path, isReady] =
    role === "manager"
      ? ["/nodes", () => true]
      : ["/info", (info: InfoView) => info.Swarm?.LocalNodeState === "active"]
  await untilReady(`the node of ${name}`, 180, machine.nodePid, log, async () => {
    const answer = await request(socketOf(name), "GET", path).catch(() => undefined)
    return answer?.status === 200 && isReady(answer.body)
  })
}

interface InfoView {
  readonly Swarm?: { readonly LocalNodeState?: string }
}

interface NodeView {
  readonly Status: { readonly Addr?: string; readonly State: string }
  readonly ManagerStatus?: { readonly Reachability: string; readonly Addr: string }
}

export async function invitationOf({ name, address }: Machine): Promise<Invitation> {
  const swarm = await request(socketOf(name), "GET", "/swarm")
  const nodes = await request(socketOf(name), "GET", "/nodes")
  const own = nodes.body?.find?.((node: NodeView) => node.Status.Addr === address)
  const tokens = swarm.body?.JoinTokens
  if (tokens === undefined || own?.ManagerStatus === undefined)
    throw new LabError(`${name} does not say how to join it: ${JSON.stringify([swarm, nodes]).slice(0, 500)}`)
  return { address: own.ManagerStatus.Addr, tokens }
}

/** Every node is there, and all managers are members that can be reached, as each of these says. */
export async function untilWhole(machines: ReadonlyArray<Machine>): Promise<void> {
  const managers = machines.filter(({ role }) => role === "manager")
  for (const { name } of managers) {
    await until(`${machines.length} nodes, as ${name} says`, 180, async () => {
      const answer = await request(socketOf(name), "GET", "/nodes").catch(() => undefined)
      const nodes: ReadonlyArray<NodeView> = answer?.status === 200 ? answer.body : []
      const reachable = nodes.filter(({ ManagerStatus }) => ManagerStatus?.Reachability === "reachable")
      return (
        nodes.length === machines.length &&
        nodes.every(({ Status }) => Status.State === "ready") &&
        reachable.length === managers.length
      )
    })
  }
}
