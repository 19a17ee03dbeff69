/** Names over three machines with Engines of their own, asked as containers ask. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { spawn } from "node:child_process"
import { join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import type { Machine } from "#test/lab/machines.ts"
import { ownLab } from "#test/lab/own-lab.ts"

setDefaultTimeout(90_000)

const { machines, machine, door, containerOn, inside, open, close } = await ownLab("tn", "10.81.0")
const { call, containersOf, elapsed, running, specOf } = await import("#test/bench/vs-swarm/api.ts")
const { engineOf } = await import("#test/lab/machines.ts")
const { root } = await import("#test/lab/engine.ts")
const { startAgain } = await import("#test/lab/raise.ts")
const { signal, isAlive } = await import("#test/lab/processes.ts")

interface More {
  readonly mode?: unknown
  readonly dns?: unknown
  readonly dnsrr?: boolean
}

async function create(service: string, networks: ReadonlyArray<string>, more: More = {}): Promise<string> {
  const spec = specOf(service, 3)
  const { ID } = await call<{ ID: string }>(door(), "POST", "/services/create", {
    ...spec,
    Mode: more.mode ?? { Global: {} },
    ...(more.dnsrr && { EndpointSpec: { Mode: "dnsrr" } }),
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, DNSConfig: more.dns ?? {} },
      Networks: networks.map((Target) => ({ Target }))
    }
  })
  return ID
}

const runs = (service: string, count: number): Promise<number> =>
  elapsed(service, async () => (await running(door(), service)).length === count, 50, 60_000)

/** The addresses that a container finds for a name, sorted; none when there are none. */
async function lookUp(service: string, at: Machine, name: string): Promise<ReadonlyArray<string>> {
  const { text } = await inside(service, at, "timeout", "10", "nslookup", name)
  const answer = text.slice(text.indexOf("\nName:") + 1 || text.length)
  return [...answer.matchAll(/(\d+\.\d+\.\d+\.\d+)/g)].map(([, address]) => address ?? "").sort()
}

const pings = async (service: string, at: Machine, name: string): Promise<boolean> =>
  (await inside(service, at, "ping", "-c", "1", "-W", "10", name)).code === 0

