/** What a service's update status says of how far its update is. */
import type { UpdateStatus } from "#actors/model/objects.ts"

export const isRollingBack = (status: UpdateStatus | undefined): boolean =>
  status?.State === "rollback_started"
export const isUnderWay = (status: UpdateStatus | undefined): boolean =>
  status?.State === "updating" || isRollingBack(status)
/** It stands still until somebody says which of two specs its tasks are to have. */
export const isPaused = (status: UpdateStatus | undefined): boolean =>
  status?.State === "paused" || status?.State === "rollback_paused"
