/** Reads `troupe.autoscale.*` off a service's labels, or says which label cannot be meant and what was expected. */
import { parseSchedule } from "#actors/autoscaler/parse-schedule.ts"
import {
  countsRequests,
  labelPrefix,
  type Metric,
  type Policy,
  type Target
} from "#actors/autoscaler/policy.ts"
import { httpRouteOf } from "#actors/model/http-route.ts"
import { isIngress, modeOf, protocolOf } from "#actors/model/service-facts.ts"
import type { PortConfig, ServiceSpec } from "#actors/model/spec.ts"

export interface Problem {
  readonly problem: string
}

/** More tasks than this are a slip of the finger. */
const mostReplicas = 100_000
const mostTargets = 16
const usual = { tolerance: 0.1, panicMs: 3_000, windowMs: 30_000, stabiliseMs: 300_000 } as const

const settings = ["min", "max", "tolerance", "panic", "window", "stabilise", "schedule", "timezone"] as const
const metrics = ["cpu", "memory", "connections", "rps", "inflight", "p95"] as const
const isSetting = (name: string): name is (typeof settings)[number] =>
  (settings as ReadonlyArray<string>).includes(name)
const isMetric = (name: string): name is (typeof metrics)[number] =>
  (metrics as ReadonlyArray<string>).includes(name)

/** Nothing where no label of the service asks for scaling. */
export function parsePolicy(spec: ServiceSpec): Policy | Problem | undefined {
  const asked = new Map<string, string>()
  for (const [label, value] of Object.entries(spec.Labels ?? {})) {
    if (label.startsWith(labelPrefix)) asked.set(label.slice(labelPrefix.length), value.trim())
  }
  const [first] = asked.keys()
  if (first === undefined) return undefined
  if (modeOf(spec) !== "replicated") {
    return about(first, asked.get(first), `a replicated service, this one is ${modeOf(spec)}`)
  }
  for (const [name, value] of asked) {
    if (!isSetting(name) && !isMetric(name) && !name.startsWith("nats:")) {
      const known = [...settings, ...metrics, "nats:<subject>"].map((one) => `${labelPrefix}${one}`)
      return { problem: `label ${labelPrefix}${name}: expected one of ${known.join(", ")}` }
    }
    if (value === "") return about(name, value, "a value")
  }
  return readAll(spec, asked)
}

function readAll(spec: ServiceSpec, asked: ReadonlyMap<string, string>): Policy | Problem {
  const targets: Array<Target> = []
  for (const [name, value] of asked) {
    if (isSetting(name)) continue
    if (isMetric(name) && countsRequests(name) && httpRouteOf(spec) === undefined) {
      return about(name, value, "label troupe.http.host beside it: the HTTP entrance alone counts requests")
    }
    const target = readTarget(spec, name, value)
    if ("problem" in target) return target
    targets.push(target)
  }
  if (targets.length > mostTargets) {
    return {
      problem: `labels ${labelPrefix}*: expected at most ${mostTargets} targets, found ${targets.length}`
    }
  }
  const schedule = readSchedule(asked)
  if ("problem" in schedule) return schedule
  if (targets.length + schedule.length === 0) {
    return {
      problem: `label ${labelPrefix}${[...asked.keys()][0]}: expected a target beside it, such as ${labelPrefix}cpu=70%`
    }
  }
  const bounds = readBounds(asked, schedule.length > 0 || targets.some((target) => canWake(spec, target)))
  if ("problem" in bounds) return bounds
  const late = schedule.find(({ replicas }) => replicas > bounds.max)
  if (late !== undefined) {
    return about("schedule", asked.get("schedule"), `no more than ${labelPrefix}max, which is ${bounds.max}`)
  }
  const times = readTimes(asked)
  if ("problem" in times) return times
  return { ...bounds, targets, schedule, ...times }
}

function readBounds(
  asked: ReadonlyMap<string, string>,
  wakes: boolean
): { min: number; max: number } | Problem {
  const least = asked.get("min") ?? "1"
  const most = asked.get("max")
  const min = readWhole(least, 0)
  if (min === undefined) return about("min", least, `a whole number up to ${mostReplicas}`)
  if (min === 0 && !wakes) {
    return about(
      "min",
      least,
      `at least 1, unless something can begin the first task: ${labelPrefix}rps or inflight, connections to a published TCP port, nats:<subject>, or a schedule`
    )
  }
  if (most === undefined)
    return { problem: `label ${labelPrefix}max: expected the most tasks there may be, found none` }
  const max = readWhole(most, 1)
  if (max === undefined) return about("max", most, `a whole number from 1 to ${mostReplicas}`)
  if (max < min) return about("max", most, `at least ${labelPrefix}min, which is ${min}`)
  return { min, max }
}

/** What is measured also of a service without tasks, and is nothing where there is nothing to do. */
function canWake(spec: ServiceSpec, { metric }: Target): boolean {
  if (metric === "connections") return (spec.EndpointSpec?.Ports ?? []).some(isTcpIngress)
  return metric === "nats" || metric === "rps" || metric === "inflight"
}

const isTcpIngress = (port: PortConfig): boolean => isIngress(port) && protocolOf(port) === "tcp"

type Times = Pick<Policy, "tolerance" | "panicMs" | "windowMs" | "stabiliseMs">

