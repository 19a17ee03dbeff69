import { describe, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { apply } from "#actors/ledger/apply.ts"
import { decodeEntry, encodeEntry } from "#actors/ledger/encode.ts"
import { Machine } from "#actors/ledger/machine.ts"
import { kinds, LedgerTables } from "#actors/ledger/tables.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { Life, live, loud } from "#test/support/ledger-life.ts"

const root = fileURLToPath(new URL("../../../", import.meta.url))

/** All of the state, object by object in the order of their ids, and what the indexes say of it. */
function shown(machine: Machine): unknown {
  const { tables } = machine
  const byId = (a: { readonly ID: string }, b: { readonly ID: string }): number => (a.ID < b.ID ? -1 : 1)
  const ids = (objects: Iterable<{ readonly ID: string }>) => [...objects].map(({ ID }) => ID).sort()
  return {
    index: tables.index,
    time: tables.time,
    cluster: tables.cluster(),
    specs: [...tables.freeze().specs].sort(byId),
    objects: kinds.map((kind) => [...tables.all(kind)].sort(byId)),
    recent: machine.recent.save(),
    ofService: [...tables.all("service")].sort(byId).map(({ ID }) => ids(tables.tasksOfService(ID))),
    ofNode: [...tables.all("node")].sort(byId).map(({ ID }) => ids(tables.tasksOfNode(ID))),
    onNetwork: [...tables.all("network")].sort(byId).map(({ ID }) => ids(tables.tasksOnNetwork(ID))),
    inSlot: [...tables.all("task")]
      .sort(byId)
      .map((task) => ids(tables.tasksInSlot(task.ServiceID, task.Slot ?? 0))),
    inState: [ids(tables.tasksInState("new")), ids(tables.tasksInState("pending"))]
  }
}

describe.each([1, 2, 3, 4])("seed %i", (seed) => {
  const entries = 100

  test("H1 replay from empty, and from a snapshot at every entry, ends in the live state with the same results", () => {
    const { log, results, digests, machine } = live(seed, entries)
    const replayed = new Machine(loud)
    for (let at = 0; at <= entries; at++) {
      const resumed = new Machine(loud)
      resumed.restore(replayed.snapshot())
      for (let index = at + 1; index <= entries; index++) {
        expect(resumed.apply(index, log[index - 1] as Uint8Array)).toEqual(results[index - 1] as never)
      }
      expect([at, resumed.digest()]).toEqual([at, machine.digest()])
      if (at % 20 === 0) expect(shown(resumed)).toEqual(shown(machine))
      if (at === entries) break
      expect(replayed.apply(at + 1, log[at] as Uint8Array)).toEqual(results[at] as never)
      expect(replayed.digest()).toBe(digests[at] as string)
    }
    // The life was worth living: things were made, refused and sent twice.
    expect(results.some((result) => (result as { _tag: string })._tag === "Refused")).toBe(true)
    expect(new Set(digests).size).toBeGreaterThan(entries / 2)
  }, 60_000)

  test("H2 the order in which objects came into the tables changes no result and no digest", () => {
    const life = new Life(seed)
    const machine = new Machine(loud)
    for (let index = 1; index <= entries; index++) machine.apply(index, life.next(machine.tables))
    const shuffled = reordered(machine.tables, seed)
    expect(shuffled.digest()).toBe(machine.tables.digest())
    for (let index = entries + 1; index <= 2 * entries; index++) {
      const entry = decodeEntry(life.next(machine.tables))
      expect(apply(shuffled, index, entry)).toEqual(apply(machine.tables, index, entry))
      expect(shuffled.digest()).toBe(machine.tables.digest())
    }
  })
})

function reordered(tables: LedgerTables, seed: number): LedgerTables {
  const chance = Fresh.from(seed + 1000)
  const shuffle = <A>(all: Iterable<A>): ReadonlyArray<A> =>
    [...all]
      .map((one) => [chance.uint32(), one] as const)
      .sort(([a], [b]) => a - b)
      .map(([, one]) => one)
  const other = new LedgerTables()
  other.index = tables.index
  other.time = tables.time
  const cluster = tables.cluster()
  if (cluster !== undefined) other.setCluster(cluster)
  for (const { serviceId, version, spec } of shuffle(tables.freeze().specs))
    other.keepSpec(serviceId, version, spec)
  for (const kind of kinds) {
    for (const object of shuffle(tables.all(kind))) {
      // Its keys in another order, too.
      other.put(kind, Object.fromEntries(shuffle(Object.entries(object))) as never)
    }
  }
  return other
}

test("H2 Bun and Deno, in any time zone and language, come to the same results, digests and snapshots", () => {
  const run = (command: string, args: ReadonlyArray<string>, env: Record<string, string>): string =>
    execFileSync(command, [...args, "test/support/ledger-life.ts", "7", "400"], {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, ...env }
    })
  const here = run(process.execPath, [], { TZ: "UTC", LC_ALL: "C", LANG: "C" })
  expect(JSON.parse(here).digest).toMatch(/^[0-9a-f]{16}$/)
  expect(
    run(process.execPath, [], { TZ: "Asia/Kathmandu", LC_ALL: "tr_TR.UTF-8", LANG: "tr_TR.UTF-8" })
  ).toBe(here)
  expect(run("node_modules/.bin/deno", ["run", "-A"], { TZ: "America/St_Johns", LANG: "sv_SE.UTF-8" })).toBe(
    here
  )
}, 120_000)

