/** The scheduler against one that is too simple to be wrong, on clusters made at random. */
import { expect, test } from "bun:test"
import fc from "fast-check"
import type { Task } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { toIso } from "#actors/model/time.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { rules, sayings } from "#actors/scheduler/filter.ts"
import { place } from "#actors/scheduler/place.ts"
import { Queue, queue } from "#actors/scheduler/queue.ts"
import { Rooms, rooms } from "#actors/scheduler/rooms.ts"
import { Book } from "#test/support/ledger.ts"
import { choose, counted, refusal } from "#test/support/naive-scheduler.ts"

const node = fc.record({
  cpus: fc.integer({ min: 1, max: 4 }),
  memory: fc.integer({ min: 1, max: 4 }),
  gpus: fc.integer({ min: 0, max: 3 }),
  named: fc.boolean(),
  os: fc.constantFrom("linux", "linux", "windows"),
  state: fc.constantFrom("ready" as const, "ready" as const, "ready" as const, "down" as const),
  availability: fc.constantFrom("active" as const, "active" as const, "active" as const, "pause" as const),
  labels: fc.record(
    { zone: fc.constantFrom("a", "b"), rack: fc.constantFrom("1", "2", "3") },
    { requiredKeys: [] }
  )
})
type MadeNode = typeof node extends fc.Arbitrary<infer T> ? T : never

const service = fc.record({
  tasks: fc.integer({ min: 1, max: 9 }),
  cpus: fc.integer({ min: 0, max: 2 }),
  memory: fc.integer({ min: 0, max: 1 }),
  gpus: fc.constantFrom(0, 0, 0, 1, 2),
  most: fc.constantFrom(0, 0, 1, 2),
  port: fc.constantFrom(0, 0, 0, 80, 81),
  os: fc.constantFrom("", "", "linux"),
  constraint: fc.constantFrom("", "", "node.labels.zone == a", "node.labels.zone != a"),
  spread: fc.constantFrom([], [], ["zone"], ["rack", "zone"])
})
type MadeService = typeof service extends fc.Arbitrary<infer T> ? T : never

function describe(made: MadeNode, id: string) {
  const GenericResources = made.named
    ? Array.from({ length: made.gpus }, (_, at) => ({ NamedResourceSpec: { Kind: "gpu", Value: `g${at}` } }))
    : [{ DiscreteResourceSpec: { Kind: "gpu", Value: made.gpus } }]
  return {
    Spec: {
      Role: "worker" as const,
      Availability: made.availability,
      Labels: made.labels as Record<string, string>
    },
    Status: { State: made.state },
    Description: {
      Hostname: id,
      Platform: { OS: made.os, Architecture: "x86_64" },
      Resources: { NanoCPUs: made.cpus, MemoryBytes: made.memory, GenericResources },
      Engine: { EngineVersion: "1" }
    }
  }
}

const specified = (made: MadeService): ServiceSpec => ({
  EndpointSpec: {
    Ports: made.port === 0 ? [] : [{ TargetPort: 1, PublishedPort: made.port, PublishMode: "host" }]
  },
  TaskTemplate: {
    Resources: {
      Reservations: {
        NanoCPUs: made.cpus,
        MemoryBytes: made.memory,
        GenericResources: made.gpus === 0 ? [] : [{ DiscreteResourceSpec: { Kind: "gpu", Value: made.gpus } }]
      }
    },
    Placement: {
      MaxReplicas: made.most,
      Constraints: made.constraint === "" ? [] : [made.constraint],
      Platforms: made.os === "" ? [] : [{ OS: made.os }],
      Preferences: made.spread.map((label) => ({ Spread: { SpreadDescriptor: `node.labels.${label}` } }))
    }
  }
})

function cluster(nodes: ReadonlyArray<MadeNode>): Book {
  const book = new Book().cluster()
  nodes.forEach((made, at) => {
    book.node(`n${at}`, describe(made, `n${at}`))
  })
  return book
}

const run = (book: Book): void => {
  for (;;) {
    const update = place(book.tables, { now: book.time, failures: new Failures(book.time), most: 3 })
    if (update.length === 0) return
    book.must({ type: "tasks.change", v: 1, create: [], update, remove: [] })
  }
}

