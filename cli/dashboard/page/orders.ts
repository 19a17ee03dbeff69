/** What can be done to services and nodes, by the Engine API: what is there is read, changed and sent back. */
import { call } from "./api.ts"
import type { Node, Service, ServiceSpec } from "./live.ts"

export async function updateService(
  id: string,
  change: (spec: ServiceSpec) => ServiceSpec,
  more = ""
): Promise<void> {
  const { Version, Spec } = await call<Service>("GET", `/services/${id}`)
  await call("POST", `/services/${id}/update?version=${Version.Index}${more}`, change(Spec))
}

export const scale = (id: string, replicas: number): Promise<void> =>
  updateService(id, (spec) => ({ ...spec, Mode: { Replicated: { Replicas: replicas } } }))

export const restart = (id: string): Promise<void> =>
  updateService(id, (spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: (spec.TaskTemplate.ForceUpdate ?? 0) + 1 }
  }))

export const setImage = (id: string, image: string): Promise<void> =>
  updateService(id, (spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Image: image }
    }
  }))

export const rollBack = (id: string): Promise<void> => updateService(id, (spec) => spec, "&rollback=previous")

export const removeService = (id: string): Promise<void> => call("DELETE", `/services/${id}`)

export async function updateNode(id: string, change: Partial<Node["Spec"]>): Promise<void> {
  const { Version, Spec } = await call<Node>("GET", `/nodes/${id}`)
  await call("POST", `/nodes/${id}/update?version=${Version.Index}`, { ...Spec, ...change })
}
