/** A plan carried out through the API, and the stack read from it. */
import { Effect } from "effect"
import type { Node, Task } from "#actors/model/objects.ts"
import type { ServiceSpec, SwarmSpec } from "#actors/model/spec.ts"
import type { Api, ApiError } from "#cli/client.ts"
import {
  type Present,
  type PresentFile,
  type PresentNetwork,
  type PresentService,
  plan,
  type Step
} from "#cli/compose/plan.ts"
import { type Desired, imageLabel, stackLabel } from "#cli/compose/translate.ts"
import { vet } from "#cli/compose/vet.ts"
import { withIds } from "#cli/compose/with-ids.ts"
import { type Distribution, type Pinned, pinned } from "#cli/pin-image.ts"

export const filtered = (path: string, filters: object): string =>
  `${path}?filters=${encodeURIComponent(JSON.stringify(filters))}`

interface Info {
  readonly Swarm: { readonly Cluster?: { readonly Spec?: SwarmSpec } }
}

const readPresent = ({ get }: Api): Effect.Effect<Present, ApiError> =>
  Effect.all(
    {
      networks: get<ReadonlyArray<PresentNetwork>>(filtered("/networks", { scope: ["swarm"] })),
      secrets: get<ReadonlyArray<PresentFile>>("/secrets"),
      configs: get<ReadonlyArray<PresentFile>>("/configs"),
      services: get<ReadonlyArray<PresentService>>("/services"),
      nodes: get<ReadonlyArray<Node>>("/nodes"),
      tasks: get<ReadonlyArray<Task>>("/tasks"),
      // Who may plan need not be one who may see the cluster's tokens, which /swarm shows.
      swarm: Effect.map(get<Info>("/info"), ({ Swarm }) => Swarm.Cluster?.Spec)
    },
    { concurrency: "unbounded" }
  )

const isOfStack =
  (stack: string) =>
  (labels: Readonly<Record<string, string>> | undefined): boolean =>
    labels?.[stackLabel] === stack

/** All steps, what services name before them. Yields what there was before the services were changed. */
export const carryOut = Effect.fnUntraced(function* (
  api: Api,
  steps: ReadonlyArray<Step>
): Effect.fn.Return<Present, ApiError> {
  // What services name has to have its id before they are made.
  for (const step of steps.filter(({ kind, action }) => kind !== "service" && action !== "remove")) {
    yield* take(api, step, yield* readPresent(api))
  }
  const present = yield* readPresent(api)
  for (const step of steps.filter(({ kind, action }) => kind === "service" || action === "remove")) {
    yield* take(api, step, present)
  }
  return present
})

/** What has to be done for the stack to be as desired; with `prune`, whatever else it has goes. */
export const prepare = Effect.fnUntraced(function* (api: Api, desired: Desired, prune: boolean) {
  const present = yield* readPresent(api)
  const steps = plan(desired, present, isOfStack(desired.stack), prune)
  return { present, steps: vet(steps, present) }
})

/** A stack that has nothing. */
export const nothingIn = (stack: string): Desired => ({
  stack,
  networks: [],
  secrets: [],
  configs: [],
  services: [],
  external: { networks: [], secrets: [], configs: [] }
})

export const refusals = (steps: ReadonlyArray<Step>): ReadonlyArray<string> =>
  steps.filter(({ action }) => action === "refused").map(({ kind, name, why }) => `${kind} ${name}: ${why}`)

/** One step. `present` is what there is by then, for the ids of secrets and configs. */
const take = (api: Api, step: Step, present: Present): Effect.Effect<void, ApiError> => {
  const path = `/${step.kind}s`
  switch (step.action) {
    case "create":
      return Effect.gen(function* () {
        const body =
          step.kind === "service" ? yield* ready(api, step.body as ServiceSpec, present) : step.body
        yield* api.post(`${path}/create`, body)
      })
    case "update":
      return Effect.gen(function* () {
        const body =
          step.kind === "service" ? yield* ready(api, step.body as ServiceSpec, present) : step.body
        yield* api.post(`${path}/${step.id}/update?version=${step.version}`, body)
      })
    case "unchanged":
      // Only the cluster can compare what a secret holds: it refuses other data.
      if (step.kind !== "secret") return Effect.void
      return api.post<void>(`${path}/${step.id}/update?version=${step.version}`, step.body)
    case "remove":
      return api.remove(`${path}/${step.id}`)
    default:
      return Effect.void
  }
}

/** A service's spec with the ids of what it names, and its image's digest where a registry tells it. */
const ready = Effect.fnUntraced(function* (api: Api, spec: ServiceSpec, present: Present) {
  const idOf = (list: ReadonlyArray<PresentFile>, name: string | undefined): string =>
    list.find(({ Spec }) => Spec.Name === name)?.ID ?? ""
  const template = spec.TaskTemplate ?? {}
  const container = template.ContainerSpec ?? {}
  const asked = spec.Labels?.[imageLabel] ?? ""
  const isPinned = container.Image !== asked || asked.includes("@")
  const found = isPinned ? undefined : yield* resolved(api, asked)
  const ids = {
    secret: (name: string | undefined) => idOf(present.secrets, name),
    config: (name: string | undefined) => idOf(present.configs, name)
  }
  return {
    ...spec,
    TaskTemplate: {
      ...template,
      ContainerSpec: {
        ...withIds(container, ids),
        ...(found === undefined ? {} : { Image: found.image })
      },
      Placement: {
        ...(found === undefined ? {} : { Platforms: found.platforms }),
        ...template.Placement
      }
    }
  }
})

/** Nothing where no registry answers: nodes take the image that they have by that name. */
const resolved = ({ get }: Api, image: string): Effect.Effect<Pinned | undefined> =>
  get<Distribution>(`/distribution/${image}/json`).pipe(
    Effect.map((found) => pinned(image, found)),
    Effect.orElseSucceed(() => undefined)
  )
