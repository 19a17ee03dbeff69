/**
 * The five-minute demonstration: a manager, a real stack through the docker CLI, a container killed and replaced.
 *
 * `npm run demo` leaves the cluster running and says how to reach it; `npm run demo -- --down` removes every trace.
 * Ends with 0 only when every step did what it says.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { homedir, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { freePort } from "#cli/free-port.ts"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const isRoot = process.getuid?.() === 0
const dataDir =
  process.env.TROUPE_DEMO_DIR ??
  (isRoot ? "/var/lib/troupe-demo" : join(homedir(), ".local/share/troupe-demo"))
const socket =
  process.env.TROUPE_DEMO_SOCKET ?? (isRoot ? "/run/troupe-demo/docker.sock" : join(dataDir, "docker.sock"))
const state = join(dataDir, "demo.json")
const logFile = join(dataDir, "node.log")
const stack = "shop"

interface DemoState {
  readonly pid: number
  readonly port: number
  readonly http: string
}

const say = (text: string): void => console.log(text)
const step = (text: string): void => console.log(`\n\u25b8 ${text}`)

class DemoFailed extends Error {}

/** Runs the docker CLI against our socket; fails with what it printed. */
function docker(...args: ReadonlyArray<string>): string {
  const run = spawnSync("docker", ["-H", `unix://${socket}`, ...args], {
    encoding: "utf8",
    env: { ...process.env, DOCKER_BUILDKIT: "0" },
    timeout: 180_000
  })
  if (run.status !== 0) {
    throw new DemoFailed(
      `docker ${args.join(" ")}: ${run.error?.message ?? (run.stderr.trim() || run.stdout.trim())}`
    )
  }
  return run.stdout.trim()
}

/** The same, its output shown as it comes. */
function dockerShown(env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>): void {
  say(`  $ docker -H unix://${socket} ${args.join(" ")}`)
  const run = spawnSync("docker", ["-H", `unix://${socket}`, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
    timeout: 180_000
  })
  if (run.status !== 0)
    throw new DemoFailed(`docker ${args.join(" ")} ended with ${run.status ?? run.signal}`)
}

async function until<A>(
  what: string,
  seconds: number,
  look: () => A | undefined | Promise<A | undefined>
): Promise<A> {
  const deadline = Date.now() + seconds * 1000
  for (let last = ""; ; await pause(100)) {
    try {
      const found = await look()
      if (found !== undefined) return found
    } catch (cause) {
      last = `: ${cause instanceof Error ? cause.message : cause}`
    }
    if (Date.now() > deadline) throw new DemoFailed(`${what} did not happen within ${seconds} s${last}`)
  }
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const known = (): DemoState | undefined =>
  existsSync(state) ? (JSON.parse(readFileSync(state, "utf8")) as DemoState) : undefined

async function startManager(): Promise<DemoState> {
  const running = known()
  if (running !== undefined && isRunning(running.pid)) {
    say(`  a manager runs already (process ${running.pid})`)
    return running
  }
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  mkdirSync(dirname(socket), { recursive: true })
  const http = `127.0.0.1:${await freePort("127.0.0.1", 4500)}`
  const port = running?.port ?? (await freePort("127.0.0.1", 8080))
  const log = openSync(logFile, "a", 0o600)
  const args = [
    "--role",
    "manager",
    "--data-dir",
    dataDir,
    "--socket",
    socket,
    "--http",
    http,
    "--nats-port",
    "0",
    "--join-port",
    "0",
    "--route-port",
    "0"
  ]
  say(`  $ bun run node ${args.join(" ")}`)
  const child: ChildProcess = spawn(process.execPath, [join(root, "cli/main.ts"), "node", ...args], {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: root
  })
  const pid = child.pid
  if (pid === undefined) throw new DemoFailed("the manager could not be started")
  let ended: string | undefined
  child.once("exit", (code, signal) => {
    ended = `the manager ended with ${code ?? signal}; its log: ${logFile}\n${readFileSync(logFile, "utf8").slice(-2000)}`
  })
  writeFileSync(state, JSON.stringify({ pid, port, http }))
  await until("the manager's answer", 60, () => {
    if (ended !== undefined) throw new DemoFailed(ended)
    return docker("node", "ls", "--format", "{{.Status}}").includes("Ready") ? true : undefined
  })
  child.removeAllListeners("exit")
  child.unref()
  return { pid, port, http }
}

function buildImage(): void {
  const context = mkdtempSync(join(tmpdir(), "troupe-demo-"))
  try {
    cpSync(join(root, "deploy/stacks/demo/image"), context, { recursive: true })
    const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path))
    if (busybox === undefined) throw new DemoFailed("no static busybox: npm run setup installs it")
    cpSync(busybox, join(context, "busybox"))
    docker("build", "-q", "-t", "troupe-demo:1", context)
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}

