/** A plan carried out through the API, and the stack read from it. */
import { Effect } from "effect"
import type { Node, Task } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { type ApiError, get, post, remove } from "#cli/client.ts"
import type { Present, PresentFile, PresentNetwork, PresentService, Step } from "#cli/compose/plan.ts"
import { imageLabel, stackLabel } from "#cli/compose/translate.ts"
import { type Distribution, type Pinned, pinned } from "#cli/pin-image.ts"

export const filtered = (path: string, filters: object): string =>
  `${path}?filters=${encodeURIComponent(JSON.stringify(filters))}`

export const readPresent = (socket: string): Effect.Effect<Present, ApiError> =>
  Effect.all(
    {
      networks: get<ReadonlyArray<PresentNetwork>>(socket, filtered("/networks", { scope: ["swarm"] })),
      secrets: get<ReadonlyArray<PresentFile>>(socket, "/secrets"),
      configs: get<ReadonlyArray<PresentFile>>(socket, "/configs"),
      services: get<ReadonlyArray<PresentService>>(socket, "/services"),
      nodes: get<ReadonlyArray<Node>>(socket, "/nodes"),
      tasks: get<ReadonlyArray<Task>>(socket, "/tasks")
    },
    { concurrency: "unbounded" }
  )

export const isOfStack =
  (stack: string) =>
  (labels: Readonly<Record<string, string>> | undefined): boolean =>
    labels?.[stackLabel] === stack

/** One step. `present` is what there is by then, for the ids of secrets and configs. */
export const take = (socket: string, step: Step, present: Present): Effect.Effect<void, ApiError> => {
  const path = `/${step.kind}s`
  switch (step.action) {
    case "create":
      return Effect.gen(function* () {
        const body =
          step.kind === "service" ? yield* ready(socket, step.body as ServiceSpec, present) : step.body
        yield* post(socket, `${path}/create`, body)
      })
    case "update":
      return Effect.gen(function* () {
        const body =
          step.kind === "service" ? yield* ready(socket, step.body as ServiceSpec, present) : step.body
        yield* post(socket, `${path}/${step.id}/update?version=${step.version}`, body)
      })
    case "unchanged":
      // Only the cluster can compare what a secret holds: it refuses other data.
      if (step.kind !== "secret") return Effect.void
      return post<void>(socket, `${path}/${step.id}/update?version=${step.version}`, step.body)
    case "remove":
      return remove(socket, `${path}/${step.id}`)
    default:
      return Effect.void
  }
}

/** A service's spec with the ids of what it names, and its image's digest where a registry tells it. */
const ready = Effect.fnUntraced(function* (socket: string, spec: ServiceSpec, present: Present) {
  const idOf = (list: ReadonlyArray<PresentFile>, name: string | undefined): string =>
    list.find(({ Spec }) => Spec.Name === name)?.ID ?? ""
  const template = spec.TaskTemplate ?? {}
  const container = template.ContainerSpec ?? {}
  const asked = spec.Labels?.[imageLabel] ?? ""
  const isPinned = container.Image !== asked || asked.includes("@")
  const found = isPinned ? undefined : yield* resolved(socket, asked)
  const { Secrets, Configs } = container
  return {
    ...spec,
    TaskTemplate: {
      ...template,
      ContainerSpec: {
        ...container,
        ...(found === undefined ? {} : { Image: found.image }),
        ...(Secrets && {
          Secrets: Secrets.map((one) => ({ ...one, SecretID: idOf(present.secrets, one.SecretName) }))
        }),
        ...(Configs && {
          Configs: Configs.map((one) => ({ ...one, ConfigID: idOf(present.configs, one.ConfigName) }))
        })
      },
      Placement: {
        ...(found === undefined ? {} : { Platforms: found.platforms }),
        ...template.Placement
      }
    }
  }
})

/** Nothing where no registry answers: nodes take the image that they have by that name. */
const resolved = (socket: string, image: string): Effect.Effect<Pinned | undefined> =>
  get<Distribution>(socket, `/distribution/${image}/json`).pipe(
    Effect.map((found) => pinned(image, found)),
    Effect.orElseSucceed(() => undefined)
  )