/** As the scheduler does it: services in the order in which their tasks came, a node per task. */
const runNaively = (book: Book): void => {
  for (const task of [...book.tables.tasksInState("pending")]) {
    const chosen = choose(book.tables, task)
    if (chosen === undefined) continue
    const asked = book.tables.taskSpec(task.ServiceID, task.SpecVersion)?.Resources?.Reservations
    const gpus = asked?.GenericResources?.[0]?.DiscreteResourceSpec?.Value ?? 0
    book.must({
      type: "tasks.change",
      v: 1,
      create: [],
      update: [
        {
          id: task.ID,
          NodeID: chosen.ID,
          Status: { Timestamp: "", State: "assigned" },
          ...(gpus > 0 && {
            AssignedGenericResources: [{ DiscreteResourceSpec: { Kind: "gpu", Value: gpus } }]
          })
        }
      ],
      remove: []
    })
  }
}

/** How many of a service's tasks the nodes have, fewest first: which of equal nodes has how many is chance. */
const spreadOf = (book: Book, serviceId: string): ReadonlyArray<number> =>
  [...book.tables.all("node")]
    .map((each) => counted(book.tables, each).filter((task) => task.ServiceID === serviceId).length)
    .sort((a, b) => a - b)

/** One that wants what another does, but for what each service has of its own. */
const twin = fc.record({ tasks: fc.integer({ min: 1, max: 9 }), most: fc.constantFrom(0, 1, 2) })
const others = fc.array(fc.oneof(service, twin), { maxLength: 2 })

const nodes = fc.array(node, { minLength: 1, maxLength: 7 })

test("one service is spread exactly as by a scheduler that asks every node for every task", () => {
  fc.assert(
    fc.property(nodes, service, others, (made, first, beside) => {
      const [ours, naive] = [cluster(made), cluster(made)]
      for (const book of [ours, naive]) {
        book.service("s", specified(first))
        book.tasks("s", first.tasks)
      }
      run(ours)
      runNaively(naive)
      expect(spreadOf(ours, "s")).toEqual(spreadOf(naive, "s"))
      // With others on the same nodes each placement must be one that the simple scheduler might choose as well.
      beside.forEach((other, at) => {
        ours.service(`o${at}`, specified({ ...first, ...other }))
        ours.tasks(`o${at}`, other.tasks)
      })
      followed(ours)
    }),
    { numRuns: 400, seed: 1 }
  )
}, 60_000)

/** Places task by task; each must go to a node that ties with the simple scheduler's choice, or wait as it does. */
function followed(book: Book): void {
  for (const task of [...book.tables.tasksInState("pending")]) {
    const chosen = choose(book.tables, task)
    const [patch] = place(book.tables, { now: book.time, failures: new Failures(book.time) }).filter(
      ({ id }) => id === task.ID
    )
    expect(patch?.NodeID === undefined).toBe(chosen === undefined)
    if (patch?.NodeID === undefined || chosen === undefined) continue
    const taken = book.tables.get("node", patch.NodeID)
    if (taken === undefined) throw new Error(`no node ${patch.NodeID}`)
    expect(refusal(book.tables, taken, task)).toBeUndefined()
    if (!hasBranches(book, task)) expect(rank(book, taken.ID, task)).toEqual(rank(book, chosen.ID, task))
    book.must({ type: "tasks.change", v: 1, create: [], update: [patch], remove: [] })
  }
}

const hasBranches = (book: Book, task: Task): boolean =>
  (book.tables.taskSpec(task.ServiceID, task.SpecVersion)?.Placement?.Preferences ?? []).length > 0

function rank(book: Book, nodeId: string, task: Task): ReadonlyArray<number> {
  const found = book.tables.get("node", nodeId)
  const all = found === undefined ? [] : counted(book.tables, found)
  return [all.filter((other) => other.ServiceID === task.ServiceID).length, all.length]
}

test("SC-33 what the filters say of nodes is what a scheduler says that asks each of them", () => {
  fc.assert(
    fc.property(nodes, fc.array(service, { minLength: 1, maxLength: 3 }), (made, services) => {
      const book = cluster(made)
      services.forEach((each, at) => {
        book.service(`s${at}`, specified(each))
        book.tasks(`s${at}`, each.tasks)
      })
      run(book)
      for (const task of book.tables.tasksInState("pending")) {
        const counts = new Map<string, number>()
        for (const each of book.tables.all("node")) {
          const reason = refusal(book.tables, each, task)
          if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1)
        }
        const names = rules.map(({ name }) => name)
        const said = sayings(
          names.map((name) => counts.get(name) ?? 0),
          counts.get("max replicas") ?? 0
        )
        for (const { text } of said) expect(task.Status.Err).toContain(text)
      }
    }),
    { numRuns: 300, seed: 2 }
  )
})

