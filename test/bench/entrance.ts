/**
 * What the HTTP entrance costs a request: `wrk` asks a server that does next to nothing, straight and by way of the entrance, in turn,
 * over kept connections. The entrance counts and routes as it does on a node; 100 other services have routes. Needs the Debian
 * packages haproxy and wrk: `bun test/bench/entrance.ts [seconds] [rounds]`.
 */
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Effect } from "effect"
import { startEntrance, stopEntrance } from "#actors/drivers/entrance/live.ts"
import type { ServiceRow } from "#actors/network/table.ts"
import { median } from "#test/bench/raft/figures.ts"
import { eventually } from "#test/support/engine.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const seconds = Number(process.argv[2] ?? 5)
const rounds = Number(process.argv[3] ?? 3)
const [port, serverPort] = [18_470, 18_471]
const folder = mkdtempSync(join(tmpdir(), "troupe-bench-entrance-"))
const options = { dataDir: folder, runDir: join(folder, "run"), ports: [port], tlsPorts: [] }

const row = (name: string): ServiceRow => ({
  serviceId: name,
  name,
  aliases: [],
  vips: [],
  ports: [],
  http: { host: name, path: "/", port: serverPort, protocol: "http1" },
  awaits: "task",
  tasks: [{ taskId: `${name}1`, nodeId: "n1", name, addresses: ["127.0.0.1"], serving: true }]
})

interface Figures {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

const milliseconds = (text: string): number => {
  const [, number = "", unit = ""] = /([\d.]+)(us|ms|s)/.exec(text) ?? []
  return Number(number) * ({ us: 0.001, ms: 1, s: 1_000 }[unit] ?? Number.NaN)
}

function ask(at: number): Figures {
  const words = ["-t1", "-c32", `-d${seconds}s`, "--latency", "-H", "Host: app", `http://127.0.0.1:${at}/`]
  const text = execFileSync("wrk", words, { encoding: "utf8" })
  const errors = /Non-2xx.*|Socket errors.*/.exec(text)?.[0]
  if (errors !== undefined) throw new Error(errors)
  const share = (name: string): number => milliseconds(new RegExp(`${name}%\\s+(\\S+)`).exec(text)?.[1] ?? "")
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p50: share("50"),
    p99: share("99")
  }
}

writeFileSync(
  join(folder, "server.cfg"),
  `defaults
  mode http
  timeout client 60s
frontend server
  bind 127.0.0.1:${serverPort}
  http-request return status 200 content-type text/plain string "ok"
`
)
const server = spawn("haproxy", ["-db", "-f", join(folder, "server.cfg")], { stdio: "ignore" })
try {
  const entrance = await Effect.runPromise(startEntrance(options))
  const services = [row("app"), ...Array.from({ length: 100 }, (_, at) => row(`other${at}`))]
  const problems = await Effect.runPromise(entrance.serve([overlayTable({ ingress: true, services })], []))
  if (problems.length > 0) throw new Error(problems.join("\n"))
  await eventually(async () => (await fetch(`http://127.0.0.1:${serverPort}/`)).ok, "the server answers")
  const [straight, through]: [Array<Figures>, Array<Figures>] = [[], []]
  for (let round = 0; round < rounds; round++) {
    straight.push(ask(serverPort))
    through.push(ask(port))
  }
  console.log(`load ${loadavg()[0]?.toFixed(1)}`)
  for (const [name, all] of [
    ["straight", straight],
    ["through the entrance", through]
  ] as const) {
    const of = (key: keyof Figures): number => median(all.map((figures) => figures[key]))
    console.log(
      `${name.padEnd(22)} ${Math.round(of("perSecond"))} /s, p50 ${of("p50").toFixed(2)} ms, p99 ${of("p99").toFixed(2)} ms`
    )
  }
} finally {
  await Effect.runPromise(stopEntrance(options))
  server.kill("SIGTERM")
  rmSync(folder, { recursive: true, force: true })
}
