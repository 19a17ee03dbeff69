/** The docker CLI, unmodified, against a whole cluster of one node with a real Engine: what people do all day. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdir, writeFile } from "node:fs/promises"
import http from "node:http"
import { join } from "node:path"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { clis, startDocker } from "#test/support/docker-cli.ts"
import { engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { freePort } from "#test/support/free-port.ts"

let cluster: Cluster

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster({ name: "alpha" })
}, 90_000)
afterAll(() => cluster.cleanUp(), 60_000)

/** Says hello with its hostname, once in its log and again to whoever asks on port 80. */
const greeter =
  "echo hello from $(hostname); mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www"

/** Little watching after an update, no waiting after a stop: the tests are about what happens, not how long. */
const brisk = [
  ...["--update-monitor", "1s", "--rollback-monitor", "1s"],
  ...["--rollback-parallelism", "0", "--stop-grace-period", "0s"]
]

interface TaskJson {
  readonly ID: string
  readonly Slot?: number
  readonly DesiredState: string
  readonly Status: {
    readonly State: string
    readonly Timestamp: string
    readonly Err?: string
    readonly ContainerStatus?: { readonly ContainerID: string }
  }
}

const tasksOf = (service: string): Promise<ReadonlyArray<TaskJson>> =>
  cluster.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`)

const runningOf = async (service: string): Promise<ReadonlyArray<TaskJson>> =>
  (await tasksOf(service)).filter(
    (task) => task.Status.State === "running" && task.DesiredState === "running"
  )

/** Environment of each running container of a service, as its Engine knows it. */
async function environments(service: string): Promise<ReadonlyArray<ReadonlyArray<string>>> {
  const ids = (await runningOf(service)).map((task) => task.Status.ContainerStatus?.ContainerID ?? "")
  const found = await Promise.all(ids.map((id) => engine().getContainer(id).inspect()))
  return found.map(({ Config }) => Config.Env)
}

const containersOf = async (label: string): Promise<ReadonlyArray<string>> =>
  (await cluster.must("ps", "-aq", "--filter", `label=${label}`)).split("\n").filter((line) => line !== "")

/** Of the service's last update: the CLI may have seen its tasks run a moment before that is written. */
const comesTo = (service: string, state: string): Promise<void> =>
  eventually(
    async () => (await cluster.get(`/services/${service}`)).UpdateStatus?.State === state,
    `the update of ${service} is ${state}`
  )

const removed = (service: string): Promise<void> =>
  eventually(
    async () => (await containersOf(`com.docker.swarm.service.name=${service}`)).length === 0,
    `nothing of ${service} is left on the Engine`
  )

/** The body of `GET /`, or `undefined` when it does not come; each request has a connection of its own. */
function fetchText(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = http.get({ host, port, agent: false, timeout: 3_000 }, (response) => {
      let text = ""
      response.on("data", (part) => {
        text += String(part)
      })
      response.on("end", () => resolve(text.trim()))
      response.on("error", () => resolve(undefined))
    })
    request.on("timeout", () => request.destroy())
    request.on("error", () => resolve(undefined))
  })
}

/** Asks until `count` different replicas have answered. */
async function answersFrom(host: string, port: number, count: number): Promise<ReadonlySet<string>> {
  const seen = new Set<string>()
  await eventually(async () => {
    const text = await fetchText(host, port)
    if (text !== undefined && text !== "") seen.add(text)
    return seen.size >= count
  }, `${count} replicas answer on ${host}:${port}`)
  return seen
}

describe.each([...clis])("a service through docker $version", ({ path: cli, version }) => {
  const name = `web-${version.split(".")[0]}`
  const run = (...args: ReadonlyArray<string>) => cluster.cli(args, { cli })

  test("is created with three replicas and converges under the CLI's eyes", async () => {
    const options = ["--name", name, "--replicas", "3", "--env", "A=b", "--label", "x=y", ...brisk]
    const created = await run("service", "create", ...options, testImage, "sh", "-c", greeter)
    expect(created.code).toBe(0)
    expect(created.text).toMatch(/^[a-z0-9]{25}\n/)
    expect(created.text).toContain("overall progress: 3 out of 3 tasks")
    expect(created.text).toMatch(/converged/)
  }, 60_000)

  test("is shown by ls, ps and inspect --pretty", async () => {
    expect((await run("service", "ls")).text).toMatch(new RegExp(`${name} +replicated +3/3 +${testImage}`))
    const rows = (await run("service", "ps", name)).text.split("\n").slice(1)
    expect(rows).toHaveLength(3)
    for (const [at, row] of rows.entries()) {
      expect(row).toMatch(
        new RegExp(`${name}\\.${at + 1} +${testImage} +alpha +Running +Running \\d+ second`)
      )
    }
    const pretty = (await run("service", "inspect", "--pretty", name)).text
    expect(pretty).toMatch(new RegExp(`Name:\\s+${name}`))
    expect(pretty).toMatch(/Labels:\s+x=y/)
    expect(pretty).toMatch(/Replicas:\s+3/)
    expect(pretty).toMatch(/Env:\s+A=b/)
    expect(pretty).toMatch(/Args:\s+sh -c /)
    expect(await environments(name)).toEqual([1, 2, 3].map(() => expect.arrayContaining(["A=b"])))
  }, 30_000)

  test("has its logs told apart by task, and followed", async () => {
    const prefix = `${name}\\.\\d\\.[a-z0-9]{12}@alpha +\\| hello from [0-9a-f]{12}`
    await eventually(
      async () => (await run("service", "logs", name)).text.match(new RegExp(prefix, "g"))?.length === 3,
      "three greetings are in the log"
    )
    const child = startDocker(cluster.host, ["service", "logs", "-f", "--raw", "--tail", "0", name], { cli })
    let heard = ""
    child.stdout?.on("data", (part) => {
      heard += String(part)
    })
    // Anything that its main process writes comes through; it takes a moment until the reader is there.
    const [id = ""] = await containersOf(`com.docker.swarm.service.name=${name}`)
    await eventually(async () => {
      await run("exec", id, "sh", "-c", "echo said later > /proc/1/fd/1")
      return heard.includes("said later")
    }, "what is written later is heard")
    child.kill("SIGKILL")
    expect(heard).not.toContain("hello from")
  }, 30_000)

  test("is scaled down and up", async () => {
    const before = (await runningOf(name)).map(({ ID }) => ID)
    const down = await run("service", "scale", `${name}=2`)
    expect(down).toMatchObject({ code: 0, text: expect.stringContaining(`${name} scaled to 2`) })
    expect((await run("service", "ls")).text).toMatch(new RegExp(`${name} +replicated +2/2`))
    const kept = (await runningOf(name)).map(({ ID }) => ID)
    expect(before).toEqual(expect.arrayContaining(kept))
    expect((await run("service", "scale", "-d", `${name}=3`)).code).toBe(0)
    await eventually(async () => (await runningOf(name)).length === 3, "three run again")
    expect((await runningOf(name)).map(({ ID }) => ID)).toEqual(expect.arrayContaining(kept))
  }, 60_000)

  test("is updated task by task, and rolled back", async () => {
    const updated = await run("service", "update", "--env-add", "C=d", "--update-parallelism", "0", name)
    expect(updated.code).toBe(0)
    expect(updated.text).toContain("overall progress: 3 out of 3 tasks")
    expect(await environments(name)).toEqual([1, 2, 3].map(() => expect.arrayContaining(["A=b", "C=d"])))
    await comesTo(name, "completed")
    expect((await run("service", "inspect", "--pretty", name)).text).toMatch(/State:\s+completed/)

    const back = await run("service", "rollback", name)
    expect(back).toMatchObject({ code: 0, text: expect.stringMatching(/rollback|rolled back/) })
    for (const env of await environments(name)) {
      expect(env).toContain("A=b")
      expect(env).not.toContain("C=d")
    }
    await comesTo(name, "rollback_completed")
    expect((await run("service", "inspect", "--pretty", name)).text).toMatch(/rollback completed/)
  }, 90_000)

  test("is removed with all that ran for it", async () => {
    expect(await run("service", "rm", name)).toMatchObject({ code: 0, text: name })
    expect((await run("service", "ls", "-q", "--filter", `name=${name}`)).text).toBe("")
    await removed(name)
    expect(await run("service", "inspect", name)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no such service: /i)
    })
  }, 30_000)
})

test("a global service has one task on each node", async () => {
  const created = await cluster.docker(
    ...["service", "create", "--name", "everywhere", "--mode", "global", ...brisk],
    ...[testImage, "sleep", "1000"]
  )
  expect(created.code).toBe(0)
  expect(created.text).toContain("overall progress: 1 out of 1 tasks")
  expect(await cluster.must("service", "ls")).toMatch(/everywhere +global +1\/1/)
  expect(await cluster.must("service", "ps", "everywhere")).toContain(`everywhere.${cluster.nodeId}`)
  await cluster.must("service", "rm", "everywhere")
}, 60_000)

test("a published port answers on both loopbacks, from all three replicas, until the service is gone", async () => {
  const port = await freePort()
  await cluster.must(
    ...["service", "create", "-d", "--name", "pages", "--replicas", "3", "-p", `${port}:80`, ...brisk],
    ...[testImage, "sh", "-c", greeter]
  )
  const v4 = await answersFrom("127.0.0.1", port, 3)
  const v6 = await answersFrom("::1", port, 3)
  expect([...v6].sort()).toEqual([...v4].sort())
  expect(await cluster.must("service", "ls")).toContain(`*:${port}->80/tcp`)
  await cluster.must("service", "rm", "pages")
  await eventually(async () => (await fetchText("127.0.0.1", port)) === undefined, "the port is closed")
  await removed("pages")
}, 60_000)

test("a device, privileges and shared memory are given where the cluster allows them", async () => {
  const asked = [
    ...["--container-label", "troupe.devices=/dev/null:/dev/void:r"],
    ...["--container-label", "troupe.privileged=true", "--container-label", "troupe.shm_size=96m"]
  ]
  const create = [
    "service",
    "create",
    "-d",
    "--name",
    "rooted",
    "--restart-condition",
    "none",
    ...asked,
    testImage,
    "sleep",
    "1000"
  ]
  const troupe = (...words: ReadonlyArray<string>) =>
    cluster.troupeAnywhere(...words, "--socket", cluster.socket)
  const refused = await cluster.docker(...create)
  expect(refused.stderr).toContain(
    "this cluster does not allow it; `troupe allow devices privileged shm_size`"
  )
  expect(await troupe("allow", "shm_size", "devices", "privileged")).toContain(
    "allowed: devices, privileged, shm_size"
  )
  await cluster.must(...create)
  // A machine that may not give privileges refuses to start it; what was asked for stands in the container all the same.
  const label = "com.docker.swarm.service.name=rooted"
  await eventually(async () => (await containersOf(label)).length > 0, "its container is made")
  const [id = ""] = await containersOf(label)
  const { HostConfig } = await engine().getContainer(id).inspect()
  expect(HostConfig).toMatchObject({
    Privileged: true,
    ShmSize: 96 * 2 ** 20,
    Devices: [{ PathOnHost: "/dev/null", PathInContainer: "/dev/void", CgroupPermissions: "r" }]
  })
  await cluster.must("service", "rm", "rooted")
  expect(await troupe("deny", "devices", "privileged")).toContain("allowed: shm_size")
  expect((await cluster.docker(...create)).code).not.toBe(0)
  await troupe("deny", "shm_size")
}, 60_000)

const compose = (port: number): string => `
services:
  web:
    image: ${testImage}
    command: ["sh", "-c", "cat /run/secrets/password /motd > /dev/null && ${greeter.replaceAll("$", "$$$$")}"]
    ports: ["${port}:80"]
    secrets: [password]
    configs:
      - source: motd
        target: /motd
    stop_grace_period: 0s
    deploy:
      replicas: 3
      update_config: { monitor: 1s }
  back:
    image: ${testImage}
    command: ["sh", "-c", "mkdir -p /www && echo from the back > /www/index.html && exec httpd -f -p 80 -h /www"]
    stop_grace_period: 0s
