/** What entries about networks do to the tables; one that is in use stays. */
import {
  type At,
  born,
  failedPrecondition,
  least,
  notFound,
  type Of,
  touched,
  type Verdict
} from "#actors/ledger/apply/verdict.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { refuse, rpc } from "#actors/model/errors.ts"
import { isIngress, usesIngress } from "#actors/model/service-facts.ts"
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
  // Of several reasons the one with the least id is told: members may hold them in different orders.
  if (network.Ingress) {
    const routes = (tables.cluster()?.FeatureLevel ?? 0) >= levelOf["http routes"]
    const publishes = least(tables.all("service"), ({ Spec }) =>
      routes ? usesIngress(Spec) : Spec.EndpointSpec?.Ports?.some(isIngress) === true
    )
    if (publishes !== undefined) {
      return failedPrecondition(
        `ingress network cannot be removed because service ${publishes} depends on it`
      )
    }
  }
  const [user] = tables.servicesUsing("network", id)
  if (user !== undefined) return failedPrecondition(`network ${id} is in use by service ${user.ID}`)
  const holder = least(tables.tasksOnNetwork(id), (task) => {
    // A stack is removed in one go: what is on its way out, or has lost its service, holds nothing back.
    const leaves = !isWanted(task) || tables.get("service", task.ServiceID) === undefined
    return !leaves && !isTerminal(task.Status.State)
  })
  if (holder !== undefined) return failedPrecondition(`network ${id} is in use by task ${holder}`)
  const attached = least(tables.all("node"), ({ Attached }) =>
    (Attached ?? []).some(({ NetworkID }) => NetworkID === id)
  )
  if (attached !== undefined) {
    return failedPrecondition(`network ${id} is in use by a container on node ${attached}`)
  }
  tables.remove("network", id)
  return { id }
}
