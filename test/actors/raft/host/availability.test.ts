/** What a group does without asking anybody: one bad link, one bad member, one member after another replaced. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { decodeConfiguration } from "#actors/raft/core/configuration.ts"
import type { Message } from "#actors/raft/host/message.ts"
import { Members } from "#test/support/raft-members.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

const abc = ["a", "b", "c"]
const others = (id: string, of: ReadonlyArray<string> = abc): ReadonlyArray<string> =>
  of.filter((other) => other !== id)
const applied = (told: { outcome: unknown }): boolean =>
  (told.outcome as { _tag?: string } | undefined)?._tag === "Applied"
/** How often somebody was elected. */
const termsOf = (members: Members): number =>
  Math.max(...[...members.places.values()].map(({ member }) => member?.inspect().term ?? 0))

describe("one link that carries nothing one way", () => {
  const pairs = abc.flatMap((from) => others(from).map((to) => [from, to] as const))
  for (const [from, to] of pairs) {
    test(`B8: from ${from} to ${to}, whatever the two are to each other: writes go on, and nobody else is elected`, () => {
      const roles = new Set<string>()
      for (let seed = 1; roles.size < 3 && seed < 60; seed++) {
        const members = new Members(abc, { seed })
        const leader = members.elect()
        const role =
          leader === from ? "from the leader" : leader === to ? "to the leader" : "between followers"
        if (roles.has(role)) continue
        roles.add(role)
        members.world.advance(500)
        const before = termsOf(members)
        members.cuts.add(`${from}>${to}`)
        // While nothing is written, a log that gets nothing is as new as any.
        members.world.advance(3_000)
        for (let round = 0; round < 10; round++) {
          // Whoever can neither hear the leader nor reach it waits; nobody else does.
          const lead = members.elect()
          const well = abc.filter((id) => !(new Set([id, lead]).has(from) && new Set([id, lead]).has(to)))
          const told = [...new Set([lead, ...well])].map((id) => members.propose(id, `${round} by ${id}`))
          members.until("they are answered", () => told.every(applied), 3_000)
          members.world.advance(500)
        }
        expect({ role, elected: termsOf(members) - before }).toEqual({ role, elected: 0 })
        const now = members.elect()
        members.heal()
        members.world.advance(3_000)
        expect(members.leader()).toBe(now)
      }
      expect(roles.size).toBe(3)
    })
  }
})

test("B11: a member whose log is behind never leads, and does not keep the others from electing one", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const five = ["a", "b", "c", "d", "e"]
    const members = new Members(five, { seed })
    const leader = members.elect()
    const behind = others(leader, five)[0] as string
    // It hears who leads and asks for votes, but gets no entry.
    const holds = (message: Message): boolean => message._tag === "Append" && message.to === behind
    members.filter = (message) => !holds(message)
    for (let round = 0; round < 3; round++) {
      const told = members.propose(members.elect(), `${round}`)
      members.until("a result", () => applied(told))
      // Its clock runs out first, every time.
      const gone = members.elect()
      members.crash(gone)
      for (let i = 0; i < 40; i++) members.member(behind).tick()
      members.until("another leader", () => members.leader() !== undefined, 6_000)
      expect(members.leader()).not.toBe(behind)
      members.start(gone)
      members.world.advance(300)
    }
    expect(members.place(behind).notes.texts).toEqual([])
    members.filter = undefined
    members.until("it has everything", () => members.place(behind).notes.texts.join() === "0,1,2")
  }
})

describe("one slow member", () => {
  const rounds = 200

  /** Milliseconds of imitated time from proposal to result, ascending. */
  function latencies(hinder: (members: Members, follower: string) => void): ReadonlyArray<number> {
    const members = new Members(abc, { seed: 5 })
    const leader = members.elect()
    for (const place of members.places.values()) place.diskMs = 1
    members.world.advance(500)
    hinder(members, others(leader)[0] as string)
    const took: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      const before = members.world.monotonic()
      const told = members.propose(leader, `${round}`)
      while (!applied(told)) members.world.advance(1)
      took.push(members.world.monotonic() - before)
    }
    return took.sort((a, b) => a - b)
  }
  const p99 = (sorted: ReadonlyArray<number>): number => sorted[Math.floor(0.99 * sorted.length)] as number

  const well = p99(latencies(() => {}))
  for (const [what, hinder] of [
    ["whose disk takes ten seconds", (members: Members, id: string) => (members.place(id).diskMs = 10_000)],
    ["that is dead", (members: Members, id: string) => members.crash(id)],
    [
      "that loses half of what it is sent",
      (members: Members, id: string) => {
        let n = 0
        members.filter = ({ to }) => to !== id || ++n % 2 === 0
      }
    ]
  ] as const) {
    test(`J6: ${what} makes writes no slower than they are by the other two`, () => {
      // The slower of two that are well decides then, and a millisecond of that is the link's.
      expect(p99(latencies(hinder))).toBeLessThanOrEqual(Math.ceil(1.2 * well) + 1)
    })
  }
})

