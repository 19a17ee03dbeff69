/** What the Engine says, in our words. */

import type { EngineEvent, Info, Inspected, Stats } from "#actors/drivers/engine/shapes.ts"
import type {
  ContainerEvent,
  ContainerHealth,
  ContainerSample,
  ContainerState
} from "#actors/drivers/executor.ts"
import type { NodeDescription } from "#actors/model/objects.ts"
import { toMs } from "#actors/model/time.ts"

const statuses = ["created", "running", "paused", "restarting", "removing", "exited", "dead"] as const
const healths = ["starting", "healthy", "unhealthy"] as const

const among = <const T extends string>(words: ReadonlyArray<T>, word: unknown): T | undefined =>
  words.find((known) => known === word)

/** An inspected container. A status that no Engine we know uses counts as dead. */
export function translateContainer(container: Inspected): ContainerState {
  const { State, Config } = container
  const health = among(healths, State.Health?.Status)
  return {
    id: container.Id,
    name: container.Name.replace(/^\//, ""),
    labels: Config.Labels ?? {},
    status: among(statuses, State.Status) ?? "dead",
    pid: State.Pid ?? 0,
    exitCode: State.ExitCode ?? 0,
    oomKilled: State.OOMKilled ?? false,
    error: State.Error ?? "",
    startedAt: State.StartedAt ?? "",
    finishedAt: State.FinishedAt ?? "",
    ...(health === undefined ? {} : { health }),
    addresses: addressesOf(container),
    ports: portsOf(container),
    ...(Config.StopTimeout === undefined || Config.StopTimeout === null
      ? {}
      : { graceMs: Config.StopTimeout * 1000 })
  }
}

export function translateHealth({ State, Config }: Inspected): ContainerHealth {
  const status = among(healths, State.Health?.Status)
  return {
    labels: Config.Labels ?? {},
    ...(status !== undefined && { status }),
    probes: (State.Health?.Log ?? []).map(({ End, ExitCode, Output }) => ({
      at: End ?? "",
      exitCode: ExitCode ?? 0,
      output: Output ?? ""
    }))
  }
}

function addressesOf(container: Inspected): Record<string, string> {
  const addresses: Record<string, string> = {}
  for (const endpoint of Object.values(container.NetworkSettings?.Networks ?? {})) {
    if (endpoint?.NetworkID && endpoint.IPAddress) addresses[endpoint.NetworkID] = endpoint.IPAddress
  }
  return addresses
}

function portsOf(container: Inspected): ContainerState["ports"] {
  const ports = new Map<string, ContainerState["ports"][number]>()
  for (const [target, bindings] of Object.entries(container.NetworkSettings?.Ports ?? {})) {
    const [number, protocol] = target.split("/")
    // The Engine binds IPv4 and IPv6 apart; one publication is one entry here.
    for (const { HostPort } of bindings ?? []) {
      const port = {
        protocol: protocol ?? "tcp",
        targetPort: Number(number),
        publishedPort: Number(HostPort)
      }
      if (HostPort) ports.set(`${target}:${HostPort}`, port)
    }
  }
  return [...ports.values()]
}

/** An event of a container, or nothing when it is not one of those we follow. */
export function translateEvent(event: EngineEvent): ContainerEvent | undefined {
  if (event.Type !== "container") return undefined
  const { exitCode, name, image, ...labels } = event.Actor.Attributes ?? {}
  const subject = { containerId: event.Actor.ID, labels }
  switch (event.Action) {
    case "start":
      return { _tag: "Started", ...subject }
    case "die":
      return { _tag: "Died", ...subject, exitCode: Number(exitCode ?? 0) }
    case "oom":
      return { _tag: "OutOfMemory", ...subject }
    case "destroy":
      return { _tag: "Destroyed", ...subject }
  }
  const health = among(healths, event.Action.replace(/^health_status: /, ""))
  return health === undefined ? undefined : { _tag: "Health", ...subject, health }
}

/** One sample; `at` is milliseconds since the epoch. Nothing when the container does not run. */
export function translateStats(stats: Stats): ContainerSample | undefined {
  const at = toMs(stats.read)
  if (!(at > 0)) return undefined
  const memory = stats.memory_stats
  // As `docker stats` shows it: without page cache that can be dropped (cgroup v1, v2).
  const cache = memory?.stats?.total_inactive_file ?? memory?.stats?.inactive_file ?? 0
  const usage = memory?.usage ?? 0
  let [rxBytes, txBytes] = [0, 0]
  for (const device of Object.values(stats.networks ?? {})) {
    rxBytes += device.rx_bytes ?? 0
    txBytes += device.tx_bytes ?? 0
  }
  return {
    at,
    cpuNanos: stats.cpu_stats?.cpu_usage?.total_usage ?? 0,
    memoryBytes: cache < usage ? usage - cache : usage,
    rxBytes,
    txBytes
  }
}

/** Names of architectures as Swarm shows them, whatever the source calls them. */
export const normaliseArchitecture = (name: string): string =>
  ({ amd64: "x86_64", x64: "x86_64", arm64: "aarch64", "386": "i686", ia32: "i686" })[name] ?? name

/** What this machine offers, from the Engine's `/info`. */
export function translateInfo(info: Info): NodeDescription {
  const plugins = (["Authorization", "Log", "Network", "Volume"] as const).flatMap((Type) =>
    (info.Plugins?.[Type] ?? []).map((Name) => ({ Type, Name }))
  )
  plugins.sort((a, b) => (a.Type === b.Type ? compare(a.Name, b.Name) : compare(a.Type, b.Type)))
  const GenericResources = (info.GenericResources ?? []).flatMap(
    ({ NamedResourceSpec: named, DiscreteResourceSpec: discrete }) => [
      ...(named ? [{ NamedResourceSpec: { Kind: named.Kind ?? "", Value: named.Value ?? "" } }] : []),
      ...(discrete
        ? [{ DiscreteResourceSpec: { Kind: discrete.Kind ?? "", Value: discrete.Value ?? 0 } }]
        : [])
    ]
  )
  return {
    Hostname: info.Name,
    Platform: { Architecture: normaliseArchitecture(info.Architecture), OS: info.OSType.toLowerCase() },
    Resources: {
      NanoCPUs: info.NCPU * 1e9,
      MemoryBytes: info.MemTotal,
      ...(GenericResources.length === 0 ? {} : { GenericResources })
    },
    Engine: {
      EngineVersion: info.ServerVersion ?? "",
      Labels: Object.fromEntries(
        (info.Labels ?? []).map((label) => {
          const at = label.indexOf("=")
          return at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)]
        })
      ),
      Plugins: plugins
    },
    Executor: "docker"
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
