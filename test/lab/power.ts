/** Machines that freeze, thaw, lose power and are taken away. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { readdirSync, rmdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import {
  base,
  dataOf,
  engineOf,
  folderOf,
  groupOf,
  type Machine,
  namespaceOf,
  runBase,
  runFolderOf
} from "#test/lab/machines.ts"
import { disconnect, removeBridge } from "#test/lab/network.ts"
import { end, isAlive, pidsInGroup, quietly, signal, until } from "#test/lab/processes.ts"

/** Everything that runs on it: servers and shims are in its network, what is in containers is in its control group. */
function pidsOf({ name }: Machine): ReadonlyArray<number> {
  const listed = spawnSync("ip", ["netns", "pids", namespaceOf(name)], { encoding: "utf8" }).stdout
  const inNetwork = listed
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 1)
  return [...new Set([...inNetwork, ...pidsInGroup(groupOf(name))])].filter(isAlive)
}

/** The Engine alone, the node alone, or all that runs on the machine, as when it is a virtual one that is paused. */
export type Part = "engine" | "node" | "machine"

const partsOf = (machine: Machine, part: Part): ReadonlyArray<number> => {
  if (part === "engine") return [machine.enginePid]
  return part === "node" ? [machine.nodePid] : pidsOf(machine)
}

/** Its sockets stay open and nobody answers. */
export function freeze(machine: Machine, part: Part): void {
  for (const pid of partsOf(machine, part)) signal(pid, "SIGSTOP")
}

export function thaw(machine: Machine): void {
  for (const pid of pidsOf(machine)) signal(pid, "SIGCONT")
}

/** Whatever still lives on it: left-over servers, shims, containers; at a load of forty their ends take a while. */
const endRest = (machine: Machine): Promise<void> =>
  until(`the end of everything on ${machine.name}`, 60, () => {
    const left = pidsOf(machine)
    for (const pid of left) signal(pid, "SIGKILL")
    return left.length === 0
  })

/** As when the power fails. */
export async function kill(machine: Machine): Promise<void> {
  for (const pid of [machine.nodePid, machine.enginePid]) signal(pid, "SIGKILL")
  await endRest(machine)
  // Another process may have this id before the node is started again.
  machine.nodePid = 0
  // What a machine without power forgets: /run is memory.
  rmSync(runFolderOf(machine.name), { recursive: true, force: true })
}

/** Ends everything of a machine and removes every trace of it, however far its start came. */
export async function remove(machine: Machine): Promise<void> {
  const { name } = machine
  thaw(machine)
  // What was written down before the host was started anew is not the lab's any more.
  const there = pidsOf(machine)
  const [nodePid = 0, enginePid = 0] = [machine.nodePid, machine.enginePid].map((pid) =>
    there.includes(pid) ? pid : 0
  )
  await end(nodePid, 15)
  if (isAlive(enginePid)) removeContainers(name)
  await end(enginePid, 15)
  await endRest(machine)
  disconnect(machine)
  removeGroups(groupOf(name))
  // The namespaces took the mounts with them. The node's own folder in /run is named after its data.
  const own = createHash("sha256").update(dataOf(name)).digest("hex").slice(0, 12)
  for (const folder of [folderOf(name), runFolderOf(name), join("/run/troupe", own)])
    rmSync(folder, { recursive: true, force: true })
}

function removeContainers(name: string): void {
  const host = `unix://${engineOf(name)}`
  const listed = spawnSync("docker", ["-H", host, "ps", "-aq"], { encoding: "utf8" })
  const containers = listed.status === 0 ? listed.stdout.split("\n").filter(Boolean) : []
  if (containers.length > 0) quietly("docker", "-H", host, "rm", "-f", ...containers)
}

/** Control groups outlive what was in them; there is one tree, or one per controller. */
function removeGroups(group: string): void {
  const root = "/sys/fs/cgroup"
  for (const tree of [root, ...readdirSync(root).map((controller) => join(root, controller))])
    removeTree(join(tree, group))
}

function removeTree(folder: string): void {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(folder, entry.name))
    rmdirSync(folder)
  } catch {
    // It was not there.
  }
}

/** What no machine owns. */
export function removeRest(): void {
  removeBridge()
  for (const folder of [base, runBase]) rmSync(folder, { recursive: true, force: true })
}

/** Removes them, and then what no machine owns. */
export async function takeDown(
  machines: ReadonlyArray<Machine>,
  gone: (machine: Machine) => void = () => {}
): Promise<void> {
  await Promise.all(machines.map((machine) => remove(machine).then(() => gone(machine))))
  removeRest()
}
