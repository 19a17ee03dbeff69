/**
 * Reads what a node says of its last second. By hand, and not by a schema: managers read it from every node every
 * second, and a row of numbers is checked in passing.
 */
import {
  type EndpointFigures,
  nodeMetrics,
  portColumns,
  requestColumns,
  usageMetrics,
  vipColumns
} from "#actors/meter/figures.ts"

export interface ReadFigures {
  /** What its clock showed, milliseconds since the epoch. */
  readonly at?: number
  /** In the order of `nodeMetrics`; NaN is what is not known. */
  readonly node: ReadonlyArray<number>
  /** By task id, in the order of `usageMetrics`. */
  readonly tasks: ReadonlyMap<string, ReadonlyArray<number>>
  /** What its HTTP entrance saw, by service and by task, in the order of `requestColumns`. */
  readonly entrance?: {
    readonly services: ReadonlyMap<string, ReadonlyArray<number>>
    readonly tasks: ReadonlyMap<string, ReadonlyArray<number>>
  }
  /** What it led to tasks. */
  readonly connections?: ReadonlyArray<EndpointFigures>
}

/** Nothing where it is not what a node says. Columns that we do not know are left out, those that miss are unknown. */
export function parseFigures(text: string): ReadFigures | undefined {
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(read) || !isRecord(read.columns) || !isRecord(read.tasks)) return undefined
  const ofNode = placesOf(read.columns.node, nodeMetrics)
  const ofTask = placesOf(read.columns.task, usageMetrics)
  if (ofNode === undefined || ofTask === undefined || !Array.isArray(read.node)) return undefined
  const tasks = rowsOf(read.tasks, ofTask)
  if (tasks === undefined) return undefined
  const connections = isRecord(read.connections) ? readConnections(read.connections) : []
  if (connections === undefined) return undefined
  const usage = {
    node: pick(read.node, ofNode),
    tasks,
    ...(isNumber(read.at) && { at: read.at }),
    ...(connections.length > 0 && { connections })
  }
  const { entrance } = read
  if (!isRecord(entrance)) return usage
  const ofRequests = placesOf(entrance.columns, requestColumns)
  if (ofRequests === undefined) return undefined
  const [services, served] = [rowsOf(entrance.services, ofRequests), rowsOf(entrance.tasks, ofRequests)]
  if (services === undefined || served === undefined) return undefined
  return { ...usage, entrance: { services, tasks: served } }
}

function rowsOf(
  value: unknown,
  places: ReadonlyArray<number>
): ReadonlyMap<string, ReadonlyArray<number>> | undefined {
  if (!isRecord(value)) return undefined
  const rows = new Map<string, ReadonlyArray<number>>()
  for (const [id, row] of Object.entries(value)) {
    if (!Array.isArray(row)) return undefined
    rows.set(id, pick(row, places))
  }
  return rows
}

/** Rows of modes and protocols that we do not know are left out. */
function readConnections({
  ports,
  vips
}: Record<string, unknown>): ReadonlyArray<EndpointFigures> | undefined {
  const [asPorts, asVips] = [tableOf(ports, portColumns), tableOf(vips, vipColumns)]
  if (asPorts === undefined || asVips === undefined) return undefined
  const found: Array<EndpointFigures> = []
  for (const [serviceId, mode, protocol, publishedPort, rate, total] of asPorts) {
    if ((mode !== "ingress" && mode !== "host") || (protocol !== "tcp" && protocol !== "udp")) continue
    if (!isText(serviceId) || !isNumber(publishedPort) || !isNumber(rate) || !isNumber(total))
      return undefined
    const port = { _tag: "Port", serviceId, protocol, publishedPort } as const
    found.push({ endpoint: mode === "host" ? { ...port, mode } : port, rate, total })
  }
  for (const [serviceId, networkId, rate, total] of asVips) {
    if (!isText(serviceId) || !isText(networkId) || !isNumber(rate) || !isNumber(total)) return undefined
    found.push({ endpoint: { _tag: "VirtualIp", serviceId, networkId }, rate, total })
  }
  return found
}

/** Its rows, in the order of `ours`. */
function tableOf(
  table: unknown,
  ours: ReadonlyArray<string>
): ReadonlyArray<ReadonlyArray<unknown>> | undefined {
  if (!isRecord(table) || !Array.isArray(table.rows) || !table.rows.every(Array.isArray)) return undefined
  const places = placesOf(table.columns, ours)
  return places && table.rows.map((row: ReadonlyArray<unknown>) => places.map((place) => row[place]))
}

const isText = (value: unknown): value is string => typeof value === "string"
const isNumber = (value: unknown): value is number => typeof value === "number"
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null

/** Where in a row each of ours is; -1 where it is not. */
const placesOf = (columns: unknown, ours: ReadonlyArray<string>): ReadonlyArray<number> | undefined =>
  Array.isArray(columns) ? ours.map((name) => columns.indexOf(name)) : undefined

const pick = (row: ReadonlyArray<unknown>, places: ReadonlyArray<number>): ReadonlyArray<number> =>
  places.map((place) => {
    const value = row[place]
    return typeof value === "number" ? value : Number.NaN
  })
