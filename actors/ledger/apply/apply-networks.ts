/** What entries about networks do to the tables; one that is in use stays. */
import {
  type At,
  born,
  failedPrecondition,
  notFound,
  type Of,
  touched,
  type Verdict
} from "#actors/ledger/apply/verdict.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { refuse, rpc } from "#actors/model/errors.ts"
import { isIngress } from "#actors/model/service-facts.ts"
import { isTerminal, isWanted } from "#actors/model/task-state.ts"

export function createNetwork(tables: LedgerTables, at: At, { network }: Of<"network.create">): Verdict {
  if (tables.byName("network", network.Name) !== undefined) {
    return refuse("alreadyExists", `network with name ${network.Name} already exists`)
  }
  if (network.Ingress) {
    for (const other of tables.all("network")) {
      if (other.Ingress) {
        return rpc("alreadyExists", `ingress network (${other.ID}) is already present`)
      }
    }
  }
  tables.put("network", { ...network, ...born(at) })
  return { id: network.ID }
}

export function allotNetworks(tables: LedgerTables, at: At, command: Of<"network.allot">): Verdict {
  const skipped: Array<string> = []
  for (const { id, ipam, vni } of command.networks) {
    const network = tables.get("network", id)
    if (network === undefined) skipped.push(id)
    else tables.put("network", { ...network, IPAM: ipam, Vni: vni, ...touched(at) })
  }
  return { skipped }
}

export function removeNetwork(tables: LedgerTables, id: string): Verdict {
  const network = tables.get("network", id)
  if (network === undefined) return notFound("network", id)
  if (network.Ingress) {
    for (const service of tables.all("service")) {
      const publishes = (service.Spec.EndpointSpec?.Ports ?? []).some(isIngress)
      if (publishes) {
        return failedPrecondition(
          `ingress network cannot be removed because service ${service.ID} depends on it`
        )
      }
    }
  }
  const [user] = tables.servicesUsing("network", id)
  if (user !== undefined) return failedPrecondition(`network ${id} is in use by service ${user.ID}`)
  for (const task of tables.all("task")) {
    // A stack is removed in one go: what is on its way out, or has lost its service, holds nothing back.
    const leaves = !isWanted(task) || tables.get("service", task.ServiceID) === undefined
    if (leaves || isTerminal(task.Status.State)) continue
    if (task.Attachments?.some((attachment) => attachment.NetworkID === id) === true) {
      return failedPrecondition(`network ${id} is in use by task ${task.ID}`)
    }
  }
  tables.remove("network", id)
  return { id }
}
