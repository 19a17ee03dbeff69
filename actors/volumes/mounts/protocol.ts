/**
 * What a node's actor of mounts, `<node>/mounts/main`, is told, what it does and what it answers. It alone has volumes
 * mounted and unmounted here, one thing at a time for each.
 */
import type { AssignedVolume } from "#actors/node/protocol.ts"

export type MountsMessage =
  /** Told by the session: these are the node's volumes, and no others. */
  | { readonly _tag: "Keep"; readonly volumes: ReadonlyArray<AssignedVolume> }
  /** Told by a task before it creates its container; answered to it by `Mounted` once all are, or by `NotMounted`. */
  | { readonly _tag: "Need"; readonly taskId: string; readonly volumes: ReadonlyArray<string> }
  /** Results of own actions. */
  | { readonly _tag: "MountDone"; readonly id: string; readonly path: string }
  | { readonly _tag: "UnmountDone"; readonly id: string }
  | { readonly _tag: "Refused"; readonly id: string; readonly message: string }
  /** Own timers. */
  | { readonly _tag: "TryAgain"; readonly id: string }
  | { readonly _tag: "TellAgain" }

/** Where a volume is mounted here, and whether that is a device rather than a folder. */
export interface MountPoint {
  readonly path: string
  readonly block: boolean
}

/** Idempotent, and answered by what is named here or by `Refused`. */
export type MountsAction =
  /** Answered by `MountDone`. */
  | { readonly _tag: "Mount"; readonly volume: AssignedVolume }
  /** Refused while a container that uses it runs, whatever the cluster says of its task. Answered by `UnmountDone`. */
  | { readonly _tag: "Unmount"; readonly volume: AssignedVolume }
