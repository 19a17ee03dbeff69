/** Containers of tasks: made, started, stopped and looked at, each call idempotent. */
import { Effect, Option, Schedule } from "effect"
import type { EngineClientService, EngineRequest } from "#actors/drivers/engine/client.ts"
import { Room } from "#actors/drivers/engine/room.ts"
import { Created, Inspected, Listed, Stats } from "#actors/drivers/engine/shapes.ts"
import { translateContainer, translateHealth, translateStats } from "#actors/drivers/engine/translate.ts"
import { understand } from "#actors/drivers/engine/understand.ts"
import { type ContainerRequest, type ContainerState, ExecutorError } from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"

/** Creating and starting are the Engine's slow work: more at once than it can use only makes each slower. */
const slowly = "2 minutes"

type Networks = ContainerRequest["Networks"]

/** `own` and `marks` are labels put on every container made; `own` are expected of every one listed. */
export function makeContainers(
  client: EngineClientService,
  own: Readonly<Record<string, string>>,
  marks: Readonly<Record<string, string>>,
  inFlight: number
) {
  const room = new Room(inFlight)
  /** Container by task: what was there when we came, and what we made. Read once, not for every creation. */
  const known = new Map<string, string>()
  let learned = false
  const ask = (
    operation: string,
    method: EngineRequest["method"],
    id: string,
    rest: string,
    more: Partial<EngineRequest> = {}
  ) => client.call({ operation, method, path: `/containers/${encodeURIComponent(id)}${rest}`, ...more })

  const find = (operation: string, id: string) =>
    ask(operation, "GET", id, "/json").pipe(
      Effect.flatMap(understand(operation, Inspected)),
      Effect.map(Option.some),
      catchStatus(404, () => Effect.succeed(Option.none<Inspected>()))
    )

  const listed = (operation: string, labels: ReadonlyArray<string>) =>
    client
      .call({
        operation,
        method: "GET",
        path: "/containers/json",
        query: { all: true, filters: JSON.stringify({ label: labels }) }
      })
      .pipe(Effect.flatMap(understand(operation, Listed)))

  const connect = (id: string, { networkId, endpoint }: Networks[number]) =>
    client
      .call({
        operation: "create",
        method: "POST",
        path: `/networks/${encodeURIComponent(networkId)}/connect`,
        body: { Container: id, EndpointConfig: endpoint },
        within: slowly
      })
      .pipe(
        Effect.catchIf(
          ({ status, message }) => status === 403 && message.includes("already exists in network"),
          () => Effect.void
        )
      )

  /** A container that an earlier, perhaps interrupted, attempt at the same task left; its networks are completed. */
  const adopt = (id: string, request: ContainerRequest, conflict: ExecutorError | undefined) =>
    Effect.gen(function* () {
      const found = yield* find("create", id)
      if (Option.isNone(found)) return yield* gone(id)
      const { Id, Config, State, NetworkSettings } = found.value
      if (conflict !== undefined && Config.Labels?.[taskLabel] !== request.Labels[taskLabel]) {
        return yield* conflict
      }
      if (State.Status === "removing" || State.Status === "dead") return yield* gone(id)
      const endpoints = NetworkSettings?.Networks ?? {}
      const joined = new Set([
        ...Object.keys(endpoints),
        ...Object.values(endpoints).flatMap((endpoint) => endpoint?.NetworkID ?? [])
      ])
      for (const network of request.Networks) {
        if (!joined.has(network.networkId)) yield* connect(Id, network)
      }
      return Id
    })

  const note = (taskId: string | undefined, id: string): string => {
    if (taskId !== undefined) known.set(taskId, id)
    return id
  }
  const forget = (id: string): void => {
    for (const [taskId, containerId] of known) if (containerId === id) known.delete(taskId)
  }

  const ours = listed("list", [taskLabel, ...asFilters(own)]).pipe(
    Effect.tap((containers) =>
      Effect.sync(() => {
        for (const { Id, Labels } of containers) note(Labels?.[taskLabel], Id)
        learned = true
      })
    )
  )

  const create = Effect.fn("engine.create")(function* (name: string, request: ContainerRequest) {
    if (!learned) yield* ours
    const taskId = request.Labels[taskLabel]
    const already = taskId === undefined ? undefined : known.get(taskId)
    if (already !== undefined) {
      // Under whatever name it has now.
      const there = yield* find("create", already)
      if (Option.isSome(there)) return yield* adopt(already, request, undefined)
      forget(already)
    }
    const { Networks, HostConfig, ...rest } = request
    const [first, ...others] = Networks
    const body = {
      ...rest,
      Labels: { ...request.Labels, ...marks, ...own },
      HostConfig: first === undefined ? HostConfig : { ...HostConfig, NetworkMode: first.networkId },
      // One network only: API versions below 1.44 refuse more at creation.
      ...(first === undefined
        ? {}
        : { NetworkingConfig: { EndpointsConfig: { [first.networkId]: first.endpoint } } })
    }
    const made = client
      .call({
        operation: "create",
        method: "POST",
        path: "/containers/create",
        query: { name },
        body,
        within: slowly
      })
      .pipe(Effect.flatMap(understand("create", Created)))
    return yield* made.pipe(
      room.hold("begin"),
      Effect.flatMap(({ Id }) =>
        Effect.forEach(others, (network) => connect(Id, network), { discard: true }).pipe(
          Effect.as(Id),
          Effect.tapError(() => Effect.ignore(remove(Id)))
        )
      ),
      Effect.catchIf(
        ({ status }) => status === 409,
        (conflict) => adopt(name, request, conflict)
      ),
      Effect.retry({ schedule: moment, while: isPassing }),
      Effect.map((id) => note(taskId, id))
    )
  })

  const remove = (id: string) =>
    ask("remove", "DELETE", id, "", { query: { force: true, v: true }, fine: [404], within: slowly }).pipe(
      Effect.map(() => forget(id)),
      // "removal of container … is already in progress"
      catchStatus(409, () => Effect.void)
    )

  const seen =
    <A>(operation: string, translate: (container: Inspected) => A) =>
    (id: string) =>
      Effect.map(find(operation, id), (found) => Option.getOrUndefined(Option.map(found, translate)))
  const inspect = seen("inspect", translateContainer)

  return {
    create,
    remove,
    inspect,
    health: seen("health", translateHealth),
    start: (id: string) =>
      room
        .hold("finish")(ask("start", "POST", id, "/start", { fine: [304], within: slowly }))
        .pipe(Effect.asVoid),
    stop: (id: string, graceMs: number) =>
      ask("stop", "POST", id, "/stop", {
        query: { t: Math.ceil(graceMs / 1000) },
        fine: [304, 404],
        // The Engine kills after the grace; beyond that it owes us an answer.
        within: graceMs + 30_000
      }).pipe(Effect.asVoid),
    kill: (id: string) =>
      ask("kill", "POST", id, "/kill", { fine: [404] }).pipe(
        Effect.asVoid,
        // "Container … is not running"
        catchStatus(409, () => Effect.void)
      ),
    list: ours.pipe(
      Effect.flatMap((containers) =>
        // The list knows neither exit codes nor pids.
        Effect.forEach(containers, ({ Id }) => inspect(Id), { concurrency: 8 })
      ),
      Effect.map((states) => states.filter((state): state is ContainerState => state !== undefined))
    ),
    stats: (id: string) =>
      ask("stats", "GET", id, "/stats", { query: { stream: false, "one-shot": true } }).pipe(
        Effect.flatMap(understand("stats", Stats)),
        Effect.flatMap((stats) => {
          const sample = translateStats(stats)
          return sample === undefined
            ? Effect.fail(
                new ExecutorError({
                  operation: "stats",
                  status: 409,
                  temporary: false,
                  message: `Container ${id} is not running`
                })
              )
            : Effect.succeed(sample)
        })
      )
  }
}

/** `key=value` of each label, as the Engine's filters take them. */
export const asFilters = (labels: Readonly<Record<string, string>>): Array<string> =>
  Object.entries(labels).map(([key, value]) => `${key}=${value}`)

/** The name is taken, but by nothing that is there: by what is being removed, or is just being made. */
const gone = (id: string) =>
  new ExecutorError({
    operation: "create",
    status: 409,
    temporary: true,
    message: `Container ${id} is being made or removed`
  })
const isPassing = ({ status, temporary }: ExecutorError): boolean => status === 409 && temporary
/** Making or removing a container takes the Engine this long at most, unless it is in trouble. */
const moment = Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 40 }))

const catchStatus =
  <B>(status: number, instead: () => Effect.Effect<B, ExecutorError>) =>
  <A>(self: Effect.Effect<A, ExecutorError>): Effect.Effect<A | B, ExecutorError> =>
    Effect.catch(
      self,
      (error): Effect.Effect<A | B, ExecutorError> =>
        error.status === status ? instead() : Effect.fail(error)
    )
