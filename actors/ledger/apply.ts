/**
 * What an entry of the log does to the tables. The final judge: whatever was checked before an entry was
 * proposed may have changed by the time it is applied, so every rule that must hold is checked here again.
 *
 * A refusal changes nothing. Texts are the Engine's, because scripts and people read them.
 */

import { attachContainer, detachContainers } from "#actors/ledger/apply/apply-attached.ts"
import {
  changeKeys,
  createCluster,
  endRotation,
  noteAlerts,
  passRoutes,
  raiseCluster,
  refoundCluster,
  rotateCluster,
  trustCluster,
  updateCluster
} from "#actors/ledger/apply/apply-cluster.ts"
import { createNamed, relabel, removeUsable } from "#actors/ledger/apply/apply-files.ts"
import { allotNetworks, createNetwork, removeNetwork } from "#actors/ledger/apply/apply-networks.ts"
import {
  grantAccess,
  observeNodes,
  placeGateways,
  registerNode,
  removeNode,
  updateNode
} from "#actors/ledger/apply/apply-nodes.ts"
import {
  allotServices,
  createService,
  progressService,
  removeService,
  scaleService,
  updateService
} from "#actors/ledger/apply/apply-services.ts"
import { changeTasks, reportTasks } from "#actors/ledger/apply/apply-tasks.ts"
import {
  createVolume,
  observeVolumes,
  removeVolume,
  updateVolume
} from "#actors/ledger/apply/apply-volumes.ts"
import type { At, Verdict } from "#actors/ledger/apply/verdict.ts"
import type { Applied, Command, Entry } from "#actors/ledger/commands.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import type { Refusal } from "#actors/model/errors.ts"
import { toIso } from "#actors/model/time.ts"
import { never } from "#runtime/assert.ts"

export type Result =
  | { readonly _tag: "Applied"; readonly applied: Applied }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }

const isRefusal = (verdict: Verdict): verdict is Refusal => "code" in verdict

/** Applies one entry at `index`. The tables' `takeChanges` tells afterwards what it changed. */
export function apply(tables: LedgerTables, index: number, entry: Entry): Result {
  const at: At = { index, time: toIso(entry.time) }
  tables.index = index
  tables.time = entry.time
  const verdict = carryOut(tables, at, entry.command)
  return isRefusal(verdict)
    ? { _tag: "Refused", refusal: verdict }
    : { _tag: "Applied", applied: { index, ...verdict } }
}

function carryOut(tables: LedgerTables, at: At, command: Command): Verdict {
  switch (command.type) {
    case "cluster.create":
      return createCluster(tables, at, command)
    case "cluster.update":
      return updateCluster(tables, at, command)
    case "cluster.trust":
      return trustCluster(tables, at, command)
    case "cluster.refound":
      return refoundCluster(tables, at, command)
    case "cluster.raise":
      return raiseCluster(tables, at, command)
    case "cluster.rotate":
      return rotateCluster(tables, at, command)
    case "cluster.rotated":
      return endRotation(tables, at, command)
    case "cluster.routes":
      return passRoutes(tables, at, command)
    case "cluster.keys":
      return changeKeys(tables, at, command)
    case "cluster.alerts":
      return noteAlerts(tables, command)
    case "ledger.digest":
      // Compared by the machine, which knows what this member's own was.
      return {}
    case "node.register":
      return registerNode(tables, at, command)
    case "node.update":
      return updateNode(tables, at, command)
    case "node.observe":
      return observeNodes(tables, at, command)
    case "node.gateways":
      return placeGateways(tables, command)
    case "node.attach":
      return attachContainer(tables, command)
    case "node.detach":
      return detachContainers(tables, command)
    case "node.access":
      return grantAccess(tables, command)
    case "node.remove":
      return removeNode(tables, at, command)
    case "service.create":
      return createService(tables, at, command)
    case "service.update":
      return updateService(tables, at, command)
    case "service.scale":
      return scaleService(tables, at, command)
    case "service.progress":
      return progressService(tables, at, command)
    case "service.allot":
      return allotServices(tables, at, command)
    case "service.remove":
      return removeService(tables, command.id)
    case "tasks.change":
      return changeTasks(tables, at, command)
    case "tasks.report":
      return reportTasks(tables, at, command)
    case "network.create":
      return createNetwork(tables, at, command)
    case "network.allot":
      return allotNetworks(tables, at, command)
    case "network.remove":
      return removeNetwork(tables, command.id)
    case "secret.create":
      return createNamed(tables, at, "secret", command.secret)
    case "secret.update":
      return relabel(tables, at, "secret", command)
    case "secret.remove":
      return removeUsable(tables, "secret", command.id)
    case "config.create":
      return createNamed(tables, at, "config", command.config)
    case "config.update":
      return relabel(tables, at, "config", command)
    case "config.remove":
      return removeUsable(tables, "config", command.id)
    case "volume.create":
      return createVolume(tables, at, command)
    case "volume.update":
      return updateVolume(tables, at, command)
    case "volume.observe":
      return observeVolumes(tables, at, command)
    case "volume.remove":
      return removeVolume(tables, at, command)
    default:
      return never(command)
  }
}
