/**
 * Machines of the lab: network namespaces joined by a bridge, each with a real Docker Engine of its own and a Troupe
 * manager. What is started is written down before, so that `remove` finds it however far a start came.
 */
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import http from "node:http"
import { dirname, join } from "node:path"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
/** Two labs beside each other have different names, of few letters, and different networks. */
const lab = process.env.TROUPE_LAB ?? "tl"
const subnet = process.env.TROUPE_LAB_NET ?? "10.77.0"
const labFolder = lab === "tl" ? "troupe-lab" : `troupe-lab-${lab}`
export const base = process.env.TROUPE_LAB_DIR ?? `/var/lib/${labFolder}`
const runBase = `/run/${labFolder}`
const stateFile = join(base, "lab.json")
const bridge = `${lab}-br`

export interface Machine {
  readonly name: string
  readonly address: string
  /** Without an Engine tasks are processes. */
  readonly hasEngine: boolean
  /** 0 until it was started. */
  enginePid: number
  nodePid: number
}

export class LabError extends Error {}

function sh(command: string, ...args: ReadonlyArray<string>): string {
  const run = spawnSync(command, args, { encoding: "utf8" })
  if (run.status !== 0)
    throw new LabError(`${command} ${args.join(" ")}: ${run.error?.message ?? run.stderr.trim()}`)
  return run.stdout
}

/** The same where failing means that it was so already. */
const quietly = (command: string, ...args: ReadonlyArray<string>): boolean =>
  spawnSync(command, args, { encoding: "utf8" }).status === 0

export const readMachines = (): Array<Machine> =>
  existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, "utf8")) : []

export function writeMachines(machines: ReadonlyArray<Machine>): void {
  mkdirSync(base, { recursive: true })
  writeFileSync(stateFile, JSON.stringify(machines, null, 2))
}

export const newMachine = (at: number, hasEngine: boolean): Machine => ({
  name: `n${at}`,
  address: `${subnet}.${10 + at}`,
  hasEngine,
  enginePid: 0,
  nodePid: 0
})

/** Three without Engines, for a program that takes them down again; they are written down by whoever starts them. */
export function threeMachines(): Array<Machine> {
  if (readMachines().length > 0) throw new LabError("a lab is up already: bun run lab down")
  return [1, 2, 3].map((at) => newMachine(at, false))
}

export const folderOf = (name: string): string => join(base, name)
export const dataOf = (name: string): string => join(folderOf(name), "data")
/** Unix socket paths have room for 107 bytes, so these are short and apart from the data. */
const runFolderOf = (name: string): string => join(runBase, name)
export const socketOf = (name: string): string => join(runFolderOf(name), "troupe.sock")
const engineOf = (name: string): string => join(runFolderOf(name), "engine.sock")
const namespaceOf = (name: string): string => `${lab}-${name}`
const linkOf = namespaceOf

export function isAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.startsWith("Z") === false
  } catch {
    return false
  }
}

export async function until(
  what: string,
  seconds: number,
  holds: () => boolean | Promise<boolean>
): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await holds()); await pause(50)) {
    if (Date.now() > end) throw new LabError(`${what} did not come about within ${seconds} s`)
  }
}

function background(logFile: string, command: string, args: ReadonlyArray<string>): number {
  const log = openSync(logFile, "a")
  const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log], cwd: root })
  closeSync(log)
  child.on("error", () => {})
  child.unref()
  if (child.pid === undefined) throw new LabError(`${command} could not be started`)
  return child.pid
}

/** Waits for a program that was started here; one that ends instead is an error with its last words. */
const untilReady = (
  what: string,
  seconds: number,
  pid: number,
  logFile: string,
  holds: () => boolean | Promise<boolean>
): Promise<void> => {
  const lastWords = (): string => readFileSync(logFile, "utf8").slice(-2_000)
  return until(what, seconds, async () => {
    if (!isAlive(pid)) throw new LabError(`${what} ended by itself:\n${lastWords()}`)
    return holds()
  }).catch((error: Error) => {
    throw error.message.includes("\n") ? error : new LabError(`${error.message}:\n${lastWords()}`)
  })
}

