/** The labels of the autoscaler: what they come to, and how those are refused that cannot be meant. */
import { describe, expect, test } from "bun:test"
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { scheduledAt } from "#actors/autoscaler/parse-schedule.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

const read = (labels: Record<string, string>, rest: Partial<ServiceSpec> = {}) =>
  parsePolicy({
    ...rest,
    Labels: Object.fromEntries(
      Object.entries(labels).map(([name, value]) => [
        name.startsWith("http.") ? `troupe.${name}` : `troupe.autoscale.${name}`,
        value
      ])
    )
  })

test("a service without such labels is not scaled", () => {
  expect(parsePolicy({ Labels: { "troupe.exclusive": "true" } })).toBeUndefined()
})

test("what is not said is usual: at least 1, a tenth of tolerance, 3 s up, 5 minutes down", () => {
  expect(read({ max: "8", cpu: "70%" })).toEqual({
    min: 1,
    max: 8,
    targets: [{ name: "cpu", metric: "cpu", goal: 0.7 }],
    schedule: [],
    tolerance: 0.1,
    panicMs: 3_000,
    windowMs: 30_000,
    stabiliseMs: 300_000
  })
})

test("shares are of a task's limit, else of its reservation", () => {
  const limits = { NanoCPUs: 500_000_000, MemoryBytes: 200_000_000 }
  const goals = (resources: object) => {
    const policy = read({ max: "8", cpu: "50%", memory: "0.8" }, { TaskTemplate: { Resources: resources } })
    return policy !== undefined && "targets" in policy ? policy.targets.map(({ goal }) => goal) : policy
  }
  expect(goals({ Limits: limits })).toEqual([0.25, 160_000_000])
  expect(goals({ Reservations: limits })).toEqual([0.25, 160_000_000])
})

test("several targets, a schedule and every setting at once", () => {
  expect(
    read({
      min: "0",
      max: "20",
      memory: "512m",
      rps: "100",
      connections: "50.5",
      inflight: "10",
      p95: "1.5s",
      "nats:orders.waiting": "25",
      "http.host": "shop",
      schedule: "0 8 * * 1-5 => 10; 0 20 * * * => 2",
      timezone: "Europe/Berlin",
      tolerance: "20%",
      panic: "2s",
      window: "1m",
      stabilise: "0s"
    })
  ).toEqual({
    min: 0,
    max: 20,
    targets: [
      { name: "memory", metric: "memory", goal: 536_870_912 },
      { name: "rps", metric: "rps", goal: 100 },
      { name: "connections", metric: "connections", goal: 50.5 },
      { name: "inflight", metric: "inflight", goal: 10 },
      { name: "p95", metric: "p95", goal: 1_500 },
      { name: "nats:orders.waiting", metric: "nats", goal: 25 }
    ],
    schedule: [
      { pattern: "0 8 * * 1-5", timeZone: "Europe/Berlin", replicas: 10 },
      { pattern: "0 20 * * *", timeZone: "Europe/Berlin", replicas: 2 }
    ],
    tolerance: 0.2,
    panicMs: 2_000,
    windowMs: 60_000,
    stabiliseMs: 0
  })
})

