/**
 * A whole cluster of one node for tests: the daemon as a child process of its own, started from this repository in
 * a data directory that is thrown away, driven through its socket, killed and started again at will.
 */
import { Buffer } from "node:buffer"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { Effect } from "effect"
import { LetThrough } from "#actors/drivers/firewall/let-through.ts"
import { tablesOfNode } from "#actors/drivers/kernel/names.ts"
import { mountsBelow } from "#actors/drivers/machine/mounts.ts"
import {
  identityOf,
  isAlive,
  type ProcessIdentity,
  signalProcess
} from "#actors/drivers/machine/process-identity.ts"
import { type CliOptions, type CliResult, docker } from "#test/support/docker-cli.ts"
import { cleanUp, dockerHost as defaultDockerHost, engine, eventually } from "#test/support/engine.ts"
import { freePort } from "#test/support/free-port.ts"
import { mustFit } from "#test/support/openapi/complain.ts"
import { endProcesses } from "#test/support/processes.ts"

export interface ClusterOptions {
  /** The node's name. Default: the host's. */
  readonly name?: string
  /** What it begins as; `none` for a node that waits for orders. Default: `manager`. */
  readonly role?: "manager" | "none"
  /** More flags of `node`, after those given by the harness. */
  readonly args?: ReadonlyArray<string>
  /** Where it listens, as flags of `node`. Default: at ports of its own, in all its lives. */
  readonly ports?: ReadonlyArray<string>
  /** The Engine it drives. Default: the one tests share. */
  readonly dockerHost?: string
  /** What runs of the repository. Default: `cli/main.ts`. */
  readonly program?: string
  /** What runs it; Bun unless given, for instance `["deno", "run", "-A"]`. */
  readonly runtime?: ReadonlyArray<string>
}

const anyPorts = ["--nats-port", "0", "--join-port", "0", "--route-port", "0"]
/** Nodes that start at the same time would choose the same one now and then. */
const ownPorts = async (): Promise<ReadonlyArray<string>> => [
  ...["--nats-port", `${await freePort()}`],
  ...["--join-port", `${await freePort()}`],
  ...["--route-port", `${await freePort()}`]
]

/** What an HTTP request came to; `body` is decoded JSON, or the text where it is not JSON. */
export interface ApiAnswer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever the API answers
  readonly body: any
}

/** Clusters side by side have different ones, also on Engines of their own: their bridges are in one network. */
let pools = Math.floor(Math.random() * 100)

const repository = fileURLToPath(new URL("../..", import.meta.url))
const run = promisify(execFile)

/** Starts a new cluster and waits until it serves and its node is ready. `cleanUp` must follow. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(await mkdtemp(join(tmpdir(), "troupe-cluster-")), options)
  try {
    await cluster.restart()
  } catch (error) {
    await cluster.cleanUp()
    throw error
  }
  return cluster
}

/** Beside a daemon: the process that tries it, and the daemon itself. */
interface Owner {
  readonly test?: ProcessIdentity | undefined
  readonly daemon?: ProcessIdentity | undefined
}
const ownerFile = "owner.json"

/** Ends and removes clusters of test runs that were killed, so that what they hold is in nobody's way. */
export async function removeLeftBehind(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const folder = join(tmpdir(), name)
    let owner: Owner
    try {
      owner = JSON.parse(readFileSync(join(folder, ownerFile), "utf8"))
    } catch {
      continue
    }
    if (owner.test !== undefined && isAlive(owner.test)) continue
    if (owner.daemon !== undefined) signalProcess(owner.daemon, "SIGKILL")
    await new Cluster(folder, {}).cleanUp()
    console.log(`removed ${folder}, which an earlier run left behind`)
  }
}