/** The bridge, and a namespace at it. What is there already, also from a start that was broken off, is used. */
export function connect({ name, address }: Machine): void {
  const namespace = namespaceOf(name)
  quietly("ip", "link", "add", bridge, "type", "bridge")
  quietly("ip", "addr", "add", `${subnet}.1/24`, "dev", bridge)
  sh("ip", "link", "set", bridge, "up")
  // Bridged frames must not meet the host's own iptables, or the machines cannot reach each other.
  quietly("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
  quietly("ip", "netns", "add", namespace)
  if (!quietly("ip", "link", "show", linkOf(name)))
    sh("ip", "link", "add", linkOf(name), "type", "veth", "peer", "name", "eth0", "netns", namespace)
  sh("ip", "link", "set", linkOf(name), "master", bridge, "up")
  quietly("ip", "-n", namespace, "addr", "add", `${address}/24`, "dev", "eth0")
  sh("ip", "-n", namespace, "link", "set", "eth0", "up")
  sh("ip", "-n", namespace, "link", "set", "lo", "up")
  quietly("ip", "-n", namespace, "route", "add", "default", "via", `${subnet}.1`)
}

export const cut = ({ name }: Machine): void => void sh("ip", "link", "set", linkOf(name), "down")
export const heal = ({ name }: Machine): void => void sh("ip", "link", "set", linkOf(name), "up")

/** What `machine` no longer hears and no longer says, by the other's address; nothing at all where both are empty. */
export function block(
  { name }: Machine,
  { from = [], to = [] }: { readonly from?: ReadonlyArray<Machine>; readonly to?: ReadonlyArray<Machine> }
): void {
  const rules = [
    "add table inet lab",
    "delete table inet lab",
    "add table inet lab",
    "add chain inet lab in { type filter hook input priority -300; }",
    "add chain inet lab out { type filter hook output priority -300; }",
    ...from.map(({ address }) => `add rule inet lab in ip saddr ${address} drop`),
    ...to.map(({ address }) => `add rule inet lab out ip daddr ${address} drop`)
  ]
  sh("nsenter", `--net=/run/netns/${namespaceOf(name)}`, "nft", rules.join("; "))
}

/**
 * Enters a machine's network with mounts and a host name of its own. Not `ip netns exec`: it mounts /sys anew and
 * hides the cgroups from the Engine. Image look-ups must not wait for a DNS that is not there.
 */
function inside({ name }: Machine, command: string): ReadonlyArray<string> {
  writeFileSync(join(folderOf(name), "resolv.conf"), "nameserver 127.0.0.1\n")
  const script = `hostname ${name}; mount --bind ${folderOf(name)}/resolv.conf /etc/resolv.conf; exec ${command}`
  return [`--net=/run/netns/${namespaceOf(name)}`, "unshare", "-m", "--uts", "sh", "-c", script]
}

/** An Engine of its own. */
export async function startEngine(machine: Machine): Promise<void> {
  const { name } = machine
  const [folder, run] = [folderOf(name), runFolderOf(name)]
  mkdirSync(join(folder, "engine"), { recursive: true })
  mkdirSync(run, { recursive: true })
  if (!machine.hasEngine || isAlive(machine.enginePid)) return
  const pidFile = join(run, "engine.pid")
  rmSync(pidFile, { force: true })
  const engine = [
    ...["dockerd", `--data-root=${folder}/engine`, `--exec-root=${run}/engine-exec`],
    ...[`--pidfile=${pidFile}`, "-H", `unix://${engineOf(name)}`, "--live-restore"]
  ].join(" ")
  const log = join(folder, "engine.log")
  const pid = background(log, "nsenter", inside(machine, engine))
  await untilReady(`the Engine of ${name}`, 60, pid, log, async () => {
    const answer = await request(engineOf(name), "GET", "/_ping").catch(() => undefined)
    return answer?.status === 200 && existsSync(pidFile)
  })
  machine.enginePid = Number(readFileSync(pidFile, "utf8"))
}

/** Whether it founded or joined a cluster in this or an earlier life. */
export const isMember = ({ name }: Machine): boolean => existsSync(join(dataOf(name), "identity.json"))

export interface Invitation {
  readonly address: string
  readonly token: string
}

/** A manager that founds the cluster, or joins one; in the Engine's own namespaces, so that what it mounts is seen there. */
export async function startNode(machine: Machine, invitation?: Invitation): Promise<void> {
  const { name, address } = machine
  if (isAlive(machine.nodePid)) return
  const command = [
    ...[process.execPath, join(root, "cli/main.ts"), "node", "--role", "manager", "--name", name],
    ...["--advertise-addr", address, "--listen-addr", address],
    ...["--data-dir", dataOf(name), "--socket", socketOf(name)],
    ...(machine.hasEngine ? ["--docker-host", `unix://${engineOf(name)}`] : ["--executor", "process"]),
    ...(invitation === undefined ? [] : ["--join", invitation.address, "--token", invitation.token])
  ]
  const log = join(folderOf(name), "node.log")
  const entering = machine.hasEngine
    ? ["-t", String(machine.enginePid), "-n", "-m", "-u", `--wd=${root}`, ...command]
    : inside(machine, command.join(" "))
  machine.nodePid = background(log, "nsenter", entering)
  await untilReady(`the node of ${name}`, 60, machine.nodePid, log, async () => {
    const answer = await request(socketOf(name), "GET", "/nodes").catch(() => undefined)
    return answer?.status === 200
  })
}

/** What another manager needs to join by way of this one. */
export async function invitationOf({ name, address }: Machine): Promise<Invitation> {
  const swarm = await request(socketOf(name), "GET", "/swarm")
  const nodes = await request(socketOf(name), "GET", "/nodes")
  // biome-ignore lint/suspicious/noExplicitAny: the API's shapes
  const own = nodes.body?.find?.((node: any) => node.Status?.Addr === address)
  const token = swarm.body?.JoinTokens?.Manager
  if (token === undefined || own === undefined)
    throw new LabError(`${name} does not say how to join it: ${JSON.stringify([swarm, nodes]).slice(0, 500)}`)
  return { address: own.ManagerStatus.Addr, token }
}

/** Starts them one after the other: the first founds the cluster, the others join it by way of the first. */
export async function raise(machines: ReadonlyArray<Machine>): Promise<void> {
  for (const machine of machines) {
    connect(machine)
    await startEngine(machine)
  }
  const [founder, ...others] = machines as [Machine, ...Array<Machine>]
  await startNode(founder)
  const invitation = await invitationOf(founder)
  for (const machine of others) await startNode(machine, invitation)
  writeMachines(machines)
  await untilWhole(machines)
}

interface NodeView {
  readonly ManagerStatus?: { readonly Reachability: string }
}

/** All three are members that can be reached, as each of them says. */
export async function untilWhole(machines: ReadonlyArray<Machine>): Promise<void> {
  for (const { name } of machines) {
    await until(`three managers, as ${name} says`, 60, async () => {
      const answer = await request(socketOf(name), "GET", "/nodes").catch(() => undefined)
      return (
        answer?.status === 200 &&
        answer.body.length === machines.length &&
        answer.body.every(({ ManagerStatus }: NodeView) => ManagerStatus?.Reachability === "reachable")
      )
    })
  }
}

export interface Answered {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: the API's shapes
  readonly body: any
}

/** One request on a unix socket, on a connection of its own; fails after `withinMs`. */
export const request = (
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  withinMs = 5_000
): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const asked = http.request(
      {
        ...{ socketPath, method, path, agent: false, signal: AbortSignal.timeout(withinMs) },
        headers: text === undefined ? {} : { "content-type": "application/json" }
      },
      (response) => {
        let answer = ""
        response.setEncoding("utf8")
        response.on("data", (part) => {
          answer += part
        })
        response.on("error", reject)
        response.on("end", () => {
          try {
            resolve({ status: response.statusCode ?? 0, body: JSON.parse(answer) })
          } catch {
            resolve({ status: response.statusCode ?? 0, body: answer })
          }
        })
      }
    )
    asked.on("error", reject)
    asked.end(text)
  })

