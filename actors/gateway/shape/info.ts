/** What `GET /info` and `GET /version` say of the cluster and of us; the rest of them is the Engine's own. */
import type { Gateway } from "#actors/gateway/gateway.ts"
import { compareVersions, offeredVersion, oldestVersion } from "#actors/gateway/negotiate.ts"
import { clusterInfo } from "#actors/gateway/shape/swarm.ts"
import { redact } from "#actors/ledger/redact.ts"
import type { Node } from "#actors/model/objects.ts"

export type SwarmSource = Pick<Gateway, "nodeId" | "membership" | "ledger" | "problem" | "whereabouts">

/** `Swarm` of `GET /info`. A node that is no manager knows no counts. */
export function swarmBlock({
  nodeId,
  membership,
  ledger,
  problem = "",
  whereabouts
}: SwarmSource): Record<string, unknown> {
  const [state = "inactive"] = membership().split("/")
  const reader = ledger()?.read
  const place = reader === undefined ? whereabouts?.() : undefined
  const base = {
    NodeID: state === "active" || state === "pending" ? nodeId : "",
    NodeAddr: reader?.get("node", nodeId)?.Status.Addr ?? place?.address ?? "",
    LocalNodeState: state,
    ControlAvailable: membership() === "active/manager",
    Error: problem
  }
  if (reader === undefined || !base.ControlAvailable) {
    const managers = place?.managers.map(({ nodeId: NodeID, joinAddress: Addr }) => ({ NodeID, Addr }))
    return { ...base, RemoteManagers: managers ?? null }
  }
  const managers: Array<Node> = []
  for (const node of reader.all("node")) if (node.ManagerStatus !== undefined) managers.push(node)
  const cluster = reader.cluster()
  return {
    ...base,
    RemoteManagers: managers.map(({ ID, ManagerStatus }) => ({
      NodeID: ID,
      Addr: ManagerStatus?.Addr ?? ""
    })),
    Nodes: reader.count("node"),
    Managers: managers.length,
    // Whoever may look may ask for it; `GET /swarm` is for administrators.
    ...(cluster === undefined ? {} : { Cluster: redact(clusterInfo(cluster)) })
  }
}

/** What the machine itself can tell when no Engine answers, so that the cluster can be worked with all the same. */
export interface MachineFacts {
  readonly hostname: string
  readonly architecture: string
  readonly cpus: number
  readonly memoryBytes: number
  readonly kernel: string
}

/** `GET /info` without an Engine: `problem` says why it is short. */
export const infoWithoutEngine = (
  nodeId: string,
  machine: MachineFacts,
  problem: string
): Record<string, unknown> => ({
  ID: nodeId,
  Containers: 0,
  ContainersRunning: 0,
  ContainersPaused: 0,
  ContainersStopped: 0,
  Images: 0,
  Driver: "",
  KernelVersion: machine.kernel,
  OSType: "linux",
  Architecture: machine.architecture,
  NCPU: machine.cpus,
  MemTotal: machine.memoryBytes,
  Name: machine.hostname,
  Labels: [],
  ServerVersion: "",
  Warnings: [`WARNING: ${problem}`]
})

/** `GET /version`: the Engine's, with us among its components and the versions that pass through here. */
export function versionBlock(
  engine: Readonly<Record<string, unknown>> | undefined,
  own: { readonly version: string; readonly runtime: string }
): Record<string, unknown> {
  const newest = offeredVersion(typeof engine?.ApiVersion === "string" ? engine.ApiVersion : undefined)
  const theirs = typeof engine?.MinAPIVersion === "string" ? engine.MinAPIVersion : oldestVersion
  const oldest = compareVersions(theirs, oldestVersion) > 0 ? theirs : oldestVersion
  const components = Array.isArray(engine?.Components) ? engine.Components : []
  return {
    ...(engine ?? { Platform: { Name: "" }, Version: own.version, Os: "linux" }),
    Components: [
      ...components,
      {
        Name: "Troupe",
        Version: own.version,
        Details: { ApiVersion: newest, MinAPIVersion: oldest, Runtime: own.runtime }
      }
    ],
    ApiVersion: newest,
    MinAPIVersion: oldest
  }
}
