/**
 * How many services a second three managers take with TLS between them, of so many replicas each, where containers cost
 * nothing: the Engines are imitated. Needs Linux and root, for an address that is not loopback.
 *
 *     bun test/bench/creates.ts [rounds, default 3] [services a round, default 300]
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { call, createServices, elapsed, specOf, type TaskView } from "#test/bench/vs-swarm/api.ts"
import { median } from "#test/bench/vs-swarm/measures.ts"
import { build } from "#test/support/built.ts"
import { Cluster } from "#test/support/cluster.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"
import { invitation } from "#test/support/managers.ts"

const rounds = Number(process.argv[2] ?? 3)
const count = Number(process.argv[3] ?? 300)
const clients = 16
/** What no machine has outside of documentation: RFC 5737. */
const addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]

const folder = mkdtempSync(join(tmpdir(), "troupe-bench-creates-"))
const engines: Array<ChildProcess> = []
const managers: Array<Cluster> = []

const ip = (verb: "add" | "del", address: string): void => {
  execFileSync("ip", ["address", verb, `${address}/32`, "dev", "lo"])
}

async function close(): Promise<void> {
  await Promise.all(managers.map((one) => one.cleanUp()))
  for (const engine of engines) engine.kill("SIGKILL")
  for (const address of addresses) ip("del", address)
  rmSync(folder, { recursive: true, force: true })
}

async function startEngine(name: string): Promise<string> {
  const socket = join(folder, `${name}.sock`)
  const program = fileURLToPath(new URL("creates/imitated-engine.ts", import.meta.url))
  engines.push(spawn(process.execPath, [program, socket, name], { stdio: "inherit" }))
  await elapsed(`the Engine of ${name}`, async () => existsSync(socket))
  return `unix://${socket}`
}

async function startManager(name: string, address: string, program: string): Promise<void> {
  const joining = managers[0] === undefined ? undefined : await invitation(managers[0])
  const manager = new Cluster(mkdtempSync(join(tmpdir(), "troupe-manager-")), {
    name,
    program,
    dockerHost: await startEngine(name),
    args: [
      ...["--listen-addr", address, "--advertise-addr", address],
      ...(joining === undefined ? [] : ["--join", joining.address, "--token", joining.token])
    ]
  })
  managers.push(manager)
  await manager.restart()
}

/** Services a second, and the milliseconds from the first request until all tasks run. */
async function round(door: string, name: string, replicas: number) {
  const began = performance.now()
  const spec = (at: number) => specOf(`${name}-${at}`, replicas)
  const ids = await createServices(door, { count, clients, spec })
  const perSecond = count / ((performance.now() - began) / 1_000)
  const allRun = async (): Promise<boolean> => (await runningTasks(door)) >= count * replicas
  if (replicas > 0) await elapsed(`${count * replicas} tasks`, allRun, 100)
  const runMs = performance.now() - began
  for (const id of ids) await call(door, "DELETE", `/services/${id}`)
  await elapsed(
    "the end of all tasks",
    async () => (await call<unknown[]>(door, "GET", "/tasks")).length === 0,
    200
  )
  return { perSecond, runMs }
}

async function runningTasks(door: string): Promise<number> {
  const tasks = await call<ReadonlyArray<TaskView>>(door, "GET", "/tasks")
  return tasks.filter(({ Status }) => Status.State === "running").length
}

for (const address of addresses) ip("add", address)
const keep = whenInterrupted(close)
try {
  const program = build()
  for (const [at, address] of addresses.entries()) await startManager(`m${at + 1}`, address, program)
  const door = managers[0]?.socket ?? ""
  console.log(
    `load ${loadavg()[0]?.toFixed(1)}; ${count} services a round, ${clients} clients, ${rounds} rounds`
  )
  for (const replicas of [0, 1, 3]) {
    const results: Array<Awaited<ReturnType<typeof round>>> = []
    for (let at = 0; at < rounds; at++) results.push(await round(door, `c${replicas}-${at}`, replicas))
    const rates = results.map(({ perSecond }) => perSecond)
    const tasks = results.map(({ runMs }) => (count * replicas) / (runMs / 1_000))
    console.log(
      `${replicas} replicas: ${median(rates).toFixed(0)} services a second (${rates.map((rate) => rate.toFixed(0)).join(" ")})` +
        (replicas === 0 ? "" : `, ${median(tasks).toFixed(0)} tasks a second until all run`)
    )
  }
} finally {
  keep()
  await close()
}
