/** What can be done to services and nodes, by the Engine API: what is there is read, changed and sent back. */
import { type Distribution, pinned, tagged } from "#cli/pin-image.ts"
import { call } from "./api.ts"
import type { Node, Service, ServiceSpec } from "./objects.ts"

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

/** With its digest and platforms where a registry tells them: as `docker service update --image` sends it. */
export async function setImage(id: string, asked: string): Promise<void> {
  const found = await call<Distribution>("GET", `/distribution/${asked}/json`).then(
    (told) => pinned(asked, told),
    () => ({ image: tagged(asked), platforms: [] })
  )
  await updateService(id, (spec) => {
    const { ContainerSpec, Placement, ...template } = spec.TaskTemplate
    return {
      ...spec,
      TaskTemplate: {
        ...template,
        ContainerSpec: { ...ContainerSpec, Image: found.image },
        Placement: {
          ...Placement,
          ...(found.platforms.length > 0 && { Platforms: found.platforms })
        }
      }
    }
  })
}

export const rollBack = (id: string): Promise<void> => updateService(id, (spec) => spec, "&rollback=previous")

export const removeService = (id: string): Promise<void> => call("DELETE", `/services/${id}`)

export async function updateNode(id: string, change: Partial<Node["Spec"]>): Promise<void> {
  const { Version, Spec } = await call<Node>("GET", `/nodes/${id}`)
  await call("POST", `/nodes/${id}/update?version=${Version.Index}`, { ...Spec, ...change })
}
