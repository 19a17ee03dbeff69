/** A nats-server of one's own: a free port, a directory of its own, ended by pid. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { freePort } from "#test/support/free-port.ts"

export interface NatsServer {
  readonly port: number
  /** Of the process that runs now. */
  readonly pid: () => number
  readonly url: string
  readonly user: string
  readonly password: string
  /** `kill -9`, as a crash; resolves once the process is gone. */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port, with `more` lines of configuration where it should differ. */
  readonly start: (more?: string) => Promise<void>
  readonly signal: (name: NodeJS.Signals) => void
  /** Ends it and removes its directory. */
  readonly close: () => Promise<void>
}

/** `config`: lines of a configuration file, beside what is given in arguments. */
export async function startNatsServer(config = ""): Promise<NatsServer> {
  const directory = await mkdtemp(join(tmpdir(), "troupe-nats-"))
  const port = await freePort()
  const user = "test"
  const password = "test-password"
  let child: ChildProcess | undefined
  const file = join(directory, "server.conf")

  const start = async (more = ""): Promise<void> => {
    await writeFile(file, `${config}\n${more}\n`)
    const own = ["-c", file, "-a", "127.0.0.1", "-p", String(port), "--user", user, "--pass", password]
    child = spawn("nats-server", [...own, "-P", join(directory, "pid")], { stdio: "ignore", cwd: directory })
    await until(() => answers(port), 10_000)
  }
  const kill = async (): Promise<void> => {
    const running = child
    child = undefined
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const gone = new Promise<void>((resolve) => running.once("exit", () => resolve()))
    running.kill("SIGKILL")
    await gone
  }
  // A test run that ends without its hooks leaves no server behind.
  const onExit = (): void => {
    child?.kill("SIGKILL")
  }
  process.once("exit", onExit)
  await start()
  return {
    port,
    pid: () => child?.pid ?? 0,
    signal: (name) => void child?.kill(name),
    url: `nats://127.0.0.1:${port}`,
    user,
    password,
    kill,
    start,
    close: async () => {
      process.removeListener("exit", onExit)
      await kill()
      await rm(directory, { recursive: true, force: true })
    }
  }
}

/** Waits until `holds`, asking every few milliseconds; throws when it does not within `withinMs`. */
export async function until(holds: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`It did not come to hold within ${withinMs} ms: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("data", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })

/** Servers that know each other by routes. */
export async function startNatsCluster(size: number, config = ""): Promise<ReadonlyArray<NatsServer>> {
  const ports = await Promise.all(Array.from({ length: size }, () => freePort()))
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(", ")
  return Promise.all(
    ports.map((port, index) =>
      startNatsServer(
        `server_name: s${index}\ncluster { name: test, listen: "127.0.0.1:${port}", no_advertise: true, routes: [${routes}] }\n${config}`
      )
    )
  )
}