/** Ends a process by id, with TERM and, where that is not enough, KILL. */
async function end(pid: number, seconds: number): Promise<void> {
  if (!isAlive(pid)) return
  process.kill(pid, "SIGTERM")
  await until(`the end of process ${pid}`, seconds, () => !isAlive(pid)).catch(() =>
    process.kill(pid, "SIGKILL")
  )
}

/** Whatever still lives in the namespace: left-over servers, shims, containers. */
async function endRest(name: string): Promise<void> {
  const living = (): ReadonlyArray<number> =>
    spawnSync("ip", ["netns", "pids", namespaceOf(name)], { encoding: "utf8" })
      .stdout.split("\n")
      .map(Number)
      .filter((pid) => pid > 1 && isAlive(pid))
  await until(`the end of everything in ${name}`, 15, () => {
    const left = living()
    for (const pid of left) quietly("kill", "-9", String(pid))
    return left.length === 0
  })
}

/** As when the power fails. */
export async function kill(machine: Machine): Promise<void> {
  for (const pid of [machine.nodePid, machine.enginePid]) if (isAlive(pid)) process.kill(pid, "SIGKILL")
  await endRest(machine.name)
  // What a machine without power forgets: /run is memory.
  rmSync(runFolderOf(machine.name), { recursive: true, force: true })
}

/** Ends everything of a machine and removes every trace of it, however far its start came. */
export async function remove({ name, nodePid, enginePid }: Machine): Promise<void> {
  await end(nodePid, 15)
  const host = `unix://${engineOf(name)}`
  const running = spawnSync("docker", ["-H", host, "ps", "-aq"], { encoding: "utf8" })
  const containers = running.status === 0 ? running.stdout.split("\n").filter(Boolean) : []
  if (containers.length > 0) quietly("docker", "-H", host, "rm", "-f", ...containers)
  await end(enginePid, 15)
  await endRest(name)
  quietly("ip", "netns", "del", namespaceOf(name))
  quietly("ip", "link", "del", linkOf(name))
  // The namespaces took the mounts with them. The node's own folder in /run is named after its data.
  const own = createHash("sha256").update(dataOf(name)).digest("hex").slice(0, 12)
  for (const folder of [folderOf(name), runFolderOf(name), join("/run/troupe", own)])
    rmSync(folder, { recursive: true, force: true })
}

/** What no machine owns. */
export function removeRest(): void {
  quietly("ip", "link", "del", bridge)
  for (const folder of [base, runBase]) rmSync(folder, { recursive: true, force: true })
}

/** Removes them one after the other, and then what no machine owns. */
export async function takeDown(
  machines: ReadonlyArray<Machine>,
  gone: (machine: Machine) => void = () => {}
): Promise<void> {
  for (const machine of machines) {
    await remove(machine)
    gone(machine)
  }
  removeRest()
}
