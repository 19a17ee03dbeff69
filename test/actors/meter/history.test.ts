import { expect, test } from "bun:test"
import { clusterMetrics } from "#actors/meter/families.ts"
import { metricsOf, nodeMetrics, requestColumns, usageMetrics } from "#actors/meter/figures.ts"
import { History } from "#actors/meter/history.ts"
import { parseFigures } from "#actors/meter/parse-figures.ts"
import { Ring } from "#actors/meter/ring.ts"
import type { Sample } from "#runtime/openmetrics.ts"
import { Book } from "#test/support/ledger.ts"

test("a ring keeps the newest rows at their times, whatever it had to grow by and however it was gone round", () => {
  for (const most of [5, 64, 100, 900]) {
    const ring = new Ring(1_000, most, 2)
    const kept = new Map<number, number>()
    let step = 1_000
    for (let round = 0; round < 2_500; round++) {
      // Some seconds are never told.
      if (round % 7 !== 3) {
        ring.put(step * 1_000 + (round % 1_000), [round, -round])
        kept.set(step, round)
      }
      step += 1
    }
    const newest = Math.max(...kept.keys())
    const { times, values } = ring.since(0, [1, 0])
    expect(times.length).toBe(most)
    expect(times.at(-1)).toBe(newest * 1_000)
    times.forEach((at, index) => {
      const value = kept.get(at / 1_000) ?? Number.NaN
      expect([values[1]?.[index], values[0]?.[index]]).toEqual([value, -value])
    })
  }
})

test("a ring loses nothing when it grows", () => {
  const ring = new Ring(1_000, 900, 1)
  for (let step = 1_000; step < 1_700; step++) ring.put(step * 1_000, [step])
  const { times, values } = ring.since(0, [0])
  expect(times.length).toBe(700)
  expect(values[0]).toEqual(times.map((at) => at / 1_000))
})

test("a ring that was silent for longer than it keeps begins anew, and takes nothing that is too old", () => {
  const ring = new Ring(1_000, 10, 1)
  ring.put(1_000, [1])
  ring.put(100_000, [2])
  ring.put(50_000, [3])
  expect(ring.since(0, [0])).toEqual({ times: [100_000], values: [[2]] })
  ring.put(102_000, [4])
  expect(ring.since(0, [0])).toEqual({ times: [100_000, 101_000, 102_000], values: [[2, Number.NaN, 4]] })
  expect(ring.since(101_500, [0]).times).toEqual([102_000])
})

const node = nodeMetrics.map(() => 1)
const row = (cpu: number, memory = 10): ReadonlyArray<number> =>
  usageMetrics.map((_, at) => [cpu, memory, 0, 0, 0, 0][at] ?? Number.NaN)
const web = (nodeId: string) => () => ({ serviceId: "web", nodeId })

function take(
  history: History,
  nodeId: string,
  now: number,
  tasks: Record<string, ReadonlyArray<number>>
): void {
  history.take(nodeId, { node, tasks: new Map(Object.entries(tasks)) }, now, web(nodeId))
}

test("a service's figures are the sums over its tasks on all nodes, of those that were heard of lately", () => {
  const history = new History()
  take(history, "n1", 1_000, { a: row(0.5), b: row(1) })
  take(history, "n2", 1_000, { c: row(0.25) })
  history.gather(1_500)
  take(history, "n2", 9_000, { c: row(2) })
  history.gather(9_000)
  const course = history.course({
    kind: "service",
    id: "web",
    metrics: ["cpu", "tasks", "pids"],
    since: 1_000,
    now: 9_000
  })
  expect(course?.stepMs).toBe(1_000)
  expect(course?.times.at(0)).toBe(1_000)
  expect(course?.values.map((values) => values.at(0))).toEqual([1.75, 3, Number.NaN])
  expect(course?.values.map((values) => values.at(-1))).toEqual([2, 1, Number.NaN])
})

