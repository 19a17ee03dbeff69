/** A node whose Engine dies and comes back: what survived is adopted, the rest is reported once. */
import { afterEach, expect, test } from "bun:test"
import type { AssignedTask } from "#actors/node/protocol.ts"
import { Fresh } from "#runtime/ids.ts"
import { PrivateEngine } from "#test/support/dockerd.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { NodeSide } from "#test/support/node-side.ts"

const fresh = Fresh.from(Math.floor(Math.random() * 2 ** 31))
let engine: PrivateEngine | undefined
let node: NodeSide | undefined

afterEach(async () => {
  await node?.close()
  await engine?.close()
  node = undefined
  engine = undefined
}, 120_000)

async function withTasks(count: number, liveRestore: boolean) {
  const opened = await PrivateEngine.open({ liveRestore })
  engine = opened
  await ensureTestImage(opened.docker)
  const made = await NodeSide.make({ dockerHost: opened.dockerHost })
  node = made
  await made.start()
  await eventually(() => made.leader.registrations.length === 1, "the node registers")
  const tasks = Array.from({ length: count }, () => aTask())
  made.leader.assign({ complete: true, tasks })
  await eventually(
    () => tasks.every(({ id }) => made.leader.state(id) === "running"),
    "all tasks run",
    60_000
  )
  return { engine: opened, node: made, tasks }
}

function aTask(): AssignedTask {
  const id = fresh.id()
  return {
    id,
    serviceId: "service1",
    serviceName: "web",
    name: `web.1.${id}`,
    slot: 1,
    spec: { ContainerSpec: { Image: testImage, Args: ["sleep", "1000"], StopGracePeriod: 0 } },
    attachments: [],
    desired: "running",
    state: "assigned"
  }
}

test("containers that outlive their Engine are adopted without a word", async () => {
  const { engine, node, tasks } = await withTasks(3, true)
  const inspect = (task: AssignedTask) => engine.docker.getContainer(task.name).inspect()
  const before = await Promise.all(tasks.map(inspect))
  const reports = node.leader.reports.length
  await engine.kill()
  await engine.start()
  const late = aTask()
  node.leader.assign({ tasks: [late] })
  await eventually(
    () => node.leader.state(late.id) === "running",
    "a new task runs after the Engine came back"
  )
  const after = await Promise.all(tasks.map(inspect))
  expect(after.map(({ State }) => State.StartedAt)).toEqual(before.map(({ State }) => State.StartedAt))
  expect(node.leader.reports.slice(reports).filter(({ id }) => id !== late.id)).toEqual([])

  // Events are followed again.
  await engine.docker.getContainer(tasks[0]?.name ?? "").kill()
  await eventually(() => node.leader.state(tasks[0]?.id ?? "") === "failed", "an end after that is reported")
  expect(node.crashes).toEqual([])
}, 120_000)

test("containers that die with their Engine are reported failed, each once, and what was asked meanwhile is done", async () => {
  const { engine, node, tasks } = await withTasks(3, false)
  const reports = node.leader.reports.length
  await engine.stop()
  const late = aTask()
  node.leader.assign({ tasks: [late] })
  await eventually(
    () => node.leader.statuses.get(late.id)?.Err?.includes("Cannot talk to the Docker Engine") === true,
    "the task that waits says why"
  )
  await engine.start()
  await eventually(() => node.leader.state(late.id) === "running", "the task that waited runs", 60_000)
  await eventually(
    () => tasks.every(({ id }) => node.leader.state(id) === "failed"),
    "the ended ones are reported"
  )
  for (const { id } of tasks) {
    const said = node.leader.reports.slice(reports).filter((report) => report.id === id)
    expect(new Set(said.map(({ status }) => status.State))).toEqual(new Set(["failed"]))
    expect(said[0]?.status.Err).toStartWith("task: non-zero exit (")
  }
  expect(node.crashes).toEqual([])
}, 120_000)
