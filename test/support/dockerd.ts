/**
 * A Docker Engine of a test's own, beside the machine's: its own data, socket, containerd and bridge, no
 * firewall rules unless asked for, so that it may be stopped, killed and started again.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { promisify } from "node:util"
import type Docker from "dockerode"
import { engine, eventually } from "#test/support/engine.ts"

const run = promisify(execFile)

export interface PrivateEngineOptions {
  /** Containers outlive a dead dockerd. */
  readonly liveRestore?: boolean
  /**
   * Address of the default bridge as CIDR, `10.213.0.1/24`; a random one unless given. It is always a device of its
   * own: an Engine told to have none (`--bridge=none`) deletes the machine's `docker0` when it starts.
   */
  readonly bip?: string
  /** Lets it write firewall rules; off, so that the machine's Engine is left alone. */
  readonly iptables?: boolean
  readonly labels?: ReadonlyArray<string>
  /** What it offers to services, `gpu=a` by name or `ssd=3` by number. */
  readonly genericResources?: ReadonlyArray<string>
}

export class PrivateEngine {
  /** Everything it has is below this folder. */
  readonly folder: string
  readonly dockerHost: string
  readonly docker: Docker
  readonly #options: PrivateEngineOptions
  readonly #bridge = `trp${randomBytes(4).toString("hex")}`
  #process: ChildProcess | undefined

  private constructor(folder: string, options: PrivateEngineOptions) {
    this.folder = folder
    this.dockerHost = `unix://${join(folder, "docker.sock")}`
    this.docker = engine(this.dockerHost)
    this.#options = options
  }

  /** A new Engine that answers. `close` must follow. */
  static async open(options: PrivateEngineOptions = {}): Promise<PrivateEngine> {
    const made = new PrivateEngine(await mkdtemp(join(tmpdir(), "troupe-dockerd-")), options)
    const [second, third] = randomBytes(2)
    const bip = options.bip ?? `10.${200 + ((second ?? 0) % 50)}.${third ?? 0}.1/24`
    await run("ip", ["link", "add", made.#bridge, "type", "bridge"])
    await run("ip", ["address", "add", bip, "dev", made.#bridge])
    await run("ip", ["link", "set", made.#bridge, "up"])
    await made.start()
    return made
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Starts dockerd again on the same data, with what is `changed` for this life, and waits until it answers. */
  async start(changed: Pick<PrivateEngineOptions, "labels" | "genericResources"> = {}): Promise<void> {
    const { liveRestore = false, iptables = false } = this.#options
    const { labels = [], genericResources = [] } = { ...this.#options, ...changed }
    const log = openSync(join(this.folder, "dockerd.log"), "a")
    // Not what the machine's own Engine is told in /etc/docker.
    const config = join(this.folder, "daemon.json")
    writeFileSync(config, "{}")
    const child = spawn(
      "dockerd",
      [
        `--config-file=${config}`,
        `--data-root=${join(this.folder, "data")}`,
        `--exec-root=${join(this.folder, "exec")}`,
        `--pidfile=${join(this.folder, "pid")}`,
        `--host=${this.dockerHost}`,
        `--bridge=${this.#bridge}`,
        `--iptables=${iptables}`,
        "--ip6tables=false",
        `--ip-masq=${iptables}`,
        `--live-restore=${liveRestore}`,
        ...labels.map((label) => `--label=${label}`),
        ...genericResources.map((resource) => `--node-generic-resource=${resource}`)
      ],
      { stdio: ["ignore", log, log], detached: true }
    )
    closeSync(log)
    this.#process = child
    let failure: Error | undefined
    child.once("error", (error) => {
      failure = error
    })
    await eventually(
      async () => {
        if (failure !== undefined) throw failure
        if (child.exitCode !== null) throw new Error(`dockerd ended:\n${await this.log()}`)
        return this.docker.ping().then(
          () => true,
          () => false
        )
      },
      `dockerd in ${this.folder} answers`,
      60_000
    )
  }

  /** SIGTERM, and the wait until it is gone; without live-restore its containers stop too. */
  stop(): Promise<void> {
    return this.#end("SIGTERM")
  }

  /** SIGKILL to dockerd alone: the containers are left as a crash leaves them. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL")
    // The kernel ends its containerd a moment later. Where nobody collects the dead at once, the next dockerd would
    // take it for running and wait for it in vain.
    const path = join(this.folder, "exec/containerd/containerd.pid")
    const pid = Number(await readFile(path, "utf8").catch(() => "0"))
    await eventually(() => pid === 0 || !isRunning(pid), "containerd of the killed Engine is gone")
    await rm(path, { force: true })
  }

  /** SIGSTOP and SIGCONT: an Engine that holds its connections and says nothing. */
  freeze(): void {
    this.#process?.kill("SIGSTOP")
  }
  thaw(): void {
    this.#process?.kill("SIGCONT")
  }

  /** What dockerd has written so far. */
  log(): Promise<string> {
    return readFile(join(this.folder, "dockerd.log"), "utf8")
  }

  /** Removes its containers, ends it with everything it started, and deletes its folder. */
  async close(): Promise<void> {
    if (this.#process === undefined) await this.start().catch(() => {})
    this.thaw()
    const containers = await this.docker.listContainers({ all: true }).catch(() => [])
    await Promise.all(
      containers.map(({ Id }) =>
        this.docker
          .getContainer(Id)
          .remove({ force: true, v: true })
          .catch(() => {})
      )
    )
    const networks = await this.docker.listNetworks({ filters: '{"type":["custom"]}' }).catch(() => [])
    for (const { Id } of networks)
      await this.docker
        .getNetwork(Id)
        .remove()
        .catch(() => {})
    await this.stop()
    await eventually(async () => {
      const left = await this.#leftovers()
      // A containerd that ends may have started another shim meanwhile.
      for (const pid of left) killQuietly(pid)
      return left.length === 0
    }, "nothing of the private Engine runs")
    await this.#unmount()
    await run("ip", ["link", "delete", this.#bridge])
    await rm(this.folder, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill(signal)
    await ended
  }

  /** Its containerd and shims: processes whose command line names our folder. */
  async #leftovers(): Promise<Array<number>> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number)
    return pids.filter((pid) => {
      if (pid === process.pid) return false
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
        return (
          /containerd|dockerd/.test(words[0] ?? "") && words.some((word) => word.includes(`${this.folder}/`))
        )
      } catch {
        return false
      }
    })
  }

  /** A killed Engine leaves mounts and network namespaces behind. */
  async #unmount(): Promise<void> {
    const mounts = readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .flatMap((line) => line.split(" ")[1] ?? [])
      .filter((path) => path.startsWith(`${this.folder}/`))
      .reverse()
    for (const path of mounts) {
      // It may have gone with another one, or with who made it.
      await run("umount", ["-l", path]).catch(() => {})
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    // Field 3, after the name in parentheses: Z is a process that is over but not yet collected.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It is gone already.
  }
}