secrets:
  password:
    file: ./password.txt
configs:
  motd:
    file: ./motd.txt
`

test("a Compose file with a network, a port, a secret and a config is deployed as it is, and taken away whole", async () => {
  const folder = join(cluster.folder, "mall")
  const port = await freePort()
  await mkdir(folder)
  await writeFile(join(folder, "compose.yaml"), `version: "3.8"\n${compose(port)}`)
  await writeFile(join(folder, "password.txt"), "s3cret")
  await writeFile(join(folder, "motd.txt"), "be kind\n")
  const deployed = await cluster.must("stack", "deploy", "-c", join(folder, "compose.yaml"), "mall")
  for (const made of [
    "network mall_default",
    "secret mall_password",
    "config mall_motd",
    "service mall_web"
  ]) {
    expect(deployed.toLowerCase()).toContain(`creating ${made}`)
  }
  await eventually(
    async () => (await runningOf("mall_web")).length === 3 && (await runningOf("mall_back")).length === 1,
    "the stack runs"
  )
  expect((await answersFrom("127.0.0.1", port, 3)).size).toBe(3)

  expect(await cluster.must("stack", "ls")).toMatch(/mall +2/)
  expect(await cluster.must("stack", "services", "mall")).toMatch(/mall_web +replicated +3\/3/)
  expect(
    (await cluster.must("stack", "ps", "mall")).match(/Running \d+ second|Running Less|Running about/gi)
  ).toHaveLength(4)

  const [web = ""] = await containersOf("com.docker.swarm.service.name=mall_web")
  const [back = ""] = await containersOf("com.docker.swarm.service.name=mall_back")
  expect(await cluster.must("exec", web, "cat", "/run/secrets/password")).toBe("s3cret")
  expect(await cluster.must("exec", web, "cat", "/motd")).toBe("be kind")

  // By both names, from either side: what a service is called in the file, and what the stack calls it.
  for (const name of ["back", "mall_back"]) {
    const found = await cluster.must("exec", web, "nslookup", name, "127.0.0.11")
    const address = [...found.matchAll(/Address[^:]*: +(\d+\.\d+\.\d+\.\d+)/g)].at(-1)?.[1] ?? ""
    await eventually(async () => {
      const { text } = await cluster.docker("exec", web, "sh", "-c", `timeout 3 wget -qO- http://${address}/`)
      return text === "from the back"
    }, `${name} answers`)
  }
  const all = await cluster.must("exec", back, "nslookup", "web", "127.0.0.11")
  expect([...all.matchAll(/Address[^:]*: +(\d+\.\d+\.\d+\.\d+)/g)].length).toBeGreaterThan(0)

  const again = await cluster.must("stack", "deploy", "-c", join(folder, "compose.yaml"), "mall")
  expect(again).toContain("Updating service mall_web")
  const tasks = await tasksOf("mall_web")
  expect(tasks.filter(({ DesiredState }) => DesiredState === "running")).toHaveLength(3)
  expect(tasks).toHaveLength(3)

  await cluster.must("stack", "rm", "mall")
  const nothing = async (...args: ReadonlyArray<string>): Promise<boolean> =>
    (await cluster.must(...args, "-q", "--filter", "label=com.docker.stack.namespace=mall")) === ""
  for (const kind of ["service", "network", "secret", "config"]) {
    await eventually(() => nothing(kind, "ls"), `no ${kind} of the stack is left`)
  }
  await eventually(
    async () => (await containersOf("com.docker.stack.namespace=mall")).length === 0,
    "no container"
  )
  const bridges = async () =>
    engine().listNetworks({ filters: JSON.stringify({ label: [`io.troupe.cluster=${cluster.clusterId}`] }) })
  await eventually(
    async () => (await bridges()).every(({ Name }) => !Name.includes("mall")),
    "no bridge of the stack"
  )
  expect(await cluster.must("stack", "ls")).not.toContain("mall")
}, 90_000)

