/** What the machine and its tasks use, from what they had used by two moments. */
import { expect, test } from "bun:test"
import type { Endpoint, Led } from "#actors/drivers/led.ts"
import type { MachineUse } from "#actors/drivers/machine/load.ts"
import { type EndpointFigures, nodeMetrics, usageMetrics } from "#actors/meter/figures.ts"
import { parseFigures } from "#actors/meter/parse-figures.ts"
import { connectionFigures, countOn, emptyTally } from "#actors/node/stats/connections.ts"
import { decide, start } from "#actors/node/stats/decide.ts"
import type { Reading, StatsAction, StatsMessage } from "#actors/node/stats/protocol.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

const moment = { now: 0, fresh: Fresh.from(1), self: address("n", "stats", "main") }
const counted = {
  rxBytes: 0,
  txBytes: 0,
  readBytes: 0,
  writtenBytes: 0,
  pids: 3,
  memoryBytes: 5,
  accepted: 0
}
const machineAt = (cpuNanos: number): MachineUse => ({
  ...counted,
  cpuNanos,
  cores: 2,
  memoryTotal: 100,
  load: 0.5,
  diskFree: 7,
  diskTotal: 8
})
const reading = (at: number, cpuNanos: number, more: Partial<Reading> = {}): StatsMessage => ({
  _tag: "Read",
  at,
  machine: machineAt(cpuNanos * 2),
  readings: [{ id: "t1", at, cpuNanos, ...counted, ...more }]
})
const measure = (scaled: boolean): StatsMessage => ({
  _tag: "Measure",
  session: "s",
  tasks: [{ id: "t1", container: "c1", pid: 7, scaled }],
  routed: new Set(),
  hosted: []
})

function after(...messages: ReadonlyArray<StatsMessage>) {
  let step = start(undefined, moment)
  for (const message of messages) step = decide(step.state, message, moment)
  return step.actions
}
const announced = (actions: ReadonlyArray<{ readonly _tag: string }>) =>
  actions.flatMap((action) =>
    action._tag === "SayFigures" ? [(action as StatsAction & { _tag: "SayFigures" }).figures] : []
  )
const told = (actions: ReadonlyArray<{ readonly _tag: string }>) =>
  actions.filter(({ _tag }) => _tag === "Tell")

test("cores are what was used over the time between two readings, and go to the leader's actor of this node", () => {
  expect(told(after(measure(true), reading(1_000, 5e9), { _tag: "ReadAgain" }, reading(3_000, 6e9)))).toEqual(
    [
      {
        _tag: "Tell",
        to: address("leader", "node", "n"),
        message: { _tag: "Used", session: "s", tasks: [{ id: "t1", cpu: 0.5, memory: 5, connections: 0 }] }
      }
    ] as never
  )
})

test("what tasks use whose services ask for nothing is announced, and not told to the leader", () => {
  const more = { rxBytes: 4_000, writtenBytes: 100, accepted: 20 }
  const actions = after(measure(false), reading(1_000, 5e9), reading(3_000, 6e9, more))
  expect(told(actions)).toEqual([])
  expect(announced(actions)).toEqual([
    {
      at: 3_000,
      columns: { node: nodeMetrics, task: usageMetrics },
      node: [1, 5, 0, 0, 0, 0, 3, 0, 2, 100, 0.5, 7, 8],
      tasks: { t1: [0.5, 5, 2_000, 0, 0, 50, 3, 10] }
    }
  ])
})

test("a first reading says nothing, and neither does that of a container which began anew", () => {
  const tasks = (...readings: ReadonlyArray<StatsMessage>) =>
    announced(after(measure(true), ...readings)).map((figures) => figures.tasks)
  expect(tasks(reading(1_000, 5e9))).toEqual([])
  expect(told(after(measure(true), reading(1_000, 5e9), reading(2_000, 1e9)))).toEqual([])
})

test("what cannot be known is announced as nothing, and read as unknown", () => {
  const [figures] = announced(
    after(measure(true), reading(1_000, 5e9), reading(2_000, 6e9, { rxBytes: Number.NaN, pids: Number.NaN }))
  )
  expect(figures?.tasks.t1).toEqual([1, 5, null, 0, 0, 0, null, 0])
  expect(parseFigures(JSON.stringify(figures))?.tasks.get("t1")).toEqual([
    1,
    5,
    Number.NaN,
    0,
    0,
    0,
    Number.NaN,
    0
  ])
})

test("the machine is read every second, with or without tasks, one reading at a time", () => {
  expect(after()).toMatchObject([{ _tag: "Later", key: "read", message: { _tag: "ReadAgain" } }] as never)
  expect(after({ _tag: "ReadAgain" })).toEqual([
    { _tag: "ReadNow", tasks: [], counting: false, leading: true, hosted: [] }
  ])
  expect(after(measure(true), { _tag: "ReadAgain" })).toMatchObject([
    { _tag: "ReadNow", tasks: [{ id: "t1" }] }
  ] as never)
  expect(after(measure(true))).toEqual([])
  expect(after({ _tag: "ReadAgain" }, reading(1_000, 1)).map(({ _tag }) => _tag)).toEqual(["Later"])
})

test("what was led is read every fifth time, and stands until then", () => {
  const readAgain: StatsMessage = { _tag: "ReadAgain" }
  const leading = Array.from({ length: 11 }, (_, before) =>
    after(...Array.from({ length: before + 1 }, () => readAgain)).map(
      (action) => action._tag === "ReadNow" && (action as StatsAction & { _tag: "ReadNow" }).leading
    )
  ).flat()
  expect(leading.flatMap((is, at) => (is ? [at] : []))).toEqual([0, 5, 10])
  const said = (at: number, count: number): StatsMessage => ({
    ...(reading(at, at * 1e6) as Extract<StatsMessage, { readonly _tag: "Read" }>),
    led: new Map([["kernel", led({ "tcp/8080": [port("web"), count] })]])
  })
  const [figures] = announced(
    after(said(1_000, 4), reading(2_000, 2e9), said(6_000, 14), reading(7_000, 7e9))
  )
  expect(figures?.connections?.ports.rows).toEqual([["web", "ingress", "tcp", 8080, 2, 10]])
})

