/**
 * What a node's engine watch, `<node>/engine-watch/main`, hears and does.
 *
 * It tells every task of its own container's events, and the session what a look at all containers showed, so that
 * what was missed while the connection was down is not missed for long; and whether the executor answers at all.
 */
import type { ContainerEvent, ContainerState } from "#actors/drivers/executor.ts"
import type { NodeDescription } from "#actors/model/objects.ts"

export type WatchMessage =
  /** Told by the session: look at all containers now, and say again what the machine is. */
  | { readonly _tag: "Look" }
  /** Told by `Follow` to its own actor, for each event. */
  | { readonly _tag: "Occurred"; readonly event: ContainerEvent }
  /** Results of own actions. */
  | { readonly _tag: "Lost"; readonly reason: string }
  | { readonly _tag: "Surveyed"; readonly containers: ReadonlyArray<ContainerState> }
  | { readonly _tag: "NotSurveyed"; readonly reason: string }
  | { readonly _tag: "Described"; readonly description: NodeDescription }
  | { readonly _tag: "NotDescribed"; readonly reason: string }
  | { readonly _tag: "Pinged" }
  | { readonly _tag: "NotPinged"; readonly reason: string }
  /** Own timers. */
  | { readonly _tag: "FollowAgain" }
  | { readonly _tag: "LookAgain" }
  | { readonly _tag: "DescribeAgain" }
  | { readonly _tag: "PingAgain" }

export type WatchAction =
  /** Follows the executor's events for as long as they last, telling itself `Occurred`. Answered by `Lost`. */
  | { readonly _tag: "Follow" }
  /** Lists all containers of tasks. Answered by `Surveyed` or `NotSurveyed`. */
  | { readonly _tag: "Survey" }
  /** Asks whether the executor answers. Answered by `Pinged` or `NotPinged`. */
  | { readonly _tag: "Ping" }
  /** Asks what the machine offers. Answered by `Described` or `NotDescribed`. */
  | { readonly _tag: "DescribeMachine" }
