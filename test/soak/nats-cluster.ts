/** Three clustered nats-servers of one's own, each of which can be killed, frozen and started again. */
import { type ChildProcess, spawn } from "node:child_process"
import { freePort } from "#test/support/free-port.ts"
import { answers, until } from "#test/support/nats-server.ts"

export interface Member {
  readonly url: string
  readonly kill: () => Promise<void>
  readonly start: () => Promise<void>
  readonly freeze: () => void
  readonly thaw: () => void
}

export async function startNatsCluster(size: number): Promise<ReadonlyArray<Member>> {
  const ports: number[] = []
  for (let i = 0; i < size * 2; i++) ports.push(await freePort())
  const routes = ports.slice(size).map((port) => `nats://127.0.0.1:${port}`)
  const members = routes.map((route, i) => makeMember(`s${i}`, ports[i] as number, route, routes))
  for (const member of members) await member.start()
  return members
}

function makeMember(name: string, port: number, route: string, routes: ReadonlyArray<string>): Member {
  let child: ChildProcess | undefined
  const args = ["-a", "127.0.0.1", "-p", String(port), "-n", name, "--cluster_name", "soak"]
  return {
    url: `nats://127.0.0.1:${port}`,
    kill: async () => {
      const running = child
      child = undefined
      if (!running || running.exitCode !== null || running.signalCode !== null) return
      const gone = new Promise<void>((resolve) => running.once("exit", () => resolve()))
      running.kill("SIGKILL")
      await gone
    },
    start: async () => {
      const others = routes.filter((other) => other !== route)
      child = spawn("nats-server", [...args, "--cluster", route, "--routes", others.join(",")], {
        stdio: "ignore"
      })
      await until(() => answers(port), 10_000)
    },
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT")
  }
}
