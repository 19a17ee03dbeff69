/**
 * What the keeper of a node's log memory, `<node>/log-keeper/main`, hears and does. Told by the engine watch of all
 * containers now and then and of each that starts or goes; nobody else speaks to it.
 */
import type { ContainerEvent, ContainerState } from "#actors/drivers/executor.ts"
import type { Outcome, TaskContainer } from "#actors/logs/memory.ts"

export type KeeperMessage =
  | { readonly _tag: "Surveyed"; readonly containers: ReadonlyArray<ContainerState> }
  | { readonly _tag: "Happened"; readonly event: ContainerEvent }
  /** Result of its own `Follow`. */
  | { readonly _tag: "Followed"; readonly container: string; readonly outcome: Outcome }
  /** Own timer. */
  | { readonly _tag: "FollowAgain"; readonly container: string }

/** Reads a container's log into the memory, for as long as it runs. Answered by `Followed`. */
export interface KeeperAction {
  readonly _tag: "Follow"
  readonly container: TaskContainer
  readonly runs: boolean
}
