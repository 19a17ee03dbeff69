/** Work that takes long goes on in pieces, so that a member hears and answers meanwhile. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Message } from "#actors/raft/host/message.ts"
import { Members } from "#test/support/raft-members.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

/** How long, in milliseconds, `id` was at most silent towards its leader since this was called. */
function watchSilence(members: Members, id: string): () => number {
  let last = members.world.monotonic()
  let longest = 0
  const look = (): void => {
    longest = Math.max(longest, members.world.monotonic() - last)
    last = members.world.monotonic()
  }
  members.filter = (message: Message) => {
    if (message.from === id && message._tag === "HeartbeatReply") look()
    return true
  }
  return () => {
    look()
    return longest
  }
}

const applied = (told: { outcome: unknown }): boolean =>
  (told.outcome as { _tag?: string } | undefined)?._tag === "Applied"

function write(members: Members, id: string, count: number): void {
  for (let left = count; left > 0; left -= 500) {
    const told = Array.from({ length: Math.min(left, 500) }, (_, i) => members.propose(id, `${left - i}`))
    members.until("results", () => told.every(applied))
  }
}

function untilContact(members: Members, leader: string): void {
  members.until("contact", () =>
    members
      .member(leader)
      .inspect()
      .peers.every((peer) => peer.silentTicks < 3)
  )
}

const tiny = { core: { trailingEntries: 1, trailingBytes: 1 } }

test("I1: a fetched snapshot is restored in pieces: the member answers every heartbeat meanwhile, from the state that it had", () => {
  const members = new Members(["a", "b", "c"], tiny)
  const leader = members.elect()
  const away = ["a", "b", "c"].find((id) => id !== leader) as string
  write(members, leader, 10)
  members.until("the same everywhere", () => members.place(away).notes.lines.length === 10)
  members.isolate(away)
  write(members, leader, 190)
  let compacted = false
  members.member(leader).compact(() => {
    compacted = true
  })
  members.until("a snapshot", () => compacted)
  // Each piece takes all the time that a turn has for it, and the next turn is a while off: 200 of them take 4 s.
  members.slowMachines = true
  members.laterMs = 20
  members.heal()
  const seen = new Set<number>()
  untilContact(members, leader)
  const longest = watchSilence(members, away)
  const before = members.world.monotonic()
  members.until("the snapshot's state", () => {
    seen.add(members.place(away).notes.lines.length)
    return members.place(away).notes.lines.length >= 200
  })
  expect(members.world.monotonic() - before).toBeGreaterThan(3_000)
  expect(longest()).toBeLessThan(300)
  expect([...seen].sort()).toEqual([10, 200])
  expect(members.leader()).toBe(leader)
})

test("H7: a long backlog is applied in pieces: the member answers every heartbeat meanwhile", () => {
  const members = new Members(["a", "b", "c"])
  const leader = members.elect()
  const behind = ["a", "b", "c"].find((id) => id !== leader) as string
  members.isolate(behind)
  write(members, leader, 2_000)
  // One entry a turn, and 5 ms to the next: 10 s.
  members.slowMachines = true
  members.laterMs = 5
  members.heal()
  untilContact(members, leader)
  const longest = watchSilence(members, behind)
  const before = members.world.monotonic()
  members.until("all of it", () => members.place(behind).notes.lines.length === 2_000, 60_000)
  expect(members.world.monotonic() - before).toBeGreaterThan(5_000)
  expect(longest()).toBeLessThan(300)
  expect(members.leader()).toBe(leader)
})

test("H3: whenever the power goes while snapshots are taken, the state comes back with exactly what it applied", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const members = new Members(["a"], { seed })
    members.elect()
    write(members, "a", 20)
    members.member("a").compact(() => {})
    const told = [20, 21, 22].map((n) => members.propose("a", `after ${n}`))
    members.place("a").diskMs = 1
    members.world.advance(seed)
    const certain = told.filter(applied).length
    members.crash("a", true)
    members.start("a")
    members.elect()
    const { notes } = members.place("a")
    // `Notes` counts what it is given twice, and would show what it is not given.
    expect(notes.repeats).toBe(0)
    expect(notes.texts.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => `${20 - i}`))
    expect(notes.lines.length).toBeGreaterThanOrEqual(20 + certain)
    expect(notes.texts.slice(20)).toEqual(
      ["after 20", "after 21", "after 22"].slice(0, notes.lines.length - 20)
    )
  }
})

test("I8: a member that was away for 5 minutes at 100 writes a second needs no snapshot", () => {
  // As long as a status change of one task is, with its envelope.
  const text = "x".repeat(300)
  const members = new Members(["a", "b", "c"])
  const leader = members.elect()
  const away = ["a", "b", "c"].find((id) => id !== leader) as string
  members.crash(away)
  const entries = 5 * 60 * 100
  for (let left = entries; left > 0; left -= 1_000) {
    const told = Array.from({ length: 1_000 }, () => members.propose(leader, text))
    members.until("results", () => told.every(applied))
  }
  let compacted = false
  members.member(leader).compact(() => {
    compacted = true
  })
  members.until("a snapshot", () => compacted)
  members.start(away)
  members.until("all of it", () => members.place(away).notes.lines.length === entries, 120_000)
  expect(members.sent.get("SnapshotChunk")).toBeUndefined()
}, 300_000)
