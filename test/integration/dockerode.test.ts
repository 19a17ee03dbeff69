/** The Docker SDK for JavaScript, its own calls for swarm mode, through the whole life of a service. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import type Docker from "dockerode"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

let cluster: Cluster
let docker: Docker

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster()
  docker = engine(cluster.host)
}, 90_000)
afterAll(() => cluster.cleanUp(), 60_000)

const script = "cat /run/secrets/word /etc/told; echo $COLOUR; trap exit TERM; sleep 100000 & wait"
const base64 = (text: string): string => Buffer.from(text).toString("base64")

test("creates, lists, inspects, updates, reads and removes a service with a secret and a config", async () => {
  const secret = await docker.createSecret({ Name: "word", Data: base64("hidden\n") } as never)
  const config = await docker.createConfig({ Name: "told", Data: base64("open\n") } as never)
  const file = { UID: "0", GID: "0", Mode: 0o400 }
  const spec = (colour: string) => ({
    Name: "sdk",
    Labels: { team: "blue" },
    Mode: { Replicated: { Replicas: 2 } },
    UpdateConfig: { Parallelism: 0, Monitor: 1e9 },
    TaskTemplate: {
      ContainerSpec: {
        Image: testImage,
        Command: ["sh", "-c", script],
        Env: [`COLOUR=${colour}`],
        Secrets: [{ SecretID: secret.id, SecretName: "word", File: { Name: "word", ...file } }],
        Configs: [{ ConfigID: config.id, ConfigName: "told", File: { Name: "/etc/told", ...file } }]
      }
    }
  })
  const { id } = await docker.createService(spec("red") as never)
  const service = docker.getService(id)

  const running = async () => {
    const tasks = await docker.listTasks({ filters: { service: ["sdk"], "desired-state": ["running"] } })
    return tasks.filter((task: { Status: { State: string } }) => task.Status.State === "running")
  }
  await eventually(async () => (await running()).length === 2, "two tasks run")

  const idsOf = async (filters: Record<string, ReadonlyArray<string>>) =>
    (await docker.listServices({ filters: JSON.stringify(filters) })).map(({ ID }) => ID)
  expect(await idsOf({ label: ["team=blue"] })).toEqual([id])
  expect(await idsOf({ name: ["sd"], mode: ["replicated"] })).toEqual([id])
  expect(await idsOf({ label: ["team=red"] })).toEqual([])

  const inspected = await service.inspect()
  expect(inspected.Spec.TaskTemplate.ContainerSpec.Env).toEqual(["COLOUR=red"])
  await service.update({ version: inspected.Version.Index, ...spec("green") })
  await eventually(
    async () => (await service.inspect()).UpdateStatus?.State === "completed",
    "the update is complete"
  )
  expect((await service.inspect()).PreviousSpec.TaskTemplate.ContainerSpec.Env).toEqual(["COLOUR=red"])
  await expect(service.update({ version: inspected.Version.Index, ...spec("late") })).rejects.toThrow(
    "update out of sequence"
  )

  const [task] = await running()
  expect((await docker.getTask(task?.ID ?? "").inspect()).ServiceID).toBe(id)
  await eventually(async () => {
    const log = String(await service.logs({ stdout: true, stderr: true, follow: false } as never))
    return ["hidden", "open", "red", "green"].every((word) => log.includes(word))
  }, "the log has what the tasks of both versions printed")

  const inUse = await docker
    .getSecret(secret.id)
    .remove()
    .catch((error: Error) => error.message)
  expect(inUse).toContain("secret 'word' is in use by the following service: sdk")
  await service.remove()
  expect(await docker.listServices()).toEqual([])
  await docker.getSecret(secret.id).remove()
  await docker.getConfig(config.id).remove()
  expect([await docker.listSecrets(), await docker.listConfigs()]).toEqual([[], []])
}, 60_000)
