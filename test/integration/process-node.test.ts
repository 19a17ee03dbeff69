/** A manager without an Engine: services run as processes of this machine, which outlive the daemon that started them. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { connect, type NatsConnection, nkeyAuthenticator } from "nats"
import { identityOf, isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { noEngine } from "#test/support/managers.ts"

setDefaultTimeout(60_000)

let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster({
    // Where nothing listens: whatever asked an Engine would fail.
    dockerHost: noEngine,
    args: ["--executor", "process"]
  })
}, 90_000)
afterAll(() => cluster?.cleanUp(), 60_000)

interface TaskJson {
  readonly ID: string
  readonly DesiredState: string
  readonly Status: {
    readonly State: string
    readonly Err?: string
    readonly ContainerStatus?: {
      readonly ContainerID: string
      readonly PID?: number
      readonly ExitCode?: number
    }
  }
}

const tasksOf = (service: string): Promise<ReadonlyArray<TaskJson>> =>
  cluster.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`)

const running = async (service: string): Promise<ReadonlyArray<TaskJson>> =>
  (await tasksOf(service)).filter(
    ({ Status, DesiredState }) => Status.State === "running" && DesiredState === "running"
  )

/** The processes of a service as they are now, by pid and start time. */
async function processesOf(service: string): Promise<ReadonlyArray<ProcessIdentity>> {
  const found = (await running(service)).flatMap(({ Status }) => {
    const identity = identityOf(Status.ContainerStatus?.PID ?? 0)
    return identity === undefined ? [] : [identity]
  })
  return found.sort((a, b) => a.pid - b.pid)
}

const create = (name: string, script: string, ...options: ReadonlyArray<string>): Promise<string> => {
  const brisk = ["--restart-delay", "0s", "--stop-grace-period", "1s"]
  return cluster.must("service", "create", "--name", name, ...brisk, ...options, "host", "sh", "-c", script)
}

test("what holds for the whole cluster is written by one command each, which leaves the others' labels, and what it only shows, alone", async () => {
  const troupe = (...words: ReadonlyArray<string>) =>
    cluster.troupeAnywhere(...words, "--socket", cluster.socket)
  const swarm = () => cluster.get("/swarm")
  expect(await troupe("allow", "shm_size", "gpus")).toBe("allowed: gpus, shm_size\n")
  expect(await troupe("network-keys", "--period", "6h")).toContain("every 6h")
  expect(await troupe("alerts", "--webhook", "http://127.0.0.1:1/")).toContain(
    "posted to http://127.0.0.1:1/"
  )
  const { Version, Spec } = await swarm()
  expect(Spec.Labels).toEqual({
    "troupe.allow": "gpus,shm_size",
    "troupe.network.key-period": "6h",
    "troupe.alerts.webhook": "http://127.0.0.1:1/"
  })
  expect(await troupe("allow")).toBe("allowed: gpus, shm_size\n")
  expect(await troupe("network-keys")).toContain("every 6h")
  expect((await swarm()).Version).toEqual(Version)
  expect(await troupe("deny", "gpus", "shm_size")).toBe("nothing is allowed\n")
  await troupe("network-keys", "--period", "")
  await troupe("alerts", "--webhook", "")
  expect((await swarm()).Spec.Labels ?? {}).toEqual({})
})

describe("a manager without an Engine", () => {
  test("says what it is, and that it can be driven", async () => {
    expect(
      await cluster.must("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}")
    ).toBe("active true")
    expect(await cluster.must("version", "--format", "{{.Server.APIVersion}}")).toMatch(/^1\.\d+$/)
    expect(await cluster.must("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}")).toBe(
      "Ready Leader"
    )
  })

  test("runs a service as processes, shown by ls and ps, with their logs", async () => {
    expect(
      await create("loop", "echo up as $NAME; exec sleep 1000", "--replicas", "2", "--env", "NAME=me")
    ).toContain("2 out of 2 tasks")
    expect(await cluster.must("service", "ls", "--format", "{{.Name}} {{.Replicas}} {{.Image}}")).toMatch(
      /^loop 2\/2 host/
    )
    expect(
      (await cluster.must("service", "ps", "--format", "{{.CurrentState}}", "loop")).split("\n")
    ).toEqual([expect.stringMatching(/^Running /), expect.stringMatching(/^Running /)])
    const processes = await processesOf("loop")
    expect(processes).toHaveLength(2)
    for (const { pid } of processes) {
      expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe("sleep\x001000\0")
    }
    await eventually(
      async () => (await cluster.must("service", "logs", "--raw", "loop")) === "up as me\nup as me",
      "both logs are read"
    )
  })

  test("replaces a process that was killed, and tells how it ended", async () => {
    const before = await processesOf("loop")
    const [victim] = before
    process.kill(victim?.pid ?? 0, "SIGKILL")
    await eventually(async () => {
      const after = await processesOf("loop")
      const isVictim = (one: (typeof after)[number]) =>
        one.pid === victim?.pid && one.startTime === victim?.startTime
      return after.length === 2 && !after.some(isVictim)
    }, "another process runs in its place")
    const ended = (await tasksOf("loop")).filter(({ Status }) => Status.State === "failed")
    expect(ended.map(({ Status }) => Status.ContainerStatus?.ExitCode)).toEqual([137])
  })

  test("refuses any image but host, in words", async () => {
    await cluster.must("service", "create", "--detach", "--name", "alien", "nginx")
    await eventually(
      async () => (await tasksOf("alien")).some(({ Status }) => Status.State === "rejected"),
      "its task is rejected"
    )
    const [task] = (await tasksOf("alien")).filter(({ Status }) => Status.State === "rejected")
    expect(task?.Status.Err).toContain('its one image is "host"')
    await cluster.must("service", "rm", "alien")
  })
})

