import { expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { HashSum, hashInto, showHash } from "#actors/ledger/hash.ts"
import { none, RowLists, RowSets } from "#actors/ledger/row-lists.ts"
import { recordLength, TaskBytes } from "#actors/ledger/task-bytes.ts"
import { TaskHash } from "#actors/ledger/task-hash.ts"
import { type FrozenTasks, TaskTable } from "#actors/ledger/task-table.ts"
import { Texts, Words } from "#actors/ledger/texts.ts"
import { type Task, taskStates } from "#actors/model/objects.ts"
import { Fresh } from "#runtime/ids.ts"

/** A task such as there are millions of, or one with something that has no place of its own. */
function anyTask(chance: Fresh, ID: string): Task {
  const one = <A>(choices: ReadonlyArray<A>): A => choices[chance.below(choices.length)] as A
  const rarely = (field: string, value: unknown): object => (chance.below(8) === 0 ? { [field]: value } : {})
  const mostly = (field: string, value: unknown): object => (chance.below(4) > 0 ? { [field]: value } : {})
  const time = (): string =>
    `2026-11-2${chance.below(9)}T10:00:0${chance.below(9)}.${chance.below(899) + 100}Z`
  const CreatedAt = time()
  return {
    ID,
    Version: { Index: one([0, 1, 127, 128, 70_000, 2 ** 31, 2 ** 40]), ...rarely("Later", 1) },
    CreatedAt,
    UpdatedAt: one([CreatedAt, time()]),
    ServiceID: `s${chance.below(20)}`,
    SpecVersion: one([1, 300]),
    Status: {
      Timestamp: time(),
      State: one(taskStates),
      ...mostly("Message", one(["started", "", "ä", "…", "x".repeat(150), "y".repeat(300)])),
      ...mostly("ContainerStatus", {
        ContainerID: chance.id(),
        ...mostly("PID", one([0, 1, 4_000_000, -1, 0.5])),
        ...rarely("ExitCode", one([0, 137, -2])),
        ...rarely("Later", "x")
      }),
      ...rarely("Err", "task: non-zero exit (137)"),
      ...rarely("PortStatus", { Ports: [{ TargetPort: 80 }] }),
      ...rarely("Undefined", undefined)
    },
    DesiredState: one(taskStates),
    ...mostly("Slot", chance.below(5)),
    ...mostly("NodeID", `n${chance.below(30)}`),
    ...mostly(
      "Attachments",
      Array.from({ length: chance.below(4) }, () => ({
        NetworkID: `net${chance.below(3)}`,
        Addresses: one([["10.0.0.1/8"], ["10.0.0.1/8", "fd00::1/64"], []]),
        ...rarely("Aliases", ["web"])
      }))
    ),
    ...rarely("StartAfter", time()),
    ...rarely("Reason", { Node: "n1", Rejected: { platform: "2 nodes" }, Rank: "fewest tasks" }),
    ...rarely("Later", { of: ["a later release"] }),
    ...(chance.below(50) === 0 ? JSON.parse('{"__proto__": 7}') : {})
  } as Task
}

/** Without what says nothing, in one order. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_, inner) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner
  )

test("a task comes back from its bytes as it was, whatever it says", () => {
  const chance = Fresh.from(1)
  const texts = new Texts()
  const words = new Words()
  const codec = new TaskBytes(texts, words)
  const hashes = new TaskHash(texts, words)
  let plainOnes = 0
  for (let at = 0; at < 3_000; at++) {
    const task = anyTask(chance, chance.below(20) === 0 ? `id…${at}` : chance.id())
    for (const id of [task.ServiceID, task.NodeID, ...(task.Attachments ?? []).map((one) => one.NetworkID)]) {
      if (id !== undefined) texts.take(id)
    }
    const length = codec.encode(task)
    const bytes = Buffer.concat([Buffer.alloc(5), codec.encoded.subarray(0, length), Buffer.alloc(3)])
    expect(recordLength(bytes, 5)).toBe(length)
    expect(codec.isOf(bytes, 5, task.ID)).toBe(true)
    expect(codec.isOf(bytes, 5, `${task.ID}x`)).toBe(false)
    const back = codec.decode(bytes, 5)
    expect(plain(back)).toEqual(plain(task))
    const hash = hashInto({ a: 0, b: 0 }, task)
    expect(hashInto({ a: 0, b: 0 }, back)).toEqual(hash)
    const head = codec.plainHead(bytes, 5)
    if (head === undefined) continue
    plainOnes++
    expect(hashes.of(bytes, head, { a: 0, b: 0 })).toEqual(hash)
  }
  expect(plainOnes).toBeGreaterThan(200)
})

test("a hash from bytes follows a number that stands for another id now", () => {
  const texts = new Texts()
  const words = new Words()
  const codec = new TaskBytes(texts, words)
  const hashes = new TaskHash(texts, words)
  const chance = Fresh.from(3)
  for (const ServiceID of ["before", "after"]) {
    const { Attachments: _, NodeID: __, ...rest } = anyTask(chance, "t1")
    const task = {
      ...rest,
      ServiceID,
      Version: { Index: 1 },
      Status: { Timestamp: "t", State: "new" }
    } as Task
    const number = texts.take(ServiceID)
    expect(number).toBe(1)
    codec.encode(task)
    const head = codec.plainHead(codec.encoded, 0)
    if (head === undefined) throw new Error("the task has nothing uncommon")
    expect(hashes.of(codec.encoded, head, { a: 0, b: 0 })).toEqual(hashInto({ a: 0, b: 0 }, task))
    texts.drop(number)
  }
})

test("bytes that are no task end in an error, never in a hang", () => {
  const chance = Fresh.from(2)
  const texts = new Texts()
  const codec = new TaskBytes(texts, new Words())
  let refused = 0
  for (let at = 0; at < 2_000; at++) {
    const task = anyTask(chance, chance.id())
    for (const id of [task.ServiceID, task.NodeID, ...(task.Attachments ?? []).map((one) => one.NetworkID)]) {
      if (id !== undefined) texts.take(id)
    }
    const bytes = Buffer.from(codec.encoded.subarray(0, codec.encode(task)))
    bytes[chance.below(bytes.length)] = chance.below(256)
    try {
      recordLength(bytes, 0)
      codec.decode(bytes, 0)
    } catch (error) {
      refused++
      expect((error as Error).name).toBe("BrokenInvariant")
    }
  }
  expect(refused).toBeGreaterThan(100)
})

/** What a table must answer, from a map. */
class Model {
  readonly tasks = new Map<string, Task>()
  where(holds: (task: Task) => boolean): ReadonlyArray<string> {
    return [...this.tasks.values()]
      .filter(holds)
      .map(({ ID }) => ID)
      .sort()
  }
}
function restored({ texts, words, pages }: FrozenTasks): TaskTable {
  const table = new TaskTable()
  for (const [number, text] of texts.entries()) if (text !== undefined) table.restoreText(number, text)
  for (const word of words) table.restoreWord(word)
  for (const page of pages) {
    const bytes = Buffer.alloc(page.length)
    page.copyTo(bytes, 0)
    table.restoreRecords(bytes, 0, () => {})
  }
  return table
}

const idsOf = (tasks: Iterable<Task>): ReadonlyArray<string> => [...tasks].map(({ ID }) => ID).sort()

test("a table of tasks answers every question as a map would, through any changes, gaps closing and freezes", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const chance = Fresh.from(seed)
    const table = new TaskTable()
    const model = new Model()
    const views: Array<readonly [FrozenTasks, Array<unknown>]> = []
    for (let step = 0; step < 12_000; step++) {
      const id = `x${chance.below(4_000)}`
      if (chance.below(10) < (Math.floor(step / 4_000) === 1 ? 9 : 2)) {
        const victim = chance.below(2) === 0 ? id : (model.tasks.keys().next().value ?? id)
        table.delete(victim)
        model.tasks.delete(victim)
      } else {
        const task = anyTask(chance, id)
        table.put(task)
        model.tasks.set(id, task)
      }
      if (chance.below(2_000) === 0) views.push([table.freeze(), [...model.tasks.values()].map(plain)])
    }
    expect(table.size).toBe(model.tasks.size)
    expect([...table.values()].map(plain)).toEqual([...model.tasks.values()].map(plain))
    for (const [id, task] of model.tasks) expect(plain(table.get(id))).toEqual(plain(task))
    expect(table.get("nobody")).toBeUndefined()
    for (let at = 0; at < 31; at++) {
      expect(idsOf(table.ofService(`s${at}`))).toEqual(model.where((task) => task.ServiceID === `s${at}`))
      expect(idsOf(table.ofNode(`n${at}`))).toEqual(model.where((task) => task.NodeID === `n${at}`))
      expect(idsOf(table.inSlot(`s${at}`, at % 5))).toEqual(
        model.where((task) => task.ServiceID === `s${at}` && task.Slot === at % 5)
      )
    }
    const services = new Set([...model.tasks.values()].map((task) => task.ServiceID))
    expect(new Set(table.services())).toEqual(services)
    for (const state of taskStates) {
      expect(idsOf(table.inState(state))).toEqual(model.where((task) => task.Status.State === state))
    }
    for (let at = 0; at < 4; at++) {
      const isOn = (task: Task): boolean =>
        (task.Attachments ?? []).some((one) => one.NetworkID === `net${at}`)
      expect(new Set(idsOf(table.onNetwork(`net${at}`)))).toEqual(new Set(model.where(isOn)))
    }
    const sum = new HashSum()
    for (const task of model.tasks.values()) sum.add(hashInto({ a: 0, b: 0 }, task))
    expect(showHash(table.hash)).toBe(showHash(sum))
    expect(views.length).toBeGreaterThan(2)
    for (const [frozen, tasks] of views) expect([...restored(frozen).values()].map(plain)).toEqual(tasks)
  }
}, 120_000)