test("node ls, inspect and ps tell of this node, and it is drained and made active again", async () => {
  await cluster.must(
    ...["service", "create", "-d", "--name", "mover", "--restart-delay", "0s", ...brisk],
    ...[testImage, "sleep", "1000"]
  )
  await eventually(async () => (await runningOf("mover")).length === 1, "it runs")
  expect(await cluster.must("node", "ls")).toMatch(
    new RegExp(`${cluster.nodeId} \\* +alpha +Ready +Active +Leader +\\d+\\.\\d+`)
  )
  const [node] = JSON.parse(await cluster.must("node", "inspect", "self"))
  expect(node).toMatchObject({
    ID: cluster.nodeId,
    Spec: { Role: "manager", Availability: "active" },
    Description: { Hostname: "alpha", Platform: { OS: "linux" } },
    Status: { State: "ready" },
    ManagerStatus: { Leader: true, Reachability: "reachable" }
  })
  expect(await cluster.must("node", "inspect", "--pretty", "alpha")).toMatch(/Raft Status:\s+Reachable/)
  expect(await cluster.must("node", "ps")).toMatch(/mover\.1 +troupe-test:1 +alpha +Running/)

  expect(await cluster.must("node", "update", "--availability", "drain", "alpha")).toBe("alpha")
  await eventually(async () => (await runningOf("mover")).length === 0, "nothing runs on a drained node")
  await eventually(async () => {
    const waiting = (await tasksOf("mover")).find(({ Status }) => Status.State === "pending")
    return waiting?.Status.Err === "no suitable node (1 node not available for new tasks)"
  }, "its successor waits and says why")
  expect(await cluster.must("node", "ls")).toMatch(/Ready +Drain +Leader/)
  await cluster.must("node", "update", "--availability", "active", "alpha")
  await eventually(async () => (await runningOf("mover")).length === 1, "it runs again")
  await cluster.must("service", "rm", "mover")
}, 60_000)

