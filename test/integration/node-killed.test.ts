/** A daemon killed in the middle of its work: the next one goes on where it stopped, and nothing runs twice. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { TaskState, TaskStatus } from "#actors/model/objects.ts"
import type { AssignedTask } from "#actors/node/protocol.ts"
import { Fresh } from "#runtime/ids.ts"
import {
  cleanUp,
  dockerHost,
  engine,
  ensureTestImage,
  eventually,
  testImage,
  uniqueName
} from "#test/support/engine.ts"
import type { NodeProgram } from "#test/support/node-program.ts"
import { NodeSide } from "#test/support/node-side.ts"

const docker = engine()
const cluster = uniqueName("c").replace("-", "")
const nodeId = uniqueName("n").replace("-", "")
const fresh = Fresh.from(Math.floor(Math.random() * 2 ** 31))

beforeAll(() => ensureTestImage(), 60_000)
afterAll(() => cleanUp(`io.troupe.cluster=${cluster}`), 60_000)

const aTask = (): AssignedTask => {
  const id = fresh.id()
  return {
    id,
    serviceId: "service1",
    serviceName: "web",
    name: `web.1.${id}`,
    slot: 1,
    spec: {
      ContainerSpec: {
        Image: testImage,
        Args: ["sh", "-c", "cat /run/secrets/key > /started; sleep 1000"],
        StopGracePeriod: 0,
        Secrets: [{ SecretID: "sec1", SecretName: "key", File: { Name: "key" } }]
      }
    },
    attachments: [],
    desired: "running",
    state: "assigned"
  }
}

test("killed with half of its tasks running, it leaves them alone, and its next life starts the rest", async () => {
  const folder = await mkdtemp(join(tmpdir(), "troupe-node-"))
  const tasks = Array.from({ length: 16 }, aTask)
  const secrets = [{ id: "sec1", name: "key", data: "c2VjcmV0" }]
  const program: NodeProgram = { dockerHost, cluster, nodeId, folder, tasks, secrets }
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("../support/node-program.ts", import.meta.url)), JSON.stringify(program)],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  const ended = new Promise((resolve) => child.once("exit", resolve))
  const known = new Map<string, TaskState>()
  const countOf = (state: TaskState): number => [...known.values()].filter((one) => one === state).length
  for await (const line of createInterface({ input: child.stdout })) {
    const { id, status } = JSON.parse(line) as { id: string; status: TaskStatus }
    known.set(id, status.State)
    if (countOf("running") === 5) break
  }
  child.kill("SIGKILL")
  await ended
  const running = tasks.filter(({ id }) => known.get(id) === "running")
  expect(countOf("running")).toBeLessThan(tasks.length)
  const inspect = (task: AssignedTask) => docker.getContainer(task.name).inspect()
  const before = await Promise.all(running.map(inspect))

  const node = await NodeSide.make({ dockerHost, cluster, nodeId, folder })
  await node.start()
  await eventually(() => node.leader.registrations.length === 1, "the next life registers")
  node.leader.assign({
    complete: true,
    tasks: tasks.map((task) => ({ ...task, state: known.get(task.id) ?? task.state })),
    secrets
  })
  const isRunning = ({ id }: AssignedTask): boolean => (node.leader.state(id) ?? known.get(id)) === "running"
  await eventually(() => tasks.every(isRunning), "all tasks run", 60_000)
  const after = await Promise.all(running.map(inspect))
  expect(after.map(({ Id, State }) => [Id, State.StartedAt])).toEqual(
    before.map(({ Id, State }) => [Id, State.StartedAt])
  )
  const containers = await docker.listContainers({
    all: true,
    filters: { label: [`io.troupe.cluster=${cluster}`] }
  })
  expect(containers).toHaveLength(tasks.length)
  node.leader.assign({ complete: true, tasks: [] })
  await eventually(
    async () =>
      (
        await docker.listContainers({
          all: true,
          filters: { label: [`io.troupe.cluster=${cluster}`] }
        })
      ).length === 0,
    "all are gone"
  )
  expect(node.crashes).toEqual([])
  await node.close()
}, 120_000)
