/**
 * A spec as it is stored: what the Engine fills in at once is filled in, and equal wishes become equal text.
 *
 * The client sends back what it was shown, so what is added here must be stored: if it appeared only when shown,
 * every `docker service scale` would look like a changed task.
 */
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import { serviceSpec } from "#actors/gateway/shape/layouts.ts"
import { render } from "#actors/gateway/shape/render.ts"
import { replicasOf } from "#actors/model/service-facts.ts"
import type { MountSpec, PortConfig, ServiceMode, ServiceSpec, UpdateConfig } from "#actors/model/spec.ts"

/**
 * The spec with the Engine's immediate defaults, in the Engine's order, without empty fields. A service that follows its
 * load keeps as many tasks as `before` has where it names no number, as docker stack deploy does of a file without one.
 */
export function completeService(spec: ServiceSpec, before?: ServiceSpec): ServiceSpec {
  const task = spec.TaskTemplate ?? {}
  const container = task.ContainerSpec
  const completed: ServiceSpec = {
    ...spec,
    Mode: completeMode(
      spec.Mode ?? {},
      before !== undefined && asksForScaling(spec) ? replicasOf(before) : 1
    ),
    TaskTemplate: {
      ...task,
      ...(container === undefined
        ? {}
        : {
            ContainerSpec: {
              ...container,
              Isolation: isolationOf(container.Isolation),
              ...(container.Mounts === undefined ? {} : { Mounts: container.Mounts.map(completeMount) })
            }
          }),
      ...(task.RestartPolicy === undefined
        ? {}
        : { RestartPolicy: { Condition: "any", MaxAttempts: 0, ...task.RestartPolicy } }),
      Runtime: task.Runtime === undefined || task.Runtime === "" ? "container" : task.Runtime
    },
    ...(spec.UpdateConfig === undefined ? {} : { UpdateConfig: completeUpdate(spec.UpdateConfig) }),
    ...(spec.RollbackConfig === undefined ? {} : { RollbackConfig: completeUpdate(spec.RollbackConfig) }),
    ...(spec.EndpointSpec === undefined
      ? {}
      : {
          EndpointSpec: {
            Mode: "vip",
            ...spec.EndpointSpec,
            Ports: (spec.EndpointSpec.Ports ?? []).map(completePort)
          }
        })
  }
  return render(serviceSpec, completed, "in") as ServiceSpec
}

function isolationOf(asked: string | undefined): string {
  const lower = (asked ?? "").toLowerCase()
  return lower === "hyperv" || lower === "process" ? lower : "default"
}

function completeMode(mode: ServiceMode, usual: number): ServiceMode {
  if (mode.Global !== undefined || mode.GlobalJob !== undefined) return mode
  if (mode.ReplicatedJob !== undefined) {
    const { MaxConcurrent = 1 } = mode.ReplicatedJob
    const { TotalCompletions = MaxConcurrent } = mode.ReplicatedJob
    return { ...mode, ReplicatedJob: { MaxConcurrent, TotalCompletions } }
  }
  return { ...mode, Replicated: { Replicas: mode.Replicated?.Replicas ?? usual } }
}

const completeMount = (mount: MountSpec): MountSpec => ({
  Type: "bind",
  ...mount,
  ...(mount.BindOptions === undefined
    ? {}
    : { BindOptions: { ...mount.BindOptions, Propagation: mount.BindOptions.Propagation || "rprivate" } })
})

const completeUpdate = (update: UpdateConfig): UpdateConfig => ({
  Parallelism: 0,
  FailureAction: "pause",
  MaxFailureRatio: 0,
  Order: "stop-first",
  ...update
})

const completePort = (port: PortConfig): PortConfig => ({ Protocol: "tcp", PublishMode: "ingress", ...port })