test("what is kept of rooms and of the queue is what the tables come to, whatever happens", () => {
  const happening = fc.oneof(
    fc.record({ kind: fc.constant("place" as const) }),
    fc.record({ kind: fc.constant("node" as const), at: fc.nat(6), made: node }),
    fc.record({
      kind: fc.constant("report" as const),
      at: fc.nat(40),
      state: fc.constantFrom("running" as const, "failed" as const, "complete" as const),
      opened: fc.subarray([80, 81])
    }),
    fc.record({ kind: fc.constant("end" as const), at: fc.nat(40) }),
    fc.record({ kind: fc.constant("remove" as const), at: fc.nat(40) }),
    fc.record({ kind: fc.constant("port" as const), port: fc.constantFrom(80, 81) }),
    fc.record({ kind: fc.constant("unmake" as const) }),
    fc.record({ kind: fc.constant("lose" as const), at: fc.nat(6) })
  )
  fc.assert(
    fc.property(nodes, service, fc.array(happening, { maxLength: 25 }), (made, spec, happenings) => {
      const book = cluster(made)
      const kept = { rooms: book.tables.view(rooms), queue: book.tables.view(queue) }
      book.service("s", specified(spec))
      book.tasks("s", spec.tasks)
      for (const each of happenings) {
        happen(book, each)
        expect(shown(kept.rooms)).toEqual(shown(new Rooms(book.tables)))
        expect(
          [...kept.queue.groups.values()].flatMap(({ tasks }) => [...tasks.values()]).sort(byId)
        ).toEqual(
          [...new Queue(book.tables).groups.values()].flatMap(({ tasks }) => [...tasks.values()]).sort(byId)
        )
        expect(kept.queue.size).toBe(new Queue(book.tables).size)
      }
    }),
    { numRuns: 200, seed: 3 }
  )

  function happen(book: Book, each: typeof happening extends fc.Arbitrary<infer T> ? T : never): void {
    const tasks = [...book.tables.all("task")]
    const taskAt = (at: number): Task | undefined => tasks[at % Math.max(1, tasks.length)]
    const change = (part: object) =>
      book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [], ...part })
    switch (each.kind) {
      case "place":
        run(book)
        return
      case "node":
        book.node(`n${each.at}`, describe(each.made, `n${each.at}`))
        return
      case "report": {
        const task = taskAt(each.at)
        const Ports = each.opened.map((PublishedPort) => ({ PublishedPort, PublishMode: "host" as const }))
        const status = {
          ...{ Timestamp: toIso(book.time), State: each.state },
          ...(Ports.length > 0 && { PortStatus: { Ports } })
        }
        if (task?.NodeID !== undefined) {
          book.must({ type: "tasks.report", v: 1, node: task.NodeID, statuses: [{ id: task.ID, status }] })
        }
        return
      }
      case "end": {
        const task = taskAt(each.at)
        if (task !== undefined) change({ update: [{ id: task.ID, DesiredState: "shutdown" }] })
        return
      }
      case "remove": {
        const task = taskAt(each.at)
        if (task !== undefined) change({ remove: [task.ID] })
        return
      }
      case "port": {
        const found = book.tables.get("service", "s")
        if (found === undefined) return
        const Ports = [{ TargetPort: 1, PublishedPort: each.port, PublishMode: "host" as const }]
        book.must({
          type: "service.update",
          v: 1,
          id: "s",
          version: found.Version.Index,
          spec: { ...found.Spec, EndpointSpec: { Ports } }
        })
        return
      }
      case "unmake":
        book.write({ type: "service.remove", v: 1, id: "s" })
        return
      case "lose":
        book.write({ type: "node.remove", v: 1, id: `n${each.at}`, force: true })
        return
    }
  }
})

const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1)

const shown = (all: Rooms) =>
  [...all.all()]
    .map((room) => ({
      id: room.node.ID,
      cpus: room.cpus,
      memory: room.memory,
      ports: [...(room.hostPorts ?? [])].sort(),
      gpus: room.generic?.left("gpu") ?? 0,
      tasks: room.tasks,
      own: all.wantedOn(room, "s")
    }))
    .sort(byId)
