/**
 * The lab: several machines on one, as root on Linux. Each is a network namespace with a real Docker Engine and a
 * Troupe node, joined to the others by a bridge.
 *
 *     bun run lab up 3 | status | cut n2 | heal n2 | kill n2 | start n2 | down
 *
 * Until nodes can join each other, each of them is a cluster of one.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { table } from "#cli/print/table.ts"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const base = process.env.TROUPE_LAB_DIR ?? "/var/lib/troupe-lab"
const stateFile = join(base, "lab.json")
const bridge = "tl-br"
const subnet = "10.77.0"

interface LabNode {
  readonly name: string
  readonly address: string
  enginePid: number
  nodePid: number
}

class LabError extends Error {}

function sh(command: string, ...args: ReadonlyArray<string>): string {
  const run = spawnSync(command, args, { encoding: "utf8" })
  if (run.status !== 0)
    throw new LabError(`${command} ${args.join(" ")}: ${run.error?.message ?? run.stderr.trim()}`)
  return run.stdout
}

/** The same where failing means that it was so already. */
const quietly = (command: string, ...args: ReadonlyArray<string>): boolean =>
  spawnSync(command, args, { encoding: "utf8" }).status === 0

const read = (): Array<LabNode> => (existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, "utf8")) : [])
const write = (nodes: ReadonlyArray<LabNode>): void =>
  writeFileSync(stateFile, JSON.stringify(nodes, null, 2))

const folderOf = (name: string): string => join(base, name)
/** Unix socket paths have room for 107 bytes, so these are short and apart from the data. */
const runFolderOf = (name: string): string => `/run/troupe-lab/${name}`
const socketOf = (name: string): string => `${runFolderOf(name)}/troupe.sock`
const engineOf = (name: string): string => `${runFolderOf(name)}/engine.sock`
const namespaceOf = (name: string): string => `tl-${name}`

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.startsWith("Z") === false
  } catch {
    return false
  }
}

async function until(what: string, seconds: number, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !holds(); await pause(50)) {
    if (Date.now() > end) throw new LabError(`${what} did not happen within ${seconds} s`)
  }
}

function background(logFile: string, command: string, args: ReadonlyArray<string>): number {
  const log = openSync(logFile, "a")
  const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log], cwd: root })
  child.unref()
  if (child.pid === undefined) throw new LabError(`${command} could not be started`)
  return child.pid
}

