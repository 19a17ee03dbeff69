/** Which conditions hold now, by the ledger and what was measured. How long they must hold is decided elsewhere. */
import type { Alert, Facts, Judged } from "#actors/alerts/protocol.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { lostNodeOf } from "#actors/ledger/lost.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { tlsLabel } from "#actors/model/http-route.ts"
import type { Node, Service } from "#actors/model/objects.ts"
import { modeOf, replicasOf } from "#actors/model/service-facts.ts"
import { toIso, toMs } from "#actors/model/time.ts"
import { isPaused, isUnderWay } from "#actors/model/update-status.ts"
import { acmeHostOf, certificateEndsSoonMs, certificateOf } from "#actors/network/certificates.ts"
import { showBytes } from "#runtime/show-bytes.ts"

const leastFreeShare = 0.1
/** A tenth of a large disk is room enough. */
const leastFreeBytes = 10 * 1024 ** 3
/** Further apart than busy machines make clocks look. */
const clockOffMs = 30_000
const dayMs = 86_400_000
const rootEndsWithinMs = 30 * dayMs
const crashWindowMs = 5 * 60_000
const crashesOfLoop = 3

/** Of the cluster and its nodes. */
export function judgeCluster(
  reader: LedgerReader,
  { disks, rootEnds, clocks = [] }: Facts,
  now: number
): ReadonlyArray<Judged> {
  const found: Array<Judged> = []
  let [managers, reachable] = [0, 0]
  for (const node of reader.all("node")) {
    const about = { kind: "node", id: node.ID, name: node.Description?.Hostname ?? node.ID } as const
    if (node.Status.State === "down") {
      const says = `node ${about.name} is down${node.Status.Message ? `: ${node.Status.Message}` : ""}`
      found.push({ condition: "node-down", ...about, says, began: goneSince(node) })
    }
    if (node.ManagerStatus === undefined) continue
    managers += 1
    if (node.ManagerStatus.Reachability === "reachable") reachable += 1
  }
  const majority = Math.floor(managers / 2) + 1
  // One manager alone is what people chose.
  if (managers > 1 && reachable <= majority && reachable < managers) {
    const says = `${reachable} of ${managers} managers are reachable: if one more is lost, nothing can be changed`
    found.push({ condition: "managers-few", ...ofCluster(reader), says })
  }
  for (const { nodeId, free, total } of disks) {
    if (free >= leastFreeBytes || free >= total * leastFreeShare) continue
    const name = reader.get("node", nodeId)?.Description?.Hostname ?? nodeId
    const says = `${showBytes(free)} of ${showBytes(total)} are left on the disk that holds the data directory of node ${name}`
    found.push({ condition: "disk-low", kind: "node", id: nodeId, name, says })
  }
  if ((reader.cluster()?.FeatureLevel ?? 0) >= levelOf["alerts of clocks"])
    found.push(...judgeClocks(reader, clocks))
  if (rootEnds !== undefined && rootEnds < now + rootEndsWithinMs) {
    const says = `the cluster's root certificate ends at ${toIso(rootEnds)}: docker swarm ca --rotate makes another`
    const began = rootEnds - rootEndsWithinMs
    found.push({ condition: "certificate-ends", ...ofCluster(reader), says, began })
  }
  return found
}

/** The clock in the middle is taken for right; of two in the middle, that which is nearer to the leader's. */
function judgeClocks(
  reader: LedgerReader,
  clocks: ReadonlyArray<{ readonly nodeId: string; readonly aheadMs: number }>
): ReadonlyArray<Judged> {
  const sorted = clocks.map(({ aheadMs }) => aheadMs).sort((a, b) => a - b)
  const [low = 0, high = 0] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  const right = Math.abs(low) <= Math.abs(high) ? low : high
  return clocks.flatMap(({ nodeId, aheadMs }) => {
    const offMs = aheadMs - right
    if (Math.abs(offMs) < clockOffMs) return []
    const name = reader.get("node", nodeId)?.Description?.Hostname ?? nodeId
    const where = `${inWords(Math.abs(offMs))} ${offMs > 0 ? "ahead of" : "behind"}`
    const whose = Math.abs(right) < clockOffMs ? "the leader's" : "most others'"
    const says = `the clock of node ${name} is ${where} ${whose}: let NTP set it (timedatectl)`
    return [{ condition: "clock-off", kind: "node", id: nodeId, name, says }] as const
  })
}