const port = (serviceId: string, publishedPort = 8080): Endpoint => ({
  _tag: "Port",
  serviceId,
  protocol: "tcp",
  publishedPort
})
const vip: Endpoint = { _tag: "VirtualIp", serviceId: "web", networkId: "net1" }
/** What one who counts says: by counter, what that stands for and how far it is; nothing where it has not begun. */
const led = (counters: Record<string, readonly [Endpoint, (number | undefined)?]>): Led => ({
  counts: new Map(
    Object.entries(counters).flatMap(([counter, [, count]]) =>
      count === undefined ? [] : [[counter, count]]
    )
  ),
  endpoints: new Map(Object.entries(counters).map(([counter, [endpoint]]) => [counter, endpoint]))
})
type Said = Record<string, Led>
/** What is told of endpoints after these readings, which are two seconds apart. */
function tallied(...said: ReadonlyArray<Said>): ReadonlyArray<EndpointFigures> {
  let tally = emptyTally
  for (const [index, each] of said.entries()) {
    tally = countOn(tally, new Map(Object.entries(each)), index * 2_000)
  }
  return [...tally.endpoints.values()]
}

test("connections of an endpoint are what all its counters counted since they said something before", () => {
  const kernel = (web: number, other?: number): Led =>
    led({ "tcp/8080": [port("web"), web], "10.0.1.2": [vip, other], "fd00::2": [vip, other] })
  const dataPlane = (count: number): Led => led({ "tcp/8080 ": [port("web"), count] })
  expect(
    tallied(
      { kernel: kernel(1_000), dataPlane: dataPlane(7) },
      { kernel: kernel(1_004, 3), dataPlane: dataPlane(9) },
      { kernel: kernel(1_005, 3), dataPlane: dataPlane(9) }
    )
  ).toEqual([
    { endpoint: port("web"), rate: 0.5, total: 7 },
    { endpoint: vip, rate: 0, total: 6 }
  ])
})

test("a port in host mode is another endpoint than the same number in ingress mode, and is announced as such", () => {
  const hosted: Endpoint = { ...(port("web") as Endpoint & { _tag: "Port" }), mode: "host" }
  const at = (count: number): Said => ({
    kernel: led({ "tcp/8080": [port("web"), 1], "host tcp/8080": [hosted, count] })
  })
  expect(tallied(at(50), at(54))).toEqual([
    { endpoint: port("web"), rate: 0, total: 0 },
    { endpoint: hosted, rate: 2, total: 4 }
  ])
  let tally = emptyTally
  for (const [index, count] of [50, 54].entries())
    tally = countOn(tally, new Map(Object.entries(at(count))), index * 2_000)
  expect(connectionFigures(tally)?.ports.rows).toEqual([["web", "host", "tcp", 8080, 2, 4]])
})

test("the ports that the session names are asked for with what was led", () => {
  const hosted = [{ ...(port("web") as Endpoint & { _tag: "Port" }), mode: "host" as const }]
  const actions = after({ ...measure(false), hosted } as StatsMessage, { _tag: "ReadAgain" })
  expect(actions).toContainEqual(expect.objectContaining({ _tag: "ReadNow", leading: true, hosted }))
})

test("a counter that began anew counts from nothing, and one whose port is another service's from where it was", () => {
  const at = (owner: string, count: number): Said => ({ kernel: led({ "tcp/8080": [port(owner), count] }) })
  expect(tallied(at("web", 50), at("web", 60), at("web", 4))).toEqual([
    { endpoint: port("web"), rate: 2, total: 14 }
  ])
  expect(tallied(at("web", 50), at("web", 60), at("api", 62))).toEqual([
    { endpoint: port("api"), rate: 1, total: 2 }
  ])
})

test("who could not be asked loses nothing: what it says next is since it said something", () => {
  const at = (count: number): Said => ({ kernel: led({ "10.0.1.2": [vip, count] }) })
  expect(tallied(at(50), at(58), {})).toEqual([{ endpoint: vip, rate: 0, total: 8 }])
  expect(tallied(at(50), at(58), {}, at(66))).toEqual([{ endpoint: vip, rate: 2, total: 16 }])
})

test("endpoints are announced that were asked for at all, and read as they were said", () => {
  const figuresAfter = (...counts: ReadonlyArray<number>) =>
    announced(
      after(
        ...counts.map((count, index) => ({
          ...reading(index * 2_000, index * 1e9),
          led: new Map([
            [
              "kernel",
              led({
                "tcp/8080": [port("web"), count],
                "tcp/9090": [port("web", 9090)],
                "10.0.1.2": [vip, count * 2]
              })
            ]
          ])
        }))
      )
    )[0]
  expect(figuresAfter(3, 3)?.connections).toBeUndefined()
  const figures = figuresAfter(3, 4)
  expect(figures?.connections).toEqual({
    ports: {
      columns: ["service", "mode", "protocol", "port", "connections", "total"],
      rows: [["web", "ingress", "tcp", 8080, 0.5, 1]]
    },
    vips: { columns: ["service", "network", "connections", "total"], rows: [["web", "net1", 1, 2]] }
  })
  expect(parseFigures(JSON.stringify(figures))?.connections).toEqual([
    { endpoint: port("web"), rate: 0.5, total: 1 },
    { endpoint: vip, rate: 1, total: 2 }
  ])
})
