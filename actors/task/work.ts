/** What a task's actor knows, and the small facts that its decision asks of it. */
import type { ContainerState } from "#actors/drivers/executor.ts"
import { drainMs } from "#actors/model/drain.ts"
import type { TaskState, TaskStatus } from "#actors/model/objects.ts"
import { nanosToMs } from "#actors/model/time.ts"
import type { TaskResolver } from "#actors/network/names/resolver.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"
import type { Pursue, TaskAction } from "#actors/task/protocol.ts"
import type { MountPoint } from "#actors/volumes/mounts/protocol.ts"

/** The actions of which one at a time is underway. A pull holds nothing and waits beside them. */
export type Doing = Exclude<TaskAction["_tag"], "Pull" | "Wipe">

export interface TaskWork {
  readonly id: string
  /** The newest assignment; absent until the session has told. */
  readonly pursuit: Pursue | undefined
  /** The furthest desired state so far. */
  readonly goal: TaskState
  /** Set when nothing of the task shall remain here. */
  readonly forgotten:
    | { readonly container: string | undefined; readonly graceMs: number | undefined }
    | undefined
  /** What was reported last, or what the leader knew when this actor began. */
  readonly status: TaskStatus
  /** Whether this actor has reported anything itself. */
  readonly said: boolean
  readonly doing: Doing | undefined
  readonly pull: "unasked" | "underway" | "done"
  /** Engine network ids by network id, once the network actor has told them. */
  readonly bridges: Readonly<Record<string, string>>
  /** Whom the container asks for names, if not the Engine. */
  readonly resolver: TaskResolver | undefined
  /** The network actor has been asked and has not answered. */
  readonly asking: boolean
  /** Where cluster volumes are mounted, once the actor of mounts has told; and whether it is to be asked. */
  readonly mountPoints: Readonly<Record<string, MountPoint>>
  readonly askingForMounts: boolean
  readonly container: ContainerState | undefined
  /** The Engine was asked whether a container is left from an earlier life. */
  readonly searched: boolean
  /** A start was tried and not answered well: the Engine alone knows whether the container ran. */
  readonly unsure: boolean
  /** Why no further start is tried, once a look shows that the container never ran. */
  readonly givenUp: string | undefined
  /** Seen unhealthy once; there is no way back. */
  readonly unhealthy: boolean
  /** Nobody's work is cut short any more by stopping it. */
  readonly drained: boolean
  /** Refusals in a row. */
  readonly attempt: number
  /** Waits before it tries again. */
  readonly resting: boolean
  readonly wiped: boolean
}

export const unborn = (id: string): TaskWork => ({
  id,
  pursuit: undefined,
  goal: "new",
  forgotten: undefined,
  status: { Timestamp: "", State: "new" },
  said: false,
  doing: undefined,
  pull: "unasked",
  bridges: {},
  resolver: undefined,
  asking: false,
  mountPoints: {},
  askingForMounts: false,
  container: undefined,
  searched: false,
  unsure: false,
  givenUp: undefined,
  unhealthy: false,
  drained: false,
  attempt: 0,
  resting: false,
  wiped: false
})

// Engine API: StopTimeout, and Swarm's --stop-grace-period
const usualGraceMs = 10_000

export function graceMs(task: TaskWork): number {
  const grace = task.pursuit?.assigned.spec.ContainerSpec?.StopGracePeriod
  if (grace !== undefined) return Math.max(0, Math.round(nanosToMs(grace)))
  return task.forgotten?.graceMs ?? usualGraceMs
}

/** How long it is left to what it has begun; of others than those that run on networks nobody can tell what that is. */
export function drainingMs({ pursuit, container, unhealthy, drained }: TaskWork): number {
  const isReached = pursuit !== undefined && pursuit.assigned.attachments.length > 0
  if (drained || unhealthy || !isReached || container?.status !== "running" || container.pid === 0) return 0
  return drainMs(pursuit.assigned.labels)
}

/** What the Engine knows the task's container by. */
export const reference = (task: TaskWork): string | undefined =>
  task.container?.id ?? task.pursuit?.containerId ?? task.forgotten?.container ?? task.pursuit?.assigned.name

/** How far a container has come: made, running, ended. It never goes back unless someone starts it by hand. */
export function rank(status: ContainerState["status"]): 0 | 1 | 2 {
  switch (status) {
    case "created":
      return 0
    case "running":
    case "paused":
    case "restarting":
      return 1
    case "removing":
    case "exited":
    case "dead":
      return 2
  }
}

/** The overlays that must have a bridge here before the container can be made. */
export function neededNetworks(pursuit: Pursue): ReadonlyArray<NetworkPlan> {
  const attached = new Set(pursuit.assigned.attachments.map(({ NetworkID }) => NetworkID))
  return pursuit.networks.filter((plan) => attached.has(plan.id))
}

/** The container as `TaskStatus` carries it. */
export const containerStatus = (
  container: ContainerState | undefined
): Pick<TaskStatus, "ContainerStatus" | "PortStatus"> =>
  container === undefined
    ? {}
    : {
        ContainerStatus: {
          ContainerID: container.id,
          PID: container.pid,
          ExitCode: rank(container.status) === 2 ? container.exitCode : 0
        },
        ...(container.ports.length > 0 && {
          PortStatus: {
            Ports: container.ports.map(({ protocol, targetPort, publishedPort }) => ({
              Protocol: protocol as "tcp" | "udp" | "sctp",
              TargetPort: targetPort,
              PublishedPort: publishedPort,
              PublishMode: "host" as const
            }))
          }
        })
      }