describe("a daemon that is killed", () => {
  test("leaves its processes running, and the next one takes them up by pid and start time", async () => {
    const before = await processesOf("loop")
    const ids = (await running("loop")).map(({ ID }) => ID).sort()
    await cluster.kill9()
    expect(before.filter(isAlive)).toEqual(before as Array<ProcessIdentity>)
    await cluster.restart()
    expect(await processesOf("loop")).toEqual(before as Array<ProcessIdentity>)
    expect((await running("loop")).map(({ ID }) => ID).sort()).toEqual(ids)
    await eventually(
      async () => (await cluster.must("service", "logs", "--raw", "loop")).split("\n").length >= 2,
      "what they said before is still read"
    )
    const [victim] = before
    process.kill(victim?.pid ?? 0, "SIGKILL")
    await eventually(async () => {
      const after = await processesOf("loop")
      const isVictim = (one: (typeof after)[number]) =>
        one.pid === victim?.pid && one.startTime === victim?.startTime
      return after.length === 2 && !after.some(isVictim)
    }, "an adopted process is watched like any other")
  })

  test("learns afterwards with what code a process ended meanwhile", async () => {
    const gate = join(cluster.folder, "gate")
    await create(
      "leaver",
      `echo in; while [ ! -e ${gate} ]; do sleep 0.02; done; echo out; exit 7`,
      ...["--restart-condition", "none"]
    )
    const [leaver] = await processesOf("leaver")
    const [task] = await running("leaver")
    await cluster.kill9()
    writeFileSync(gate, "")
    await eventually(() => leaver !== undefined && !isAlive(leaver), "it ended without a daemon")
    await cluster.restart()
    await eventually(
      async () => (await tasksOf("leaver")).some(({ Status }) => Status.State === "failed"),
      "its end is known"
    )
    const [ended] = await tasksOf("leaver")
    expect(ended).toMatchObject({ ID: task?.ID, Status: { ContainerStatus: { ExitCode: 7 } } })
    expect(await cluster.must("service", "logs", "--raw", "leaver")).toBe("in\nout")
    await cluster.must("service", "rm", "leaver")
  })

  test("nothing of a removed service runs on or stays on disk", async () => {
    const before = await processesOf("loop")
    const folders = (await running("loop")).map(({ Status }) =>
      join(cluster.dataDir, "processes", Status.ContainerStatus?.ContainerID ?? "-")
    )
    expect(folders.every((folder) => existsSync(folder))).toBe(true)
    await cluster.must("service", "rm", "loop")
    await eventually(() => !before.some(isAlive), "its processes ended")
    await eventually(() => !folders.some((folder) => existsSync(folder)), "and their folders are gone")
    expect(await cluster.crashes()).toEqual([])
  })
})

test("another system reads the history over NATS, and goes on after the last change that it knows", async () => {
  const told = await cluster.troupe("nats-creds", "create", "historian", "--read-only")
  // Either word will do, for these and for tokens.
  for (const word of ["ls", "list"]) {
    expect(await cluster.troupe("nats-creds", word)).toContain("historian")
    expect(await cluster.troupe("http-token", word)).toStartWith("NAME")
  }
  const seed = /S[A-Z0-9]{57}/.exec(told)?.[0] ?? ""
  const { nats } = JSON.parse(readFileSync(join(cluster.dataDir, "running.json"), "utf8")) as { nats: string }
  let connected: NatsConnection | undefined
  await eventually(async () => {
    connected = await connect({
      servers: nats,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
      inboxPrefix: "_INBOX.client-historian"
    }).catch(() => undefined)
    return connected !== undefined
  }, "it is let in")
  const connection = connected as NatsConnection
  try {
    const list = async (asked: object) =>
      (
        await connection.request("troupe.api.v1.as.historian.history.list", JSON.stringify(asked), {
          timeout: 10_000
        })
      ).json<{
        readonly Changes: ReadonlyArray<{ readonly Name: string; readonly Why: string }>
        readonly Newest: string
      }>()
    const { Newest: after } = await list({ kind: "config" })
    const made = await cluster.api("POST", "/configs/create", { Name: "noted", Data: "YQ==" })
    expect(made.status).toBe(201)
    const { Changes: changes } = await list({ kind: "config", after })
    expect(changes).toMatchObject([{ Name: "noted", Why: "POST /configs/create" }])
    expect((await list({ Object: "noted" })).Changes).toEqual([...changes])
  } finally {
    await connection.close()
  }
})