test("A18: a belief that turns out wrong ends that member and no other; it comes back with what it had", () => {
  for (const role of ["leader", "follower"] as const) {
    const members = new Members(abc)
    const leader = members.elect()
    const struck = role === "leader" ? leader : (others(leader)[0] as string)
    const { term } = members.member(leader).inspect()
    const told = members.propose(struck, "before")
    members.until("a result", () => applied(told))
    members.world.advance(200)
    // That a term has two leaders cannot be, and is.
    const liar = others(struck).find((id) => id !== leader) as string
    members.member(struck).receive({ _tag: "Heartbeat", from: liar, to: struck, term, commit: 0, read: 0 })
    members.world.advance(10)
    expect(members.place(struck).problem).toBe("Broken invariant: a term has one leader")
    const late: { outcome: unknown } = members.propose(struck, "to the one that ended")
    members.world.advance(10)
    expect(late.outcome).toEqual({ _tag: "NotLeader" })
    members.crash(struck)
    const again = members.propose(others(struck)[0] as string, "meanwhile")
    members.until("a result", () => applied(again))
    members.start(struck)
    members.until("it has everything", () => members.place(struck).notes.texts.join() === "before,meanwhile")
  }
})

test("E15: a snapshot holds the configuration that was committed at its index, not one that is only in the log", () => {
  const members = new Members(abc, { host: { snapshotEntries: 1_000_000 } })
  const leader = members.elect()
  const told = members.propose(leader, "x")
  members.until("a result", () => applied(told))
  members.world.advance(300)
  // From here on nothing more is committed.
  members.isolate(leader)
  members.add("d")
  members.member(leader).change({ _tag: "AddLearner", node: "d" }, true, () => {})
  members.world.advance(20)
  const status = members.member(leader).inspect()
  expect(status.configuration.learners).toEqual(["d"])
  expect(status.configurationIndex).toBeGreaterThan(status.commit)
  let saved = false
  members.member(leader).compact(() => {
    saved = true
  })
  members.until("a snapshot", () => saved)
  members.crash(leader, true)
  members.start(leader)
  const { snapshot } = members.place(leader).storage?.recovered ?? {}
  expect(snapshot?.index).toBe(status.applied)
  expect(decodeConfiguration(snapshot?.config ?? new Uint8Array(0))).toMatchObject({
    voters: abc,
    learners: []
  })
})

test("E14: three members are replaced one by one by new machines while writes go on, and none is lost or refused for good", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const members = new Members(abc, { seed, host: { snapshotEntries: 30 }, core: { trailingEntries: 5 } })
    members.elect()
    let round = 0
    const told: Array<{ outcome: unknown }> = []
    const write = (): void => {
      const up = [...members.places.values()].filter(({ member }) => member !== undefined)
      const by = members.leader() ?? (up[round % up.length]?.id as string)
      told.push(members.propose(by, `${round++}`))
      members.world.advance(20)
    }
    const untilWritten = (what: string, holds: () => boolean): void => {
      for (let tries = 0; !holds(); tries++) {
        if (tries > 1_000) throw new Error(`${what} did not come about`)
        write()
      }
    }
    const votersAt = (): ReadonlyArray<string> => {
      const leader = members.leader()
      return leader === undefined ? [] : members.member(leader).inspect().configuration.voters
    }
    const ask = (change: { _tag: "AddLearner" | "Remove"; node: string }): void => {
      const leader = members.leader()
      if (leader !== undefined) members.member(leader).change(change, false, () => {})
    }
    for (const [old, fresh] of [
      ["a", "d"],
      ["b", "e"],
      ["c", "f"]
    ] as const) {
      members.add(fresh)
      untilWritten(`${fresh} votes`, () => {
        if (!members.leader()) return false
        if (!votersAt().includes(fresh)) ask({ _tag: "AddLearner", node: fresh })
        return votersAt().includes(fresh)
      })
      untilWritten(`${old} is out`, () => {
        if (votersAt().includes(old)) ask({ _tag: "Remove", node: old })
        return votersAt().length === 3 && !votersAt().includes(old)
      })
      members.world.advance(500)
      members.crash(old)
    }
    members.until("every write is answered", () => told.every(({ outcome }) => outcome !== undefined))
    expect(told.filter((one) => !applied(one)).map(({ outcome }) => outcome)).toEqual([])
    const want = Array.from({ length: round }, (_, n) => `${n}`)
    for (const id of ["d", "e", "f"]) {
      members.until(`${id} has everything`, () => members.place(id).notes.lines.length === round)
      expect([...members.place(id).notes.texts].sort((a, b) => Number(a) - Number(b))).toEqual(want)
    }
  }
})