function deploy(port: number): void {
  const secret = join(dataDir, "counter-key.txt")
  if (!existsSync(secret)) writeFileSync(secret, randomBytes(12).toString("hex"), { mode: 0o600 })
  const env = { TROUPE_DEMO_PORT: String(port), TROUPE_DEMO_SECRET: secret }
  // Older CLIs, such as Debian 12's, never wait and do not know the flag.
  const detach = docker("stack", "deploy", "--help").includes("--detach") ? ["--detach=true"] : []
  const compose = join(root, "deploy/stacks/demo/compose.yaml")
  dockerShown(env, "stack", "deploy", ...detach, "--resolve-image", "never", "-c", compose, stack)
}

const replicas = (): string => docker("service", "ls", "--format", "{{.Name}} {{.Replicas}}")

async function visit(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/cgi-bin/hello`, { signal: AbortSignal.timeout(5000) })
  return (await answer.text()).trim()
}

async function killOne(): Promise<void> {
  const filter = `label=com.docker.swarm.service.name=${stack}_web`
  const running = (): ReadonlyArray<string> =>
    docker("ps", "-q", "--filter", filter, "--filter", "status=running").split("\n").filter(Boolean)
  const before = running()
  const [victim] = before
  if (victim === undefined) throw new DemoFailed("no container to kill")
  say(`  killing container ${victim}`)
  docker("kill", victim)
  const began = performance.now()
  const replacement = await until("the replacement", 30, () => {
    const fresh = running().filter((id) => !before.includes(id))
    return fresh.length > 0 && running().length === before.length ? fresh[0] : undefined
  })
  say(`  replaced by ${replacement}, seen after ${((performance.now() - began) / 1000).toFixed(1)} s`)
}

async function up(): Promise<void> {
  step("Starting a manager")
  const { port, http } = await startManager()
  step("Building the demo's image through Troupe's socket")
  buildImage()
  step("Deploying a stack: three services, a network, a volume, a config and a secret")
  deploy(port)
  await until("3 of 3 web, 1 of 1 counter, 1 of 1 visitor", 90, () => {
    const lines = replicas()
    const whole = [`${stack}_web 3/3`, `${stack}_counter 1/1`, `${stack}_visitor 1/1`]
    return whole.every((line) => lines.includes(line)) ? true : undefined
  })
  say(replicas().replace(/^/gm, "  "))
  step(`Asking the published port: http://127.0.0.1:${port}/cgi-bin/hello`)
  const seen = new Set<string>()
  await until("an answer of every replica", 30, async () => {
    const answer = await visit(port)
    const replica = /replica (\S+),/.exec(answer)?.[1]
    if (replica !== undefined && !seen.has(replica)) {
      seen.add(replica)
      say(`  ${answer}`)
    }
    return seen.size === 3 ? true : undefined
  })
  step("Killing a container in front of you")
  await killOne()
  dockerShown({}, "service", "ps", `${stack}_web`)
  step("The cluster runs. Yours to try:")
  say(`  docker -H unix://${socket} service ls
  docker -H unix://${socket} service logs -f ${stack}_visitor
  docker -H unix://${socket} service scale ${stack}_web=6
  curl http://127.0.0.1:${port}/cgi-bin/hello
  bun run troupe status --socket ${socket}
  bun run troupe doctor --data-dir ${dataDir}
  npm run demo -- --down      # removes every trace

  The same API over TCP: tcp://${http}, token in ${join(dataDir, "http-token")}; the manager's log: ${logFile}`)
}

async function down(): Promise<void> {
  const running = known()
  if (running === undefined) {
    say("no demo runs here")
    return
  }
  if (!isRunning(running.pid)) await startManager()
  const { pid } = known() ?? running
  step("Removing the stack")
  if (docker("stack", "ls", "--format", "{{.Name}}").split("\n").includes(stack)) docker("stack", "rm", stack)
  const ours = ["--filter", `label=com.docker.stack.namespace=${stack}`]
  await until("the end of all containers", 60, () => (docker("ps", "-aq", ...ours) === "" ? true : undefined))
  docker("volume", "rm", "-f", `${stack}_counts`)
  docker("rmi", "-f", "troupe-demo:1")
  step("Ending the cluster")
  docker("swarm", "leave", "--force")
  if (isRunning(pid)) process.kill(pid, "SIGTERM")
  await until("the manager's end", 30, () => (isRunning(pid) ? undefined : true))
  rmSync(dataDir, { recursive: true, force: true })
  if (socket.startsWith("/run/troupe-demo/")) rmSync(dirname(socket), { recursive: true, force: true })
  say("  gone")
}

const args = process.argv.slice(2)
const unknown = args.find((argument) => argument !== "--down")
if (unknown !== undefined) {
  console.error(`demo: '${unknown}': expected --down, or nothing`)
  process.exit(2)
}
try {
  await (args.includes("--down") ? down() : up())
} catch (cause) {
  console.error(`\ndemo: ${cause instanceof Error ? cause.message : cause}`)
  process.exit(1)
}
