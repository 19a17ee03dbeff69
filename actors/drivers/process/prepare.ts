/**
 * A container request as a command of this machine, or the first thing in it that a process cannot have.
 *
 * Only the image `host` is run here. Any other name promises programs, libraries and walls that are not there, and
 * `service create alpine rm -rf /data` must never reach this machine's own /data because a node had no Engine.
 */

import type { ContainerRequest } from "#actors/drivers/executor.ts"
import { parseSize } from "#actors/drivers/process/parse-size.ts"
import type { Command } from "#actors/drivers/process/records.ts"

export type Prepared =
  | {
      readonly command: Omit<Command, "uid" | "gid">
      readonly user: string
      readonly stopSignal: string
    }
  /** What is asked for and cannot be had, as a whole sentence. */
  | { readonly refusal: string }

const hostImage = /^(docker\.io\/)?(library\/)?host(:latest)?$/

/** Nothing, or why this image cannot be run here. */
export const refuseImage = (image: string): string | undefined =>
  hostImage.test(image)
    ? undefined
    : `No such image: ${image} (this node runs processes without an Engine; its one image is "host", this machine's own programs)`

/** Fields that a process has too, that say nothing, or whose promise the scheduler already keeps. */
const known = new Set([
  "Image",
  "Labels",
  "HostConfig",
  "Networks",
  "NetworkingConfig",
  "Cmd",
  "Entrypoint",
  "Env",
  "WorkingDir",
  "User",
  "StopSignal",
  "StopTimeout",
  "AttachStdin",
  "AttachStdout",
  "AttachStderr",
  "ArgsEscaped",
  "ExposedPorts",
  // A process has no host name of its own to be given; scripts that ask get the machine's.
  "Hostname"
])
const knownOfHost = new Set([
  "Init",
  "AutoRemove",
  "MemoryReservation",
  "LogConfig",
  "Isolation",
  "RestartPolicy",
  "NetworkMode"
])

/** Go sends zero values for what was not asked for. */
const says = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  value !== "" &&
  value !== 0 &&
  value !== false &&
  !(typeof value === "object" && Object.values(value).every((part) => !says(part)))

const list = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : Array.isArray(value) ? value.map(String) : []
const text = (value: unknown): string => (typeof value === "string" ? value : "")

export function prepare(request: ContainerRequest): Prepared {
  const imageRefusal = refuseImage(request.Image)
  if (imageRefusal !== undefined) return { refusal: imageRefusal }
  if (request.Networks.length > 0) {
    return cannot("Networks", "a process uses this machine's own network; leave the service without networks")
  }
  const { Healthcheck } = request
  const test = list((Healthcheck as { Test?: unknown } | undefined)?.Test)
  if (test.length > 0 && test[0] !== "NONE") return cannot("Healthcheck", "processes are not probed")
  for (const [field, value] of Object.entries(request)) {
    if (!known.has(field) && field !== "Healthcheck" && says(value))
      return cannot(field, "a process has none")
  }
  for (const [field, value] of Object.entries(request.HostConfig)) {
    if (!knownOfHost.has(field) && says(value)) return cannot(`HostConfig.${field}`, "a process has none")
  }
  const network = text(request.HostConfig.NetworkMode)
  if (!["", "default", "host"].includes(network)) {
    return cannot("HostConfig.NetworkMode", `${network} was asked for; a process has "host"`)
  }
  const log = logLimits(request.HostConfig.LogConfig)
  if ("refusal" in log) return log

  const words = [...list(request.Entrypoint), ...list(request.Cmd)]
  if (words.length === 0)
    return { refusal: "Cmd: expected a command, because the image host has none of its own" }
  const environment: Record<string, string> = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  }
  for (const entry of list(request.Env)) {
    const at = entry.indexOf("=")
    // `KEY` alone takes a variable away, as in the Engine.
    if (at < 0) delete environment[entry]
    else environment[entry.slice(0, at)] = entry.slice(at + 1)
  }
  return {
    command: { words, environment, directory: text(request.WorkingDir) || "/", log: log.limits },
    user: text(request.User),
    stopSignal: text(request.StopSignal) || "SIGTERM"
  }
}

const defaultLimits = { maxBytes: 10 * 1024 * 1024, maxFiles: 3 }

function logLimits(config: unknown): { limits: Command["log"] } | { refusal: string } {
  const { Type, Config } = (config ?? {}) as { Type?: unknown; Config?: Record<string, unknown> | null }
  const driver = text(Type)
  if (driver === "none") return { limits: "none" }
  if (!["", "json-file", "local"].includes(driver)) {
    return cannot(
      "HostConfig.LogConfig.Type",
      `${driver} was asked for; a process has json-file, local or none`
    )
  }
  const size = text(Config?.["max-size"])
  const files = text(Config?.["max-file"])
  const maxBytes = size === "" ? defaultLimits.maxBytes : parseSize(size)
  const maxFiles = files === "" ? defaultLimits.maxFiles : Number(files)
  if (maxBytes === undefined || maxBytes < 1) {
    return { refusal: `log option max-size ${JSON.stringify(size)}: expected a size such as 10m` }
  }
  if (!Number.isInteger(maxFiles) || maxFiles < 1) {
    return { refusal: `log option max-file ${JSON.stringify(files)}: expected a whole number from 1` }
  }
  return { limits: { maxBytes, maxFiles } }
}

const cannot = (field: string, why: string): { refusal: string } => ({
  refusal: `${field}: not possible on a node that runs processes (${why})`
})