function inWords(ms: number): string {
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return ms < 2 * dayMs ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / dayMs)} days`
}

const ofCluster = (reader: LedgerReader): Pick<Alert, "kind" | "id" | "name"> => {
  const id = reader.cluster()?.ID ?? "cluster"
  return { kind: "cluster", id, name: id }
}

/** Of one service, and how many tasks had to be looked at. */
export function judgeService(
  reader: LedgerReader,
  service: Service,
  { certificateEnds = {}, unissued = {}, unknown }: Facts,
  now: number
): { readonly alerts: ReadonlyArray<Judged>; readonly looked: number } {
  let [looked, wanted, running] = [0, 0, 0]
  const crashes: Array<number> = []
  // A slot whose task fails has another, which is made as that one ends.
  let short = now
  let last: { readonly at: number; readonly error: string } | undefined
  for (const task of reader.tasksOfService(service.ID)) {
    const { DesiredState, Status } = task
    looked += 1
    if (DesiredState === "running") {
      wanted += 1
      const lost = lostNodeOf(reader, task)
      if (Status.State === "running" && lost === undefined) running += 1
      else short = Math.min(short, lost === undefined ? toMs(task.CreatedAt) : goneSince(lost))
    }
    if (Status.State !== "failed" && Status.State !== "rejected") continue
    const at = toMs(Status.Timestamp)
    if (at <= now - crashWindowMs) continue
    crashes.push(at)
    if (last === undefined || at > last.at) last = { at, error: Status.Err ?? Status.Message ?? "" }
  }
  const name = service.Spec.Name ?? service.ID
  const about = { kind: "service", id: service.ID, name } as const
  const alerts: Array<Judged> = []
  const mode = modeOf(service.Spec)
  const desired = mode === "replicated" ? replicasOf(service.Spec) : mode === "global" ? wanted : 0
  // An update takes tasks away to put others in their place.
  if (running < desired && !isUnderWay(service.UpdateStatus)) {
    const says = `service ${name} has ${running} of ${desired} tasks: troupe why ${name} says what they wait for`
    alerts.push({ condition: "service-short", ...about, says, began: short })
  }
  if (crashes.length >= crashesOfLoop) {
    const error = last?.error ? `, last: ${last.error}` : ""
    const says = `${crashes.length} tasks of service ${name} failed within 5 minutes${error}`
    const began = crashes.sort((a, b) => a - b)[crashesOfLoop - 1] ?? now
    alerts.push({ condition: "crash-loop", ...about, says, began })
  }
  const ends = certificateEnds[certificateOf(service.Spec) ?? ""]
  if (ends !== undefined && ends < now + certificateEndsSoonMs) {
    const says = `the certificate that the host of service ${name} is shown by ends at ${toIso(ends)}: name a secret with another by the label ${tlsLabel}`
    alerts.push({ condition: "certificate-ends", ...about, says, began: ends - certificateEndsSoonMs })
  }
  const host = acmeHostOf(service.Spec) ?? ""
  const problem = unissued[host]
  if (problem !== undefined) {
    const says = `service ${name}: ${host} gets no certificate by ACME: ${problem}`
    alerts.push({ condition: "certificate-ends", ...about, says })
  }
  if ((reader.cluster()?.FeatureLevel ?? 0) < levelOf["alerts of updates and loads"])
    return { alerts, looked }
  const { UpdateStatus: status } = service
  if (isPaused(status)) {
    const which = status?.State === "paused" ? "update" : "rollback"
    const says = `the ${which} of service ${name} stands still until it is updated again or rolled back: ${status?.Message ?? ""}`
    alerts.push({ condition: "update-paused", ...about, says })
  }
  const targets = unknown?.get(service.ID)?.targets.join(", ")
  if (targets !== undefined) {
    const says = `nothing is known of ${targets}, by which service ${name} is scaled: it keeps at least the tasks that it has`
    alerts.push({ condition: "load-unknown", ...about, says })
  }
  return { alerts, looked }
}

/** When a node that is down was last heard of. */
const goneSince = ({ LastSeen, UpdatedAt }: Node): number => toMs(LastSeen ?? UpdatedAt)