test("a table of tasks that was nearly emptied takes no more rows than it needs", () => {
  const chance = Fresh.from(4)
  const table = new TaskTable()
  for (let at = 0; at < 20_000; at++) table.put(anyTask(chance, `x${at}`))
  for (let at = 0; at < 19_500; at++) table.delete(`x${at}`)
  expect(table.rows).toBeLessThan(5_000)
  expect([...table.values()].length).toBe(500)
}, 60_000)

test("a text keeps its number while it is counted on, and gives it up afterwards", () => {
  const texts = new Texts()
  const a = texts.take("a")
  expect(texts.take("a")).toBe(a)
  const frozen = texts.freeze()
  texts.drop(a)
  expect([texts.find("a"), texts.at(a)]).toEqual([a, "a"])
  texts.drop(a)
  expect(texts.find("a")).toBe(0)
  expect(texts.take("b")).toBe(a)
  expect(frozen[a]).toBe("a")
})

test("words are numbered for ever, so many and no longer than that", () => {
  const words = new Words()
  const started = words.number("started")
  expect([words.number("started"), words.at(started)]).toEqual([started, "started"])
  expect(words.number("x".repeat(1_000))).toBe(0)
  for (let at = 0; at < 10_000; at++) words.number(`w${at}`)
  expect(words.number("one too many")).toBe(0)
  expect(words.freeze().length).toBe(4_096)
})

test("rows come in the order in which they got their key, and keep their place when they move", () => {
  const lists = new RowLists()
  for (const row of [3, 1, 2]) lists.set(row, 7)
  lists.set(1, 7)
  expect([...lists.of(7)]).toEqual([3, 1, 2])
  lists.move(1, 9)
  expect([[...lists.of(7)], lists.keyOf(1), lists.keyOf(9)]).toEqual([[3, 9, 2], none, 7])
  lists.set(9, 8)
  lists.set(3, none)
  expect([[...lists.of(7)], [...lists.of(8)], [...lists.of(none)]]).toEqual([[2], [9], []])
})

test("a row may have several keys at once", () => {
  const sets = new RowSets()
  sets.set(1, [5, 6])
  sets.set(2, [6])
  sets.set(1, [6, 7, 5])
  expect([[...sets.keysOf(1)], [...sets.of(6)], [...sets.of(5)]]).toEqual([[6, 7, 5], [2, 1], [1]])
  sets.move(1, 3)
  expect([[...sets.keysOf(1)], [...sets.of(7)], [...sets.of(6)]]).toEqual([[], [3], [2, 3]])
  sets.set(3, [])
  expect([[...sets.of(5)], [...sets.of(6)]]).toEqual([[], [2]])
})
