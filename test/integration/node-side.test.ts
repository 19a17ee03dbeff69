/** The node's side against a real Engine: a fake leader assigns, containers follow, and nothing restarts them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import type { ContainerSpec } from "#actors/model/spec.ts"
import type { AssignedTask } from "#actors/node/protocol.ts"
import { Fresh } from "#runtime/ids.ts"
import { cleanUp, dockerHost, engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { NodeSide } from "#test/support/node-side.ts"

const fresh = Fresh.from(Math.floor(Math.random() * 2 ** 31))
const docker = engine()
let node: NodeSide

beforeAll(async () => {
  await ensureTestImage()
  node = await NodeSide.make({ dockerHost })
  await node.start()
  await eventually(() => node.leader.registrations.length === 1, "the node registers")
  node.leader.assign({ complete: true })
}, 60_000)

afterAll(async () => {
  await node.close()
  await cleanUp(`io.troupe.cluster=${node.cluster}`)
}, 60_000)

const aTask = (spec: ContainerSpec = {}, changes: Partial<AssignedTask> = {}): AssignedTask => {
  const id = fresh.id()
  return {
    id,
    serviceId: "service1",
    serviceName: "web",
    name: `web.1.${id}`,
    slot: 1,
    spec: {
      ContainerSpec: { Image: testImage, Args: ["sleep", "1000"], StopGracePeriod: 0, ...spec }
    },
    attachments: [],
    desired: "running",
    state: "assigned",
    ...changes
  }
}

const comesTo = (task: AssignedTask, state: string): Promise<void> =>
  eventually(() => {
    const now = node.leader.state(task.id)
    if (now !== state && ["failed", "rejected", "complete", "shutdown"].includes(now ?? ""))
      throw new Error(
        `${task.name} came to ${now}: ${node.leader.statuses.get(task.id)?.Err}; wanted ${state}`
      )
    return now === state
  }, `${task.name} comes to ${state}`)

const containerOf = (task: AssignedTask) => docker.getContainer(task.name)
const inspect = (task: AssignedTask) => containerOf(task).inspect()
const isGone = (task: AssignedTask): Promise<boolean> =>
  inspect(task).then(
    () => false,
    (error: { statusCode?: number }) => error.statusCode === 404
  )

async function execute(task: AssignedTask, ...command: ReadonlyArray<string>): Promise<string> {
  const exec = await containerOf(task).exec({
    Cmd: [...command],
    AttachStdout: true,
    AttachStderr: true,
    Tty: true
  })
  const stream = await exec.start({ Tty: true })
  let output = ""
  for await (const chunk of stream) output += String(chunk)
  return output.replaceAll("\r\n", "\n")
}

const network = (id: string, third: number) => ({
  id,
  name: `${node.cluster}-net-${third}`,
  subnets: [{ subnet: `10.231.${third}.0/24`, gateway: `10.231.${third}.1` }],
  internal: false,
  attachable: false,
  ipv6: false,
  labels: {},
  options: {}
})

describe("a node with a leader", () => {
  test("runs what it is assigned, with secrets, configs, networks and placeholders, and takes it down again", async () => {
    const canary = `canary-${fresh.id()}`
    const base64 = (text: string): string => Buffer.from(text).toString("base64")
    const net = network(fresh.id(), 11)
    const attachments = (host: number) => [{ NetworkID: net.id, Addresses: [`10.231.11.${host}/24`] }]
    const first = aTask(
      {
        Env: ["SLOT={{.Task.Slot}}", "NODE={{.Node.ID}}"],
        Hostname: "{{.Service.Name}}-{{.Task.Slot}}",
        Secrets: [
          {
            SecretID: "sec1",
            SecretName: "key",
            File: { Name: "key", UID: "65534", GID: "7", Mode: 0o400 }
          }
        ],
        Configs: [{ ConfigID: "con1", ConfigName: "site", File: { Name: "/etc/site.conf" } }]
      },
      { attachments: attachments(5) }
    )
    const second = aTask(
      { Healthcheck: { Test: ["CMD", "true"], Interval: 1e9, Timeout: 5e9, Retries: 3 } },
      { attachments: attachments(6), serviceName: "api" }
    )
    const third = aTask({ Args: ["sh", "-c", "exit 0"] })
    node.leader.assign({
      tasks: [first, second, third],
      networks: [net],
      secrets: [{ id: "sec1", name: "key", data: base64(canary) }],
      configs: [{ id: "con1", name: "site", data: base64("listen 80\n") }]
    })
    await comesTo(first, "running")
    await comesTo(second, "running")
    await comesTo(third, "complete")

    const info = await inspect(first)
    expect(info.Config.Labels).toMatchObject({
      "com.docker.swarm.task": "",
      "com.docker.swarm.task.id": first.id,
      "com.docker.swarm.task.name": first.name,
      "com.docker.swarm.node.id": node.nodeId,
      "com.docker.swarm.service.name": "web",
      "io.troupe.cluster": node.cluster
    })
    expect(info.HostConfig.RestartPolicy?.Name).toMatch(/^(no)?$/)
    expect(info.Config.Env).toContain("SLOT=1")
    expect(info.Config.Env).toContain(`NODE=${node.nodeId}`)
    expect(info.Config.Hostname).toBe("web-1")
    expect(JSON.stringify(info)).not.toContain(canary)
    expect(node.leader.statuses.get(first.id)).toMatchObject({
      Message: "started",
      ContainerStatus: { ContainerID: info.Id, PID: info.State.Pid, ExitCode: 0 }
    })
    expect(await execute(first, "cat", "/run/secrets/key")).toBe(canary)
    expect(await execute(first, "stat", "-c", "%u %g %a", "/run/secrets/key")).toBe("65534 7 400\n")
    expect(await execute(first, "cat", "/etc/site.conf")).toBe("listen 80\n")
    expect(await execute(first, "sh", "-c", "echo x > /run/secrets/key; echo $?")).toContain("1\n")
    expect(await execute(first, "stat", "-f", "-c", "%T", "/run/secrets/key")).toBe("tmpfs\n")
    expect(await execute(first, "nslookup", "api", "127.0.0.11")).toContain("10.231.11.6")
    expect(await execute(second, "nslookup", "tasks.web", "127.0.0.11")).toContain("10.231.11.5")

    node.leader.assign({
      tasks: [
        { ...first, desired: "shutdown" },
        { ...second, desired: "shutdown" }
      ]
    })
    await comesTo(first, "shutdown")
    await comesTo(second, "shutdown")
    expect((await inspect(first)).State.Running).toBe(false)
    await eventually(
      async () => !(await readdir(node.secretRoot)).includes(first.id),
      "the secrets are put away"
    )
    node.leader.assign({ removed: [first.id, second.id, third.id], dropped: [net.id, "sec1", "con1"] })
    await eventually(async () => (await isGone(first)) && (await isGone(third)), "the containers are gone")
    await eventually(
      async () => !(await docker.listNetworks()).some(({ Name }) => Name === net.name),
      "the network is gone"
    )
  }, 60_000)

  test("goes through all states in their order", () => {
    const seen = new Map<string, string[]>()
    for (const { id, status } of node.leader.reports) seen.set(id, [...(seen.get(id) ?? []), status.State])
    const order = ["accepted", "preparing", "ready", "starting", "running", "complete", "shutdown"]
    for (const states of seen.values()) {
      const places = states.map((state) => order.indexOf(state))
      expect(places).toEqual([...places].sort((a, b) => a - b))
    }
  })

  test("waits in ready with a prepared container until it is to run", async () => {
    const task = aTask({}, { desired: "ready" })
    node.leader.assign({ tasks: [task] })
    await comesTo(task, "ready")
    const before = await inspect(task)
    expect(before.State.Status).toBe("created")
    node.leader.assign({ tasks: [{ ...task, desired: "running", state: "ready" }] })
    await comesTo(task, "running")
    expect((await inspect(task)).Id).toBe(before.Id)
    node.leader.assign({ removed: [task.id] })
    await eventually(() => isGone(task), "the running container is stopped and removed")
  }, 30_000)

  test("opens ports in host mode itself and tells which the Engine chose", async () => {
    const task = aTask({}, { hostPorts: [{ Protocol: "tcp", TargetPort: 80, PublishMode: "host" }] })
    node.leader.assign({ tasks: [task] })
    await comesTo(task, "running")
    const ports = node.leader.statuses.get(task.id)?.PortStatus?.Ports ?? []
    // The Engine chooses for IPv4 and for IPv6, and not always the same one.
    expect(ports.length).toBeGreaterThan(0)
    for (const port of ports) {
      expect(port).toMatchObject({ Protocol: "tcp", TargetPort: 80, PublishMode: "host" })
      expect(port.PublishedPort).toBeGreaterThan(0)
    }
    node.leader.assign({ removed: [task.id] })
    await eventually(() => isGone(task), "it is gone")
  }, 30_000)

  test("reports how containers end, in Swarm's words", async () => {
    const [failing, killed, missing, unstartable, unhealthy] = [
      aTask({ Args: ["sh", "-c", "exit 3"] }),
      aTask(),
      aTask({ Image: "troupe-nosuch/image:1" }),
      aTask({ Command: ["/no/such/file"] }),
      aTask({ Healthcheck: { Test: ["CMD", "false"], Interval: 1e8, Timeout: 5e9, Retries: 1 } })
    ]
    const all = [failing, killed, missing, unstartable, unhealthy]
    node.leader.assign({ tasks: all })
    await comesTo(killed, "running")
    await containerOf(killed).kill()
    await comesTo(failing, "failed")
    await comesTo(killed, "failed")
    await comesTo(missing, "rejected")
    await comesTo(unstartable, "failed")
    await comesTo(unhealthy, "failed")
    const errors = all.map(({ id }) => node.leader.statuses.get(id)?.Err)
    expect(errors[0]).toBe("task: non-zero exit (3)")
    expect(errors[1]).toBe("task: non-zero exit (137)")
    expect(errors[2]).not.toBe("")
    expect(errors[3]).toStartWith("starting container failed: ")
    expect(errors[3]).toContain("/no/such/file")
    expect(errors[4]).toBe("task: non-zero exit (137): dockerexec: unhealthy container")
    expect(node.leader.states(unhealthy.id)).not.toContain("running")
    node.leader.assign({ removed: all.map(({ id }) => id) })
    await eventually(async () => (await Promise.all(all.map(isGone))).every(Boolean), "all are gone")
  }, 60_000)
})

describe("a node that loses its leader", () => {
  test("keeps its containers, and catches up when it is back", async () => {
    const [staying, dying] = [aTask(), aTask()]
    node.leader.assign({ tasks: [staying, dying] })
    await comesTo(staying, "running")
    await comesTo(dying, "running")
    const before = await inspect(staying)
    node.transport?.disconnect()
    await containerOf(dying).kill()
    await eventually(async () => !(await inspect(dying)).State.Running, "it is dead")
    node.leader.forget()
    node.transport?.reconnect()
    const registrations = node.leader.registrations.length
    await eventually(() => node.leader.registrations.length > registrations, "the node registers again")
    await comesTo(dying, "failed")
    node.leader.assign({
      complete: true,
      tasks: [
        { ...staying, state: "running" },
        { ...dying, state: "failed", desired: "shutdown" }
      ]
    })
    await eventually(() => node.leader.applied === 1, "the assignment is taken")
    const after = await inspect(staying)
    expect([after.Id, after.State.StartedAt]).toEqual([before.Id, before.State.StartedAt])
    node.leader.assign({ removed: [staying.id, dying.id] })
    await eventually(async () => (await isGone(staying)) && (await isGone(dying)), "both are gone")
  }, 60_000)

  test("asks for everything when it missed something", async () => {
    const task = aTask()
    const resyncs = node.leader.resyncs
    // What the bus loses: sent to a session that does not exist.
    node.leader.assign({ session: "nobody" })
    node.leader.assign({ tasks: [task] })
    await eventually(() => node.leader.resyncs > resyncs, "the node asks for everything")
    expect(node.leader.state(task.id)).toBeUndefined()
    node.leader.assign({ complete: true, tasks: [task] })
    await comesTo(task, "running")
    node.leader.assign({ complete: true, tasks: [] })
    await eventually(() => isGone(task), "what is not in the whole is gone")
  }, 60_000)
})

describe("a daemon that begins again", () => {
  test("adopts its containers untouched, reports what ended meanwhile, and puts strays away", async () => {
    const secret = [{ SecretID: "sec1", SecretName: "key", File: { Name: "key" } }]
    const polite = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    const [staying, dying, stray, removed] = [
      aTask({ Secrets: secret }),
      aTask(),
      aTask({ Args: polite }),
      aTask()
    ]
    const secrets = [{ id: "sec1", name: "key", data: "c2VjcmV0" }]
    node.leader.assign({ tasks: [staying, dying, stray, removed], secrets })
    for (const task of [staying, dying, stray, removed]) await comesTo(task, "running")
    const before = await inspect(staying)
    await node.stop()
    expect((await inspect(staying)).State.Running).toBe(true)
    await containerOf(dying).kill({ signal: "SIGKILL" })
    await containerOf(removed).remove({ force: true })
    for (const task of [dying, removed]) node.leader.statuses.delete(task.id)

    const registrations = node.leader.registrations.length
    await node.start()
    await eventually(() => node.leader.registrations.length > registrations, "the node registers again")
    expect(node.leader.registrations.at(-1)?.boot).not.toBe(node.leader.registrations.at(-2)?.boot)
    node.leader.assign({
      complete: true,
      tasks: [staying, dying, removed].map((task) => ({ ...task, state: "running" as const })),
      secrets
    })
    await comesTo(dying, "failed")
    expect(node.leader.statuses.get(dying.id)).toMatchObject({
      Err: "task: non-zero exit (137)",
      ContainerStatus: { ExitCode: 137 }
    })
    await comesTo(removed, "failed")
    expect(node.leader.statuses.get(removed.id)?.Err).toBe("dockerexec: container destroyed")
    await eventually(() => isGone(stray), "the stray container is gone")
    const after = await inspect(staying)
    expect([after.Id, after.State.StartedAt]).toEqual([before.Id, before.State.StartedAt])
    expect(await execute(staying, "cat", "/run/secrets/key")).toBe("secret")
    expect(await readdir(node.secretRoot)).toEqual([staying.id])

    // The adopted container is watched like any other.
    await containerOf(staying).kill()
    await comesTo(staying, "failed")
    node.leader.assign({ complete: true, tasks: [] })
    await eventually(async () => (await isGone(staying)) && (await isGone(dying)), "all are gone")
  }, 60_000)
})

test("no actor crashed in all this", () => {
  expect(node.crashes).toEqual([])
})
