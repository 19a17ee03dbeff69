/**
 * What can be said to a task on its node, what it does, and what it says.
 *
 * One actor per task, `<node>/task/<task id>`, reached only from inside its process: the session sends goals
 * (`Pursue`, `Forget`), the engine watch sends facts (`Happened`, `Observed`), the network actor answers (`Networked`,
 * `Unnetworked`), and so does the actor of mounts (`Mounted`, `NotMounted`). Everything here is plain data, so that a simulator can imitate every action.
 */
import type { ContainerEvent, ContainerRequest, ContainerState } from "#actors/drivers/executor.ts"
import type { TaskStatus } from "#actors/model/objects.ts"
import type { TaskResolver } from "#actors/network/names/resolver.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"
import type { AssignedFile, AssignedTask } from "#actors/node/protocol.ts"
import type { MountPoint } from "#actors/volumes/mounts/protocol.ts"

/** Where a task runs, as its labels and placeholders name it. */
export interface Place {
  readonly clusterId: string
  readonly nodeId: string
  readonly hostname: string
  readonly os: string
  readonly architecture: string
}

/** The goal: carry `assigned` to its desired state. Repeated freely; only a goal ahead of the last one counts. */
export interface Pursue {
  readonly _tag: "Pursue"
  readonly assigned: AssignedTask
  /** The networks of `assigned.attachments`. */
  readonly networks: ReadonlyArray<NetworkPlan>
  /** What `assigned` refers to and the node was given; `data` is base64. */
  readonly secrets: ReadonlyArray<AssignedFile>
  readonly configs: ReadonlyArray<AssignedFile>
  readonly place: Place
  /** The container that the last survey found for this task; its name may be another than `assigned.name`. */
  readonly containerId?: string
}

/** A file that a task's container sees, kept in memory by the secret store. */
export interface TaskFile {
  /** Unique within the task. */
  readonly key: string
  /** Base64. */
  readonly data: string
  readonly uid: number
  readonly gid: number
  readonly mode: number
  /** Absolute path in the container. */
  readonly target: string
  /** The container may change its copy. */
  readonly writable?: boolean
}

export type TaskMessage =
  | Pursue
  /** End, remove the container, and say `Forgotten`. `container`, an id or a name, is for one not met before. */
  | { readonly _tag: "Forget"; readonly container?: string; readonly graceMs?: number }
  /** An event of a container that carries this task's label. */
  | { readonly _tag: "Happened"; readonly event: ContainerEvent }
  /** What a survey of all containers found for this task; it may be older than what is known already. */
  | { readonly _tag: "Observed"; readonly container?: ContainerState }
  /** Engine network ids by network id, for everything in `Need`. */
  | {
      readonly _tag: "Networked"
      readonly bridges: Readonly<Record<string, string>>
      /** Whom the task asks for names; absent where that is the Engine. */
      readonly resolver?: TaskResolver
    }
  | { readonly _tag: "Unnetworked"; readonly message: string; readonly temporary: boolean }
  /** Where the volumes are, for everything in `Need`. */
  | { readonly _tag: "Mounted"; readonly points: Readonly<Record<string, MountPoint>> }
  /** Why they are not there yet. */
  | { readonly _tag: "NotMounted"; readonly message: string }
  /** Results of own actions. */
  | { readonly _tag: "Found"; readonly container?: ContainerState }
  | { readonly _tag: "Pulled" }
  | { readonly _tag: "Created"; readonly container: ContainerState }
  | { readonly _tag: "Began"; readonly container: ContainerState }
  | { readonly _tag: "Drained" }
  | { readonly _tag: "Ceased"; readonly container?: ContainerState }
  | { readonly _tag: "Removed" }
  | {
      readonly _tag: "Refused"
      readonly step: TaskAction["_tag"]
      readonly message: string
      readonly temporary: boolean
      /** The executor answered and said no, rather than not answering. */
      readonly answered: boolean
    }
  /** Own timers. */
  | { readonly _tag: "Again" }
  | { readonly _tag: "AskAgain" }
  | { readonly _tag: "AskForMounts" }

/**
 * What a task does in the world. Each is idempotent by the task's id and answered by exactly one message, named
 * here, or by `Refused`; except `Wipe`, which is not answered.
 *
 * `container` is a container's id or its name: the Engine takes both.
 */
export type TaskAction =
  /** Looks for the task's container. Answered by `Found`. */
  | { readonly _tag: "Find"; readonly container: string }
  /** Makes the image present. Answered by `Pulled`. */
  | { readonly _tag: "Pull"; readonly image: string; readonly registryAuth?: string }
  /** Keeps the files in memory, makes the container, or adopts the one that is there. Answered by `Created`. */
  | {
      readonly _tag: "Create"
      readonly name: string
      readonly request: ContainerRequest
      readonly files: ReadonlyArray<TaskFile>
    }
  /** Answered by `Began` with what the container is right after its start. */
  | { readonly _tag: "Start"; readonly container: string }
  /** Waits until what it was asked by now is answered, `withinMs` at most. Answered by `Drained`. */
  | { readonly _tag: "Drain"; readonly pid: number; readonly withinMs: number }
  /**
   * Stops within `graceMs`, then kills; also fine when it is gone or ended. Answered by `Ceased` with the ended
   * container, or without one when there is none.
   */
  | { readonly _tag: "Stop"; readonly container: string; readonly graceMs: number }
  /** Stops it if need be, removes the container and the task's files. Answered by `Removed`. */
  | { readonly _tag: "Remove"; readonly container: string; readonly graceMs: number }
  /** Deletes the files of a task that has ended. */
  | { readonly _tag: "Wipe" }

/** What a task says to `<node>/session/main`. */
export type FromTask =
  /** Said at every start: the actor has no memory and asks for its goal. */
  | { readonly _tag: "Awake"; readonly id: string }
  | { readonly _tag: "Reported"; readonly id: string; readonly status: TaskStatus }
  /** Nothing of the task is left here; its actor ends. */
  | { readonly _tag: "Forgotten"; readonly id: string }
