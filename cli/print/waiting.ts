/** Tasks that stay where they are before they run: which, since when, why, and what helps. */
import { taskStates } from "#actors/model/objects.ts"
import { toMs } from "#actors/model/time.ts"
import { type Task, wanted } from "#cli/print/status.ts"
import { alike, type WhyTask } from "#cli/print/why.ts"

/** What passes by itself within this time is nobody's trouble. */
const patienceMs = 30_000
const before: ReadonlyArray<string> = taskStates.slice(0, taskStates.indexOf("running"))

/** The services of which a task is in one state before running for long; `now` is milliseconds since the epoch. */
export const whoWaits = (tasks: ReadonlyArray<Task>, now: number): ReadonlyArray<string> => [
  ...new Set(
    tasks
      .filter(({ DesiredState, Status }) => isLong(DesiredState, Status.State, Status.Timestamp, now))
      .map(({ ServiceID }) => ServiceID)
  )
]

const isLong = (desired: string, state: string, since: string | undefined, now: number): boolean =>
  wanted.test(desired) && before.includes(state) && now - toMs(since) > patienceMs

export interface Waiting {
  readonly text: string
  readonly mend: string
  /** It may only be slow. */
  readonly mayPass: boolean
}

/** Of those, what `GET /why` says. One that is to start later does not count. */
export const sayWaiting = (tasks: ReadonlyArray<WhyTask>, now: number): ReadonlyArray<Waiting> =>
  tasks.filter((task) => isStuck(task, now)).map(say)

const isStuck = ({ DesiredState, State, Since, StartAfter }: WhyTask, now: number): boolean =>
  isLong(DesiredState, State, Since, now) && (StartAfter === undefined || now - toMs(StartAfter) > patienceMs)

function say(task: WhyTask): Waiting {
  const { Name, State, Node, Since = "", Says, Failing = false } = task
  const where = Node === undefined ? "" : ` on ${Node}`
  const why = Failing ? Says : (unsaid[State] ?? Says)
  return {
    text: `task ${Name}${alike(task)}${where} is ${State} since ${Since}: ${why}`,
    mend: helpFor(task),
    mayPass: !Failing && ["preparing", "ready", "starting"].includes(State)
  }
}

/** What a state means where nobody said more. */
const unsaid: Readonly<Record<string, string>> = {
  new: "it waits for its addresses, or for the networks that it names",
  pending: "no node suits it",
  assigned: "its node has not begun with it",
  accepted: "its node has not begun with it",
  preparing: "its node gets its image, networks and volumes ready",
  ready: "it waits until the task before it has stopped",
  starting: "its container is not healthy yet, or not started"
}

function helpFor({ Name, State, Node = "", Diagnosis }: WhyTask): string {
  // Of slot or node, and of the task itself.
  const service = Name.replace(/\.[^.]*\.[^.]*$/, "")
  switch (State) {
    case "new":
      return `docker service inspect ${service} names its networks, docker network inspect their subnets`
    case "pending":
      return Diagnosis?.Changes.length ? Diagnosis.Changes.join("; ") : `troupe why ${Name} tells more`
    case "ready":
      return `docker service ps ${service} shows the one before`
    case "starting":
      return `troupe logs ${service} shows what it writes`
    default:
      return `troupe doctor on ${Node} says what is wrong there; docker node update --availability drain ${Node} runs it elsewhere`
  }
}
