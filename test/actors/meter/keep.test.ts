import { expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import { metricSubject, type NodeFigures, nodeMetrics, taskMetrics } from "#actors/meter/figures.ts"
import { keepHistory } from "#actors/meter/keep.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { eventually } from "#test/support/engine.ts"
import { Book } from "#test/support/ledger.ts"

test("a node is believed about itself, its clock and its own tasks, and a stranger about nothing", async () => {
  const book = new Book().cluster().node("n1").node("n2")
  book.service("web")
  const [mine = ""] = book.tasks("web", 1, { NodeID: "n1" })
  const host = makeLiveHost()
  const bus = new MemoryBus(host)
  const scope = Scope.makeUnsafe()
  const options = { cluster: "c", transport: bus.connect("m"), ledger: book.tables, host }
  const history = await Effect.runPromise(keepHistory(options).pipe(Scope.provide(scope)))
  const other = bus.connect("other")
  const say = (nodeId: string, cpu: number): void => {
    const figures: NodeFigures = {
      at: Date.now() + (nodeId === "n1" ? 3_600_000 : -60_000),
      columns: { node: nodeMetrics, task: taskMetrics },
      node: [cpu],
      tasks: { [mine]: [cpu] }
    }
    other.publish(metricSubject("c", nodeId), {}, new TextEncoder().encode(JSON.stringify(figures)))
  }
  const cpuOf = (kind: "node" | "task" | "service") =>
    [...history.latest(kind, host.now())].map(([id, { row }]) => [id, row[0]])
  say("n1", 0.5)
  say("n2", 9)
  say("stranger", 9)
  other.publish(metricSubject("c", "n1"), {}, new TextEncoder().encode("no figures"))
  await eventually(() => cpuOf("service").length > 0 && cpuOf("node").length > 1, "both nodes are heard")
  await Effect.runPromise(Scope.close(scope, Exit.void))
  expect(cpuOf("node")).toEqual([
    ["n1", 0.5],
    ["n2", 9]
  ])
  expect(cpuOf("task")).toEqual([[mine, 0.5]])
  expect(cpuOf("service")).toEqual([["web", 0.5]])
  const minutes = history
    .clocks(host.now())
    .map(({ nodeId, aheadMs }) => [nodeId, Math.round(aheadMs / 60_000)])
  expect(minutes).toEqual([
    ["n1", 60],
    ["n2", -1]
  ])
  expect(history.clocks(host.now() + 60_000)).toEqual([])
})
