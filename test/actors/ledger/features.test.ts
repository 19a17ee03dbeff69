import { expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import type { Command } from "#actors/ledger/commands.ts"
import { encodeEntry } from "#actors/ledger/encode.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import { Machine } from "#actors/ledger/machine.ts"
import { markEvery } from "#actors/ledger/marks.ts"
import { Recent } from "#actors/ledger/recent.ts"
import { encodeSnapshot } from "#actors/ledger/snapshot.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { Host } from "#runtime/host.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { Book } from "#test/support/ledger.ts"
import { loud } from "#test/support/ledger-life.ts"
import { openMemory } from "#test/support/memory-log.ts"

function manager(book: Book, id: string, level: number | undefined): void {
  book.must({
    type: "node.register",
    v: 1,
    node: {
      ID: id,
      Spec: { Role: "manager", Availability: "active" },
      Status: { State: "ready" },
      Description: {
        Hostname: id,
        Platform: { OS: "linux", Architecture: "x86_64" },
        Resources: { NanoCPUs: 1e9, MemoryBytes: 1e9 },
        Engine: { EngineVersion: "1" },
        ...(level === undefined ? {} : { FeatureLevel: level })
      },
      ManagerStatus: { Reachability: "reachable", Addr: `${id}:2377` }
    }
  })
}

const raise = (book: Book, level: number): string => {
  const result = book.write({ type: "cluster.raise", v: 1, level })
  return result._tag === "Applied" ? "done" : result.refusal.message
}

test("the feature level rises, and never falls or stays in a write of its own", () => {
  const book = new Book().cluster()
  manager(book, "a", 3)
  manager(book, "b", 4)
  expect(raise(book, 3)).toBe("done")
  expect(book.tables.cluster()?.FeatureLevel).toBe(3)
  expect(raise(book, 3)).toContain("never lowered: 3 is not above it")
  expect(raise(book, 2)).toContain("never lowered: 2 is not above it")
  expect(book.tables.cluster()?.FeatureLevel).toBe(3)
})

test("H5 the feature level rises above no manager, and workers have no say in it", () => {
  const book = new Book().cluster().node("worker")
  manager(book, "b", 2)
  manager(book, "c", undefined)
  expect(raise(book, 2)).toContain("manager c can only do feature level 1")
  manager(book, "c", 2)
  expect(raise(book, 3)).toContain("manager b can only do feature level 2")
  expect(raise(book, 2)).toBe("done")
})

const entry = (command: Command, seq: number): Uint8Array =>
  encodeEntry({ command, proposer: "p", boot: "b", seq, who: "w", why: "y", time: 1_700_000_000_000 + seq })
const secret = (at: number): Command => ({
  type: "secret.create",
  v: 1,
  secret: { ID: `s${at}`, Spec: { Name: `s${at}`, Labels: {} } }
})

/** The managers' states up to a mark, one of them odd, and what each of them then tells of itself. */
function diverging(members: number, odd: number) {
  const names = Array.from({ length: members }, (_, at) => `m${at + 1}`)
  const doubts: Array<string> = []
  const machines = names.map(() => new Machine(loud))
  for (const machine of machines) machine.onDoubt = (words) => doubts.push(words)
  const book = new Book().cluster()
  for (const name of names) manager(book, name, featureLevel)
  for (const machine of machines) machine.restore(encodeSnapshot(book.tables, new Recent()))
  for (let at = book.tables.index + 1; at <= markEvery; at++) {
    for (const machine of machines) machine.apply(at, entry(secret(at), at))
    // What no entry says: a defect, or a bit that turned.
    if (at === 100) machines[odd]?.tables.remove("secret", "s77")
  }
  let next = markEvery
  /** `member` tells its digest; who halts at that, by number. */
  const tell = (member: number): ReadonlyArray<number> => {
    next++
    const { index = 0, digest = "" } = machines[member]?.marks().at(-1) ?? {}
    const word = encodeEntry({
      ...{
        command: { type: "ledger.digest", v: 1, index, digest },
        proposer: names[member] as string,
        boot: "b"
      },
      ...{ seq: next, who: "w", why: "y", time: 1_800_000_000_000 + next }
    })
    return machines.flatMap((machine, at) => {
      try {
        machine.apply(next, word)
        return []
      } catch (error) {
        expect((error as Error).message).toContain(
          `This member has diverged: its state at entry ${markEvery}`
        )
        return [at]
      }
    })
  }
  return { tell, doubts }
}

test("D11 the one manager of three whose state differs halts, whether it leads or not, and the others go on", () => {
  for (const odd of [0, 1, 2]) {
    const { tell, doubts } = diverging(3, odd)
    const sound = [0, 1, 2].filter((at) => at !== odd)
    expect(tell(odd)).toEqual([])
    expect(doubts.length).toBeGreaterThan(0)
    expect(tell(sound[0] as number)).toEqual([])
    expect(tell(sound[1] as number)).toEqual([odd])
  }
})

test("D11 managers that agree tell each other so without a word of doubt", () => {
  const { tell, doubts } = diverging(3, 7)
  for (const at of [0, 1, 2]) expect(tell(at)).toEqual([])
  expect(doubts).toEqual([])
})

test("D11 of two managers that differ neither halts, and both say so", () => {
  const { tell, doubts } = diverging(2, 0)
  expect([...tell(0), ...tell(1)]).toEqual([])
  expect(doubts.some((words) => words.startsWith("The managers' states differ"))).toBe(true)
})

test("D11 members make their marks at the same entries, also one that began from a snapshot", () => {
  const whole = new Machine(loud)
  const late = new Machine(loud)
  // The log's own entries take indices that no command has.
  const last = 3 * markEvery
  for (let at = 2; at <= last; at += 3) {
    whole.apply(at, entry(secret(at), at))
    if (at > 1_000) {
      if (at <= 1_003) late.restore(whole.snapshot())
      else late.apply(at, entry(secret(at), at))
    }
  }
  const marks = whole.marks()
  expect(marks.map(({ index }) => Math.floor(index / markEvery))).toEqual([1, 2])
  expect(late.marks().slice(1)).toEqual([...marks])
  expect(late.marks()[0]?.index).toBe(1_001)
})

test("D11 what a member no longer remembers is not held against it", () => {
  const machine = new Machine(loud)
  const word: Command = { type: "ledger.digest", v: 1, index: 7, digest: "0000000000000000" }
  expect(machine.apply(8, entry(word, 1))._tag).toBe("Applied")
})

test.each([
  ["Leading", 1, 0],
  ["Leading", 2, 1],
  ["Following", 3, 0],
  ["Following", 4, 1]
] as const)(
  "D11 a leader writes its marks to the log from level 2 on, every other manager from level 4 on: %s, %i",
  async (role, level, expected) => {
    const due: Array<() => void> = []
    const host: Host = {
      ...makeLiveHost(),
      after: (ms, fire) => {
        if (ms === 0) due.push(fire)
        return () => {}
      }
    }
    const scope = Effect.runSync(Scope.make())
    const ledger = await Effect.runPromise(
      openLedger({
        openRaft: (options) =>
          Effect.map(openMemory(queueMicrotask)(options), (raft) => ({
            ...raft,
            leadership: () => ({ _tag: role, term: 1 })
          })),
        directory: "",
        clusterId: "c",
        nodeId: "n",
        host,
        boot: "b"
      }).pipe(Effect.provideService(Scope.Scope, scope))
    )
    const write = (command: Command) => Effect.runPromise(ledger.propose(command, { who: "w", why: "y" }))
    const founder = new Book().cluster({ FeatureLevel: level }).tables.cluster()
    const { Version: _version, CreatedAt: _created, UpdatedAt: _updated, ...cluster } = founder as Cluster
    const node = { ID: "n", Spec: {}, Status: { State: "ready" } } as const
    expect((await write({ type: "cluster.create", v: 1, cluster, node }))._tag).toBe("Applied")
    for (let at = 1; ledger.marks().length === 0; at++) await write(secret(at))
    const before = ledger.read.index
    for (const fire of due.splice(0)) fire()
    // What is told in answer to a read comes some turns later.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(ledger.read.index - before).toBe(expected)
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
)

test("a manager of an earlier release than the cluster's level halts, by its log as by a snapshot, and says why", () => {
  const level = featureLevel + 1
  const words = `The cluster has feature level ${level}, and this release can only do ${featureLevel}: there is no way back`
  const book = new Book().cluster({ FeatureLevel: featureLevel })
  manager(book, "n1", level)
  const machine = new Machine(loud)
  machine.restore(encodeSnapshot(book.tables, new Recent()))
  const raised = encodeEntry({
    command: { type: "cluster.raise", v: 1, level },
    ...{ proposer: "n1", boot: "b", seq: 1, who: "w", why: "y", time: 1_800_000_000_000 }
  })
  expect(() => machine.apply(book.tables.index + 1, raised)).toThrow(words)
  expect(raise(book, level)).toBe("done")
  expect(() => new Machine(loud).restore(encodeSnapshot(book.tables, new Recent()))).toThrow(words)
})
