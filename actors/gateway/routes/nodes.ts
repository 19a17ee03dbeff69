/** `/nodes`: Engine API, tag Node. */
import { Effect } from "effect"
import { identityOf } from "#actors/gateway/access/identity-of.ts"
import { isAtLeast } from "#actors/gateway/access/role.ts"
import { readBody } from "#actors/gateway/body.ts"
import { find, taskName } from "#actors/gateway/find.ts"
import {
  allow,
  byId,
  type Call,
  current,
  filtersOf,
  findOrRefuse,
  type Gateway,
  type Handled,
  orRefuse,
  type Route,
  reading,
  write
} from "#actors/gateway/gateway.ts"
import { hasLabels, hasPrefix, isOneOf, valuesOf } from "#actors/gateway/parse-filters.ts"
import { isOn, parseVersionIndex } from "#actors/gateway/parse-query.ts"
import { type Answer, done, isRefusal, list, okText } from "#actors/gateway/response.ts"
import { nodeText } from "#actors/gateway/shape/node.ts"
import { checkNodeLabels } from "#actors/gateway/validate/check-labels.ts"
import { completeNode } from "#actors/gateway/validate/check-node.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { outOfSequence, type Refusal, Refused, refuse, rpc } from "#actors/model/errors.ts"
import { isExclusive } from "#actors/model/exclusive.ts"
import type { Node } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { type NodeSpec, NodeSpecRequest } from "#actors/model/spec.ts"
import { isLive } from "#actors/model/task-state.ts"
import { hasLeft } from "#actors/node/protocol.ts"

const acceptedFilters = ["name", "id", "label", "node.label", "role", "membership"]
const roles = ["worker", "manager"]
const memberships = ["pending", "accepted"]

function listNodes(reader: LedgerReader, call: Call): Answer | Refusal {
  const filters = filtersOf(call, acceptedFilters)
  if (isRefusal(filters)) return filters
  for (const role of valuesOf(filters, "role")) {
    if (role !== "" && !roles.includes(role)) return refuse("unknown", `Invalid role filter: '${role}'`)
  }
  for (const membership of valuesOf(filters, "membership")) {
    if (membership !== "" && !memberships.includes(membership)) {
      return refuse("unknown", `Invalid membership filter: '${membership}'`)
    }
  }
  const texts: Array<string> = []
  for (const node of byId(reader.all("node"))) {
    const wanted =
      hasPrefix(filters, "name", node.Description?.Hostname ?? "") &&
      hasPrefix(filters, "id", node.ID) &&
      hasLabels(filters, "label", node.Description?.Engine.Labels) &&
      hasLabels(filters, "node.label", node.Spec.Labels) &&
      isOneOf(filters, "role", node.Spec.Role ?? "worker") &&
      isOneOf(filters, "membership", "accepted")
    if (wanted) texts.push(nodeText(node))
  }
  return list(texts)
}

function inspectNode(reader: LedgerReader, call: Call): Answer | Refusal {
  const node = find(reader, "node", call.param("id"))
  return isRefusal(node) ? node : okText(nodeText(node))
}

function checkDemotion(reader: LedgerReader, node: Node, spec: NodeSpec): Refusal | undefined {
  if (node.Spec.Role !== "manager" || spec.Role !== "worker") return undefined
  const managers = [...reader.all("node")].filter(({ Spec }) => Spec.Role === "manager")
  return managers.length === 1
    ? rpc("failedPrecondition", "attempting to demote the last manager of the swarm")
    : undefined
}

/** Operators drain nodes and label them; who manages the cluster is for administrators to say. */
function checkRole({ request }: Call, node: Node, spec: NodeSpec): Refusal | undefined {
  const { who, role } = identityOf(request)
  return spec.Role === node.Spec.Role || isAtLeast(role, "admin")
    ? undefined
    : refuse("forbidden", `${who} is ${role}: a node's role is for the role admin to change`)
}

const updateNode = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const asked = yield* readBody(call.request, NodeSpecRequest)
    const { version } = yield* orRefuse(parseVersionIndex(call.query, "node"))
    const reader = yield* current(gateway)
    const node = yield* findOrRefuse(reader, "node", call.param("id"))
    const spec = yield* orRefuse(completeNode(asked))
    yield* allow(checkNodeLabels(spec, node.Spec))
    yield* allow(checkRole(call, node, spec))
    yield* allow(checkDemotion(reader, node, spec))
    if (version !== node.Version.Index) return yield* Refused.of(outOfSequence)
    yield* write(gateway, call, { type: "node.update", v: 1, id: node.ID, version, spec }, (after) => {
      const found = after.get("node", node.ID)
      return found !== undefined && found.Version.Index > version && equal(found.Spec, spec)
    })
    return done
  })

/** Who is removed has no keys any more: the Raft group must have gone on without it before, or it would lose a vote. */
const checkRemoval = ({ ID, Spec, ManagerStatus }: Node): Refusal | undefined =>
  Spec.Role === "worker" && ManagerStatus !== undefined
    ? rpc(
        "failedPrecondition",
        `node ${ID} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal: that is under way, try again in a few seconds`
      )
    : undefined

/** Swarm has no such services: what two must not run is given to another only where people say that the node is gone for good. */
function checkExclusive(reader: LedgerReader, { ID, Status }: Node): Refusal | undefined {
  if (Status.State !== "down" || Status.Message === hasLeft) return undefined
  for (const task of reader.tasksOfNode(ID)) {
    if (!isLive(task.Status.State)) continue
    if (!isExclusive(reader.get("service", task.ServiceID)?.Spec ?? {})) continue
    return rpc(
      "failedPrecondition",
      `node ${ID} is down and may still run ${taskName(reader, task)}, of an exclusive service: with --force it is removed as one that is gone for good`
    )
  }
  return undefined
}

const removeNode = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const reader = yield* current(gateway)
    const node = yield* findOrRefuse(reader, "node", call.param("id"))
    const force = isOn(call.query, "force")
    yield* allow(checkRemoval(node) ?? (force ? undefined : checkExclusive(reader, node)))
    yield* write(
      gateway,
      call,
      { type: "node.remove", v: 1, id: node.ID, force },
      (after) => after.get("node", node.ID) === undefined
    )
    return done
  })

export const nodeRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/nodes", handle: reading(listNodes) },
  { method: "GET", path: "/nodes/:id", handle: reading(inspectNode) },
  { method: "DELETE", path: "/nodes/:id", handle: removeNode },
  { method: "POST", path: "/nodes/:id/update", handle: updateNode }
]