test("what entrances of all nodes were asked is a service's and its tasks', and unknown where none leads to it", () => {
  const history = new History()
  const asked = (rps: number) => requestColumns.map((name) => (name === "rps" ? rps : name === "5xx" ? 1 : 0))
  const said = (
    now: number,
    nodeId: string,
    services: Record<string, number>,
    tasks: Record<string, number>
  ) =>
    history.take(
      nodeId,
      {
        node: [],
        tasks: new Map(nodeId === "n1" ? [["a", row(1)]] : []),
        entrance: {
          services: new Map(Object.entries(services).map(([id, rps]) => [id, asked(rps)])),
          tasks: new Map(Object.entries(tasks).map(([id, rps]) => [id, asked(rps)]))
        }
      },
      now,
      web(nodeId)
    )
  said(1_000, "n2", { web: 30, idle: 0 }, { a: 30 })
  said(1_000, "n1", { web: 12 }, {})
  history.gather(1_000)
  const figures = (kind: "service" | "task", id: string, now = 1_000) => {
    const latest = history.latest(kind, now).get(id)?.row ?? []
    return ["rps", "errors"].map((name) => latest[(metricsOf[kind] as ReadonlyArray<string>).indexOf(name)])
  }
  expect(figures("service", "web")).toEqual([42, 2])
  expect(figures("service", "idle")).toEqual([0, 1])
  expect(history.latest("service", 1_000).get("idle")?.row.at(-1)).toBe(0)
  expect(figures("task", "a")).toEqual([30, 1])
  // The node that was not heard of since asks nothing any more.
  said(8_000, "n1", { web: 5 }, {})
  history.gather(8_000)
  expect(figures("service", "web", 8_000)).toEqual([5, 1])
  take(history, "n1", 20_000, { a: row(1) })
  history.gather(20_000)
  expect(figures("service", "web", 20_000)).toEqual([Number.NaN, Number.NaN])
})

test("what an entrance says is read by the names of its columns, and told to monitoring in seconds", () => {
  const said = {
    columns: { node: [], task: [] },
    node: [],
    tasks: {},
    entrance: {
      columns: ["le100", "later", "rps"],
      services: { web: [20, 9, 20] },
      tasks: { a: [20, 9, 20] }
    }
  }
  const read = parseFigures(JSON.stringify(said))
  expect(read?.entrance?.tasks.get("a")?.[requestColumns.indexOf("rps")]).toBe(20)
  const history = new History()
  if (read !== undefined) history.take("n1", read, 1_000, web("n1"))
  history.gather(1_000)
  const told = clusterMetrics(new Book().cluster().tables, history, 1_000)
  const of = (name: string) =>
    told.find((family) => family.name === name)?.samples.map((sample) => (sample as Sample).value)
  expect(of("troupe_service_request_rate")).toEqual([20])
  // All are answered within 70 to 100 ms.
  expect(of("troupe_service_request_p95_seconds")).toEqual([expect.closeTo(0.0985)])
  for (const spoilt of [{ columns: 1 }, { columns: [], services: { web: 1 }, tasks: {} }])
    expect(parseFigures(JSON.stringify({ ...said, entrance: spoilt }))).toBeUndefined()
})

test("connections are read by the names of their columns, of the modes that are known, and whole", () => {
  const vips = {
    columns: ["total", "later", "network", "service", "connections"],
    rows: [[9, 0, "net1", "web", 2]]
  }
  const columns = ["service", "mode", "protocol", "port", "connections", "total"]
  const rows = [
    ["web", "later", "tcp", 80, 1, 1],
    ["web", "host", "tcp", 81, 0, 3],
    ["web", "ingress", "udp", 53, 1, 5]
  ]
  const readOf = (connections: unknown) =>
    parseFigures(JSON.stringify({ columns: { node: [], task: [] }, node: [], tasks: {}, connections }))
  expect(readOf({ ports: { columns, rows }, vips })?.connections).toEqual([
    {
      endpoint: { _tag: "Port", serviceId: "web", mode: "host", protocol: "tcp", publishedPort: 81 },
      rate: 0,
      total: 3
    },
    { endpoint: { _tag: "Port", serviceId: "web", protocol: "udp", publishedPort: 53 }, rate: 1, total: 5 },
    { endpoint: { _tag: "VirtualIp", serviceId: "web", networkId: "net1" }, rate: 2, total: 9 }
  ])
  for (const ports of [
    undefined,
    { columns, rows: [1] },
    { columns: ["mode", "protocol"], rows: [["ingress", "tcp"]] }
  ])
    expect(readOf({ ports, vips })).toBeUndefined()
})

