/**
 * What the daemon and its data-plane process say to each other, one JSON object per line, over a unix socket.
 *
 * Read by hand rather than by Schema: the process stays on every node for good, and the library alone would
 * double its memory.
 */
import { isIP } from "node:net"
import { join } from "node:path"
import {
  listOf,
  parseObject,
  parsePortNumber,
  parseText,
  unexpected
} from "#actors/drivers/data-plane/parse.ts"
import type { PortProblem } from "#actors/drivers/data-plane.ts"
import type { Zone } from "#actors/network/names/zone.ts"
import type { Backend, PublishedPort } from "#actors/network/plan.ts"

/** Grows when the daemon needs another process than the one that may still run. */
export const protocolVersion = 3

export type Ask =
  | { readonly ask: "publish"; readonly ports: ReadonlyArray<PublishedPort> }
  | { readonly ask: "names"; readonly zones: ReadonlyArray<Zone> }
  | { readonly ask: "status" }
  | { readonly ask: "stop" }

/** Counters of one published port. `held` connections wait for a backend. */
export interface PortStatus {
  /** Absent from a process that an earlier version of the daemon has started. */
  readonly serviceId?: string
  readonly protocol: "tcp" | "udp"
  readonly publishedPort: number
  /** The address that it is open at, where that is one alone. */
  readonly host?: string
  readonly backends: number
  readonly accepted: number
  readonly live: number
  readonly held: number
  readonly problem?: string
}

/** Counters of the questions for names. */
export interface NamesStatus {
  readonly networks: number
  readonly answered: number
  readonly forwarded: number
  /** What keeps it from being asked. */
  readonly problems: ReadonlyArray<string>
}

export interface Status {
  readonly version: number
  readonly pid: number
  readonly ports: ReadonlyArray<PortStatus>
  readonly names: NamesStatus
}

export type Answer =
  | { readonly named: ReadonlyArray<string> }
  | { readonly problems: ReadonlyArray<PortProblem> }
  | { readonly status: Status }
  | { readonly stopped: true }
  | { readonly error: string }

export type Response = { readonly id: number } & Answer

/** Where the process keeps its last tables, who it is, and what it has to say. */
export const dataPlanePaths = (dataDir: string, runDir: string) => {
  const root = join(dataDir, "data-plane")
  return {
    root,
    table: join(root, "table.json"),
    names: join(root, "names.json"),
    process: join(root, "process.json"),
    log: join(root, "data-plane.log"),
    socket: join(runDir, "data-plane.sock")
  }
}
export type DataPlanePaths = ReturnType<typeof dataPlanePaths>

/** A table as it was sent or kept. Throws an error that names the field, the value and what is expected. */
export function parseTable(value: unknown): ReadonlyArray<PublishedPort> {
  if (!Array.isArray(value)) throw unexpected("ports", value, "a list")
  return value.map((port, i) => parsePort(port, `ports[${i}]`))
}

function parsePort(value: unknown, at: string): PublishedPort {
  const port = parseObject(value, at)
  const { protocol } = port
  if (protocol !== "tcp" && protocol !== "udp") {
    throw unexpected(`${at}.protocol`, protocol, '"tcp" or "udp"')
  }
  if (!Array.isArray(port.backends)) throw unexpected(`${at}.backends`, port.backends, "a list")
  return {
    serviceId: parseText(port.serviceId, `${at}.serviceId`),
    serviceName: parseText(port.serviceName, `${at}.serviceName`),
    protocol,
    publishedPort: parsePortNumber(port.publishedPort, `${at}.publishedPort`),
    targetPort: parsePortNumber(port.targetPort, `${at}.targetPort`),
    ...(port.only !== undefined && { only: listOf(port.only, `${at}.only`, parseSubnet) }),
    backends: port.backends.map((backend, i) => parseBackend(backend, `${at}.backends[${i}]`))
  }
}

function parseSubnet(value: unknown, at: string): string {
  const subnet = parseText(value, at)
  const [address = "", length = ""] = subnet.split("/")
  const most = isIP(address) === 6 ? 128 : 32
  if (isIP(address) === 0 || !/^\d{1,3}$/.test(length) || Number(length) > most) {
    throw unexpected(at, value, 'a subnet, like "192.168.1.0/24"')
  }
  return subnet
}

function parseBackend(value: unknown, at: string): Backend {
  const backend = parseObject(value, at)
  const address = parseText(backend.address, `${at}.address`)
  if (isIP(address) === 0) throw unexpected(`${at}.address`, address, "an IP address")
  return {
    taskId: parseText(backend.taskId, `${at}.taskId`),
    nodeId: parseText(backend.nodeId, `${at}.nodeId`),
    address
  }
}

/** Calls `take` with every whole line that arrives. */
export function eachLine(take: (line: string) => void): (chunk: string) => void {
  let rest = ""
  return (chunk) => {
    const lines = (rest + chunk).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) if (line !== "") take(line)
  }
}