function readTimes(asked: ReadonlyMap<string, string>): Times | Problem {
  const times: { -readonly [Key in keyof Times]: Times[Key] } = { ...usual }
  const tolerance = asked.get("tolerance")
  if (tolerance !== undefined) {
    const share = readShare(tolerance)
    if (share === undefined || share > 0.9)
      return about("tolerance", tolerance, "a share up to 90%, such as 10%")
    times.tolerance = share
  }
  for (const [name, key, leastMs, mostMs] of [
    ["panic", "panicMs", 1_000, 60_000],
    ["window", "windowMs", 1_000, 600_000],
    ["stabilise", "stabiliseMs", 0, 3_600_000]
  ] as const) {
    const value = asked.get(name)
    if (value === undefined) continue
    const ms = readDuration(value)
    if (ms === undefined || ms < leastMs || ms > mostMs) {
      return about(name, value, `a time from ${leastMs / 1_000}s to ${mostMs / 1_000}s, such as 30s or 5m`)
    }
    times[key] = ms
  }
  if (times.windowMs < times.panicMs) {
    const name = asked.has("window") ? "window" : "panic"
    return about(name, asked.get(name), `${labelPrefix}window to be no shorter than ${labelPrefix}panic`)
  }
  return times
}

function readTarget(spec: ServiceSpec, name: string, value: string): Target | Problem {
  if (name.startsWith("nats:")) {
    const subject = name.slice("nats:".length)
    if (!isSubject(subject)) {
      return { problem: `label ${labelPrefix}${name}: expected a NATS subject without wildcards after nats:` }
    }
    const goal = readNumber(value)
    return goal === undefined
      ? about(name, value, "how much of it one task is for, more than 0")
      : { name, metric: "nats", goal }
  }
  const metric = name as Exclude<Metric, "nats">
  const goal = readGoal(spec, metric, value)
  return typeof goal === "string" ? about(name, value, goal) : { name, metric, goal }
}

/** Subjects of our own are not for others to scale by: who publishes there is not who they seem. */
const isSubject = (subject: string): boolean =>
  subject.length <= 200 &&
  !/^(\$|_INBOX\.|troupe\.)/.test(subject) &&
  subject.split(".").every((token) => /^[^\s*>]+$/.test(token))

/** The goal, or what was expected instead. */
function readGoal(spec: ServiceSpec, metric: Exclude<Metric, "nats">, value: string): number | string {
  const resources = spec.TaskTemplate?.Resources
  switch (metric) {
    case "cpu": {
      const share = readShare(value)
      if (share === undefined || share > 10)
        return "a share of what a task may use (its limit, else its reservation, else one core), such as 70%"
      const nanos = resources?.Limits?.NanoCPUs || resources?.Reservations?.NanoCPUs || 1e9
      return (share * nanos) / 1e9
    }
    case "memory": {
      const bytes = readBytes(value)
      if (bytes !== undefined) return bytes
      const share = readShare(value)
      if (share === undefined || share > 10)
        return "bytes such as 512m, or a share of a task's limit such as 80%"
      const most = resources?.Limits?.MemoryBytes || resources?.Reservations?.MemoryBytes || 0
      return most === 0
        ? "bytes such as 512m, because the service has neither a limit nor a reservation of memory"
        : share * most
    }
    case "p95":
      return readDuration(value) || "a time, such as 200ms or 1.5s"
    case "connections":
      return readNumber(value) ?? "how many new connections a second one task is for, more than 0"
    case "rps":
      return readNumber(value) ?? "how many requests a second one task is for, more than 0"
    case "inflight":
      return readNumber(value) ?? "how many requests at a time one task is for, more than 0"
  }
}

function readSchedule(asked: ReadonlyMap<string, string>): Policy["schedule"] | Problem {
  const value = asked.get("schedule")
  const timeZone = asked.get("timezone")
  if (value === undefined) {
    return timeZone === undefined ? [] : about("timezone", timeZone, `${labelPrefix}schedule beside it`)
  }
  const read = parseSchedule(value, timeZone ?? "UTC")
  if (!("expected" in read)) return read
  return about(read.at, read.at === "schedule" ? value : timeZone, read.expected)
}

const about = (name: string, value: string | undefined, expected: string): Problem => ({
  problem: `label ${labelPrefix}${name} ${JSON.stringify(value ?? "")}: expected ${expected}`
})

function readWhole(value: string, least: number): number | undefined {
  if (!/^\d{1,9}$/.test(value)) return undefined
  const number = Number(value)
  return number >= least && number <= mostReplicas ? number : undefined
}

function readNumber(value: string): number | undefined {
  if (!/^\d{1,12}(\.\d{1,6})?$/.test(value)) return undefined
  return Number(value) > 0 ? Number(value) : undefined
}

/** `70%` or `0.7`. */
function readShare(value: string): number | undefined {
  const match = /^(\d{1,4}(?:\.\d{1,4})?)(%?)$/.exec(value)
  if (match === null) return undefined
  const share = Number(match[1]) / (match[2] === "%" ? 100 : 1)
  return share > 0 ? share : undefined
}

const units: Readonly<Record<string, number>> = { b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }

function readBytes(value: string): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,4})?)([bkmgt])(?:i?b)?$/i.exec(value)
  if (match === null) return undefined
  const bytes = Math.floor(Number(match[1]) * (units[(match[2] ?? "").toLowerCase()] ?? 1))
  return bytes > 0 ? bytes : undefined
}

const durations: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** `1.5s`, in milliseconds. */
function readDuration(value: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(value)
  return match === null ? undefined : Number(match[1]) * (durations[match[2] ?? ""] ?? 1)
}