test("info shows an active Swarm that this node leads, and the Engine's own commands pass through", async () => {
  const info = await cluster.must("info")
  expect(info).toMatch(/Swarm: active/)
  expect(info).toMatch(new RegExp(`NodeID: ${cluster.nodeId}`))
  expect(info).toMatch(/Is Manager: true/)
  expect(info).toMatch(/Managers: 1\s+Nodes: 1/)

  const label = `io.troupe.cluster=${cluster.clusterId}`
  const id = await cluster.must("run", "-d", "--label", label, testImage, "sleep", "1000")
  expect(await cluster.must("ps", "-q", "--no-trunc")).toContain(id)
  expect(await cluster.must("exec", id, "echo", "inside")).toBe("inside")
  expect((await cluster.docker("exec", id, "sh", "-c", "exit 9")).code).toBe(9)
  expect(await cluster.must("image", "ls", testImage)).toContain("troupe-test")
  const context = join(cluster.folder, "context")
  await mkdir(context)
  await writeFile(join(context, "Dockerfile"), `FROM ${testImage}\nLABEL made=here\n`)
  const built = await cluster.must("build", "-t", `acceptance-${cluster.clusterId}:1`, context)
  expect(built).toContain("Successfully tagged")
  await cluster.must("image", "rm", `acceptance-${cluster.clusterId}:1`)
  await cluster.must("rm", "-f", id)
}, 60_000)