/** The milliseconds from the end of `cause` until a container there is answered as wanted. */
async function visible(
  at: Machine,
  name: string,
  wanted: string,
  cause: () => Promise<unknown>
): Promise<number> {
  const { State } = await call<{ readonly State: { readonly Pid: number } }>(
    ...([engineOf(at.name), "GET", `/containers/${await containerOn(at, "web")}/json`] as const)
  )
  const server =
    (await inside("web", at, "cat", "/etc/resolv.conf")).text.match(/nameserver (\S+)/)?.[1] ?? ""
  const command = [process.execPath, join(root, "test/lab/watch-name.ts"), server, name, wanted]
  const watch = spawn("nsenter", [`--net=/proc/${State.Pid}/ns/net`, ...command])
  try {
    const lines = createInterface(watch.stdout)[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe("ready")
    await cause()
    const began = Date.now()
    return Number((await lines.next()).value) - began
  } finally {
    watch.kill("SIGKILL")
  }
}

beforeAll(async () => {
  await open()
  for (const Name of ["front", "back"]) {
    await call(door(), "POST", "/networks/create", { Name, Driver: "overlay" })
  }
  await call(door(), "POST", "/networks/create", { Name: "vault", Driver: "overlay", Internal: true })
  await create("web", ["front"])
  await create("db", ["back"], { dnsrr: true })
  await create("both", ["front", "back"])
  // Nobody answers for what is not ours: the machines' own resolver does not exist.
  await create("five", ["back"], { dns: { Search: ["corp.test"], Options: ["ndots:5"] } })
  await create("keys", ["vault"], { dnsrr: true })
  const services = ["web", "db", "both", "five", "keys"]
  await Promise.all(services.map((service) => runs(service, 3)))
  // That a task runs is known to its manager first.
  for (const at of machines()) {
    const areKnown = async (): Promise<boolean> => {
      const found = await Promise.all(services.map((service) => lookUp(service, at, `tasks.${service}`)))
      return found.every(({ length }) => length === 3)
    }
    await elapsed(`all tasks' names on ${at.name}`, areKnown, 50, 60_000)
  }
}, 300_000)
afterAll(close, 60_000)

test("containers find services, tasks and each other by name on every machine, and ping each other by it", async () => {
  const found = new Set<string>()
  for (const at of machines()) {
    const own = await lookUp("web", at, "web")
    expect(own.length).toBeGreaterThan(0)
    found.add(own.join())
    expect((await lookUp("web", at, "tasks.web")).length).toBe(3)
    expect(await lookUp("web", at, "Web.FRONT")).toEqual(own)
    expect(await pings("web", at, "web")).toBe(true)
    expect((await lookUp("db", at, "db")).length).toBe(3)
    for (let i = 0; i < 3; i++) expect(await pings("db", at, "db")).toBe(true)
    expect(await pings("web", at, "tasks.web")).toBe(true)
  }
  expect(found.size).toBe(1)
  const [task] = await call<ReadonlyArray<{ ID: string; NodeID: string }>>(
    ...([door(), "GET", "/tasks?filters=%7B%22service%22%3A%5B%22web%22%5D%7D"] as const)
  )
  const name = `web.${task?.NodeID}.${task?.ID}`
  for (const at of machines()) expect(await pings("web", at, name)).toBe(true)
})

test("a network's names are for those on it: of another's nothing is known, of two networks both are", async () => {
  for (const at of machines()) {
    expect(await lookUp("web", at, "db")).toEqual([])
    expect(await lookUp("web", at, "keys")).toEqual([])
    expect((await lookUp("both", at, "web.front")).length).toBeGreaterThan(0)
    expect((await lookUp("both", at, "db")).length).toBe(3)
  }
})

test("names resolve under ndots:5 and a search list, although nobody answers for those, and on internal networks", async () => {
  const { text } = await inside("five", machine(1), "cat", "/etc/resolv.conf")
  expect(text).toMatch(/^nameserver 10\.\S+\nsearch corp.test\noptions ndots:5$/)
  for (const at of machines()) {
    expect(await pings("five", at, "db")).toBe(true)
    expect((await lookUp("keys", at, "keys")).length).toBe(3)
    expect(await pings("keys", at, "keys")).toBe(true)
  }
})

test("a new service, and a task that has ended, are known on other machines at once", async () => {
  const figures: Array<number> = []
  for (let i = 0; i < 5; i++) {
    const service = `new${i}`
    figures.push(
      await visible(machine(2), service, "known", () =>
        create(service, ["front"], { mode: { Replicated: { Replicas: 0 } } })
      )
    )
  }
  const created = [...figures].sort((a, b) => a - b)
  await create("short", ["front"], { mode: { Replicated: { Replicas: 1 } } })
  await runs("short", 1)
  const gone = await visible(machine(2), "tasks.short", "0", async () => {
    const found = await Promise.all(
      machines().map(async ({ name }) => {
        const [container] = await containersOf(engineOf(name), "short")
        return container === undefined ? [] : [{ name, id: container.Id }]
      })
    )
    for (const { name, id } of found.flat()) {
      await call(engineOf(name), "POST", `/containers/${id}/kill`)
    }
  })
  console.log(
    `a new service: ${created.join(", ")} ms; a task that was killed: ${gone} ms until known elsewhere`
  )
  // The figures are for people: a machine that is busy is no mistake.
  expect(created).toHaveLength(5)
})

test("with its node killed, a machine answers, also for names that nobody has asked for before", async () => {
  const at = machine(2)
  signal(at.nodePid, "SIGKILL")
  await elapsed("its end", async () => !isAlive(at.nodePid), 20, 30_000)
  expect((await lookUp("both", at, "tasks.both")).length).toBe(3)
  expect((await lookUp("db", at, "five")).length).toBe(1)
  expect((await lookUp("db", at, "tasks.db.back")).length).toBe(3)
  expect(await pings("db", at, "db")).toBe(true)
  await startAgain(at)
  await create("late", ["front"], { mode: { Replicated: { Replicas: 1 } } })
  await elapsed("a new name", async () => (await lookUp("web", at, "late")).length === 1, 200, 30_000)
})
