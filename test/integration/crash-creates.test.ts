/** The daemon is killed in the middle of a flood of creates: what was acknowledged is there afterwards, and whole. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

const services = 1_000
const inFlight = 32

let cluster: Cluster

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster()
}, 90_000)
afterAll(() => cluster.cleanUp(), 60_000)

/** A spec that is told apart from all others by more than its name, and starts nothing. */
const specOf = (at: number) => ({
  Name: `flood-${at}`,
  Labels: { at: String(at), ballast: randomBytes(64 + (at % 7) * 100).toString("hex") },
  TaskTemplate: {
    ContainerSpec: { Image: testImage, Args: ["sleep", String(at)], Env: [`AT=${at}`, "LAST=1"] },
    RestartPolicy: { Condition: "on-failure", Delay: at * 1_000_000, MaxAttempts: at % 5 }
  },
  Mode: { Replicated: { Replicas: 0 } },
  UpdateConfig: { Parallelism: (at % 3) + 1 }
})
type Spec = ReturnType<typeof specOf>

interface ServiceJson {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: Spec
}

test("kill -9 during 1,000 concurrent creates loses nothing that was acknowledged and leaves nothing half-made", async () => {
  const sent = new Map<string, Spec>()
  const acknowledged = new Map<string, string>()
  let unanswered = 0
  let isStopped = false
  let isKilled = false
  let next = 0

  const client = async (): Promise<void> => {
    while (next < services && !isKilled) {
      const spec = specOf(next++)
      sent.set(spec.Name, spec)
      try {
        const { status, body } = await cluster.api("POST", "/services/create", spec)
        expect({ status, name: spec.Name, body }).toMatchObject({ status: 201 })
        acknowledged.set(spec.Name, body.ID)
      } catch (error) {
        if (!isKilled) throw error
        unanswered += 1
      }
      if (acknowledged.size < services / 2 || isStopped) continue
      isStopped = true
      cluster.signal("SIGSTOP")
    }
  }
  const clients = Promise.all(Array.from({ length: inFlight }, client))
  // It stops in the midst of whatever it does. What it had answered by then is heard, and everybody asks once more.
  await eventually(() => isStopped, "half of all are acknowledged", 60_000)
  let heard = -1
  await eventually(() => {
    const before = heard
    heard = acknowledged.size
    return heard === before
  }, "nobody is answered any more")
  isKilled = true
  await cluster.kill9()
  await clients
  expect(unanswered).toBeGreaterThan(0)

  await cluster.restart()
  const found: ReadonlyArray<ServiceJson> = await cluster.get("/services")
  const byName = new Map(found.map((service) => [service.Spec.Name, service]))
  console.log(
    `${sent.size} sent, ${acknowledged.size} acknowledged, ${unanswered} unanswered; ${found.length} found after the restart`
  )

  expect(byName.size).toBe(found.length)
  expect(new Set(found.map(({ ID }) => ID)).size).toBe(found.length)
  for (const [name, id] of acknowledged) expect(byName.get(name)?.ID).toBe(id)
  for (const { Spec, Version } of found) {
    expect(Spec).toMatchObject(sent.get(Spec.Name) as Spec)
    expect(Version.Index).toBeGreaterThan(0)
  }

  // Writes go on; those whose answer never came may be sent again, and each ends up there exactly once.
  while (next < services) sent.set(`flood-${next}`, specOf(next++))
  for (const spec of sent.values()) {
    if (acknowledged.has(spec.Name)) continue
    const { status } = await cluster.api("POST", "/services/create", spec)
    expect({ status, name: spec.Name }).toEqual({
      status: byName.has(spec.Name) ? 409 : 201,
      name: spec.Name
    })
  }
  const after: ReadonlyArray<ServiceJson> = await cluster.get("/services")
  expect(after.map(({ Spec }) => Spec.Name).sort()).toEqual([...sent.keys()].sort())
}, 120_000)
