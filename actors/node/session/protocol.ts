/**
 * What a node's session, `<node>/session/main`, is told and does.
 *
 * From other processes it takes only what the leader says (`FromLeader`); everything else here comes from the actors
 * beside it. The leader's answers to what it asks come back as `Answered`, or `Unanswered` when there was none.
 */

import type { Role } from "#actors/authority/protocol.ts"
import type { ContainerState } from "#actors/drivers/executor.ts"
import type { NodeDescription, WireGuard } from "#actors/model/objects.ts"
import type { FromLeader, FromNode, ToNodeAnswer } from "#actors/node/protocol.ts"
import type { FromTask } from "#actors/task/protocol.ts"

export type Assign = Extract<FromLeader, { _tag: "Assign" }>

export type SessionMessage =
  | FromLeader
  | FromTask
  /** Told by the engine watch. */
  | { readonly _tag: "Described"; readonly description: NodeDescription }
  | { readonly _tag: "Surveyed"; readonly containers: ReadonlyArray<ContainerState> }
  /** Told by the certificate's actor whenever the node holds another one. */
  | { readonly _tag: "Certified"; readonly info: NonNullable<NodeDescription["TLSInfo"]> }
  /** Told by the network actor whenever it has other keys for encrypted overlays, or cannot have any. */
  | { readonly _tag: "Keyed"; readonly wireGuard: WireGuard }
  /** Told by the engine watch: for a while now nothing could be run here, nor ended; and when that is over. */
  | { readonly _tag: "ExecutorSilent"; readonly reason: string }
  | { readonly _tag: "ExecutorAnswers" }
  /** Asked by the daemon before all tasks here end, with why; answered when the leader was told. */
  | { readonly _tag: "Leave"; readonly reason: string }
  /** Told by the network actor, of the assignment that asked for it. */
  | Extract<FromNode, { _tag: "Routed" }>
  /** Told by the network actor at every start: it has no memory. */
  | { readonly _tag: "NetworkAwake" }
  /** The same of the actor of mounts. */
  | { readonly _tag: "MountsAwake" }
  /** Told by the actor of mounts, again and again: these volumes, which the leader wants back, are not mounted here. */
  | { readonly _tag: "LetGo"; readonly volumes: ReadonlyArray<string> }
  /** Results of own actions. `session` is the one in which it was asked. */
  | {
      readonly _tag: "Answered"
      readonly about: FromNode["_tag"]
      readonly session: string
      readonly answer: ToNodeAnswer
    }
  | {
      readonly _tag: "Unanswered"
      readonly about: FromNode["_tag"]
      readonly session: string
      readonly reason: string
    }
  | { readonly _tag: "Discarded"; readonly container: string }
  /** Own timers. */
  | { readonly _tag: "RegisterNow" }
  | { readonly _tag: "BeatNow" }
  | { readonly _tag: "ReportNow" }
  | { readonly _tag: "ResyncNow" }

/** `raftId` is a manager's name in the Raft group, absent until it has one. */
export interface Standing {
  readonly role: Role
  readonly raftId?: string
}

export type SessionAction =
  /** Asks the leader's actor of this node, `leader/node/<node id>`. Answered by `Answered` or `Unanswered`. */
  | { readonly _tag: "Ask"; readonly message: FromNode; readonly withinMs: number }
  /** Stops and removes a container that no task owns. Answered by `Discarded`, also when it did not work. */
  | { readonly _tag: "Discard"; readonly container: string; readonly graceMs: number }
  /** Takes new connections to NATS: nothing has come over these for long. Not answered. */
  | { readonly _tag: "Reconnect" }
  /** Passes on what the cluster takes this node for. Not answered. */
  | { readonly _tag: "Stand"; readonly standing: Standing }
  /** Passes on that managers are reached elsewhere than before. Not answered. */
  | { readonly _tag: "ManagersChanged" }
  /** Passes on which node has the copy of this one's logs from now on; absent for none. Not answered. */
  | { readonly _tag: "CopyTo"; readonly node?: string }
  /** Passes on of which tasks, all of them, the output is published from now on. Not answered. */
  | { readonly _tag: "PublishLogs"; readonly tasks: ReadonlyArray<string> }
  /** Deletes the files of every task but these, left by an earlier life of this process. Not answered. */
  | { readonly _tag: "Sweep"; readonly taskIds: ReadonlyArray<string> }
