/** What entries about tasks do to the tables: in batches, each change by itself, never backwards. */

import { publishFor } from "#actors/ledger/apply/apply-volumes.ts"
import { type At, born, type Of, touched, type Verdict } from "#actors/ledger/apply/verdict.ts"
import type { TaskPatch } from "#actors/ledger/commands.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import type { Task, TaskStatus } from "#actors/model/objects.ts"
import { isBefore, isTerminal } from "#actors/model/task-state.ts"

export function changeTasks(tables: LedgerTables, at: At, command: Of<"tasks.change">): Verdict {
  const skipped: Array<string> = []
  const endsStand = (tables.cluster()?.FeatureLevel ?? 0) >= levelOf["tasks.change leaves an end as it is"]
  for (const task of command.create) {
    const spec = tables.taskSpec(task.ServiceID, task.SpecVersion)
    if (spec === undefined || tables.get("task", task.ID) !== undefined) skipped.push(task.ID)
    else tables.put("task", { ...task, ...born(at) })
  }
  for (const patch of command.update) {
    const task = tables.get("task", patch.id)
    const stale = patch.version !== undefined && task?.Version.Index !== patch.version
    if (task === undefined || stale || !publishFor(tables, at, patch)) skipped.push(patch.id)
    else tables.put("task", { ...patched(task, patch, endsStand), ...touched(at) })
  }
  for (const id of command.remove) tables.remove("task", id)
  return { skipped }
}

function patched(task: Task, patch: TaskPatch, endsStand: boolean): Task {
  const { id: _id, version: _version, Status: status, DesiredState: desired, ...rest } = patch
  return {
    ...task,
    ...rest,
    ...(status !== undefined && follows(status, task.Status, endsStand) && { Status: status }),
    // What a task is wanted for only moves on, as what it does.
    ...(desired === undefined || isBefore(desired, task.DesiredState) ? {} : { DesiredState: desired })
  }
}

/**
 * Only forward; and what ended before a decision about it was written is given no other end than that its node is lost.
 */
function follows(status: TaskStatus, known: TaskStatus, endsStand: boolean): boolean {
  if (isBefore(status.State, known.State)) return false
  return !endsStand || !isTerminal(known.State) || status.State === known.State || status.State === "orphaned"
}

export function reportTasks(tables: LedgerTables, at: At, command: Of<"tasks.report">): Verdict {
  const skipped: Array<string> = []
  for (const { id, status } of command.statuses) {
    const task = tables.get("task", id)
    if (task === undefined || task.NodeID !== command.node || !advances(task.Status, status)) {
      skipped.push(id)
      continue
    }
    tables.put("task", { ...task, Status: { ...withContainer(task.Status), ...status }, ...touched(at) })
  }
  return { skipped }
}

/** A node speaks of the states from `accepted` to `rejected`, and only forward. */
function advances(known: TaskStatus, told: TaskStatus): boolean {
  if (isBefore(told.State, "accepted") || isBefore("rejected", told.State)) return false
  if (isTerminal(known.State)) return false
  return !isBefore(told.State, known.State)
}

/** What outlives a status: which container it was. */
function withContainer(status: TaskStatus): Partial<TaskStatus> {
  return status.ContainerStatus === undefined ? {} : { ContainerStatus: status.ContainerStatus }
}
