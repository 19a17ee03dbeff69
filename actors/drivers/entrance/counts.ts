/** Reads how often haproxy was asked, by service and by task, out of what its command socket says. */
import { parseMap } from "#actors/drivers/entrance/reconcile.ts"
import type { EntranceCounts, TaskCounts } from "#actors/drivers/entrance.ts"
import { latencyBuckets } from "#actors/meter/figures.ts"
import { addUp } from "#actors/meter/requests.ts"

export interface Said {
  /** `show map` of services' backends. */
  readonly owners: string
  /** `show table` of what backends were asked, and of how long servers' answers took. */
  readonly asked: string
  readonly took: string
  /** `show stat -1 4 -1`: servers. */
  readonly servers: string
}

export function parseCounts({ owners, asked, took, servers }: Said): EntranceCounts {
  const backends = parseTable(asked)
  const times = parseTable(took)
  const serviceOf = new Map([...parseMap(owners)].map(([serviceId, backend]) => [backend, serviceId]))
  const services = new Map(
    [...serviceOf].map(([backend, serviceId]) => {
      const counts = backends.get(backend)
      return [
        serviceId,
        { asked: counts?.get("http_req_cnt") ?? 0, inflight: counts?.get("conn_cur") ?? 0 }
      ] as const
    })
  )
  const tasks = new Map<string, TaskCounts>()
  for (const { backend, server, asked, inflight, statuses } of parseStat(servers)) {
    const serviceId = serviceOf.get(backend)
    const taskId = taskOf(server)
    if (serviceId === undefined) continue
    const counts = times.get(server)
    const took = bucketNames.map((name) => counts?.get(name) ?? 0)
    const before = tasks.get(taskId)
    tasks.set(taskId, {
      serviceId,
      asked: asked + (before?.asked ?? 0),
      inflight: inflight + (before?.inflight ?? 0),
      statuses: addUp([statuses, before?.statuses ?? []]),
      took: addUp([took, before?.took ?? []])
    })
  }
  return { services, tasks }
}

/** Which services' requests wait, out of both maps. */
export function parseWaiting(owners: string, waiting: string): ReadonlySet<string> {
  const counts = parseMap(waiting)
  const waits = ([, backend]: readonly [string, string]): boolean => Number(counts.get(backend) ?? 0) > 0
  return new Set([...parseMap(owners)].filter(waits).map(([serviceId]) => serviceId))
}

const bucketNames = latencyBuckets.map((_, at) => `gpc${at}`)

/** One task has a server for each port and protocol that its service has had. */
const taskOf = (server: string): string => server.slice(0, server.indexOf("_"))

/** `show table`: a line of `name=value` for each key. */
function parseTable(text: string): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const found = new Map<string, ReadonlyMap<string, number>>()
  for (const line of text.split("\n")) {
    const fields = [...line.matchAll(/(\w+)=(\S+)/g)].map(
      ([, name = "", value = ""]) => [name, value] as const
    )
    const [[first, key] = ["", ""], ...rest] = fields
    if (first === "key") found.set(key, new Map(rest.map(([name, value]) => [name, Number(value)])))
  }
  return found
}

interface ServerStat {
  readonly backend: string
  readonly server: string
  readonly asked: number
  readonly inflight: number
  readonly statuses: ReadonlyArray<number>
}

const statusColumns = ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx"]

/** CSV with a line of names; none of these columns holds a comma. */
function parseStat(text: string): ReadonlyArray<ServerStat> {
  const [head = "", ...lines] = text.split("\n").filter((line) => line !== "")
  const names = head.replace(/^# /, "").split(",")
  const at = (name: string): number => names.indexOf(name)
  const [backend, server, asked, inflight] = [at("pxname"), at("svname"), at("stot"), at("scur")]
  const statuses = statusColumns.map(at)
  return lines.map((line) => {
    const fields = line.split(",")
    const number = (place: number): number => Number(fields[place] || 0)
    return {
      backend: fields[backend] ?? "",
      server: fields[server] ?? "",
      asked: number(asked),
      inflight: number(inflight),
      statuses: statuses.map(number)
    }
  })
}
