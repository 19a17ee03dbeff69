/** Which containers' logs are read into the node's memory, and when one that broke off is tried again. */
import type { ContainerEvent, ContainerState } from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"
import type { KeeperAction, KeeperMessage } from "#actors/logs/keeper/protocol.ts"
import type { Outcome, TaskContainer } from "#actors/logs/memory.ts"
import { backOff } from "#actors/node/back-off.ts"
import type { WatchMessage } from "#actors/node/engine-watch/protocol.ts"
import { cancel, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { never } from "#runtime/assert.ts"
import { type Moment, type Step, stay } from "#runtime/behaviour.ts"

const patience = { firstMs: 500, mostMs: 30_000 }

interface Known {
  readonly container: TaskContainer
  readonly runs: boolean
  /** `done`: it was read to its end, or cannot be read. */
  readonly state: "following" | "waiting" | "done"
  /** Times in a row that it broke off. */
  readonly attempt: number
}

/** By container. Belongs to one actor and changes in place. */
export interface Keeper {
  readonly known: Map<string, Known>
}

type Next = Step<Keeper, KeeperAction>
const keep = stay<Keeper, KeeperAction>

/** Whoever begins again asks to be told of everything. */
export const start = (_props: unknown, { self }: Moment): Next =>
  keep(
    { known: new Map() },
    tell(address(self.home, "engine-watch", "main"), { _tag: "Look" } satisfies WatchMessage)
  )

export function decide(keeper: Keeper, message: KeeperMessage, moment: Moment): Next {
  switch (message._tag) {
    case "Surveyed":
      return surveyed(keeper, message.containers)
    case "Happened":
      return happened(keeper, message.event)
    case "Followed":
      return followed(keeper, message.container, message.outcome, moment)
    case "FollowAgain": {
      const known = keeper.known.get(message.container)
      return known?.state === "waiting" ? keep(keeper, follow(keeper, known)) : keep(keeper)
    }
    default:
      return never(message)
  }
}

const retryKey = (container: string): string => `follow:${container}`

function surveyed(keeper: Keeper, containers: ReadonlyArray<ContainerState>): Next {
  const actions: Array<Next["actions"][number]> = []
  for (const { id, labels, status } of containers) {
    if (labels[taskLabel] === undefined || status === "created" || status === "removing") continue
    const runs = status === "running" || status === "paused"
    const known = keeper.known.get(id)
    // One whose reading ended while it goes on is read on.
    const isNews = known === undefined || (known.state === "done" && known.runs !== runs && runs)
    if (isNews) actions.push(follow(keeper, { container: { id, labels }, runs, state: "done", attempt: 0 }))
  }
  const here = new Set(containers.map(({ id }) => id))
  for (const id of [...keeper.known.keys()]) if (!here.has(id)) actions.push(...forget(keeper, id))
  return keep(keeper, ...actions)
}

function happened(keeper: Keeper, event: ContainerEvent): Next {
  const { containerId: id, labels } = event
  switch (event._tag) {
    case "Started":
      return keeper.known.has(id)
        ? keep(keeper)
        : keep(keeper, follow(keeper, { container: { id, labels }, runs: true, state: "done", attempt: 0 }))
    case "Destroyed":
      return keep(keeper, ...forget(keeper, id))
    default:
      return keep(keeper)
  }
}

function follow(keeper: Keeper, known: Known): KeeperAction {
  keeper.known.set(known.container.id, { ...known, state: "following" })
  return { _tag: "Follow", container: known.container, runs: known.runs }
}

function followed(keeper: Keeper, id: string, outcome: Outcome, { fresh }: Moment): Next {
  const known = keeper.known.get(id)
  if (known === undefined) return keep(keeper)
  if (outcome._tag !== "BrokeOff") {
    keeper.known.set(id, { ...known, runs: false, state: "done", attempt: 0 })
    return keep(keeper)
  }
  const attempt = known.attempt + 1
  keeper.known.set(id, { ...known, state: "waiting", attempt })
  return keep(
    keeper,
    later(retryKey(id), backOff(attempt, patience, fresh), {
      _tag: "FollowAgain",
      container: id
    } satisfies KeeperMessage)
  )
}

/** What is being read goes on to its end by itself. */
function forget(keeper: Keeper, id: string): Next["actions"] {
  return keeper.known.delete(id) ? [cancel(retryKey(id))] : []
}
