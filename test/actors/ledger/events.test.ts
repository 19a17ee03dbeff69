/** What followers of the ledger are told: enough to have the whole state, whatever happens to their member. */
import { expect, setDefaultTimeout, test } from "bun:test"
import { describe } from "#actors/api/describe.ts"
import type { ClusterEvent } from "#actors/api/events.ts"
import type { Command } from "#actors/ledger/commands.ts"
import { encodeEntry } from "#actors/ledger/encode.ts"
import { Machine } from "#actors/ledger/machine.ts"
import type { ChangeSet } from "#actors/ledger/reader.ts"
import { kinds } from "#actors/ledger/tables.ts"
import { Book } from "#test/support/ledger.ts"
import { loud } from "#test/support/ledger-life.ts"
import { Members } from "#test/support/raft-members.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

/** Builds the state from changes alone, and complains when they do not follow one another. */
class Follower {
  readonly objects = new Map<string, object>()
  index = 0
  /** Sets that are not part of another. */
  sets = 0
  /** Changes of this entry that are to come. */
  left = 0

  readonly take = ({ index, changes, part }: ChangeSet): void => {
    if (part === undefined || part.after === 0) {
      expect(this.left).toBe(0)
      expect(index).toBeGreaterThan(this.index)
      this.sets++
    } else expect([index, part.of - part.after]).toEqual([this.index, this.left])
    this.index = index
    this.left = part === undefined ? 0 : part.of - part.after - changes.length
    for (const { kind, before, after } of changes) {
      const name = `${kind} ${(after ?? before)?.ID}`
      expect(this.objects.get(name)).toEqual(before)
      if (after === undefined) this.objects.delete(name)
      else this.objects.set(name, after)
    }
  }
}

const stateOf = ({ tables }: Machine): ReadonlyMap<string, object> => {
  const cluster = tables.cluster()
  const all = kinds.flatMap((kind) =>
    [...tables.all(kind)].map((object) => [`${kind} ${object.ID}`, object] as const)
  )
  return new Map<string, object>(cluster === undefined ? all : [[`cluster ${cluster.ID}`, cluster], ...all])
}

const config = (n: number): Command => ({
  type: "config.create",
  v: 1,
  config: { ID: `c${n}`, Spec: { Name: `name-${n}`, Data: "" } }
})

test("H8, RF-22: followers of every member are told of every change once and in order, across leaders that die and a snapshot in place of entries", () => {
  const machines = new Map<string, Machine>()
  const followers = new Map<string, Follower>()
  const members = new Members(["a", "b", "c"], {
    host: { snapshotEntries: 20, snapshotBytes: 1e9 },
    core: { trailingEntries: 3 },
    machine: (id) => {
      const machine = new Machine((defect) => {
        throw defect
      })
      const follower = new Follower()
      machines.set(id, machine)
      followers.set(id, follower)
      return machine
    }
  })
  // From its first turn on: what was there before is read, not told.
  const follow = (id: string): void => {
    const machine = machines.get(id) as Machine
    const follower = followers.get(id) as Follower
    for (const [name, object] of stateOf(machine)) follower.objects.set(name, object)
    follower.index = machine.tables.index
    machine.follow(follower.take)
  }
  for (const id of ["a", "b", "c"]) follow(id)
  let seq = 0
  const write = (command: Command): void => {
    let done = false
    const entry = { command, proposer: "t", boot: "b", seq: ++seq, who: "t", why: "t", time: seq }
    members
      .member(members.elect())
      .propose(encodeEntry(entry), { proposer: "t", boot: "b", seq }, (outcome) => {
        expect(outcome._tag).toBe("Applied")
        done = true
      })
    members.until("a result", () => done)
  }
  let n = 0
  const more = (count: number): void => {
    for (let i = 0; i < count; i++) {
      n++
      write(config(n))
      if (n % 3 === 0) write({ type: "config.remove", v: 1, id: `c${n - 1}` })
    }
  }
  more(10)
  const first = members.elect()
  members.crash(first)
  more(10)
  members.start(first)
  follow(first)
  // Away for so long that the log does not reach back to it: what it missed comes as a snapshot.
  const away = ["a", "b", "c"].find((id) => id !== members.elect()) as string
  const setsBefore = (followers.get(away) as Follower).sets
  members.isolate(away)
  more(60)
  members.heal()
  more(5)
  const last = (): number => (machines.get(members.elect()) as Machine).tables.index
  members.until("everybody has everything", () =>
    [...machines.values()].every(({ tables }) => tables.index === last())
  )
  expect(members.sent.get("SnapshotChunk")).toBeGreaterThan(0)
  // One step for the snapshot rather than one for each entry.
  expect((followers.get(away) as Follower).sets - setsBefore).toBeLessThan(60)
  for (const [id, machine] of machines) {
    const { objects, index } = followers.get(id) as Follower
    expect(index).toBe(machine.tables.index)
    expect(new Map([...objects].sort())).toEqual(new Map([...stateOf(machine)].sort()))
  }
})

test("H8: what a snapshot changed is told a few objects at a time, and where in the stream each of them stands", () => {
  const wanted = new Machine(loud)
  const book = new Book().cluster()
  for (const id of ["s0", "s1", "s2", "s3", "s4"]) {
    book.service(id)
    book.tasks(id, 200)
  }
  wanted.tables = book.tables
  const machine = new Machine(loud)
  const follower = new Follower()
  const sizes: Array<number> = []
  const events: Array<ClusterEvent> = []
  let late: Follower | undefined
  machine.follow((set) => {
    follower.take(set)
    sizes.push(set.changes.length)
    events.push(...describe(set, events.at(-1)?.sequence ?? { index: 0, position: 0, of: 0 }))
    if (late !== undefined) return
    late = new Follower()
    machine.follow(late.take)
  })
  for (const _ of machine.restoreInSteps([...wanted.snapshot()]));
  expect(sizes.length).toBeGreaterThan(3)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(256)
  expect(new Map([...follower.objects].sort())).toEqual(new Map([...stateOf(wanted)].sort()))
  const of = events.length
  expect(events.map(({ sequence }) => sequence)).toEqual(
    events.map((_, at) => ({ index: wanted.tables.index, position: at + 1, of }))
  )
  // Who comes in the middle of it reads the new state.
  expect(late?.sets).toBe(0)
})