test("events tell of services and of containers on one stream", async () => {
  const began = Math.floor(Date.now() / 1000)
  // From a moment before: nobody says when the stream has begun.
  const child = startDocker(cluster.host, [
    "events",
    "--since",
    String(began),
    "--format",
    "{{.Scope}} {{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
  ])
  let heard = ""
  child.stdout?.on("data", (part) => {
    heard += String(part)
  })
  await cluster.must("service", "create", "-d", "--name", "news", ...brisk, testImage, "sleep", "1000")
  await eventually(async () => (await runningOf("news")).length === 1, "it runs")
  await cluster.must("service", "rm", "news")
  await eventually(
    () => heard.includes("swarm service remove news") && /local container destroy news\.1\./.test(heard),
    "the stream tells of the removal"
  )
  child.kill("SIGKILL")
  expect(heard).toContain("swarm service create news")
  expect(heard).toMatch(/local container start news\.1\./)
  // The CLI says `0s` ago in whole seconds, and all of it may have happened within one.
  const ended = Math.floor(Date.now() / 1000)
  await eventually(() => Math.floor(Date.now() / 1000) > ended, "the next second begins")
  const past = await cluster.must(
    "events",
    "--since",
    String(began),
    "--until",
    "0s",
    "--filter",
    "type=service"
  )
  expect(past).toMatch(/service create .*name=news/)
}, 60_000)

