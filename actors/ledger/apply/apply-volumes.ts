/**
 * What entries about cluster volumes do to the tables. A volume is published to a node by the entry that gives the node
 * a task which uses it, and goes the same way back, step by step, when no task there does any more.
 */
import {
  type At,
  born,
  failedPrecondition,
  invalid,
  notFound,
  type Of,
  touched,
  type Verdict
} from "#actors/ledger/apply/verdict.ts"
import type { TaskPatch } from "#actors/ledger/commands.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { outOfSequence, rpc } from "#actors/model/errors.ts"
import type { PublishStatus, Volume } from "#actors/model/objects.ts"
import { isUsable, usesVolume } from "#actors/model/volume-facts.ts"

export function createVolume(tables: LedgerTables, at: At, { volume }: Of<"volume.create">): Verdict {
  const { Name: name, Secrets: secrets } = volume.Spec
  if (tables.byName("volume", name) !== undefined) {
    return rpc("alreadyExists", `name conflicts with an existing object: volume ${name} already exists`)
  }
  const missing = secrets.flatMap(({ Secret }) =>
    tables.get("secret", Secret) === undefined ? [Secret] : []
  )
  if (missing.length > 0) {
    return invalid(`${missing.length === 1 ? "secret" : "secrets"} not found: ${missing.join(", ")}`)
  }
  tables.put("volume", { ...volume, ...born(at) })
  return { id: volume.ID }
}

export function updateVolume(tables: LedgerTables, at: At, command: Of<"volume.update">): Verdict {
  const volume = tables.get("volume", command.id)
  if (volume === undefined) return notFound("volume", command.id)
  if (volume.Version.Index !== command.version) return outOfSequence
  const Spec = { ...volume.Spec, Availability: command.availability }
  tables.put("volume", { ...volume, Spec, ...touched(at) })
  return { id: volume.ID }
}

export function removeVolume(tables: LedgerTables, at: At, { id, force }: Of<"volume.remove">): Verdict {
  const volume = tables.get("volume", id)
  if (volume === undefined) return notFound("volume", id)
  if (force) tables.remove("volume", id)
  else if (volume.PublishStatus.length > 0) return failedPrecondition("volume is still in use")
  else tables.put("volume", { ...volume, PendingDelete: true, ...touched(at) })
  return { id }
}

export function observeVolumes(tables: LedgerTables, at: At, command: Of<"volume.observe">): Verdict {
  const skipped = new Set<string>()
  for (const { id, info, nodes = [], deleted } of command.volumes) {
    const volume = tables.get("volume", id)
    if (volume === undefined) {
      skipped.add(id)
      continue
    }
    if (deleted === true) {
      if (volume.PendingDelete === true && volume.PublishStatus.length === 0) tables.remove("volume", id)
      else skipped.add(id)
      continue
    }
    let after: Volume = volume
    if (info !== undefined && volume.Info === undefined) after = { ...after, Info: info }
    for (const step of nodes) {
      const PublishStatus = stepped(tables, after, step)
      if (PublishStatus === undefined) skipped.add(id)
      else after = { ...after, PublishStatus }
    }
    if (after === volume) skipped.add(id)
    else tables.put("volume", { ...after, ...touched(at) })
  }
  return { skipped: [...skipped] }
}

type Step = NonNullable<Of<"volume.observe">["volumes"][number]["nodes"]>[number]

/** The statuses after a step, `undefined` where it does not follow from the present one. */
function stepped(
  tables: LedgerTables,
  { ID: id, PublishStatus: statuses }: Volume,
  { node, state, context, plugin }: Step
): ReadonlyArray<PublishStatus> | undefined {
  const present = statuses.find(({ NodeID }) => NodeID === node)
  if (present === undefined) return undefined
  const others = (status: PublishStatus | undefined): ReadonlyArray<PublishStatus> =>
    statuses.flatMap((one) => (one !== present ? [one] : status === undefined ? [] : [status]))
  switch (state) {
    case "pending-publish":
      return undefined
    case "published":
      return present.State === "pending-publish"
        ? others({
            NodeID: node,
            State: state,
            ...(context === undefined ? {} : { PublishContext: context }),
            ...(plugin === undefined ? {} : { PluginNode: plugin })
          })
        : undefined
    case "pending-node-unpublish": {
      const isOut = present.State === "published" || present.State === "pending-publish"
      if (!isOut) return undefined
      for (const task of tables.tasksOfNode(node)) if (usesVolume(task, id)) return undefined
      return others({ ...present, State: state })
    }
    case "pending-controller-unpublish":
      return present.State === "pending-node-unpublish" ? others({ ...present, State: state }) : undefined
    case "unpublished":
      return present.State === "pending-controller-unpublish" ? others(undefined) : undefined
  }
}

/**
 * Publishes what a placement uses to its node. False, and nothing is changed, where one of the volumes was drained, paused
 * or removed since it was chosen, or is on its way off that very node.
 */
export function publishFor(tables: LedgerTables, at: At, { NodeID: node, Volumes }: TaskPatch): boolean {
  if (Volumes === undefined || node === undefined) return true
  const volumes: Array<Volume> = []
  for (const { ID: id } of Volumes) {
    const volume = tables.get("volume", id)
    if (volume === undefined || !isUsable(volume, node)) return false
    volumes.push(volume)
  }
  for (const volume of volumes) {
    const present = volume.PublishStatus.find(({ NodeID }) => NodeID === node)
    if (present?.State === "published" || present?.State === "pending-publish") continue
    const PublishStatus: ReadonlyArray<PublishStatus> =
      present === undefined
        ? [...volume.PublishStatus, { NodeID: node, State: "pending-publish" }]
        : // The node has not said that it let go, and what it then says is too late.
          volume.PublishStatus.map((one) => (one === present ? { ...one, State: "published" } : one))
    tables.put("volume", { ...volume, PublishStatus, ...touched(at) })
  }
  return true
}
