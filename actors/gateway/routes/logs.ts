/** `GET /services/{id}/logs` and `GET /tasks/{id}/logs`. Engine API, tags Service and Task. */
import { Buffer } from "node:buffer"
import { Cause, Effect, Exit, Stream } from "effect"
import { type Collected, type CollectedLine, collectLogs } from "#actors/gateway/collect-logs.ts"
import { detailsOf, frame } from "#actors/gateway/frame.ts"
import { current, findOrRefuse, type Gateway, ledgerOf, orRefuse } from "#actors/gateway/gateway.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { compareVersions, newestVersion, splitVersion } from "#actors/gateway/negotiate.ts"
import { type LogQuery, parseLogs } from "#actors/gateway/parse-logs.ts"
import { okText, problem, refused, toResponse } from "#actors/gateway/response.ts"
import { taskText } from "#actors/gateway/shape/task.ts"
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
 * The log routes, and `GET /tasks/{id}` of tasks that were reaped while a client was reading their lines: the
 * docker CLI asks for each task it meets in a log, and gives up on the whole stream when one is not found.
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
      const found = yield* findOrRefuse(reader, kind, decodeURIComponent(id))
      const serviceId = "ServiceID" in found ? found.ServiceID : found.ID
      const template =
        "ServiceID" in found
          ? reader.taskSpec(found.ServiceID, found.SpecVersion)
          : reader.get("service", serviceId)?.Spec.TaskTemplate
      const tty = template?.ContainerSpec?.TTY === true

      const lines = collectLogs({
        ledger,
        system: options.system,
        of: { kind, id: found.ID },
        request: query.request,
        onTask: remember
      })
      const body = Stream.toReadableStream(Stream.map(lines, (collected) => encode(collected, query, tty)))
      return new Response(body, {
        headers: {
          ...options.headers(),
          "Content-Type": !tty && compareVersions(version, "1.42") >= 0 ? framedType : rawType
        }
      })
    }).pipe(Effect.catch((error) => Effect.succeed(toResponse(refused(error.refusal), options.headers()))))

  return {
    owns: (method, path) => {
      if (method !== "GET") return false
      if (logPath.test(path)) return true
      const task = taskPath.exec(path)?.[1]
      return (
        task !== undefined && remembered.has(task) && gateway.ledger()?.read.get("task", task) === undefined
      )
    },
    fetch: async (request) => {
      const task = taskPath.exec(splitVersion(new URL(request.url).pathname).path)?.[1]
      if (task !== undefined) {
        const text = remembered.get(task)
        const answer = text === undefined ? problem(404, `task ${task} not found`) : okText(text)
        return toResponse(answer, options.headers())
      }
      const exit = await Effect.runPromiseExit(logs(request))
      return Exit.isSuccess(exit)
        ? exit.value
        : toResponse(problem(500, Cause.pretty(exit.cause)), options.headers())
    }
  }
}

function encode(collected: Collected, query: LogQuery, tty: boolean): Uint8Array {
  if (collected._tag === "Incomplete") {
    const text = Buffer.from(
      `Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream. some logs could not be retrieved for the following reasons: ${collected.reasons.join(", ")}\n`
    )
    return tty ? text : frame("system", text)
  }
  return Buffer.concat(
    collected.lines.map((line) => {
      const text = Buffer.concat([Buffer.from(prefixOf(line, query)), line.data])
      return tty ? text : frame(line.stream, text)
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