const missing = "acceptance-no-such-image:1"

test("a task whose image is missing is rejected with the Engine's words, and the CLI tells them", async () => {
  const child = startDocker(cluster.host, ["service", "create", "--name", "lost", ...brisk, missing])
  let told = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (part) => {
      told += String(part)
    })
  }
  await eventually(
    () => /1\/1: No such image: acceptance-no-such-image:1/.test(told),
    "its progress says why",
    40_000
  )
  child.kill("SIGKILL")
  const rows = await cluster.must("service", "ps", "--no-trunc", "lost")
  expect(rows).toMatch(/Rejected .*"No such image: acceptance-no-such-image:1/)
  const rejected = (await tasksOf("lost")).find(({ Status }) => Status.State === "rejected")
  expect(rejected?.Status.Err).toStartWith(`No such image: ${missing}`)
  await cluster.must("service", "rm", "lost")
}, 90_000)

test("an update to an image that is not there rolls back by itself when asked to", async () => {
  await cluster.must(
    "service",
    "create",
    "-d",
    "--name",
    "steady",
    "--replicas",
    "2",
    ...brisk,
    testImage,
    "sleep",
    "1000"
  )
  await eventually(async () => (await runningOf("steady")).length === 2, "it runs")
  const before = (await runningOf("steady")).map(({ ID }) => ID)
  const update = ["service", "update", "--update-failure-action", "rollback", "--image", missing, "steady"]
  const updated = await cluster.docker(...update)
  // The CLI calls it converged, and so 0; what happened it says in words.
  expect(updated.code).toBe(0)
  expect(updated.text).toContain("rollback: update rolled back due to failure or early termination of task")
  await comesTo("steady", "rollback_completed")
  const service = await cluster.get("/services/steady")
  expect(service.Spec.TaskTemplate.ContainerSpec.Image).toBe(testImage)
  const after = await runningOf("steady")
  expect(after).toHaveLength(2)
  // One slot at a time: the other never stopped.
  expect(after.filter(({ ID }) => before.includes(ID))).toHaveLength(1)
  await cluster.must("service", "rm", "steady")
}, 90_000)

test("nothing crashed on the way", async () => {
  expect(await cluster.crashes()).toEqual([])
  expect(await cluster.restarts()).toEqual({})
}, 30_000)
