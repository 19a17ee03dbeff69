/** What a node tells those who watch it: figures and alerts over NATS, families of metrics, spans to a collector. */
import { Effect } from "effect"
import { bodyOf } from "#actors/alerts/actor.ts"
import { alertSubject, type Notice } from "#actors/alerts/protocol.ts"
import { ledgerMetrics } from "#actors/ledger/metrics.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { clusterMetrics } from "#actors/meter/families.ts"
import { metricSubject, type NodeFigures } from "#actors/meter/figures.ts"
import type { History } from "#actors/meter/history.ts"
import { raftMetrics } from "#actors/raft/metrics.ts"
import type { Identity } from "#cli/identity.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import type { Family } from "#runtime/openmetrics.ts"
import type { TransportService } from "#runtime/transport.ts"
import packageJson from "../package.json" with { type: "json" }

/** What a manager tells monitoring beside its actors. */
export function familiesOf(ledger: LedgerService, history: History | undefined): ReadonlyArray<Family> {
  const figures = ledger.figures?.()
  const leads = ledger.leadership()._tag === "Leading"
  return [
    ...ledgerMetrics(ledger),
    ...(figures === undefined ? [] : raftMetrics(figures)),
    ...(leads && history !== undefined ? clusterMetrics(ledger.read, history, Date.now()) : [])
  ]
}

const encoder = new TextEncoder()

/** While NATS is away nobody hears it. */
function publish(transport: TransportService, subject: string, said: unknown): void {
  const body = encoder.encode(JSON.stringify(said))
  try {
    transport.publish(subject, {}, body)
  } catch {
    return
  }
}

/** Who does not hear of an alert asks for those that are, so nothing is lost. */
export const alertsOf =
  (transport: TransportService, { clusterId }: Identity) =>
  (notice: Notice): void =>
    publish(transport, alertSubject(clusterId, notice.condition, notice.id), {
      ...bodyOf(notice),
      cluster: clusterId
    })

/** What a node says it uses. What is not heard, the next second says anew. */
export const outletOf = (transport: TransportService, { clusterId, nodeId }: Identity) => {
  const subject = metricSubject(clusterId, nodeId)
  return (figures: NodeFigures): void => publish(transport, subject, figures)
}

/** Where a collector is configured: figures and spans go there from now on. */
export const otlpOf = Effect.fnUntraced(function* (
  { otlpEndpoint: endpoint, name }: NodeOptions,
  { clusterId, nodeId }: Identity,
  families: () => ReadonlyArray<Family>
) {
  if (endpoint === undefined) return undefined
  const { exportOtlp } = yield* Effect.promise(() => import("#runtime/otlp.ts"))
  return yield* exportOtlp({
    endpoint,
    serviceName: "troupe",
    serviceVersion: packageJson.version,
    attributes: { "service.instance.id": nodeId, "service.namespace": clusterId, "host.name": name },
    families,
    now: Date.now
  })
})