/** The bridge and the namespace's end of it. */
function connect(name: string, address: string): void {
  const namespace = namespaceOf(name)
  quietly("ip", "link", "add", bridge, "type", "bridge")
  quietly("ip", "addr", "add", `${subnet}.1/24`, "dev", bridge)
  sh("ip", "link", "set", bridge, "up")
  // Bridged frames must not meet the host's own iptables, or the machines cannot reach each other.
  quietly("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
  if (!quietly("ip", "netns", "add", namespace)) return
  sh("ip", "link", "add", `tl-${name}`, "type", "veth", "peer", "name", "eth0", "netns", namespace)
  sh("ip", "link", "set", `tl-${name}`, "master", bridge, "up")
  sh("ip", "-n", namespace, "addr", "add", `${address}/24`, "dev", "eth0")
  sh("ip", "-n", namespace, "link", "set", "eth0", "up")
  sh("ip", "-n", namespace, "link", "set", "lo", "up")
  sh("ip", "-n", namespace, "route", "add", "default", "via", `${subnet}.1`)
}

/** An Engine of its own. Mounts are its own, too, so that image look-ups do not wait for a DNS that is not there. */
async function startEngine(node: LabNode): Promise<void> {
  const folder = folderOf(node.name)
  const run = runFolderOf(node.name)
  mkdirSync(join(folder, "engine"), { recursive: true })
  mkdirSync(run, { recursive: true })
  writeFileSync(join(folder, "resolv.conf"), "nameserver 127.0.0.1\n")
  rmSync(join(run, "engine.pid"), { force: true })
  const engine = [
    "dockerd",
    `--data-root=${folder}/engine`,
    `--exec-root=${run}/engine-exec`,
    `--pidfile=${run}/engine.pid`,
    "-H",
    `unix://${engineOf(node.name)}`,
    "--live-restore"
  ].join(" ")
  const script = `hostname ${node.name}; mount --bind ${folder}/resolv.conf /etc/resolv.conf; exec ${engine}`
  // Not `ip netns exec`: it mounts /sys anew and hides the cgroups from the Engine.
  background(join(folder, "engine.log"), "nsenter", [
    `--net=/run/netns/${namespaceOf(node.name)}`,
    "unshare",
    "-m",
    "--uts",
    "sh",
    "-c",
    script
  ])
  await until(`the Engine of ${node.name}`, 30, () =>
    quietly("docker", "-H", `unix://${engineOf(node.name)}`, "version")
  )
  node.enginePid = Number(readFileSync(join(run, "engine.pid"), "utf8"))
}

/** A manager in the Engine's own namespaces, so that what it mounts is seen there. */
async function startNode(node: LabNode): Promise<void> {
  const flags = [
    ...["--role", "manager", "--name", node.name, "--advertise-addr", node.address],
    ...["--data-dir", join(folderOf(node.name), "data"), "--socket", socketOf(node.name)],
    ...["--docker-host", `unix://${engineOf(node.name)}`]
  ]
  node.nodePid = background(join(folderOf(node.name), "node.log"), "nsenter", [
    ...["-t", String(node.enginePid), "-n", "-m", "-u", `--wd=${root}`],
    process.execPath,
    join(root, "cli/main.ts"),
    "node",
    ...flags
  ])
  await until(`the node of ${node.name}`, 60, () =>
    quietly("docker", "-H", `unix://${socketOf(node.name)}`, "node", "ls")
  )
}

/** Ends a process by id, with TERM and, where that is not enough, KILL. */
async function end(pid: number, seconds: number): Promise<void> {
  if (pid <= 0 || !isAlive(pid)) return
  process.kill(pid, "SIGTERM")
  await until(`the end of process ${pid}`, seconds, () => !isAlive(pid)).catch(() =>
    process.kill(pid, "SIGKILL")
  )
}

/** Whatever still lives in the namespace: left-over servers, shims, containers. */
function endRest(name: string): void {
  const namespace = namespaceOf(name)
  const listed = spawnSync("ip", ["netns", "pids", namespace], { encoding: "utf8" }).stdout.split("\n")
  for (const pid of listed.map(Number).filter((id) => id > 1)) quietly("kill", "-9", String(pid))
}

const commands: Readonly<Record<string, (nodes: Array<LabNode>, argument?: string) => Promise<void>>> = {
  up: async (nodes, argument) => {
    const count = Number(argument ?? "3")
    if (!Number.isInteger(count) || count < 1 || count > 20)
      throw new LabError(`up '${argument}': expected 1 to 20`)
    mkdirSync(base, { recursive: true })
    for (let at = 1; at <= count; at++) {
      const name = `n${at}`
      if (nodes.some((node) => node.name === name)) continue
      const node: LabNode = { name, address: `${subnet}.${10 + at}`, enginePid: 0, nodePid: 0 }
      nodes.push(node)
      connect(name, node.address)
      write(nodes)
      await startEngine(node)
      write(nodes)
      await startNode(node)
      write(nodes)
      console.log(`${name}  ${node.address}  docker -H unix://${socketOf(name)}`)
    }
  },
  status: async (nodes) => {
    const rows = nodes.map((node) => [
      node.name,
      node.address,
      isAlive(node.enginePid) ? "up" : "down",
      isAlive(node.nodePid) ? "up" : "down",
      `unix://${socketOf(node.name)}`
    ])
    console.log(table(["MACHINE", "ADDRESS", "ENGINE", "NODE", "SOCKET"], rows))
  },
  cut: async (nodes, name) => void sh("ip", "link", "set", `tl-${named(nodes, name).name}`, "down"),
  heal: async (nodes, name) => void sh("ip", "link", "set", `tl-${named(nodes, name).name}`, "up"),
  kill: async (nodes, name) => {
    const node = named(nodes, name)
    for (const pid of [node.nodePid, node.enginePid]) if (isAlive(pid)) process.kill(pid, "SIGKILL")
    endRest(node.name)
    // What a machine without power forgets: /run is memory.
    rmSync(runFolderOf(node.name), { recursive: true, force: true })
  },
  start: async (nodes, name) => {
    const node = named(nodes, name)
    if (!isAlive(node.enginePid)) await startEngine(node)
    if (!isAlive(node.nodePid)) await startNode(node)
    write(nodes)
  },
  down: async (nodes) => {
    for (const { name, nodePid, enginePid } of nodes) {
      await end(nodePid, 15)
      const running = spawnSync("docker", ["-H", `unix://${engineOf(name)}`, "ps", "-aq"], {
        encoding: "utf8"
      })
      const containers = running.status === 0 ? running.stdout.split("\n").filter(Boolean) : []
      if (containers.length > 0)
        quietly("docker", "-H", `unix://${engineOf(name)}`, "rm", "-f", ...containers)
      await end(enginePid, 15)
      endRest(name)
      quietly("ip", "netns", "del", namespaceOf(name))
      quietly("ip", "link", "del", `tl-${name}`)
      // The namespaces took the Engine's mounts with them.
      rmSync(folderOf(name), { recursive: true, force: true })
      rmSync(runFolderOf(name), { recursive: true, force: true })
      console.log(`${name} is gone`)
    }
    quietly("ip", "link", "del", bridge)
    rmSync(base, { recursive: true, force: true })
    rmSync("/run/troupe-lab", { recursive: true, force: true })
  }
}

function named(nodes: ReadonlyArray<LabNode>, name: string | undefined): LabNode {
  const node = nodes.find((candidate) => candidate.name === name)
  if (node === undefined) {
    throw new LabError(
      `'${name ?? ""}': expected one of ${nodes.map((each) => each.name).join(", ") || "none: run up first"}`
    )
  }
  return node
}

const [command = "", argument] = process.argv.slice(2)
const action = commands[command]
try {
  if (action === undefined)
    throw new LabError(`'${command}': expected one of ${Object.keys(commands).join(", ")}`)
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new LabError("the lab needs Linux and root")
  await action(read(), argument)
} catch (cause) {
  console.error(`lab: ${cause instanceof Error ? cause.message : cause}`)
  process.exit(1)
}
