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

/** With its digest and platforms where a registry tells them: as the docker CLI sends it. */
async function pin(image: string) {
  const { image: Image, platforms } = await call<Distribution>("GET", `/distribution/${image}/json`).then(
    (told) => pinned(image, told),
    () => ({ image: tagged(image), platforms: [] })
  )
  return (template: ServiceSpec["TaskTemplate"]): ServiceSpec["TaskTemplate"] => ({
    ...template,
    ContainerSpec: { ...template.ContainerSpec, Image },
    Placement: { ...template.Placement, ...(platforms.length > 0 && { Platforms: platforms }) }
  })
}

export async function setImage(id: string, image: string): Promise<void> {
  const withImage = await pin(image)
  await updateService(id, (spec) => ({ ...spec, TaskTemplate: withImage(spec.TaskTemplate) }))
}

/** Its id. */
export async function createService(spec: ServiceSpec): Promise<string> {
  const withImage = await pin(spec.TaskTemplate.ContainerSpec?.Image ?? "")
  const asked = { ...spec, TaskTemplate: withImage(spec.TaskTemplate) }
  return (await call<{ readonly ID: string }>("POST", "/services/create", asked)).ID
}

export const rollBack = (id: string): Promise<void> => updateService(id, (spec) => spec, "&rollback=previous")

export const removeService = (id: string): Promise<void> => call("DELETE", `/services/${id}`)

/** Of a cluster's volume; all else of it stays as it was made. */
export async function setAvailability(id: string, Availability: string): Promise<void> {
  const { ClusterVolume } = await call<{
    readonly ClusterVolume: { readonly Version: { readonly Index: number }; readonly Spec: object }
  }>("GET", `/volumes/${id}`)
  const { Version, Spec } = ClusterVolume
  await call("PUT", `/volumes/${id}?version=${Version.Index}`, { Spec: { ...Spec, Availability } })
}

export async function updateNode(id: string, change: Partial<Node["Spec"]>): Promise<void> {
  const { Version, Spec } = await call<Node>("GET", `/nodes/${id}`)
  await call("POST", `/nodes/${id}/update?version=${Version.Index}`, { ...Spec, ...change })
}
