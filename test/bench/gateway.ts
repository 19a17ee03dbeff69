/**
 * What the lists cost that clients poll: through the application, without sockets.
 *
 * Run with `bun test/bench/gateway.ts`. The budget is 1 ms for a list of 100 services (DESIGN §11).
 */
import { performance } from "node:perf_hooks"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

const gateway = await TestGateway.start()

for (let made = 0; made < 100; made++) {
  const id = await gateway.made("/services/create", serviceBody(`service-${made}`))
  await gateway.write({
    type: "tasks.change",
    v: 1,
    create: Array.from({ length: 10 }, (_, at) => ({
      ID: `${made}-${at}-${id}`.slice(0, 25),
      ServiceID: id,
      SpecVersion: 1,
      Slot: at + 1,
      Status: { Timestamp: "2026-11-22T21:02:02Z", State: "running" as const },
      DesiredState: "running" as const
    })),
    update: [],
    remove: []
  })
}

async function measure(what: string, rounds: number, request: () => Promise<unknown>): Promise<void> {
  for (let warm = 0; warm < rounds / 5; warm++) await request()
  const times: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    await request()
    times.push(performance.now() - start)
  }
  times.sort((a, b) => a - b)
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(3)
  console.log(`${what.padEnd(44)} p50 ${at(0.5)} ms  p99 ${at(0.99)} ms`)
}

const fetch = (path: string) => async () => (await gateway.app.request(`http://docker${path}`)).text()

await measure("GET /services, 100 services", 2000, fetch("/v1.41/services"))
await measure("GET /services?status=true, 100 × 10 tasks", 2000, fetch("/v1.41/services?status=true"))
await measure("GET /tasks, 1,000 tasks", 500, fetch("/v1.41/tasks"))
await measure("GET /services/{name}", 2000, fetch("/v1.41/services/service-50"))
let made = 0
await measure("POST /services/create", 2000, () =>
  gateway.made("/services/create", serviceBody(`new-${made++}`))
)
