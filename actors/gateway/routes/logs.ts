/** `GET /services/{id}/logs` and `GET /tasks/{id}/logs`. Engine API, tags Service and Task. */
import { Buffer } from "node:buffer"
import { Cause, Effect, Exit, Stream } from "effect"
import { type Collected, type CollectedLine, collectLogs } from "#actors/gateway/collect-logs.ts"
import { earlierTasks } from "#actors/gateway/earlier-tasks.ts"
import { find } from "#actors/gateway/find.ts"
import { detailsOf, frame } from "#actors/gateway/frame.ts"
import { current, findOrRefuse, type Gateway, ledgerOf, orRefuse } from "#actors/gateway/gateway.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { compareVersions, newestVersion, splitVersion } from "#actors/gateway/negotiate.ts"
import { type LogQuery, parseLogs } from "#actors/gateway/parse-logs.ts"
import { isRefusal, okText, problem, refused, toResponse } from "#actors/gateway/response.ts"
import { taskText } from "#actors/gateway/shape/task.ts"
import type { WantedTasks } from "#actors/logs/decide.ts"
import type { Refused } from "#actors/model/errors.ts"
import type { Task } from "#actors/model/objects.ts"
import type { SystemService } from "#runtime/system.ts"

export interface LogRoutesOptions {
  readonly gateway: Gateway
  readonly system: Pick<SystemService, "ask" | "tell">
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

/** Since API 1.42 a stream says whether it is framed. */
const framedType = "application/vnd.docker.multiplexed-stream"
const rawType = "application/vnd.docker.raw-stream"

const logPath = /^\/(services|tasks)\/([^/]+)\/logs$/
const taskPath = /^\/tasks\/([^/]+)$/

/** A task is some hundred bytes of JSON; these are the ones that clients were just shown lines of. */
const mostRemembered = 2_000

/**
 * The log routes, and `GET /tasks/{id}` of tasks that were reaped but have lines that are kept: the docker CLI asks
 * for each task it meets in a log, and gives up on the whole stream when one is not found.
 */
export function logRoutes(options: LogRoutesOptions): RouteSet {
  const { gateway } = options
  const remembered = new Map<string, string>()

  const remember = (task: Task): void => {
    const ledger = gateway.ledger()
    if (ledger === undefined) return
    remembered.delete(task.ID)
    remembered.set(task.ID, taskText(ledger.read, task))
    for (const oldest of remembered.keys()) {
      if (remembered.size <= mostRemembered) break
      remembered.delete(oldest)
    }
  }

  const logs = (request: Request): Effect.Effect<Response> =>
    Effect.gen(function* () {
      const url = new URL(request.url)
      const { path, version = newestVersion } = splitVersion(url.pathname)
      const [, kinds, id] = logPath.exec(path) as unknown as [string, string, string]
      const reader = yield* current(gateway)
      const ledger = yield* ledgerOf(gateway)
      const query = yield* orRefuse(parseLogs(url.searchParams))
      const kind = kinds === "services" ? "service" : "task"
      const input = decodeURIComponent(id)
      const earlier = (wanted: WantedTasks) => earlierTasks({ ledger, system: options.system }, wanted)
      const found = yield* findOrRefuse<"service" | "task">(reader, kind, input).pipe(
        Effect.catch((refused) =>
          kind === "service" ? Effect.fail(refused) : onlyOne(earlier({ task: input }), refused)
        )
      )
      const serviceId = "ServiceID" in found ? found.ServiceID : found.ID
      const template =
        "ServiceID" in found
          ? reader.taskSpec(found.ServiceID, found.SpecVersion)
          : reader.get("service", serviceId)?.Spec.TaskTemplate
      const isRaw = template?.ContainerSpec?.TTY === true && !query.framed

      const lines = collectLogs({
        ledger,
        system: options.system,
        of: { kind, id: found.ID },
        request: query.request,
        earlier: earlier(kind === "service" ? { service: found.ID } : { task: found.ID }),
        onTask: remember
      })
      const body = Stream.toReadableStream(Stream.map(lines, (collected) => encode(collected, query, isRaw)))
      return new Response(body, {
        headers: {
          ...options.headers(),
          "Content-Type": !isRaw && compareVersions(version, "1.42") >= 0 ? framedType : rawType
        }
      })
    }).pipe(Effect.catch((error) => Effect.succeed(toResponse(refused(error.refusal), options.headers()))))

  /** A task that this manager's ledger does not have (yet, or any more). */
  const shownTask = (id: string): Effect.Effect<Response> =>
    Effect.gen(function* () {
      const text = remembered.get(id)
      if (text !== undefined) return toResponse(okText(text), options.headers())
      const reader = yield* current(gateway)
      const ledger = yield* ledgerOf(gateway)
      const task = yield* findOrRefuse(reader, "task", id).pipe(
        Effect.catch((refused) =>
          onlyOne(earlierTasks({ ledger, system: options.system }, { task: id }), refused)
        )
      )
      remember(task)
      return toResponse(okText(taskText(reader, task)), options.headers())
    }).pipe(Effect.catch((error) => Effect.succeed(toResponse(refused(error.refusal), options.headers()))))

  return {
    owns: (method, path) => {
      if (method !== "GET") return false
      if (logPath.test(path)) return true
      const task = taskPath.exec(path)?.[1]
      const ledger = task === undefined ? undefined : gateway.ledger()
      return ledger !== undefined && isRefusal(find(ledger.read, "task", decodeURIComponent(task as string)))
    },
    fetch: async (request) => {
      const id = taskPath.exec(splitVersion(new URL(request.url).pathname).path)?.[1]
      const exit = await Effect.runPromiseExit(
        id === undefined ? logs(request) : shownTask(decodeURIComponent(id))
      )
      return Exit.isSuccess(exit)
        ? exit.value
        : toResponse(problem(500, Cause.pretty(exit.cause)), options.headers())
    }
  }
}

/** The one task that was found; `refused` when there is none, or several. */
const onlyOne = (found: Effect.Effect<ReadonlyArray<Task>>, refused: Refused): Effect.Effect<Task, Refused> =>
  Effect.flatMap(found, (tasks) => {
    const [task] = tasks
    return task !== undefined && tasks.length === 1 ? Effect.succeed(task) : Effect.fail(refused)
  })

function encode(collected: Collected, query: LogQuery, isRaw: boolean): Uint8Array {
  if (collected._tag === "Incomplete") {
    const text = Buffer.from(
      `Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream. some logs could not be retrieved for the following reasons: ${collected.reasons.join(", ")}\n`
    )
    return isRaw ? text : frame("system", text)
  }
  return Buffer.concat(
    collected.lines.map((line) => {
      const text = Buffer.concat([Buffer.from(prefixOf(line, query)), line.data])
      return isRaw ? text : frame(line.stream, text)
    })
  )
}

/** The timestamp comes first, then the details, each with a space after it. */
function prefixOf({ task, timestamp, details }: CollectedLine, query: LogQuery): string {
  const time = query.timestamps ? `${timestamp} ` : ""
  if (!query.request.details) return time
  const context = { nodeId: task.NodeID ?? "", serviceId: task.ServiceID, taskId: task.ID }
  return `${time}${detailsOf(context, details)} `
}
