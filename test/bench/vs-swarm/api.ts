/** What a benchmark says to a Swarm-compatible API, Docker's own or ours, on connections that are kept. */
import http from "node:http"
import { setTimeout as pause } from "node:timers/promises"
import { testImage } from "#test/support/engine.ts"

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

/** One request, its answer decoded; fails with the status where it is none of 2xx, and after `withinMs`. */
export function call<Answer>(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  withinMs = 60_000
): Promise<Answer> {
  const bytes = body === undefined ? undefined : JSON.stringify(body)
  const headers =
    bytes === undefined
      ? {}
      : { "content-type": "application/json", "content-length": Buffer.byteLength(bytes) }
  return new Promise((resolve, reject) => {
    const options = { socketPath, agent, method, path: `/v1.41${path}`, headers }
    const request = http.request({ ...options, signal: AbortSignal.timeout(withinMs) }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part) => {
        text += part
      })
      response.on("error", reject)
      response.on("end", () => {
        if ((response.statusCode ?? 500) < 300) resolve(text === "" ? undefined : JSON.parse(text))
        else reject(new Error(`${method} ${path} answered ${response.statusCode}: ${text}`))
      })
    })
    request.on("error", reject)
    request.end(bytes)
  })
}

/** The milliseconds until `isThere`; what fails is not there yet. */
export async function elapsed(
  what: string,
  isThere: () => Promise<boolean>,
  everyMs = 25,
  withinMs = 240_000
): Promise<number> {
  const began = performance.now()
  for (;;) {
    if (await isThere().catch(() => false)) return performance.now() - began
    if (performance.now() - began > withinMs) throw new Error(`${what}: not within ${withinMs} ms`)
    await pause(everyMs)
  }
}

export const filtersOf = (filters: unknown): string => encodeURIComponent(JSON.stringify(filters))

/** Ends at once when it is told to. */
export const command = ["sh", "-c", "trap exit TERM; while :; do sleep 1 & wait; done"]

export const specOf = (name: string, replicas: number) => ({
  Name: name,
  Labels: {} as Readonly<Record<string, string>>,
  TaskTemplate: {
    ContainerSpec: { Image: testImage, Command: command },
    RestartPolicy: { Condition: "any", Delay: 0 }
  },
  Mode: { Replicated: { Replicas: replicas } }
})
export type Spec = ReturnType<typeof specOf>

export interface ServiceView {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: Spec
}

export interface TaskView {
  readonly NodeID: string
  readonly Status: { readonly State: string; readonly ContainerStatus?: { readonly ContainerID: string } }
}

export interface NodeView {
  readonly ID: string
  readonly Description: { readonly Hostname: string }
  readonly Status: { readonly State: string }
  readonly ManagerStatus?: { readonly Leader?: boolean; readonly Reachability: string }
}

/** Creates so many services, by so many clients at once; their ids. */
export async function createServices(
  socket: string,
  { count, clients, spec }: { count: number; clients: number; spec: (at: number) => Spec }
): Promise<ReadonlyArray<string>> {
  const ids: Array<string> = []
  let next = 0
  const one = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++)
      ids.push((await call<{ readonly ID: string }>(socket, "POST", "/services/create", spec(at))).ID)
  }
  await Promise.all(Array.from({ length: clients }, one))
  return ids
}

/** Tasks of a service that are wanted and observed to run. */
export async function running(
  socket: string,
  service: string,
  withinMs?: number
): Promise<ReadonlyArray<TaskView>> {
  const path = `/tasks?filters=${filtersOf({ service: [service], "desired-state": ["running"] })}`
  const tasks = await call<ReadonlyArray<TaskView>>(socket, "GET", path, undefined, withinMs)
  return tasks.filter(({ Status }) => Status.State === "running")
}

/** Containers of a service on one Engine, those that have ended included. */
export const containersOf = (
  engineSocket: string,
  service: string
): Promise<ReadonlyArray<{ readonly Id: string; readonly State: string }>> =>
  call(
    engineSocket,
    "GET",
    `/containers/json?all=1&filters=${filtersOf({ label: [`com.docker.swarm.service.name=${service}`] })}`
  )
