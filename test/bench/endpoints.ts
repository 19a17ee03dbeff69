/**
 * How long a node takes to have a change of endpoints in its kernel, where many services are published: one task begins or
 * ceases to serve, and its overlay is laid again. In a namespace of its own, without an Engine; the tasks' addresses
 * are this namespace's own, so that they can be reached. As root: `bun test/bench/endpoints.ts [--services 200]
 * [--tasks 5] [--changes 40]`.
 */
import { execFileSync, spawnSync } from "node:child_process"
import net from "node:net"
import { loadavg } from "node:os"
import process from "node:process"
import { parseArgs } from "node:util"
import { Effect, Fiber } from "effect"
import { LiveKernel } from "#actors/drivers/kernel/live.ts"
import { bridgeName } from "#actors/drivers/kernel/names.ts"
import { Kernel } from "#actors/drivers/kernel.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    services: { type: "string", default: "200" },
    tasks: { type: "string", default: "5" },
    changes: { type: "string", default: "40" }
  }
})
const [services, tasks, changes] = [values.services, values.tasks, values.changes].map(Number) as [
  number,
  number,
  number
]
const networkId = "endpoints0"
/** A look finds something to write anew only after a change. */
const changesPerLook = 4

/** The same program in a namespace with an overlay's bridge. */
function apart(): void {
  const name = `tep${process.pid}`
  const ip = (...args: ReadonlyArray<string>): void => void execFileSync("ip", args, { stdio: "inherit" })
  ip("netns", "add", name)
  process.on("exit", () => void spawnSync("ip", ["netns", "del", name]))
  const bridge = bridgeName(networkId)
  ip("-n", name, "link", "set", "lo", "up")
  ip("-n", name, "link", "add", bridge, "type", "bridge")
  ip("-n", name, "link", "set", bridge, "up")
  // As if all of the tasks' addresses were of this machine.
  ip("-n", name, "route", "add", "local", "10.9.0.0/16", "dev", "lo")
  execFileSync("ip", ["netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1"])
  const own = [process.execPath, process.argv[1] as string, "inside", ...process.argv.slice(2)]
  execFileSync("ip", ["netns", "exec", name, ...own], { stdio: "inherit" })
}

const addressOf = (service: number, task: number): string => `10.9.${1 + task}.${service + 1}`

/** All of them, but for one task that may not serve. */
const tableWith = (waiting: number | undefined): OverlayTable =>
  overlayTable({
    networkId,
    ingress: true,
    subnets: [{ subnet: "10.9.0.0/16", gateway: "10.9.0.1" }],
    peers: [{ nodeId: "n2", dataPath: "192.168.0.2", gateways: ["10.9.0.2"] }],
    services: Array.from({ length: services }, (_, at) => ({
      serviceId: `s${at}`,
      name: `s${at}`,
      aliases: [],
      vips: [`10.9.100.${at + 1}`],
      ports: [{ protocol: "tcp", targetPort: 80, publishedPort: 30_000 + at } as const],
      tasks: Array.from({ length: tasks }, (_, task) => ({
        taskId: `t${at}-${task}`,
        nodeId: task % 2 === 0 ? "n1" : "n2",
        name: `s${at}.${task}`,
        addresses: [addressOf(at, task)],
        serving: task > 0 || at !== waiting
      }))
    }))
  })

function quantiles(times: Array<number>): string {
  times.sort((a, b) => a - b)
  const at = (share: number): string =>
    `${(times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0).toFixed(0)} ms`
  return `p50 ${at(0.5)}, p99 ${at(0.99)}`
}

async function change(): Promise<void> {
  await new Promise<void>((resolve) => net.createServer((socket) => socket.end()).listen(80, resolve))
  const open = Array.from({ length: services }, (_, at) => `tcp/${30_000 + at}`)
  const facts = { nodeId: "n1", controlPorts: [2377], dataDir: "/tmp", dockerHost: "unix:///run/docker.sock" }
  const times: Array<number> = []
  const looks: Array<number> = []
  const given: Array<number> = []
  await Effect.runPromise(
    Effect.gen(function* () {
      const kernel = yield* Kernel
      const lay = Effect.fnUntraced(function* (waiting: number | undefined, isLook = false) {
        const began = performance.now()
        const report = yield* kernel.lay([tableWith(waiting)], open, isLook)
        if (report.problems.length > 0) throw new Error(report.problems.join("\n"))
        return performance.now() - began
      })
      console.log(
        `${services} services of ${tasks} tasks, at first: ${(yield* lay(undefined)).toFixed(0)} ms`
      )
      for (let at = 0; at < changes; at++) {
        const waiting = at % 2 === 0 ? at % services : undefined
        times.push(yield* lay(waiting))
        if (at % changesPerLook > 0) continue
        yield* Effect.sleep("2 seconds")
        looks.push(yield* lay(waiting, true))
        yield* Effect.sleep("2 seconds")
        const look = yield* Effect.forkChild(kernel.lay([tableWith(waiting)], open, true))
        yield* Effect.sleep((looks.at(-1) ?? 0) * Math.random())
        const began = performance.now()
        yield* kernel.giveWay
        yield* Fiber.join(look)
        yield* lay(waiting === undefined ? at % services : undefined)
        given.push(performance.now() - began)
      }
    }).pipe(Effect.provide(LiveKernel.layer(facts)))
  )
  const load = loadavg()[0]?.toFixed(1)
  console.log(
    `a change: ${quantiles(times)}; a look: ${quantiles(looks)}; a change that finds a look under way: ${quantiles(given)}; at a load of ${load}`
  )
  process.exit()
}

if (positionals[0] === "inside") await change()
else apart()
