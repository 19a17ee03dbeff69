/**
 * What the leader tells monitoring about the cluster: its nodes, services and tasks, by what they are and what they use.
 * One manager tells it, so that sums over several scraped managers count nothing twice.
 */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Kind, metricsOf } from "#actors/meter/figures.ts"
import type { History } from "#actors/meter/history.ts"
import { modeOf, nameOfTask, publishedPorts, replicasOf } from "#actors/model/service-facts.ts"
import { keyOfPort } from "#actors/network/plan.ts"
import { counter, gauge } from "#runtime/metrics.ts"
import type { Family, Labels, Sample } from "#runtime/openmetrics.ts"

interface Described {
  readonly name: string
  readonly unit?: string
  /** One of what is kept is so much of the unit. */
  readonly share?: number
  readonly help: string
}

const described: Readonly<Record<string, Described>> = {
  cpu: { name: "cpu_cores", help: "Cores in use." },
  memory: { name: "memory_bytes", unit: "bytes", help: "Memory in use, without cache that can be dropped." },
  netRx: { name: "network_receive_rate", help: "Bytes a second that came over the network." },
  netTx: { name: "network_transmit_rate", help: "Bytes a second that went over the network." },
  blockRead: { name: "block_read_rate", help: "Bytes a second that came from disks." },
  blockWrite: { name: "block_write_rate", help: "Bytes a second that went to disks." },
  pids: { name: "processes", help: "Processes and threads." },
  connections: { name: "connection_rate", help: "TCP connections a second that were taken." },
  rps: { name: "request_rate", help: "Requests a second that came to HTTP entrances." },
  inflight: { name: "requests_in_flight", help: "Requests under way, or waiting for a task." },
  p95: {
    name: "request_p95_seconds",
    unit: "seconds",
    share: 0.001,
    help: "Within which 95 of 100 requests were answered."
  },
  errors: { name: "request_error_rate", help: "Answers of 5xx a second." },
  tasks: { name: "measured_tasks", help: "Tasks in these sums." },
  cores: { name: "cores", help: "Cores there are." },
  memoryTotal: { name: "memory_total_bytes", unit: "bytes", help: "Memory there is." },
  load: { name: "load1", help: "Load of the last minute." },
  diskFree: {
    name: "disk_free_bytes",
    unit: "bytes",
    help: "Room on the disk that holds the node's data."
  },
  diskTotal: { name: "disk_bytes", unit: "bytes", help: "Size of the disk that holds the node's data." }
}

export const clusterMetrics = (
  reader: LedgerReader,
  history: History,
  now: number
): ReadonlyArray<Family> => [
  ...ofNodes(reader),
  ...ofServices(reader),
  ...(["node", "service", "task"] as const).flatMap((kind) => used(reader, history, kind, now)),
  ...ofEndpoints(reader, history, now)
]

function used(reader: LedgerReader, history: History, kind: Kind, now: number): ReadonlyArray<Family> {
  const latest = [...history.latest(kind, now)].map(
    ([id, { row }]) => [labelsOf(reader, history, kind, id), row] as const
  )
  return metricsOf[kind].flatMap((metric, column) => {
    const about = described[metric]
    if (about === undefined) return []
    const samples = latest.flatMap(([labels, row]): ReadonlyArray<Sample> => {
      const value = row[column] ?? Number.NaN
      return Number.isNaN(value) ? [] : [{ labels, value: value * (about.share ?? 1) }]
    })
    const family = gauge(`troupe_${kind}_${about.name}`, about.help, samples)
    return [about.unit === undefined ? family : { ...family, unit: about.unit }]
  })
}

