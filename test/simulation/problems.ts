/** What keeps a cluster from being as it was asked to be: the law that must hold once everything has healed. */
import { taskLabel } from "#actors/drivers/labels.ts"
import type { Service } from "#actors/model/objects.ts"
import { isBefore } from "#actors/model/task-state.ts"
import { matches, parseConstraints } from "#actors/scheduler/match.ts"
import { short, showTask } from "#test/simulation/laws.ts"
import type { Machine, World } from "#test/simulation/world.ts"

/** What is not as the specs ask for; empty when all is well. */
export function problemsOf(world: World): ReadonlyArray<string> {
  const found: Array<string> = []
  const { ledger } = world
  for (const [name, machine] of world.machines) {
    const expected = machine.process === undefined || !machine.engine.up ? "down" : "ready"
    const state = ledger.get("node", name)?.Status.State
    if (state !== expected) found.push(`${name} is ${state} instead of ${expected}`)
  }
  for (const service of ledger.all("service")) found.push(...serviceProblems(world, service))
  for (const { engine, container } of world.containers()) {
    if (!engine.up) continue
    const task = ledger.get("task", container.labels[taskLabel] ?? "")
    const where = `container ${container.name} on ${engine.name}`
    if (task === undefined) found.push(`${where} belongs to no task`)
    else if (container.status === "running" && task.Status.State !== "running")
      found.push(`${where} runs, its task is ${task.Status.State}`)
    else if (
      container.status === "running" &&
      task.DesiredState !== "running" &&
      task.DesiredState !== "complete"
    )
      found.push(`${where} runs, its task is wanted ${task.DesiredState}`)
  }
  for (const task of ledger.all("task")) {
    const waits = task.Status.State === "pending" && !isBefore("running", task.DesiredState)
    if (waits && (task.Status.Err ?? "") === "") found.push(`task ${showTask(task)} waits without a reason`)
    // What a lost node ran is waited for: it may come back and go on until it is told.
    const isLost = ledger.get("node", task.NodeID ?? "")?.Status.State === "down"
    if (ledger.get("service", task.ServiceID) === undefined && !isLost)
      found.push(`task ${showTask(task)} has no service`)
  }
  for (const machine of world.machines.values()) {
    if (!machine.engine.up) continue
    for (const id of machine.secrets) {
      if (ledger.get("task", id) === undefined)
        found.push(`files of task ${short(id)} are left on ${machine.name}`)
    }
    found.push(...portProblems(world, machine))
  }
  return found
}

function serviceProblems(world: World, service: Service): ReadonlyArray<string> {
  const found: Array<string> = []
  const name = service.Spec.Name ?? service.ID
  const tasks = [...world.ledger.tasksOfService(service.ID)]
  const running = world.runningTasks(name)
  const { Mode } = service.Spec
  if (Mode?.ReplicatedJob !== undefined) {
    const iteration = service.JobStatus?.JobIteration.Index ?? 0
    const done = tasks.filter(
      (task) => task.Status.State === "complete" && (task.JobIteration?.Index ?? 0) === iteration
    )
    const total = Mode.ReplicatedJob.TotalCompletions ?? Mode.ReplicatedJob.MaxConcurrent ?? 1
    // A task that was given up with its node may complete all the same, beside the one in its place.
    const slots = new Set(done.map(({ Slot }) => Slot)).size
    if (slots !== total) found.push(`${name}: ${slots} of ${total} completed`)
    return found
  }
  const nodes = eligibleNodes(world, service).length
  const wanted = Mode?.Global !== undefined ? nodes : nodes === 0 ? 0 : (Mode?.Replicated?.Replicas ?? 1)
  if (running.length !== wanted) found.push(`${name}: ${running.length} of ${wanted} run`)
  if (running.some((task) => task.SpecVersion !== service.SpecVersion)) {
    const current = JSON.stringify(service.Spec.TaskTemplate)
    const stale = running.filter(
      (task) => JSON.stringify(world.ledger.taskSpec(service.ID, task.SpecVersion)) !== current
    )
    if (stale.length > 0) found.push(`${name}: ${stale.length} run an old version`)
  }
  for (const task of running) {
    const node = world.ledger.get("node", task.NodeID ?? "")
    if (node?.Spec.Availability === "drain") found.push(`${showTask(task)} runs on drained ${task.NodeID}`)
    if (node?.Status.State !== "ready")
      found.push(`${showTask(task)} runs on ${node?.Status.State} ${task.NodeID}`)
  }
  const state = service.UpdateStatus?.State
  if (nodes > 0 && (state === "updating" || state === "rollback_started")) found.push(`${name} is ${state}`)
  return found
}

/** Nodes that may be given a task of the service. */
export function eligibleNodes(world: World, { Spec }: Service): ReadonlyArray<string> {
  const constraints = parseConstraints(Spec.TaskTemplate?.Placement?.Constraints ?? [])
  return [...world.ledger.all("node")]
    .filter((node) => node.Spec.Availability === "active" && node.Status.State === "ready")
    .filter((node) => typeof constraints !== "string" && matches(node, constraints))
    .map(({ ID }) => ID)
}

/** How many tasks of the service the fullest of its nodes has more than the emptiest. */
export function unevenness(world: World, service: Service): number {
  const counts = new Map(eligibleNodes(world, service).map((name) => [name, 0]))
  for (const { NodeID = "" } of world.runningTasks(service.Spec.Name))
    counts.set(NodeID, (counts.get(NodeID) ?? 0) + 1)
  return Math.max(...counts.values()) - Math.min(...counts.values())
}

function portProblems(world: World, machine: Machine): ReadonlyArray<string> {
  if (machine.process === undefined || !machine.engine.up) return []
  const table = machine.ports
    .map(
      ({ publishedPort, backends }) =>
        `${publishedPort}: ${backends.map((one) => short(one.taskId)).join(" ")}`
    )
    .sort()
  const expected: Array<string> = []
  for (const service of world.ledger.all("service")) {
    for (const { PublishedPort } of service.Endpoint?.Ports ?? []) {
      const ids = world
        .runningTasks(service.Spec.Name)
        .map(({ ID }) => ID)
        .sort()
      expected.push(`${PublishedPort}: ${ids.map(short).join(" ")}`)
    }
  }
  expected.sort()
  if (JSON.stringify(table) === JSON.stringify(expected)) return []
  return [`${machine.name} publishes [${table.join("; ")}] instead of [${expected.join("; ")}]`]
}