test("D11 a digest differs after any change of any object, and is back when the change is taken back", () => {
  const { machine } = live(5, 200)
  const { tables } = machine
  const digest = machine.digest()
  let tried = 0
  for (const kind of kinds) {
    for (const object of [...tables.all(kind)]) {
      for (const changed of variants(object)) {
        tables.put(kind, changed as never)
        expect(machine.digest()).not.toBe(digest)
        tried++
      }
      tables.put(kind, object as never)
      expect(machine.digest()).toBe(digest)
    }
  }
  expect(tried).toBeGreaterThan(200)
})

/** `object` with one text or number changed, somewhere, each in turn, but for what the indexes go by. */
function* variants(object: object): IterableIterator<object> {
  for (const [key, value] of Object.entries(object)) {
    if (["ID", "ServiceID", "SpecVersion", "PreviousSpecVersion", "Slot", "Name", "Spec"].includes(key))
      continue
    if (typeof value === "string") yield { ...object, [key]: `${value}!` }
    else if (typeof value === "number") yield { ...object, [key]: value + 1 }
    else if (Array.isArray(value))
      yield { ...object, [key]: [...value].slice(1).concat(value.length === 0 ? [1] : []) }
    else if (typeof value === "object" && value !== null) {
      for (const inner of variants(value)) yield { ...object, [key]: inner }
    }
  }
}

test("H6 an entry that cannot be applied halts every member alike: same error, nothing skipped, no result kept", () => {
  const { log, machine } = live(3, 60)
  const twin = new Machine(loud)
  twin.restore(machine.snapshot())
  const entry = { proposer: "n1", boot: "b9", seq: 1, who: "w", why: "y", time: 1 }
  const broken = [
    encodeEntry({ ...entry, command: { type: "service.explode", v: 1 } } as never),
    encodeEntry({ ...entry, command: { type: "service.remove", v: 2, id: "x" } } as never),
    encodeEntry({ ...entry, command: { type: "tasks.change", v: 1, create: [], update: [] } } as never),
    new TextEncoder().encode("{"),
    (log[5] as Uint8Array).subarray(0, 20)
  ]
  const said = (who: Machine, data: Uint8Array): string => {
    try {
      who.apply(61, data)
      return "applied"
    } catch (error) {
      return (error as Error).message
    }
  }
  for (const data of broken) {
    const words = said(machine, data)
    expect(words).not.toBe("applied")
    expect(said(twin, data)).toBe(words)
    expect(machine.recent.look("n1", "b9", 1)._tag).toBe("New")
  }
})

test("two snapshots under way at once are each of their own moment", () => {
  const life = new Life(11)
  const machine = new Machine(loud)
  const views: Array<{ readonly digest: string; readonly chunks: Iterable<Uint8Array> }> = []
  for (let index = 1; index <= 600; index++) {
    machine.apply(index, life.next(machine.tables))
    if (index === 200 || index === 400) views.push({ digest: machine.digest(), chunks: machine.snapshot() })
  }
  for (const { digest, chunks } of views) {
    const restored = new Machine(loud)
    restored.restore(chunks)
    expect(restored.digest()).toBe(digest)
    expect(restored.digest()).not.toBe(machine.digest())
  }
})

test("what changed without a new version is told of after a snapshot, too", () => {
  const book = new Book().cluster().node("n1").network("net")
  const [behind, ahead] = [new Machine(loud), new Machine(loud)]
  ahead.tables = book.tables
  behind.restore(ahead.snapshot())
  const told: Array<string> = []
  behind.follow(({ changes }) => void told.push(...changes.map(({ kind }) => kind)))
  behind.restore(ahead.snapshot())
  expect(told).toEqual([])
  const alert = { condition: "node-down", kind: "node", id: "n1", name: "n1", says: "it is down", since: 1 }
  book.must({ type: "cluster.alerts", v: 1, firing: [alert], ended: [] })
  const gateways = [{ NetworkID: "net", Addresses: ["10.0.1.3"] }]
  book.must({ type: "node.gateways", v: 1, nodes: [{ id: "n1", gateways }] })
  behind.restore(ahead.snapshot())
  expect(told).toEqual(["cluster", "node"])
})

test("a task reads as it was put, with fields that this release does not know", () => {
  const book = new Book().cluster().node("n1").network("net")
  book.service("web")
  const [id = ""] = book.tasks("web", 1, {
    NodeID: "n1",
    Attachments: [{ NetworkID: "net", Addresses: ["10.0.0.1/24", "10.0.0.2/24"], Aliases: ["web"] }],
    Status: { Timestamp: "t", State: "running", Message: "m", Unheard: [1] } as never,
    Unheard: { of: true }
  } as never)
  expect(book.tables.get("task", id)).toMatchObject({
    ID: id,
    NodeID: "n1",
    Attachments: [{ NetworkID: "net", Addresses: ["10.0.0.1/24", "10.0.0.2/24"], Aliases: ["web"] }],
    Status: { Timestamp: "t", State: "running", Message: "m", Unheard: [1] },
    Unheard: { of: true }
  } as never)
})
