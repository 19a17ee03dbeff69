/**
 * What follows from each message to a task: level-triggered, so that every message first changes what is known and
 * then `advance` asks for whatever brings the task nearer to its goal. Order and repetition do not matter.
 */
import type { ContainerEvent, ContainerState } from "#actors/drivers/executor.ts"
import type { TaskState, TaskStatus } from "#actors/model/objects.ts"
import { isBefore, isTerminal } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import type { NetworkMessage } from "#actors/network/protocol.ts"
import { backOff } from "#actors/node/back-off.ts"
import { describe } from "#actors/task/describe.ts"
import type { FromTask, Pursue, TaskAction, TaskMessage } from "#actors/task/protocol.ts"
import {
  containerStatus,
  type Doing,
  drainingMs,
  graceMs,
  neededNetworks,
  rank,
  reference,
  type TaskWork,
  unborn
} from "#actors/task/work.ts"
import type { MountsMessage } from "#actors/volumes/mounts/protocol.ts"
import { type CommonAction, cancel, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { never } from "#runtime/assert.ts"
import type { Moment, Step } from "#runtime/behaviour.ts"

/** After a refusal. The Engine's own bound on what runs at once does the rest. */
const patience = { firstMs: 200, mostMs: 30_000 }
/** An executor that answers "not now" this often means no. One that does not answer at all is waited for. */
const answeredTries = 5
/** The network actor answers or has been restarted. */
const networkPatienceMs = 5_000
const networkPause = { firstMs: 2_000, mostMs: 2_000 }

/** What Swarm says beside each state; an actor that adopted a task knows the state only. */
const messages: Partial<Record<TaskState, string>> = {
  accepted: "accepted",
  preparing: "preparing",
  ready: "prepared",
  starting: "starting",
  running: "started"
}

type Draft = { -readonly [Key in keyof TaskWork]: TaskWork[Key] }

/** One decision in the making. */
interface Turn {
  readonly task: Draft
  readonly actions: Array<TaskAction | CommonAction>
  readonly moment: Moment
  ends: boolean
}

export function start(_props: unknown, moment: Moment): Step<TaskWork, TaskAction> {
  const turn: Turn = { task: unborn(moment.self.id), actions: [], moment, ends: false }
  sayTo(turn, "session", { _tag: "Awake", id: turn.task.id })
  return close(turn)
}

export function decide(task: TaskWork, message: TaskMessage, moment: Moment): Step<TaskWork, TaskAction> {
  const turn: Turn = { task: { ...task }, actions: [], moment, ends: false }
  take(turn, message)
  if (!turn.ends) advance(turn)
  // What ended in this turn is put to rest in this turn.
  if (!turn.ends && isTerminal(turn.task.status.State) && !isTerminal(task.status.State)) advance(turn)
  return close(turn)
}

const close = ({ task, actions, ends }: Turn): Step<TaskWork, TaskAction> =>
  ends ? { state: task, actions, ends } : { state: task, actions }

/** Changes what is known. */
function take(turn: Turn, message: TaskMessage): Turn {
  const { task } = turn
  switch (message._tag) {
    case "Pursue":
      return pursue(turn, message)
    case "Forget":
      if (task.forgotten === undefined) hurry(turn)
      task.forgotten = { container: message.container, graceMs: message.graceMs }
      return turn
    case "Happened":
      return happened(turn, message.event)
    case "Observed":
      return observed(turn, message.container)
    case "Networked":
      task.bridges = { ...task.bridges, ...message.bridges }
      task.resolver = message.resolver ?? task.resolver
      task.asking = false
      turn.actions.push(cancel("networks"))
      return turn
    case "Unnetworked":
      return unnetworked(turn, message.message, message.temporary)
    case "Found":
      return found(turn, message.container)
    case "Pulled":
      if (task.pull !== "underway") return turn
      task.pull = "done"
      task.attempt = 0
      return turn
    case "Created":
      return done(turn, "Create") ? absorb(turn, message.container, true) : turn
    case "Began":
      return done(turn, "Start") ? absorb(turn, message.container, true) : turn
    case "Drained":
      if (done(turn, "Drain")) task.drained = true
      return turn
    case "Ceased":
      return ceased(turn, message.container)
    case "Removed":
      if (task.doing !== "Remove") return turn
      sayTo(turn, "session", { _tag: "Forgotten", id: task.id })
      turn.ends = true
      return turn
    case "Refused":
      return refused(turn, message)
    case "Again":
      task.resting = false
      return turn
    case "AskAgain":
      task.asking = false
      return turn
    case "Mounted":
      task.mountPoints = { ...task.mountPoints, ...message.points }
      task.askingForMounts = false
      turn.actions.push(cancel("mounts"))
      return turn
    case "NotMounted":
      // The actor of mounts goes on trying.
      return isBefore(task.status.State, "starting") && task.pursuit ? note(turn, message.message) : turn
    case "AskForMounts":
      task.askingForMounts = false
      return turn
    default:
      return never(message)
  }
}

/** Asks for what brings the task nearer to its goal; nothing while an action is underway or a pause lasts. */
function advance(turn: Turn): Turn {
  const { task } = turn
  if (task.doing !== undefined || task.resting) return turn
  if (task.forgotten !== undefined) return forget(turn)
  const { pursuit } = task
  if (pursuit === undefined) return turn
  if (isTerminal(task.status.State)) return rest(turn)
  if (isBefore("complete", task.goal)) return end(turn)
  const begun = !isBefore(task.status.State, "starting")
  if (task.container === undefined) {
    if (!begun) return prepare(turn, pursuit)
    if (!task.searched) return act(turn, "Find")
    // It ran before and is gone: somebody removed it. A task never runs twice.
    return fail(turn, "dockerexec: container destroyed")
  }
  const { container } = task
  switch (rank(container.status)) {
    case 0:
      say(turn, "ready")
      if (!isBefore("ready", task.goal)) return turn
      say(turn, "starting")
      return act(turn, task.unsure ? "Find" : "Start")
    case 1:
      if (task.unhealthy) return act(turn, "Stop")
      if (container.health === "starting") return say(turn, "starting")
      return say(turn, "running")
    case 2:
      return conclude(turn, container)
  }
  return turn
}

/** Nobody sends it new work by now; what it has begun it may finish. */
function end(turn: Turn): Turn {
  const { task, actions } = turn
  const withinMs = drainingMs(task)
  if (withinMs === 0) return act(turn, "Stop")
  task.doing = "Drain"
  actions.push({ _tag: "Drain", pid: task.container?.pid ?? 0, withinMs })
  return turn
}

/** What has ended stays ended, whoever started its container again, and leaves no secret behind. */
function rest(turn: Turn): Turn {
  const { task } = turn
  if (!task.wiped && task.pursuit && hasFiles(task.pursuit)) {
    task.wiped = true
    turn.actions.push({ _tag: "Wipe" })
  }
  if (task.container !== undefined && rank(task.container.status) === 1) return act(turn, "Stop")
  if (task.container === undefined && !task.searched) act(turn, "Find")
  return turn
}

function prepare(turn: Turn, pursuit: Pursue): Turn {
  const { task, actions } = turn
  const { assigned } = pursuit
  say(turn, "accepted")
  say(turn, "preparing")
  const needed = neededNetworks(pursuit)
  const missing = needed.some(({ id }) => task.bridges[id] === undefined)
  if (missing && !task.asking) {
    task.asking = true
    sayTo(turn, "network", { _tag: "Need", taskId: task.id, plans: needed })
    actions.push(later("networks", networkPatienceMs, { _tag: "AskAgain" } satisfies TaskMessage))
  }
  const volumes = (assigned.volumes ?? []).map(({ ID }) => ID)
  const unmounted = volumes.some((id) => task.mountPoints[id] === undefined)
  if (unmounted && !task.askingForMounts) {
    task.askingForMounts = true
    sayTo(turn, "mounts", { _tag: "Need", taskId: task.id, volumes })
    actions.push(later("mounts", networkPatienceMs, { _tag: "AskForMounts" } satisfies TaskMessage))
  }
  if (task.pull === "unasked") {
    task.pull = "underway"
    actions.push({
      _tag: "Pull",
      image: assigned.spec.ContainerSpec?.Image ?? "",
      ...(assigned.registryAuth !== undefined && { registryAuth: assigned.registryAuth })
    })
  }
  if (missing || unmounted || task.pull !== "done") return turn
  const described = describe(pursuit, task.bridges, task.resolver, task.mountPoints)
  if ("problem" in described) return fail(turn, described.problem)
  task.doing = "Create"
  actions.push({ _tag: "Create", name: assigned.name, request: described.request, files: described.files })
  return turn
}

function forget(turn: Turn): Turn {
  const { task } = turn
  if (reference(task) !== undefined) return act(turn, "Remove")
  sayTo(turn, "session", { _tag: "Forgotten", id: task.id })
  turn.ends = true
  return turn
}

/** Begins one of the actions that name the container. */
function act(turn: Turn, doing: Exclude<Doing, "Create" | "Drain">): Turn {
  const container = reference(turn.task)
  if (container === undefined) return turn
  turn.task.doing = doing
  if (doing === "Find" || doing === "Start") turn.actions.push({ _tag: doing, container })
  else turn.actions.push({ _tag: doing, container, graceMs: graceMs(turn.task) })
  return turn
}

function pursue(turn: Turn, message: Pursue): Turn {
  const { task, moment } = turn
  const { desired, state } = message.assigned
  if (isBefore(desired, task.goal)) return turn
  const first = task.pursuit === undefined
  if (first || (isTerminal(state) && !isTerminal(task.status.State))) {
    // What the leader knows needs no report; that it gave the task up is news to us.
    task.status = { Timestamp: toIso(moment.now), State: state }
  }
  if (isBefore(task.goal, desired) && isBefore("complete", desired)) hurry(turn)
  task.pursuit = message
  task.goal = desired
  return turn
}

/** Ends a pause: there is a new goal, or the Engine is back. */
function hurry(turn: Turn): Turn {
  if (turn.task.resting) turn.actions.push(cancel("again"))
  turn.task.resting = false
  turn.task.attempt = 0
  return turn
}

function happened(turn: Turn, event: ContainerEvent): Turn {
  const { task } = turn
  const { container } = task
  if (container === undefined || event.containerId !== container.id) return turn
  switch (event._tag) {
    case "Started":
      if (isTerminal(task.status.State)) task.container = { ...container, status: "running" }
      return turn
    case "Died":
      return absorb(turn, { ...container, status: "exited", pid: 0, exitCode: event.exitCode }, false)
    case "Health":
      if (rank(container.status) === 1) absorb(turn, { ...container, health: event.health }, false)
      return turn
    case "Destroyed":
      task.container = undefined
      task.searched = true
      return turn
    case "OutOfMemory":
      task.container = { ...container, oomKilled: true }
      return turn
  }
  return turn
}

/** A survey is also the moment to say again what may have been lost, and to try again what was refused. */
function observed(turn: Turn, container: ContainerState | undefined): Turn {
  const { task } = turn
  if (task.said) sayTo(turn, "session", { _tag: "Reported", id: task.id, status: task.status })
  if (task.resting) hurry(turn)
  if (container === undefined) {
    // The survey may be older than our container: ask for this one.
    if (task.container !== undefined && task.doing === undefined && !isTerminal(task.status.State))
      act(turn, "Find")
    return turn
  }
  const backToLife =
    isTerminal(task.status.State) && rank(container.status) === 1 && task.container?.id === container.id
  if (backToLife && task.doing === undefined) act(turn, "Find")
  else absorb(turn, container, false)
  return turn
}

function found(turn: Turn, container: ContainerState | undefined): Turn {
  const { task } = turn
  const { attempt, unsure, givenUp } = task
  if (!done(turn, "Find")) return turn
  task.searched = true
  task.unsure = false
  // A look between two starts that were refused does not begin the count anew.
  if (unsure) task.attempt = attempt
  task.givenUp = undefined
  if (container === undefined) task.container = undefined
  else if (isTerminal(task.status.State)) task.container = container
  else absorb(turn, container, true)
  if (givenUp !== undefined && container !== undefined && rank(container.status) === 0)
    return fail(turn, givenUp)
  return turn
}

/**
 * Learns of a container. Of one container, what is further along is newer, whatever came first; another container
 * is believed only when an action of ours brought it.
 */
function absorb(turn: Turn, container: ContainerState, ours: boolean): Turn {
  const { task } = turn
  const known = task.container
  if (known !== undefined) {
    if (known.id !== container.id && !ours) return turn
    if (known.id === container.id && rank(known.status) > rank(container.status)) return turn
  } else if (!ours) return turn
  task.container = container
  if (container.health === "unhealthy" && rank(container.status) === 1) task.unhealthy = true
  return turn
}

function ceased(turn: Turn, container: ContainerState | undefined): Turn {
  const { task } = turn
  if (!done(turn, "Stop")) return turn
  task.searched = true
  task.container = container
  if (isTerminal(task.status.State) || task.forgotten !== undefined) return turn
  if (isBefore("complete", task.goal)) say(turn, "shutdown", "shutdown")
  else if (container !== undefined) conclude(turn, container)
  return turn
}

function unnetworked(turn: Turn, message: string, temporary: boolean): Turn {
  const { task } = turn
  if (!task.asking) return turn
  if (isTerminal(task.status.State) || task.forgotten || isBefore("complete", task.goal)) return turn
  if (!temporary) return fail(turn, message)
  note(turn, message)
  turn.actions.push(
    later("networks", backOff(1, networkPause, turn.moment.fresh), { _tag: "AskAgain" } satisfies TaskMessage)
  )
  return turn
}

interface Refusal {
  readonly step: TaskAction["_tag"]
  readonly message: string
  readonly temporary: boolean
  readonly answered: boolean
}

function refused(turn: Turn, { step, message, temporary, answered }: Refusal): Turn {
  const { task, moment } = turn
  const underway = step === "Pull" ? task.pull === "underway" : task.doing === step
  if (!underway) return turn
  if (step === "Pull") task.pull = "unasked"
  else task.doing = undefined
  // Started again, a container that has ended meanwhile would run twice.
  if (step === "Start") task.unsure = true
  const pointless = isTerminal(task.status.State) || task.forgotten || isBefore("complete", task.goal)
  const towardsRunning = step === "Pull" || step === "Create" || step === "Start"
  if (pointless && towardsRunning) return turn
  task.attempt += 1
  if (towardsRunning && (!temporary || (answered && task.attempt >= answeredTries))) {
    const error = step === "Start" ? `starting container failed: ${message}` : message
    if (step !== "Start" || !temporary) return fail(turn, error)
    // It may run for all that, and then another must not be started beside it.
    task.givenUp = error
    return act(turn, "Find")
  }
  if (!isTerminal(task.status.State)) note(turn, message)
  task.resting = true
  turn.actions.push(
    later("again", backOff(task.attempt, patience, moment.fresh), { _tag: "Again" } satisfies TaskMessage)
  )
  return turn
}

/** Notes that an action has been answered. False when it was not underway: its answer came twice. */
function done({ task }: Turn, doing: Doing): boolean {
  if (task.doing !== doing) return false
  task.doing = undefined
  task.attempt = 0
  return true
}

/** What an ended container means, in Swarm's words. */
function conclude(turn: Turn, container: ContainerState): Turn {
  const { exitCode, error } = container
  const { unhealthy } = turn.task
  if (exitCode === 0 && !unhealthy) return say(turn, "complete", "finished")
  const cause = unhealthy ? "dockerexec: unhealthy container" : error
  const exit = `task: non-zero exit (${exitCode})`
  return fail(turn, exitCode === 0 ? cause : cause === "" ? exit : `${exit}: ${cause}`)
}

/** Before its start a task is rejected, from then on it fails; the message stays that of the last step. */
function fail(turn: Turn, error: string): Turn {
  const { State, Message } = turn.task.status
  const ended = isBefore(State, "starting") ? "rejected" : "failed"
  return say(turn, ended, Message ?? messages[State], error)
}

/** Reports a state that is ahead of the last one; anything else is ignored, and nothing follows an end. */
function say(turn: Turn, state: TaskState, message = messages[state], error?: string): Turn {
  const { task, moment } = turn
  if (isTerminal(task.status.State) || !isBefore(task.status.State, state)) return turn
  const status: TaskStatus = {
    Timestamp: toIso(moment.now),
    State: state,
    ...(message !== undefined && { Message: message }),
    ...(error !== undefined && { Err: error }),
    ...containerStatus(task.container)
  }
  return report(turn, status)
}

/** Says why it takes so long. */
function note(turn: Turn, error: string): Turn {
  if (turn.task.status.Err === error) return turn
  report(turn, { ...turn.task.status, Timestamp: toIso(turn.moment.now), Err: error })
  return turn
}

function report(turn: Turn, status: TaskStatus): Turn {
  turn.task.status = status
  turn.task.said = true
  sayTo(turn, "session", { _tag: "Reported", id: turn.task.id, status })
  return turn
}

function sayTo(turn: Turn, kind: "session", message: FromTask): void
function sayTo(turn: Turn, kind: "network", message: NetworkMessage): void
function sayTo(turn: Turn, kind: "mounts", message: MountsMessage): void
function sayTo(turn: Turn, kind: string, message: FromTask | NetworkMessage | MountsMessage): void {
  turn.actions.push(tell(address(turn.moment.self.home, kind, "main"), message))
}

const hasFiles = ({ assigned }: Pursue): boolean =>
  (assigned.spec.ContainerSpec?.Secrets?.length ?? 0) + (assigned.spec.ContainerSpec?.Configs?.length ?? 0) >
  0