test("connections are told to monitoring by endpoint and node, while the node is heard of and the service has the endpoint", () => {
  const book = new Book().cluster().node("n1").node("n2").network("net1", "front")
  const service = book.service("web", {
    Name: "shop",
    EndpointSpec: {
      Ports: [
        { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 },
        { Protocol: "tcp", TargetPort: 81, PublishedPort: 8081, PublishMode: "host" }
      ]
    }
  })
  book.must({
    type: "service.allot",
    v: 1,
    services: [{ id: service.ID, endpoint: { VirtualIPs: [{ NetworkID: "net1", Addr: "10.0.1.2/24" }] } }]
  })
  const history = new History()
  const say = (nodeId: string, now: number, ports: ReadonlyArray<number>, networks: ReadonlyArray<string>) =>
    history.take(
      nodeId,
      {
        node,
        tasks: new Map(),
        connections: [
          ...ports.map((publishedPort) => ({
            endpoint: {
              ...({ _tag: "Port", serviceId: "web", protocol: "tcp", publishedPort } as const),
              ...(publishedPort === 8081 && { mode: "host" as const })
            },
            rate: 1,
            total: now + publishedPort
          })),
          ...networks.map((networkId) => ({
            endpoint: { _tag: "VirtualIp", serviceId: "web", networkId } as const,
            rate: 1,
            total: now
          }))
        ]
      },
      now,
      web(nodeId)
    )
  say("n1", 1_000, [8080, 8081, 9090], ["net1", "net2"])
  say("n2", 2_000, [8080], [])
  const told = (name: string, now: number) =>
    clusterMetrics(book.tables, history, now).find((family) => family.name === name)?.samples as
      | ReadonlyArray<Sample>
      | undefined
  const whose = { service: "shop", service_id: "web" }
  const port = { ...whose, mode: "ingress", protocol: "tcp", port: "8080" }
  expect(told("troupe_service_port_connections", 2_000)).toEqual([
    { labels: { ...port, node: "n1", node_id: "n1" }, value: 9_080 },
    { labels: { ...port, mode: "host", port: "8081", node: "n1", node_id: "n1" }, value: 9_081 },
    { labels: { ...port, node: "n2", node_id: "n2" }, value: 10_080 }
  ])
  expect(told("troupe_service_vip_connections", 2_000)).toEqual([
    { labels: { ...whose, node: "n1", node_id: "n1", network: "front", network_id: "net1" }, value: 1_000 }
  ])
  expect(told("troupe_service_port_connections", 6_500)).toHaveLength(1)
})

test("minutes are the means of their seconds, the one under way included", () => {
  const history = new History()
  for (let second = 0; second < 90; second++)
    take(history, "n", second * 1_000, { a: row(second < 60 ? second : 7) })
  const course = history.course({ kind: "task", id: "a", metrics: ["cpu"], since: 0, now: 1e9 })
  expect(course).toEqual({ stepMs: 60_000, times: [0, 60_000], values: [[29.5, 7]] })
})

test("a node is not believed about tasks that are not its own", () => {
  const history = new History()
  history.take("n1", { node, tasks: new Map([["theirs", row(1)]]) }, 1_000, () => undefined)
  expect([...history.latest("task", 1_000).keys()]).toEqual([])
  expect([...history.latest("node", 1_000).keys()]).toEqual(["n1"])
  expect(history.latest("node", 60_000).size).toBe(0)
})

test("more tasks than there is room for count in their service, and one that ended makes room", () => {
  const history = new History()
  const many = Object.fromEntries(Array.from({ length: 1_200 }, (_, index) => [`t${index}`, row(1)]))
  take(history, "n", 1_000, many)
  const full = history.bytes
  history.gather(1_000)
  expect(history.latest("service", 1_000).get("web")?.row.at(-1)).toBe(1_200)
  expect(history.latest("service", 1_000).get("web")?.row[0]).toBe(1_200)
  const course = (id: string) => history.course({ kind: "task", id, metrics: ["cpu"], since: 0, now: 1_000 })
  expect([course("t0") !== undefined, course("t1199") !== undefined]).toEqual([true, false])
  take(history, "n", 20_000, { fresh: row(1) })
  expect(history.course({ kind: "task", id: "fresh", metrics: ["cpu"], since: 0, now: 20_000 })).toBeDefined()
  expect(history.bytes).toBeLessThan(full + 20_000)
  history.forget(20_000 + 2 * 3_600_000)
  expect(
    history.course({ kind: "task", id: "fresh", metrics: ["cpu"], since: 0, now: 20_000 })
  ).toBeUndefined()
})

test("a day of a task takes what its limit was reckoned with", () => {
  const history = new History()
  for (let minute = 0; minute < 1_500; minute++) take(history, "n", minute * 60_000, { a: row(1) })
  for (let second = 0; second < 1_000; second++)
    take(history, "n", 1_500 * 60_000 + second * 1_000, { a: row(1) })
  const bytesOfRow = 4 * (metricsOf.task.length + metricsOf.node.length)
  expect(history.bytes).toBe(bytesOfRow * (900 + 1_440))
})

test("columns of another version are found by their names, and what is no figures is none", () => {
  const said = {
    at: 1,
    columns: { node: ["later", "cpu"], task: ["memory", "later", "cpu"] },
    node: [9, 2],
    tasks: { a: [5, 9, null] }
  }
  const read = parseFigures(JSON.stringify(said))
  expect(read?.node[0]).toBe(2)
  expect(read?.node[1]).toBeNaN()
  expect(read?.tasks.get("a")).toEqual([Number.NaN, 5, ...usageMetrics.slice(2).map(() => Number.NaN)])
  for (const text of [
    "",
    "[]",
    "{}",
    '{"columns":{},"tasks":{}}',
    JSON.stringify({ ...said, tasks: { a: 1 } })
  ])
    expect(parseFigures(text)).toBeUndefined()
})
