/** `docker events` through the gateway: the Engine's and the cluster's in one stream, which outlives the Engine. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import type { ChildProcess } from "node:child_process"
import http from "node:http"
import { networkLabel } from "#actors/drivers/labels.ts"
import { docker, followEvents } from "#test/support/docker-cli.ts"
import { PrivateEngine } from "#test/support/dockerd.ts"
import { ensureTestImage, eventually, testImage, uniqueName } from "#test/support/engine.ts"
import { type OpenTestGateway, openTestGateway } from "#test/support/open-gateway.ts"

let engine: PrivateEngine
let gateway: OpenTestGateway
const children: Array<ChildProcess> = []

beforeAll(async () => {
  engine = await PrivateEngine.open()
  await ensureTestImage(engine.docker)
  gateway = await openTestGateway({ engine: engine.dockerHost })
}, 120_000)
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL")
})
afterAll(async () => {
  await gateway.close()
  await engine.close()
}, 60_000)

function watch(...flags: ReadonlyArray<string>) {
  const events = followEvents(gateway.host, ...flags)
  children.push(events.child)
  return events
}

/** The stream is open: an event of a volume that only this watcher's test makes has come by. */
async function ready(lines: () => ReadonlyArray<string>): Promise<void> {
  await eventually(async () => {
    const probe = uniqueName("probe")
    await engine.docker.createVolume({ Name: probe })
    await engine.docker.getVolume(probe).remove()
    return lines().some((line) => line.startsWith("volume"))
  }, "the Engine's events come")
}

const newSecret = (name: string) =>
  gateway.cluster.write({
    type: "secret.create",
    v: 1,
    secret: { ID: `${name}id`, Spec: { Name: name, Data: "YQ==" } }
  })

test("the Engine's events and the cluster's come in one stream", async () => {
  const watcher = watch()
  await ready(watcher.lines)
  const name = uniqueName("both")
  await newSecret(name)
  await docker(gateway.host, ["run", "--rm", "--name", name, "--network", "none", testImage, "true"])
  await eventually(() => watcher.lines().includes(`container destroy ${name}`), "the Engine's come")
  expect(watcher.lines()).toContain(`secret create ${name}`)
  expect(watcher.lines()).toContain(`container start ${name}`)
}, 60_000)

test("filters choose among ours as among the Engine's", async () => {
  const swarm = watch("--filter", "scope=swarm")
  const secrets = watch("--filter", "type=secret", "--filter", "type=volume")
  await ready(secrets.lines)
  await eventually(async () => {
    await newSecret(uniqueName("probe"))
    return swarm.lines().length > 0
  }, "the cluster's events come, too")
  const name = uniqueName("filtered")
  await newSecret(name)
  await eventually(() => secrets.lines().includes(`secret create ${name}`), "the secret's event comes")
  await eventually(() => swarm.lines().includes(`secret create ${name}`), "and to who asked for swarm scope")
  expect(swarm.lines().some((line) => line.startsWith("volume"))).toBe(false)
}, 60_000)

test("since and until give the past of both in order, and then it ends", async () => {
  const first = uniqueName("past")
  const start = Math.floor(Date.now() / 1000) - 1
  // The ledger's clock is the test's own.
  gateway.cluster.now = Date.now()
  await newSecret(`${first}a`)
  await engine.docker.createVolume({ Name: `${first}b` })
  await new Promise((resolve) => setTimeout(resolve, 10))
  gateway.cluster.now = Date.now()
  await newSecret(`${first}c`)
  await eventually(() => Date.now() > gateway.cluster.now + 1_100, "it is the past")
  const until = (Date.now() / 1000).toFixed(3)
  const result = await docker(gateway.host, [
    "events",
    "--since",
    String(start),
    "--until",
    until,
    "--format",
    "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}"
  ])
  expect(result.code).toBe(0)
  const mine = result.text
    .split("\n")
    .flatMap((line) => new RegExp(`${first}[abc]`).exec(line)?.[0].slice(-1) ?? [])
  expect([...new Set(mine)]).toEqual(["a", "b", "c"])
  await engine.docker.getVolume(`${first}b`).remove()
}, 60_000)

test("a stream that is to end in the future ends then", async () => {
  const result = await docker(gateway.host, ["events", "--until", ((Date.now() + 1_000) / 1000).toFixed(3)])
  expect(result.code).toBe(0)
}, 30_000)

test("bridges of our overlays are nobody's event", async () => {
  const watcher = watch("--filter", "type=network", "--filter", "type=volume")
  await ready(watcher.lines)
  const hidden = uniqueName("hidden")
  const shown = uniqueName("shown")
  const ours = await engine.docker.createNetwork({
    Name: hidden,
    Driver: "bridge",
    Labels: { [networkLabel]: "overlay" }
  })
  const theirs = await engine.docker.createNetwork({ Name: shown, Driver: "bridge" })
  await eventually(
    () => watcher.lines().includes(`network create ${shown}`),
    "the other network's event comes"
  )
  await ours.remove()
  await theirs.remove()
  await eventually(
    () => watcher.lines().includes(`network destroy ${shown}`),
    "the other network's end comes"
  )
  expect(watcher.lines().join("\n")).not.toContain(hidden)
}, 60_000)

test("the stream goes on while the Engine is away and joins it again when it is back", async () => {
  const watcher = watch()
  await ready(watcher.lines)
  const before = uniqueName("before")
  await newSecret(before)
  await engine.kill()
  await eventually(() => !gateway.link.isConnected(), "the gateway knows that the Engine is gone")

  const during = uniqueName("during")
  await newSecret(during)
  await eventually(() => watcher.lines().includes(`secret create ${during}`), "ours come without the Engine")
  const refused = await docker(gateway.host, ["ps"])
  expect(refused.code).not.toBe(0)
  expect(refused.stderr).toContain(`Cannot connect to the Docker Engine at ${engine.dockerHost}`)
  // The cluster can be worked with all the same.
  const info = await docker(gateway.host, ["info", "--format", "{{json .}}"])
  expect(JSON.parse(info.text)).toMatchObject({ Swarm: { LocalNodeState: "active", ControlAvailable: true } })
  expect((await docker(gateway.host, ["node", "ls"])).text).toContain("Leader")

  await engine.start()
  await eventually(() => gateway.link.isConnected(), "the gateway has found the Engine again")
  const after = uniqueName("after")
  const seen = watcher.lines().length
  await eventually(async () => {
    await engine.docker.createVolume({ Name: after })
    await engine.docker.getVolume(after).remove()
    return watcher
      .lines()
      .slice(seen)
      .some((line) => line.startsWith("volume"))
  }, "the Engine's events come again")
  expect(watcher.lines()).toContain(`secret create ${before}`)
  expect(watcher.child.exitCode).toBeNull()
  expect((await docker(gateway.host, ["ps"])).code).toBe(0)
}, 120_000)

test("what is no request for events is refused in the Engine's words", async () => {
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      http
        .get({ socketPath: gateway.socket as string, path }, (response) => {
          let text = ""
          response.on("data", (part) => {
            text += String(part)
          })
          response.on("end", () => resolve(`${response.statusCode} ${JSON.parse(text).message}`))
        })
        .on("error", reject)
    })
  expect(await get("/events?since=10&until=5")).toBe("400 `since` time (10) cannot be after `until` time (5)")
  expect(await get("/events?filters=nonsense")).toBe("400 invalid filter")
}, 30_000)