describe("a label that cannot be meant is named, with its value and what is expected", () => {
  const refused: ReadonlyArray<readonly [Record<string, string>, string]> = [
    [{ max: "5", cpuu: "1" }, "label troupe.autoscale.cpuu: expected one of troupe.autoscale.min,"],
    [{ cpu: "70%" }, "label troupe.autoscale.max: expected the most tasks there may be, found none"],
    [{ max: "5" }, "label troupe.autoscale.max: expected a target beside it"],
    [
      { max: "2", min: "3", cpu: "1" },
      'label troupe.autoscale.max "2": expected at least troupe.autoscale.min, which is 3'
    ],
    [{ max: "0", cpu: "1" }, 'label troupe.autoscale.max "0": expected a whole number from 1 to 100000'],
    [{ max: "1e3", cpu: "1" }, 'label troupe.autoscale.max "1e3": expected a whole number'],
    [{ max: "5", min: "-1", cpu: "1" }, 'label troupe.autoscale.min "-1": expected a whole number'],
    [{ max: "5", min: "0", cpu: "1" }, 'label troupe.autoscale.min "0": expected at least 1, unless'],
    [{ max: "5", cpu: "fast" }, 'label troupe.autoscale.cpu "fast": expected a share'],
    [{ max: "5", cpu: "0%" }, 'label troupe.autoscale.cpu "0%": expected a share'],
    [{ max: "5", cpu: "" }, 'label troupe.autoscale.cpu "": expected a value'],
    [
      { max: "5", memory: "80%" },
      'label troupe.autoscale.memory "80%": expected bytes such as 512m, because'
    ],
    [{ max: "5", rps: "0" }, 'label troupe.autoscale.rps "0": expected how many requests'],
    [{ max: "5", p95: "200" }, 'label troupe.autoscale.p95 "200": expected a time'],
    [
      { max: "5", "nats:orders.>": "5" },
      "label troupe.autoscale.nats:orders.>: expected a NATS subject without wildcards"
    ],
    [
      { max: "5", "nats:troupe.v1.x": "5" },
      "label troupe.autoscale.nats:troupe.v1.x: expected a NATS subject"
    ],
    [
      { max: "5", schedule: "0 8 * * => 3" },
      'label troupe.autoscale.schedule "0 8 * * => 3": expected MINUTE HOUR'
    ],
    [{ max: "5", schedule: " ; ;" }, "expected MINUTE HOUR"],
    [{ max: "5", schedule: "0 8 * * * => 3;".repeat(33) }, "expected MINUTE HOUR"],
    [{ max: "5", schedule: "61 8 * * * => 3" }, '"61 8 * * *" never comes'],
    [{ max: "5", schedule: "0 0 30 2 * => 3" }, '"0 0 30 2 *" never comes'],
    [{ max: "5", schedule: "0 8 * * * => 6" }, "expected no more than troupe.autoscale.max, which is 5"],
    [
      { max: "5", schedule: "0 8 * * * => 3", timezone: "Mars/Base" },
      'label troupe.autoscale.timezone "Mars/Base": expected a time zone'
    ],
    [{ max: "5", cpu: "1", timezone: "UTC" }, "expected troupe.autoscale.schedule beside it"],
    [
      { max: "5", cpu: "1", tolerance: "95%" },
      'label troupe.autoscale.tolerance "95%": expected a share up to 90%'
    ],
    [
      { max: "5", cpu: "1", stabilise: "2h" },
      'label troupe.autoscale.stabilise "2h": expected a time from 0s to 3600s'
    ],
    [
      { max: "5", cpu: "1", window: "2s" },
      "expected troupe.autoscale.window to be no shorter than troupe.autoscale.panic"
    ]
  ]
  for (const [labels, words] of refused) {
    test(JSON.stringify(labels), () => {
      expect(read({ "http.host": "shop", ...labels })).toEqual({ problem: expect.stringContaining(words) })
    })
  }

  test("what only the HTTP entrance counts, of a service without a route", () => {
    for (const name of ["rps", "inflight", "p95"])
      expect(read({ max: "5", [name]: "100ms" })).toEqual({
        problem: `label troupe.autoscale.${name} "100ms": expected label troupe.http.host beside it: the HTTP entrance alone counts requests`
      })
  })

  test("no task at all, of a service whose first task nobody can begin", () => {
    const none = { min: "0", max: "5" }
    const ports = (mode: "ingress" | "host", protocol: "tcp" | "udp" = "tcp") => ({
      EndpointSpec: { Ports: [{ TargetPort: 80, Protocol: protocol, PublishMode: mode }] }
    })
    const isRead = (labels: Record<string, string>, rest: Partial<ServiceSpec> = {}): boolean => {
      const policy = read({ ...none, ...labels }, rest)
      return policy !== undefined && "min" in policy && policy.min === 0
    }
    expect(isRead({ rps: "5", "http.host": "shop" })).toBe(true)
    expect(isRead({ inflight: "5", cpu: "1", "http.host": "shop" })).toBe(true)
    expect(isRead({ connections: "5" }, ports("ingress"))).toBe(true)
    expect(isRead({ connections: "5" }, ports("host"))).toBe(false)
    expect(isRead({ connections: "5" }, ports("ingress", "udp"))).toBe(false)
    expect(isRead({ p95: "1s", "http.host": "shop" })).toBe(false)
    expect(isRead({ cpu: "1" }, ports("ingress"))).toBe(false)
  })

  test("a global service, and a job", () => {
    const problem = (mode: ServiceSpec["Mode"]) =>
      read({ max: "5", cpu: "1" }, mode === undefined ? {} : { Mode: mode })
    expect(problem({ Global: {} })).toEqual({
      problem: expect.stringContaining("a replicated service, this one is global")
    })
    expect(problem({ ReplicatedJob: {} })).toEqual({ problem: expect.stringContaining("replicated-job") })
  })
})

describe("a schedule", () => {
  const lines = [
    { pattern: "0 8 * * 1-5", timeZone: "Europe/Berlin", replicas: 10 },
    { pattern: "0 20 * * *", timeZone: "Europe/Berlin", replicas: 2 }
  ]
  const at = (iso: string) => scheduledAt(lines, Date.parse(iso))

  test("asks for what its last time asked for, from that very moment, in its own time zone", () => {
    expect(at("2026-11-27T06:59:59.999Z")).toEqual({ replicas: 2, until: Date.parse("2026-11-27T07:00:00Z") })
    expect(at("2026-11-27T07:00:00.000Z")).toEqual({
      replicas: 10,
      until: Date.parse("2026-11-27T19:00:00Z")
    })
    expect(at("2026-11-29T12:00:00.000Z").replicas).toBe(2)
  })

  test("follows the clocks that people set back and forth", () => {
    expect(at("2026-07-01T06:00:00.000Z").replicas).toBe(10)
    expect(at("2026-07-01T05:59:59.000Z").replicas).toBe(2)
  })
})
