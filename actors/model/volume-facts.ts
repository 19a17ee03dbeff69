/** What cluster volumes and the tasks that use them come to. */
import type { Task, Volume } from "#actors/model/objects.ts"
import type { MountSpec, TaskSpec } from "#actors/model/spec.ts"
import { isLive } from "#actors/model/task-state.ts"

/** A task keeps its volumes from when it is placed until it has ended. */
export const usesVolume = (task: Task, id: string): boolean =>
  isLive(task.Status.State) && task.Volumes?.some(({ ID }) => ID === id) === true

const none: ReadonlyArray<MountSpec> = []

/** Mounts for which the scheduler has to find a cluster volume. */
export function clusterMounts(spec: TaskSpec): ReadonlyArray<MountSpec> {
  const mounts = spec.ContainerSpec?.Mounts
  return mounts?.some(({ Type }) => Type === "cluster") === true
    ? mounts.filter(({ Type }) => Type === "cluster")
    : none
}

const groupPrefix = "group:"

/** `group:fast` is whichever volume of that group; anything else is a volume's name. */
export const groupOf = (source: string): string | undefined =>
  source.startsWith(groupPrefix) ? source.slice(groupPrefix.length) : undefined

/** Whether tasks may be given the volume on a node, as far as the volume itself is concerned. */
export const isUsable = (volume: Volume, nodeId: string): boolean =>
  volume.Info !== undefined &&
  volume.Spec.Availability === "active" &&
  volume.PendingDelete !== true &&
  // It has left the node and is yet to be taken from it.
  !volume.PublishStatus.some(
    ({ NodeID, State }) => NodeID === nodeId && State === "pending-controller-unpublish"
  )