function labelsOf(reader: LedgerReader, history: History, kind: Kind, id: string): Labels {
  const node = (nodeId: string): string => reader.get("node", nodeId)?.Description?.Hostname ?? nodeId
  const service = (serviceId: string): string => reader.get("service", serviceId)?.Spec.Name ?? serviceId
  if (kind === "node") return { node: node(id), node_id: id }
  if (kind === "service") return { service: service(id), service_id: id }
  const whose = history.whose(id)
  const task = reader.get("task", id)
  const name = service(whose?.serviceId ?? "")
  return {
    task: task === undefined ? id : nameOfTask(name, task),
    task_id: id,
    service: name,
    node: node(whose?.nodeId ?? "")
  }
}

/** A node is not believed about ports and networks that no service of that id has. */
function ofEndpoints(reader: LedgerReader, history: History, now: number): ReadonlyArray<Family> {
  const ports: Array<Sample> = []
  const vips: Array<Sample> = []
  for (const [nodeId, { endpoint, total: value }] of history.connections(now)) {
    const service = reader.get("service", endpoint.serviceId)
    if (service === undefined) continue
    const whose = {
      ...labelsOf(reader, history, "service", endpoint.serviceId),
      ...labelsOf(reader, history, "node", nodeId)
    }
    if (endpoint._tag === "Port") {
      const { mode = "ingress", protocol, publishedPort } = endpoint
      const labels = { ...whose, mode, protocol, port: String(publishedPort) }
      if (publishedPorts(service).has(keyOfPort(endpoint))) ports.push({ labels, value })
    } else {
      const { networkId } = endpoint
      const network = reader.get("network", networkId)?.Name ?? networkId
      if (service.Endpoint?.VirtualIPs?.some(({ NetworkID }) => NetworkID === networkId))
        vips.push({ labels: { ...whose, network, network_id: networkId }, value })
    }
  }
  return [
    counter(
      "troupe_service_port_connections",
      "Connections to the published port that the node led to tasks; of UDP, clients that began to speak.",
      ports
    ),
    counter(
      "troupe_service_vip_connections",
      "Connections to the virtual address that the node led to tasks; of UDP, clients that began to speak.",
      vips
    )
  ]
}

function ofNodes(reader: LedgerReader): ReadonlyArray<Family> {
  const nodes = [...reader.all("node")]
  const by = (value: (node: (typeof nodes)[number]) => number): ReadonlyArray<Sample> =>
    nodes.map((node) => ({
      labels: { node: node.Description?.Hostname ?? node.ID, node_id: node.ID },
      value: value(node)
    }))
  return [
    gauge(
      "troupe_node_up",
      "1 where the node is ready.",
      by(({ Status }) => (Status.State === "ready" ? 1 : 0))
    ),
    gauge(
      "troupe_node_active",
      "1 where it takes new tasks.",
      by(({ Spec }) => (Spec.Availability === "active" ? 1 : 0))
    ),
    gauge(
      "troupe_node_manager",
      "1 where it is a manager.",
      by(({ Spec }) => (Spec.Role === "manager" ? 1 : 0))
    )
  ]
}

function ofServices(reader: LedgerReader): ReadonlyArray<Family> {
  const desired: Array<Sample> = []
  const running: Array<Sample> = []
  const failed: Array<Sample> = []
  for (const service of reader.all("service")) {
    const labels = { service: service.Spec.Name ?? service.ID, service_id: service.ID }
    let [wanted, runs, failures] = [0, 0, 0]
    for (const { DesiredState, Status } of reader.tasksOfService(service.ID)) {
      if (DesiredState === "running") wanted += 1
      if (DesiredState === "running" && Status.State === "running") runs += 1
      if (Status.State === "failed" || Status.State === "rejected") failures += 1
    }
    const asked = modeOf(service.Spec) === "replicated" ? replicasOf(service.Spec) : wanted
    desired.push({ labels, value: asked })
    running.push({ labels, value: runs })
    failed.push({ labels, value: failures })
  }
  return [
    gauge("troupe_service_desired_tasks", "Tasks that the service asks for.", desired),
    gauge("troupe_service_running_tasks", "Tasks that run.", running),
    gauge("troupe_service_failed_tasks", "Tasks that failed and are still remembered.", failed)
  ]
}
