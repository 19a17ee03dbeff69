/**
 * What an Engine can give a container and Swarm's API has no field for, asked for by labels of the container (Compose:
 * `labels` of a service; CLI: `--container-label`). They belong to the task's template, so that changing one replaces
 * tasks. The cluster has to allow each by name, because what they give reaches beyond the container.
 */
export const extras = ["devices", "gpus", "privileged", "shm_size"] as const
export type Extra = (typeof extras)[number]

const prefix = "troupe."
/** The cluster's own label that names what it allows, with commas between. */
export const allowLabel = "troupe.allow"

export const labelOf = (extra: Extra): string => `${prefix}${extra}`

/** As in the Engine's `HostConfig.Devices`. */
export interface Device {
  readonly PathOnHost: string
  readonly PathInContainer: string
  readonly CgroupPermissions: string
}

export interface AskedExtras {
  readonly devices?: ReadonlyArray<Device>
  /** How many; -1 is all. */
  readonly gpus?: number
  readonly privileged?: boolean
  /** Bytes. */
  readonly shm_size?: number
}

type Asked = { -readonly [Key in keyof AskedExtras]: AskedExtras[Key] }
type Labels = Readonly<Record<string, string>> | undefined

/** What the cluster's labels allow; words that are no extra's name mean nothing. */
export function allowedBy(clusterLabels: Labels): ReadonlyArray<Extra> {
  const words = (clusterLabels?.[allowLabel] ?? "").split(",").map((word) => word.trim())
  return extras.filter((extra) => words.includes(extra))
}

/** What the container's labels ask for, or what is wrong with the first that cannot be meant. */
export function askedExtras(labels: Labels): AskedExtras | { readonly problem: string } {
  const asked: Asked = {}
  for (const [label, value] of Object.entries(labels ?? {})) {
    if (!label.startsWith(prefix)) continue
    const extra = extras.find((one) => labelOf(one) === label)
    if (extra === undefined)
      return { problem: `label ${label}: expected one of ${extras.map(labelOf).join(", ")}` }
    const expected = readers[extra](value.trim(), asked)
    if (expected !== undefined)
      return { problem: `label ${label} ${JSON.stringify(value)}: expected ${expected}` }
  }
  return asked
}

/** Each takes its value over, or returns what it expected instead. */
const readers: Readonly<Record<Extra, (value: string, asked: Asked) => string | undefined>> = {
  devices: (value, asked) => {
    const devices: Array<Device> = []
    for (const entry of value.split(",")) {
      const device = readDevice(entry.trim())
      if (device === undefined)
        return "HOST[:CONTAINER[:rwm]] with absolute paths, and commas between several"
      devices.push(device)
    }
    asked.devices = devices
    return undefined
  },
  gpus: (value, asked) => {
    if (value !== "all" && !/^[1-9]\d{0,3}$/.test(value)) return "all, or how many"
    asked.gpus = value === "all" ? -1 : Number(value)
    return undefined
  },
  privileged: (value, asked) => {
    if (value !== "true" && value !== "false") return "true or false"
    asked.privileged = value === "true"
    return undefined
  },
  shm_size: (value, asked) => {
    const bytes = readBytes(value)
    if (bytes === undefined || bytes <= 0) return "bytes, or a number with k, m or g behind it"
    asked.shm_size = bytes
    return undefined
  }
}

// docker run --device
function readDevice(entry: string): Device | undefined {
  const parts = entry.split(":")
  const [host = "", container = host, permissions = "rwm"] = parts
  const isSound = parts.length <= 3 && host.startsWith("/") && container.startsWith("/")
  if (!isSound || !/^(?!.*(.).*\1)[rwm]{1,3}$/.test(permissions)) return undefined
  return { PathOnHost: host, PathInContainer: container, CgroupPermissions: permissions }
}

const units: Readonly<Record<string, number>> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }

// Compose Specification, "Specifying byte values"
function readBytes(value: string): number | undefined {
  const match = /^(\d+)(?:([bkmg])b?)?$/i.exec(value)
  if (match === null) return undefined
  const bytes = Number(match[1]) * (units[(match[2] ?? "").toLowerCase()] ?? 1)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