export class Cluster {
  /** Everything it has is below this folder, but for what it keeps in memory. */
  readonly folder: string
  readonly dataDir: string
  readonly socket: string
  /** For `docker -H`. */
  readonly host: string
  clusterId = ""
  nodeId = ""
  /** The address over TCP, `http://127.0.0.1:port`. */
  http = ""
  /** The folder whose program the next life runs: this repository, unless another release is tried. */
  release = repository
  readonly #options: ClusterOptions
  /** Apart from what a cluster takes by itself, so that one may run on the same Engine meanwhile. */
  readonly #addrPool = `10.${100 + (pools++ % 100)}.0.0/16`
  readonly #endQuietly = () => this.#child?.kill("SIGKILL")
  #child: ChildProcess | undefined
  #ports: ReadonlyArray<string> | undefined

  constructor(folder: string, options: ClusterOptions) {
    this.folder = folder
    this.dataDir = join(folder, "data")
    this.socket = join(folder, "docker.sock")
    this.host = `unix://${this.socket}`
    this.#options = options
    this.#ports = options.ports
    process.once("exit", this.#endQuietly)
  }

  /** Of the daemon that runs now. */
  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Of its nats-server as it last wrote it down; 0 while there is none. */
  get natsPid(): number {
    return this.#identity("nats/server.json", "server")?.pid ?? 0
  }

  get dataPlanePid(): number {
    return this.#identity("data-plane/process.json")?.pid ?? 0
  }

  /** Runs the docker CLI against the socket, to its end. */
  readonly docker = (...args: ReadonlyArray<string>): Promise<CliResult> => this.cli(args)

  cli(args: ReadonlyArray<string>, options: CliOptions = {}): Promise<CliResult> {
    return docker(this.host, args, options)
  }

  /** The docker CLI's output; fails with what it said when it did not end with 0. */
  async must(...args: ReadonlyArray<string>): Promise<string> {
    const { code, text, stderr } = await this.cli(args)
    if (code !== 0) throw new Error(`docker ${args.join(" ")} ended with ${code}: ${text}\n${stderr}`)
    return text
  }

  /** One request on the socket. A `string` or `Buffer` body is sent as it is, anything else as JSON. */
  api(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
    abort?: AbortSignal
  ): Promise<ApiAnswer> {
    const isRaw = typeof body === "string" || body instanceof Buffer
    const bytes = body === undefined ? undefined : isRaw ? body : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          socketPath: this.socket,
          path,
          method,
          agent: false,
          ...(abort && { signal: abort }),
          headers: {
            ...(bytes === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(bytes) }),
            ...headers
          }
        },
        (response) => {
          let text = ""
          response.setEncoding("utf8")
          response.on("data", (part) => {
            text += part
          })
          response.on("error", reject)
          response.on("end", () => {
            const answer = { status: response.statusCode ?? 0, body: parsed(text) }
            const { "content-type": type, "api-version": version } = response.headers
            try {
              mustFit({ method, path, type, version: String(version), ...answer, mayHaveMore: true })
              resolve(answer)
            } catch (error) {
              reject(error)
            }
          })
        }
      )
      request.on("error", reject)
      request.end(bytes)
    })
  }

  /** The body of a GET that must succeed. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever the API answers
  async get(path: string): Promise<any> {
    const { status, body } = await this.api("GET", path)
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`)
    return body
  }

  /** The process of a service's one task, once it runs. */
  async taskProcess(service: string): Promise<ProcessIdentity> {
    const filters = encodeURIComponent(JSON.stringify({ service: [service], "desired-state": ["running"] }))
    let found: ProcessIdentity | undefined
    await eventually(
      async () => {
        const [task] = await this.get(`/tasks?filters=${filters}`)
        if (task?.Status.State !== "running") return false
        found = identityOf(task.Status.ContainerStatus?.PID ?? 0)
        return found !== undefined
      },
      `the task of ${service} runs`,
      30_000
    )
    if (found === undefined) throw new Error(`the task of ${service} has no process`)
    return found
  }

  /** `troupe <args>` for this data directory; what it printed. */
  troupe(...args: ReadonlyArray<string>): Promise<string> {
    return this.troupeAnywhere(...args, "--data-dir", this.dataDir)
  }

  /** `troupe <args>`; what it printed. */
  async troupeAnywhere(...args: ReadonlyArray<string>): Promise<string> {
    const [command = "", ...words] = [...this.#runtime(), ...args]
    return (await run(command, words, { cwd: repository, maxBuffer: 64 * 1024 * 1024 })).stdout
  }

  /** How often each actor was restarted, by its path, for those that were. */
  async restarts(): Promise<Record<string, number>> {
    const found: Record<string, number> = {}
    const walk = (value: unknown, path: string): void => {
      if (Array.isArray(value)) for (const one of value) walk(one, path)
      else if (typeof value === "object" && value !== null) {
        const one = value as Record<string, unknown>
        const here = typeof one.name === "string" ? `${path}/${one.name}` : path
        if (typeof one.restarts === "number" && one.restarts > 0) found[here] = one.restarts
        for (const inner of Object.values(one)) walk(inner, here)
      }
    }
    walk(JSON.parse(await this.troupe("tree", "--json")), "")
    return found
  }

  /** What the daemon has written to its output so far, over all its lives. */
  log(): Promise<string> {
    return readFile(join(this.folder, "daemon.log"), "utf8")
  }

  /** What the daemon said of actors that crashed and supervisors that gave up, over all its lives. */
  async crashes(): Promise<ReadonlyArray<string>> {
    return (await this.log()).split("\n").filter((line) => /^\{"_tag":"(Crashed|GaveUp|Escalated)/.test(line))
  }

  /** SIGTERM, and the wait until it is gone. Tasks go on. Its exit code; `null` when it had to be killed. */
  stop(): Promise<number | null> {
    return this.#end("SIGTERM")
  }

  /** SIGKILL to the daemon alone. */
  async kill9(): Promise<void> {
    await this.#end("SIGKILL")
  }

  /** A signal to the daemon that runs now, if one does. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** Starts the daemon, ending the present one in order first, and waits until it serves and its node is ready. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
    await eventually(
      async () => {
        this.#mustRun()
        const { status, body } = await this.api("GET", "/nodes")
        return status === 200 && body.some((node: NodeJson) => node.Status.State === "ready")
      },
      "the node is ready",
      60_000
    )
  }

  /** Starts the daemon, with `more` flags for this life, and waits only until it serves as what it is. */
  async start(more: ReadonlyArray<string> = []): Promise<void> {
    await this.begin(more)
    await eventually(
      async () => {
        this.#mustRun()
        return (await this.get("/info")).Swarm.LocalNodeState !== "pending"
      },
      "the node has come up",
      60_000
    )
    this.#learn()
  }

  /** Starts the daemon, and waits only until commands find it, which may be before it has come up. */
  async begin(more: ReadonlyArray<string> = []): Promise<void> {
    const { name, role = "manager", args = [], dockerHost = defaultDockerHost } = this.#options
    // One that waits for orders may be in several clusters, the next before the last one's servers have ended.
    this.#ports ??= role === "none" ? anyPorts : await ownPorts()
    const log = openSync(join(this.folder, "daemon.log"), "a")
    const [command = "", ...words] = [
      ...this.#runtime(),
      ...["node", "--data-dir", this.dataDir, "--socket", this.socket],
      ...(role === "none" ? [] : ["--role", role]),
      ...["--http", "127.0.0.1:0", ...this.#ports, "--docker-host", dockerHost],
      ...["--default-addr-pool", this.#addrPool],
      ...(name === undefined ? [] : ["--name", name]),
      ...args,
      ...more
    ]
    const child = spawn(command, words, { cwd: repository, stdio: ["ignore", log, log] })
    closeSync(log)
    this.#child = child
    const owner: Owner = { test: identityOf(process.pid), daemon: identityOf(child.pid ?? 0) }
    writeFileSync(join(this.folder, ownerFile), JSON.stringify(owner))
    child.once("exit", () => {
      if (this.#child === child) console.error(`The daemon ended by itself:\n${this.#lastWords()}`)
    })
    await eventually(
      () => {
        this.#mustRun()
        return this.#readRunning()?.pid === child.pid
      },
      "the daemon serves",
      60_000
    )
    this.#learn()
  }

  #learn(): void {
    const running = this.#readRunning()
    this.clusterId = running?.clusterId ?? ""
    this.nodeId = running?.nodeId ?? ""
    this.http = running?.http ?? ""
  }

  /** Ends everything that belongs to this cluster and removes every trace of it. */
  async cleanUp(): Promise<void> {
    process.removeListener("exit", this.#endQuietly)
    if (this.clusterId === "") this.clusterId = this.#json("identity.json")?.clusterId ?? ""
    if (this.nodeId === "") this.nodeId = this.#json("identity.json")?.nodeId ?? ""
    await this.kill9()
    await this.#endHelpers()
    await this.#removeTables()
    endProcesses(join(this.dataDir, "processes"))
    if (this.clusterId !== "") {
      const label = `io.troupe.cluster=${this.clusterId}`
      await cleanUp(label, engine(this.#options.dockerHost ?? defaultDockerHost)).catch(() => {})
    }
    await this.#removeRunDirectory()
    await removeWithMounts(this.folder)
  }

  #runtime(): ReadonlyArray<string> {
    return [
      ...(this.#options.runtime ?? [process.execPath]),
      join(this.release, this.#options.program ?? "cli/main.ts")
    ]
  }

  #mustRun(): void {
    const { exitCode = null, signalCode = null } = this.#child ?? {}
    if (exitCode === null && signalCode === null) return
    throw new Error(`The daemon ended with ${exitCode ?? signalCode}:\n${this.#lastWords()}`)
  }

  #lastWords(): string {
    return readFileSync(join(this.folder, "daemon.log"), "utf8").slice(-4_000)
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return child?.exitCode ?? null
    }
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill(signal)
    const deadline = setTimeout(() => child.kill("SIGKILL"), 20_000)
    await ended
    clearTimeout(deadline)
    return child.exitCode
  }

  /** What outlives a daemon by design: the data plane and the entrance, and for a while nats-server and its guard. */
  async #endHelpers(): Promise<void> {
    const left = [
      this.#identity("nats/server.json", "guard"),
      this.#identity("nats/server.json", "server"),
      this.#identity("data-plane/process.json"),
      this.#identity("entrance/process.json")
    ].filter((one) => one !== undefined)
    for (const one of left) signalProcess(one, "SIGKILL")
    await eventually(() => !left.some(isAlive), "what the daemon left is gone")
  }

  /** What a node that leaves takes away, and one that is killed does not. */
  async #removeTables(): Promise<void> {
    if (this.nodeId === "") return
    for (const table of tablesOfNode(this.nodeId)) {
      await run("nft", ["delete", "table", "inet", table]).catch(() => {})
    }
    await Effect.runPromise(new LetThrough(this.nodeId).bring(false, true)).catch(() => {})
  }

  async #removeRunDirectory(): Promise<void> {
    const name = createHash("sha256").update(this.dataDir).digest("hex").slice(0, 12)
    const isRoot = process.getuid?.() === 0
    const folder = join(isRoot ? "/run/troupe" : (process.env.XDG_RUNTIME_DIR ?? this.dataDir), name)
    await removeWithMounts(folder)
  }

  /** Where its nats-server listens, while the daemon runs. */
  get natsUrl(): string {
    return this.#readRunning()?.nats ?? ""
  }

  #readRunning(): { pid: number; nodeId: string; clusterId: string; http: string; nats: string } | undefined {
    return this.#json("running.json")
  }

  #identity(path: string, field?: string): { pid: number; startTime: string } | undefined {
    const value = this.#json(path)
    return field === undefined ? value : value?.[field]
  }

  // biome-ignore lint/suspicious/noExplicitAny: files of several shapes
  #json(path: string): any {
    try {
      return JSON.parse(readFileSync(join(this.dataDir, path), "utf8"))
    } catch {
      return undefined
    }
  }
}

async function removeWithMounts(folder: string): Promise<void> {
  for (const point of mountsBelow(folder)) await run("umount", ["-l", point]).catch(() => {})
  await rm(folder, { recursive: true, force: true })
}

interface NodeJson {
  readonly Status: { readonly State: string }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
