/**
 * How long a client is without NATS when its server dies or freezes, and what a move in order costs.
 *
 *     bun test/bench/nats-failover.ts [runs, default 20]
 *
 * Three servers on one machine, joined by routes. A client at the first asks one at the second every few milliseconds;
 * the gap is the longest time without an answer. The floor beside it: how long an undisturbed question takes.
 */
import { Buffer } from "node:buffer"
import process from "node:process"
import { Effect, Exit, Scope } from "effect"
import { type NatsTransportService, natsTransport } from "#runtime/transport/nats.ts"
import { type NatsServer, startNatsCluster, until } from "#test/support/nats-server.ts"

const runs = Number(process.argv[2] ?? 20)
const config =
  'write_deadline: "2s"\nping_interval: "2s"\nlame_duck_duration: "30s"\nlame_duck_grace_period: "10s"\n'
const servers = await startNatsCluster(3, config)
const scope = Scope.makeUnsafe()
const [home] = servers as [NatsServer]

const connect = (nodeId: string, order: ReadonlyArray<NatsServer>): Promise<NatsTransportService> =>
  Effect.runPromise(
    natsTransport({
      servers: order.map(({ url }) => url),
      nodeId,
      user: home.user,
      password: home.password,
      inOrder: true
    }).pipe(Scope.provide(scope))
  )

const client = await connect("client", servers)
const far = await connect("far", [...servers.slice(1), home])
far.subscribe("echo", {}, (delivery) => delivery.respond?.({}, delivery.body))

const ask = (withinMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    client.call("echo", {}, Buffer.from("?"), withinMs, (outcome) => resolve(!("_tag" in outcome)))
  })
const atHome = (): boolean => client.isConnected() && client.server() === `127.0.0.1:${home.port}`
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The longest time without an answer around `disturb`, until the client has moved and is answered again. */
async function gap(disturb: () => void): Promise<{ readonly gapMs: number; readonly lost: number }> {
  let lost = 0
  let moved = 0
  const answers = [performance.now()]
  disturb()
  const end = performance.now() + 20_000
  const questions: Array<Promise<void>> = []
  while (moved < 20 && performance.now() < end) {
    const isAway = client.isConnected() && !atHome()
    const answered = ask(2_000).then((ok) => {
      if (!ok) lost++
      else answers.push(performance.now())
      if (ok && isAway) moved++
    })
    questions.push(answered)
    await pause(5)
  }
  const lasted = answers.map((at, i) => at - (answers[i - 1] ?? at))
  await Promise.all(questions)
  return { gapMs: Math.max(...lasted), lost }
}

const show = (name: string, values: ReadonlyArray<number>): void => {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0).toFixed(1)
  console.log(
    `${name.padEnd(52)} p50 ${at(0.5).padStart(8)}   p95 ${at(0.95).padStart(8)}   max ${at(1).padStart(8)}`
  )
}

const back = async (): Promise<number> => {
  const at = performance.now()
  await until(atHome, 30_000)
  await until(() => ask(1_000))
  return performance.now() - at
}

await until(() => ask(500), 10_000)
const floor: number[] = []
for (let i = 0; i < 500; i++) {
  const at = performance.now()
  await ask(1_000)
  floor.push(performance.now() - at)
}
console.log(`${runs} runs each; milliseconds`)
show("a question to the next server, undisturbed", floor)

const scenarios: ReadonlyArray<readonly [string, NodeJS.Signals]> = [
  ["killed (SIGKILL)", "SIGKILL"],
  ["frozen (SIGSTOP)", "SIGSTOP"],
  ["told to go (SIGUSR2)", "SIGUSR2"]
]
for (const [name, signal] of scenarios) {
  const gaps: number[] = []
  const homeward: number[] = []
  let lost = 0
  for (let run = 0; run < runs; run++) {
    const result = await gap(() => home.signal(signal))
    gaps.push(result.gapMs)
    lost += result.lost
    if (signal !== "SIGSTOP") {
      await home.kill()
      await home.start()
    } else home.signal("SIGCONT")
    homeward.push(await back())
  }
  show(`${name}: without an answer`, gaps)
  show(`${name}: home after it was back`, homeward)
  console.log(`${name}: questions without an answer, all runs: ${lost}`)
}

await Effect.runPromise(Scope.close(scope, Exit.void))
await Promise.all(servers.map((server) => server.close()))
process.exit(0)
