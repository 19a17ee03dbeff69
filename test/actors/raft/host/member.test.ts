/** Whole members: how proposals, reads and snapshots end, whatever happens to leaders and links meanwhile. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import type { ConfigChange } from "#actors/raft/core/configuration.ts"
import { maxEntryBytes } from "#actors/raft/entry.ts"
import { Members } from "#test/support/raft-members.ts"
import { type Image, SimVfs } from "#test/support/sim-vfs.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

const applied = (told: { outcome: unknown }): boolean =>
  (told.outcome as { _tag?: string } | undefined)?._tag === "Applied"

describe("proposals", () => {
  test("are applied on every member, in one order, whoever made them", () => {
    const members = new Members(["a", "b", "c"])
    members.elect()
    const told = ["a", "b", "c"].flatMap((id) => [1, 2, 3].map((n) => members.propose(id, `${id}${n}`)))
    members.until("nine results", () => told.every(applied))
    const [first] = [...members.places.values()].map(({ notes }) => notes.texts)
    members.until("the same everywhere", () =>
      [...members.places.values()].every(({ notes }) => notes.texts.join() === first?.join())
    )
    expect([...(first ?? [])].sort()).toEqual(["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3"])
  })

  test("of callers that ask again as soon as they are answered share one message to each member, with what is committed", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.world.advance(500)
    // Writes take as long as several trips, so that those who begin later do not meet the others by chance.
    for (const place of members.places.values()) place.diskMs = 20
    const rounds = 30
    let running = 0
    let seq = 0
    const call = (round: number): void => {
      const id = { proposer: leader, boot: "x", seq: ++seq }
      const line = JSON.stringify({ id: `x/${id.seq}`, text: `${id.seq}` })
      members.member(leader).propose(new TextEncoder().encode(line), id, () => {
        if (round < rounds) call(round + 1)
        else running--
      })
    }
    const begin = (count: number): void => {
      running += count
      for (let i = 0; i < count; i++) call(1)
    }
    const before = members.sent.get("Append") ?? 0
    begin(30)
    members.world.advance(15)
    begin(3)
    members.until("all of them", () => running === 0)
    const sent = (members.sent.get("Append") ?? 0) - before
    // Two a round, and a few until both have found together.
    expect(sent).toBeLessThan(2 * rounds + 20)
  })

  test("G2 G3: when the leader dies, what was on its way to it goes to the next one, and is applied once", () => {
    for (let seed = 1; seed <= 10; seed++) {
      // Nothing is sent again for its age: what goes to the next leader goes because there is one.
      const members = new Members(["a", "b", "c"], { seed, host: { resendTicks: 10_000 } })
      const leader = members.elect()
      const [one, two] = ["a", "b", "c"].filter((id) => id !== leader) as [string, string]
      const told = Array.from({ length: 20 }, (_, i) => members.propose(i % 2 === 0 ? one : two, `${i}`))
      // Some of them are in the leader's log by now, some with one follower, some nowhere.
      members.world.advance(seed % 7)
      members.crash(leader, true)
      const before = members.world.monotonic()
      members.until("twenty results", () => told.every(applied))
      expect(members.world.monotonic() - before).toBeLessThan(2_500)
      const { notes } = members.place(one)
      // A leader that died told each of its own; of the others' it hears from the next.
      members.until("they are everywhere", () => notes.texts.length >= 20)
      members.world.advance(200)
      expect([...notes.texts].sort()).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`).sort())
    }
  })

  test("G3: what was lost on its way to a leader that is well is sent again", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    members.world.advance(500)
    let lost = 0
    members.filter = ({ _tag }) => _tag !== "Forward" || ++lost > 1
    const told = members.propose(follower, "x")
    members.until("its result", () => applied(told), 1_000)
    expect(lost).toBe(2)
  })

  test("G3: what is sent again stands in the leader's log once, and anew where it was lost with the leadership", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const [follower, third] = ["a", "b", "c"].filter((id) => id !== leader) as [string, string]
    members.world.advance(500)
    const lastIndex = (id: string): number => members.member(id).inspect().lastIndex
    const before = lastIndex(leader)
    let [forwards, lost] = [0, 0]
    members.filter = ({ _tag, from }) => {
      if (_tag === "Forward") forwards++
      return !(_tag === "Append" && from === leader)
    }
    const told = members.propose(follower, "x")
    members.until("it is sent again", () => forwards >= 3)
    members.world.advance(100)
    expect(lastIndex(leader)).toBe(before + 1)

    // The third leads meanwhile, and hears nothing of it.
    members.isolate(leader)
    members.filter = ({ _tag, from }) =>
      _tag === "Forward" ? ++lost === 0 : !(from === follower && /Vote$/.test(_tag))
    members.until("another leader", () => members.leader() === third)
    members.heal()
    members.until("its tail is gone", () => members.member(leader).inspect().leader === third)
    members.until("it has what the third has", () => lastIndex(leader) === lastIndex(third))
    members.member(third).transfer(leader, () => {})
    members.until("it leads again", () => members.leader() === leader)
    expect(lost).toBeGreaterThan(0)
    expect(told.outcome).toBeUndefined()
    members.filter = undefined
    members.until("its result", () => applied(told), 2_000)
    expect(members.place(leader).notes.texts).toEqual(["x"])
  })

  test("G1 G4: each ends once, and nothing is applied twice, on links that lose a third of everything", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const members = new Members(["a", "b", "c"], { seed })
      members.elect()
      members.lossPercent = 33
      const told = Array.from({ length: 30 }, (_, i) => members.propose("abc"[i % 3] as string, `${i}`, 100))
      members.until("thirty ends", () => told.every(({ outcome }) => outcome !== undefined), 60_000)
      members.lossPercent = 0
      members.world.advance(6_000)
      for (const { notes } of members.places.values())
        expect(new Set(notes.texts).size).toBe(notes.texts.length)
      const { texts } = members.place(members.elect()).notes
      for (const [i, { outcome }] of told.entries()) {
        if (outcome?._tag === "Applied") expect(texts).toContain(`${i}`)
        if (outcome?._tag === "NotLeader" || outcome?._tag === "Overloaded")
          expect(texts).not.toContain(`${i}`)
      }
    }
  })

  test("G7: what a leader had sent when it was cut off is unknown within two seconds, long before its deadline", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.isolate(leader)
    const told = members.propose(leader, "doubtful")
    members.until("an end", () => told.outcome !== undefined, 2_000)
    expect(told.outcome?._tag).toBe("Unknown")
  })

  test("G7 L2: without a majority, what never left is refused within a second or so, what left is unknown", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.isolate(leader)
    const doubtful = members.propose(leader, "doubtful", 60)
    members.until("an end", () => doubtful.outcome !== undefined, 3_100)
    expect(doubtful.outcome?._tag).toBe("Unknown")
    const certain = members.propose(leader, "certain")
    members.until("a refusal", () => certain.outcome !== undefined, 100)
    expect(certain.outcome).toEqual({ _tag: "NotLeader" })
    members.heal()
    members.world.advance(5_000)
    expect(members.place(members.elect()).notes.texts).not.toContain("certain")
  })

  test("RF-06: with three of five gone fail and are applied nowhere; with one of them back they are applied everywhere", () => {
    const members = new Members(["a", "b", "c", "d", "e"])
    const leader = members.elect()
    const [one, ...others] = ["a", "b", "c", "d", "e"].filter((id) => id !== leader) as [
      string,
      string,
      string
    ]
    const before = members.propose(leader, "before")
    members.until("its result", () => applied(before))
    const gone = others.slice(0, 3)
    for (const id of gone) members.crash(id)
    const sent = members.propose(leader, "sent", 60)
    members.until("an end", () => sent.outcome !== undefined, 5_000)
    expect(sent.outcome?._tag).not.toBe("Applied")
    members.until("nobody leads", () => members.leader() === undefined)
    const lost = members.propose(leader, "lost", 60)
    members.until("an end", () => lost.outcome !== undefined, 5_000)
    expect(lost.outcome).toEqual({ _tag: "NotLeader" })
    for (const id of [leader, one]) expect(members.place(id).notes.texts).toEqual(["before"])

    members.start(gone[0] as string)
    const after = members.propose(members.elect(), "after")
    members.until("its result", () => applied(after))
    for (const id of gone.slice(1)) members.start(id)
    members.until("all have it", () =>
      [...members.places.values()].every(({ notes }) => notes.texts.includes("after"))
    )
    for (const { notes } of members.places.values()) expect(notes.texts).not.toContain("lost")
  })

  test("what a leader meant for its own term is never written in a later one", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const { term } = members.member(leader).inspect()
    const timely = members.propose(leader, "timely", undefined, term)
    members.until("its result", () => applied(timely))
    // Said by one who leads no longer, or not yet.
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    for (const [id, when] of [
      [follower, term],
      [leader, term - 1]
    ] as const) {
      const late = members.propose(id, "late", undefined, when)
      members.until("an end", () => late.outcome !== undefined, 100)
      expect(late.outcome).toEqual({ _tag: "NotLeader" })
    }
    // Caught by the change of leader: it is not handed to the next one.
    members.isolate(leader)
    const doubtful = members.propose(leader, "doubtful", undefined, term)
    const usual = members.propose(leader, "usual")
    members.until("another leader", () => members.leader() !== undefined && members.leader() !== leader)
    members.heal()
    members.until("both ends", () => [doubtful, usual].every(({ outcome }) => outcome !== undefined), 10_000)
    members.world.advance(5_000)
    const texts = members.place(members.elect()).notes.texts
    expect(texts).toContain("timely")
    for (const text of ["late", "doubtful"]) expect(texts).not.toContain(text)
    expect(doubtful.outcome?._tag).toBe("Unknown")
  })

  test("G10: one proposal on an idle group is applied without any other traffic", () => {
    const members = new Members(["a", "b", "c"])
    members.elect()
    members.world.advance(3_000)
    const told = members.propose("b", "alone")
    members.until("its result", () => applied(told), 50)
  })

  /** What a quiet moment brings: the next segment is made ready, and room is measured. */
  function fillDisk(members: Members, id: string): void {
    const { vfs, storage } = members.place(id)
    storage?.idle()
    members.world.advance(10)
    vfs.capacity = 0
    storage?.idle()
  }

  test("C14: a leader without room for entries hands over; what is proposed to it meanwhile waits for its successor", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    fillDisk(members, leader)
    // As far as the leader knows before its next tick, and after it.
    const meanwhile = [members.propose(leader, "meanwhile")]
    members.world.advance(60)
    meanwhile.push(members.propose(leader, "and then"))
    members.until("another leader", () => ![undefined, leader].includes(members.leader()))
    const { vfs, storage } = members.place(leader)
    vfs.capacity = Number.POSITIVE_INFINITY
    storage?.idle()
    members.until("their results", () => meanwhile.every(applied))
    expect(members.place(leader).problem).toBeUndefined()
    const told = members.propose(leader, "after")
    members.until("its result", () => applied(told))
  })

  test("C14: nor is what is proposed refused while the hand-over itself is on its way", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    fillDisk(members, leader)
    let isAsked = false
    members.filter = ({ _tag }) => {
      isAsked ||= _tag === "TimeoutNow"
      return _tag !== "TimeoutNow"
    }
    members.until("the hand-over", () => isAsked)
    const told = members.propose(leader, "meanwhile")
    members.world.advance(100)
    expect(members.leader()).toBe(leader)
    expect(told.outcome).toBeUndefined()
    members.filter = undefined
    members.until("its result", () => applied(told), 10_000)
  })

  test("C14: a follower without any room goes on when there is some: nothing that it acknowledged is missing, nothing is there twice", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    fillDisk(members, follower)
    const told = Array.from({ length: 20 }, (_, at) => {
      members.world.advance(20)
      return members.propose(leader, `${at}`)
    })
    members.until("their results", () => told.every(applied))
    const { vfs, storage, notes, problem } = members.place(follower)
    expect(problem).toBeUndefined()
    expect(notes.texts.length).toBeLessThan(20)
    vfs.capacity = Number.POSITIVE_INFINITY
    storage?.idle()
    members.until("all of it", () => notes.texts.length === 20)
    expect(notes.texts).toEqual(members.place(leader).notes.texts)
    members.crash(follower)
    members.start(follower)
    members.until("all of it again", () => members.place(follower).notes.texts.length === 20)
  })

  test("C14: where every disk is full, whoever proposed is told of that, not that nobody leads", () => {
    const members = new Members(["a", "b", "c"])
    members.elect()
    for (const id of ["a", "b", "c"]) {
      const { storage } = members.place(id)
      const real = storage?.status
      if (storage !== undefined && real !== undefined)
        Object.assign(storage, { status: () => ({ ...real(), low: true }) })
    }
    // They have handed over a few times, and do so ever more rarely.
    members.world.advance(20_000)
    const told = ["a", "b", "c"].map((id) => members.propose(id, id))
    members.until("their ends", () => told.every(({ outcome }) => outcome !== undefined), 10_000)
    for (const { outcome } of told)
      expect(outcome).toMatchObject({
        _tag: expect.stringMatching(/^(Overloaded|Unknown)$/),
        message: expect.stringContaining("too little room left")
      })
  })
})

describe("reads", () => {
  test("F5: on any member see everything that was acknowledged before they were asked", () => {
    const members = new Members(["a", "b", "c"])
    members.elect()
    for (const [id, diskMs] of [
      ["a", 0],
      ["b", 0],
      ["c", 40],
      ["b", 40],
      ["a", 0]
    ] as const) {
      // Whoever is asked has not applied it yet.
      if (id !== members.leader()) members.place(id).diskMs = diskMs
      const told = members.propose("a", id)
      members.until("its result", () => applied(told))
      const { index } = told.outcome as { index: number }
      const read = members.read(id)
      members.until("an answer", () => read.answer !== undefined, 200)
      expect(read.answer as number).toBeGreaterThanOrEqual(index)
      expect(members.place(id).notes.texts.at(-1)).toBe(id)
    }
  })

  test("F8: all that are asked in one turn share one round", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    members.world.advance(500)
    members.sent.clear()
    const reads = Array.from({ length: 50 }, () => members.read(follower))
    members.until("fifty answers", () => reads.every(({ answer }) => typeof answer === "number"), 40)
    expect(members.sent.get("ReadAsk")).toBe(1)
    expect(members.sent.get("ReadAnswer")).toBe(1)
  })

  test("F6: fail, rather than being stale, on a leader that was cut off; and are answered again when it is back", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.isolate(leader)
    const read = members.read(leader)
    members.until("an end", () => read.answer !== undefined, 4_000)
    expect(read.answer).toBeInstanceOf(Error)
    members.heal()
    members.world.advance(1_000)
    const again = members.read(leader)
    members.until("an answer", () => typeof again.answer === "number")
  })

  test("F4: an answer that comes after the question was asked again under another id changes nothing", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    let late = 0
    members.filter = (message) => {
      if (message._tag === "ReadAnswer" && late === 0) {
        late++
        // 600 ms late: after the question was asked again.
        members.world.after(600, () => members.member(follower).receive({ ...message, index: 1 }))
        return false
      }
      return true
    }
    const read = members.read(follower)
    members.until("an answer", () => read.answer !== undefined)
    members.world.advance(1_000)
    expect(late).toBe(1)
    expect(read.answer).toBeGreaterThan(1)
  })
})

describe("leadership", () => {
  test("A7: is told once the first entry of the term is applied, with all that came before", () => {
    const members = new Members(["a", "b", "c"], { core: { persistEntries: 1, applyEntries: 1 } })
    const leader = members.elect()
    // The others have all of it, and do not hear that it is committed.
    members.filter = (message) =>
      message._tag !== "Heartbeat" && !(message._tag === "Append" && message.quiet)
    const told = Array.from({ length: 10 }, (_, i) => members.propose(leader, `${i}`))
    members.until("results", () => told.every(applied))
    members.filter = undefined
    members.slowMachines = true
    for (const [id, place] of members.places) if (id !== leader) place.diskMs = 20
    members.crash(leader)
    const heard: Array<number> = []
    for (const { member, notes } of members.places.values()) {
      member?.onLeadership(({ _tag }) => {
        if (_tag === "Leading") heard.push(notes.lines.length)
      })
    }
    members.until("another leader", () => heard.length > 0)
    expect(heard).toEqual([10])
  })

  test("J10: is handed over without losing, doubling or hanging a write", () => {
    const members = new Members(["a", "b", "c"])
    const told: Array<{ outcome: unknown }> = []
    for (let round = 0; round < 5; round++) {
      const leader = members.elect()
      for (let i = 0; i < 10; i++) {
        told.push(members.propose("abc"[i % 3] as string, `${round}.${i}`))
        if (i === 4) members.member(leader).transfer(undefined, () => {})
        members.world.advance(2)
      }
      members.until(
        "another leader",
        () => members.leader() !== undefined && members.leader() !== leader,
        1_000
      )
    }
    members.until("fifty results", () => told.every(applied), 1_500)
    expect(members.place("a").notes.lines).toHaveLength(50)
  })

  test("is handed over by a leader that closes, which then leaves a snapshot behind", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const told = members.propose(leader, "x")
    members.until("its result", () => applied(told))
    let closed = false
    members.member(leader).close(() => {
      closed = true
    })
    members.until("its end", () => closed, 1_500)
    members.crash(leader)
    members.until("another leader", () => members.leader() !== undefined, 300)
    members.start(leader)
    expect(members.place(leader).notes.texts).toEqual(["x"])
  })

  test("B15: passes within a quarter of a second when NATS says that the leader's process is gone", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.crash(leader)
    // What it had sent is there before the news of its end is confirmed.
    members.world.advance(5)
    for (const [id, { member }] of members.places) if (id !== leader) member?.peerGone(leader)
    members.until("another leader", () => members.leader() !== undefined, 250)
  })

  test("J7, RF-21: passes on when the leader's disk hangs, within two election timeouts of the longest kind", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.place(leader).diskMs = 3_600_000
    members.propose(leader, "stuck")
    members.until("another leader", () => members.leader() !== leader, 2_000)
    const told = members.propose(members.elect(), "x")
    members.until("its result", () => applied(told))
  })

  test("C17: stays where it is while a disk takes a second for each write", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.place(leader).diskMs = 1_000
    const told = Array.from({ length: 5 }, (_, i) => members.propose(leader, `${i}`))
    members.until("results", () => told.every(applied))
    members.world.advance(5_000)
    expect(members.leader()).toBe(leader)
    expect(members.member(leader).inspect().term).toBe(1)
  })
})

describe("snapshots", () => {
  const small = { host: { snapshotEntries: 10, snapshotBytes: 1e9 }, core: { trailingEntries: 3 } }

  test("I7, RF-18: bring back a member that the log no longer reaches, while writes go on", () => {
    const members = new Members(["a", "b", "c"], small)
    const leader = members.elect()
    const away = ["a", "b", "c"].find((id) => id !== leader) as string
    members.crash(away)
    const told = Array.from({ length: 60 }, (_, i) => members.propose(leader, `${i}`))
    members.until("results", () => told.every(applied))
    members.start(away)
    for (let i = 0; i < 30; i++) {
      members.propose(leader, `more ${i}`)
      members.world.advance(20)
    }
    members.until("it has everything", () => members.place(away).notes.lines.length === 90)
    expect(members.sent.get("SnapshotChunk")).toBeGreaterThan(0)
    // And it is there again after a power loss.
    members.crash(away, true)
    members.start(away)
    members.until("it has everything", () => members.place(away).notes.lines.length === 90)
  })

  test("I5: come whole over links that lose a fifth of all chunks", () => {
    const members = new Members(["a", "b", "c"], small)
    const leader = members.elect()
    const away = ["a", "b", "c"].find((id) => id !== leader) as string
    members.crash(away)
    const told = Array.from({ length: 100 }, (_, i) => members.propose(leader, `${i}`))
    members.until("results", () => told.every(applied))
    let chunks = 0
    members.filter = ({ _tag }) => _tag !== "SnapshotChunk" || ++chunks % 5 !== 0
    members.start(away)
    members.until("it has everything", () => members.place(away).notes.lines.length === 100, 30_000)
  })

  test("I3: whenever the power goes while a fetched snapshot takes the place of a tail that nobody committed, none of the tail is applied", () => {
    const members = new Members(["a", "b", "c"], small)
    const away = members.elect()
    const place = members.place(away)
    members.isolate(away)
    for (let i = 0; i < 100; i++) members.propose(away, `never ${i}`)
    members.until("another leader", () => members.leader() !== away)
    const leader = members.elect()
    const told = Array.from({ length: 60 }, (_, i) => members.propose(leader, `${i}`))
    members.until("results", () => told.every(applied))
    members.heal()
    members.until("a snapshot is fetched", () => members.member(away).inspect().fetching !== undefined)
    const images: Array<Image> = []
    place.vfs.during = () => void images.push(place.vfs.durableImage())
    members.until("it is in place", () => members.member(away).inspect().applied > 60)
    members.isolate(away)
    const lengths = new Set<number>()
    for (const image of images) {
      members.crash(away)
      place.vfs = SimVfs.from(image)
      members.start(away)
      members.world.advance(200)
      lengths.add(members.member(away).inspect().lastIndex)
      expect(place.notes.texts.filter((text) => text.startsWith("never"))).toEqual([])
    }
    // The whole tail; what is left of it before the snapshot's entry; the snapshot.
    expect(lengths.size).toBe(3)
  })

  test("I6: survive a change of the leader in the middle, and changes of the group", () => {
    const members = new Members(["a", "b", "c"], small)
    const leader = members.elect()
    const away = ["a", "b", "c"].find((id) => id !== leader) as string
    members.crash(away)
    const told = Array.from({ length: 100 }, (_, i) => members.propose(leader, `${i}`))
    members.until("results", () => told.every(applied))
    let chunks = 0
    members.filter = ({ _tag }) => {
      if (_tag === "SnapshotChunk" && ++chunks === 12) members.member(leader).transfer(undefined, () => {})
      return true
    }
    members.start(away)
    members.until("it has everything", () => members.place(away).notes.lines.length === 100, 30_000)
    expect(members.elect()).not.toBe(leader)
  })
})

describe("the group", () => {
  test("E5, RF-09: takes in a machine as a learner, by a snapshot if need be, and makes it a voter once it keeps up", () => {
    const members = new Members(["a"], { host: { snapshotEntries: 10 }, core: { trailingEntries: 2 } })
    members.elect()
    const told = Array.from({ length: 40 }, (_, i) => members.propose("a", `${i}`))
    members.until("results", () => told.every(applied))
    members.add("b")
    members.member("a").change({ _tag: "AddLearner", node: "b" }, false, () => {})
    members.until("it votes", () => members.member("a").inspect().configuration.voters.length === 2)
    members.until("it has everything", () => members.place("b").notes.lines.length === 40)
  })

  test("RF-17: writes at its pace while a newcomer is not to be reached, gives it no vote, and takes it out again", () => {
    const members = new Members(["a", "b"])
    const leader = members.elect()
    members.add("z")
    members.isolate("z")
    const configuration = () => members.member(leader).inspect().configuration
    members.member(leader).change({ _tag: "AddLearner", node: "z" }, false, () => {})
    members.until("it is a learner", () => configuration().learners.includes("z"))
    for (let at = 0; at < 40; at++) {
      const told = members.propose(leader, `${at}`)
      members.until("its result", () => applied(told), 200)
      members.world.advance(250)
    }
    expect([members.leader(), configuration().voters.length]).toEqual([leader, 2])
    members.member(leader).change({ _tag: "Remove", node: "z" }, false, () => {})
    members.until("it is out", () => configuration().learners.length === 0)
  })

  test("E13: grows from one to five and shrinks back while writes go on, without losing one", () => {
    const members = new Members(["a"], { host: { snapshotEntries: 20 }, core: { trailingEntries: 5 } })
    members.elect()
    const told: Array<{ outcome: unknown }> = []
    const voters = (): ReadonlyArray<string> => members.member(members.elect()).inspect().configuration.voters
    /** Asks until it is so, and writes all the while. */
    const change = (change: ConfigChange, isSo: () => boolean): void => {
      for (let round = 0; round < 100; round++) {
        if (isSo()) return
        members.member(members.elect()).change(change, false, () => {})
        told.push(members.propose("a", `${told.length}`))
        members.world.advance(100)
      }
      throw new Error(`${JSON.stringify(change)} does not come about`)
    }
    for (const id of ["b", "c", "d", "e"]) {
      members.add(id)
      change({ _tag: "AddLearner", node: id }, () => voters().includes(id))
    }
    for (const id of ["e", "d", "c", "b"]) {
      change({ _tag: "Remove", node: id }, () => !voters().includes(id))
    }
    members.until("all results", () => told.every(applied), 30_000)
    expect(members.place("a").notes.lines).toHaveLength(told.length)
    expect(voters()).toEqual(["a"])
  })

  test("goes on after hundreds of members have come and gone: snapshots have room for who was removed last", () => {
    const members = new Members(["a", "b"])
    const leader = members.elect()
    const configuration = () => members.member(leader).inspect().configuration
    const change = (change: ConfigChange): void => {
      let end: string | undefined
      members.member(leader).change(change, false, ({ _tag }) => {
        end = _tag
      })
      members.until("its end", () => end !== undefined)
      expect(end).toBe("Appended")
    }
    const nodes = Array.from({ length: 200 }, (_, at) => `${(at * 37) % 200}`.padStart(25, "m"))
    for (const node of nodes) {
      change({ _tag: "AddLearner", node })
      change({ _tag: "Remove", node })
    }
    const { removed } = configuration()
    expect(removed.length).toBeGreaterThan(100)
    expect(nodes.slice(-removed.length)).toEqual([...removed])
    for (const id of ["a", "b"]) {
      let done = false
      members.member(id).compact(() => {
        done = true
      })
      members.until("its snapshot", () => done)
      const { snapshotIndex, applied, problem } = members.member(id).status()
      expect([snapshotIndex, problem]).toEqual([applied, undefined])
      members.crash(id)
      members.start(id)
      members.until("it knows the group", () => members.member(id).inspect().configuration.removed.length > 0)
      expect(members.member(id).inspect().configuration).toEqual(configuration())
    }
  })

  test("B13: a leader that takes itself out of the group says that it is done, and another one leads", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    let told: string | undefined
    members.member(leader).change({ _tag: "Remove", node: leader }, false, ({ _tag }) => {
      told = _tag
    })
    members.until("an end", () => told !== undefined)
    expect(told).toBe("Appended")
    members.until("another leader", () => ![undefined, leader].includes(members.leader()))
  })

  test("B13: hears nothing of a member that it removed, which is told so and campaigns no more", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const out = ["a", "b", "c"].find((id) => id !== leader) as string
    const { term } = members.member(leader).inspect()
    members.member(leader).change({ _tag: "Remove", node: out }, false, () => {})
    members.until("it knows", () => members.member(out).inspect().removed, 5_000)
    members.world.advance(10_000)
    expect(members.member(leader).inspect()).toMatchObject({ role: "leader", term })
    expect(members.member(out).status().problem).toContain("removed")
  })

  test("B13: takes no proposal, read or request for a snapshot of a member that it removed", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const out = ["a", "b", "c"].find((id) => id !== leader) as string
    members.world.advance(300)
    // It goes on believing in its leader: nothing reaches it any more.
    for (const other of ["a", "b", "c"]) members.cuts.add(`${other}>${out}`)
    let removed = false
    members.member(leader).change({ _tag: "Remove", node: out }, false, () => {
      removed = true
    })
    members.until("it is out", () => removed)
    const answers = (): number =>
      ["ReadAnswer", "ForwardRefused", "SnapshotChunk", "SnapshotGone"]
        .map((tag) => members.sent.get(tag) ?? 0)
        .reduce((sum, count) => sum + count, 0)
    const before = answers()
    members.propose(out, "of one that was removed")
    members.read(out)
    members.member(leader).receive({
      _tag: "SnapshotAsk",
      from: out,
      to: leader,
      term: 1,
      index: 1,
      snapshotTerm: 1,
      chunk: 0,
      count: 8
    })
    members.world.advance(500)
    expect(members.place(leader).notes.texts).toEqual([])
    expect(answers()).toBe(before)
  })
})

describe("limits", () => {
  test("G8: beyond so many proposals on their way, the next is refused at once", () => {
    const members = new Members(["a", "b", "c"], { host: { pendingProposals: 4 } })
    const leader = members.elect()
    members.isolate(leader)
    const told = Array.from({ length: 5 }, (_, i) => members.propose(leader, `${i}`))
    members.world.advance(1)
    expect(told.map(({ outcome }) => outcome?._tag)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      "Overloaded"
    ])
  })

  test("J5 G8: without a majority a leader refuses what goes beyond its cap, and takes it again when there is one", () => {
    const members = new Members(["a", "b", "c"], { core: { uncommittedEntries: 3 } })
    const leader = members.elect()
    members.world.advance(500)
    members.isolate(leader)
    const told = Array.from({ length: 5 }, (_, i) => members.propose(leader, `${i}`))
    members.world.advance(1)
    expect(told.filter(({ outcome }) => outcome?._tag === "Overloaded")).toHaveLength(2)
    members.heal()
    members.until("the others", () => told.every(({ outcome }) => outcome !== undefined))
    const again = members.propose(leader, "again")
    members.until("its result", () => applied(again))
  })

  test("G9: what is larger than an entry may be is refused with the reason, what is as large is applied everywhere", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const tooLarge = members.propose(leader, "x".repeat(maxEntryBytes))
    const large = members.propose(leader, "y".repeat(maxEntryBytes - 100))
    members.until("both ends", () => tooLarge.outcome !== undefined && large.outcome !== undefined)
    expect(tooLarge.outcome).toMatchObject({ _tag: "Overloaded" })
    expect((tooLarge.outcome as { message: string }).message).toContain("one entry carries at most")
    expect(large.outcome?._tag).toBe("Applied")
  })
})

describe("what cannot be applied", () => {
  test("H4: an entry of a kind that is not known here halts the member, and is not skipped", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.world.advance(500)
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    const { term, lastIndex, lastTerm } = members.member(follower).inspect()
    members.member(follower).receive({
      _tag: "Append",
      from: leader,
      to: follower,
      term,
      prevIndex: lastIndex,
      prevTerm: lastTerm,
      commit: lastIndex + 1,
      quiet: false,
      entries: [{ index: lastIndex + 1, term, type: 9, data: new Uint8Array(0) }]
    })
    members.until("its end", () => members.place(follower).problem !== undefined, 100)
    expect(members.place(follower).problem).toBe(
      `Cannot apply entry ${lastIndex + 1}: entries of type 9 are not known here`
    )
  })

  test("H6: an entry at which the state machine throws halts every member that hears of it, at the same place", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const id = { proposer: leader, boot: "x", seq: 1 }
    members.member(leader).propose(new TextEncoder().encode("no JSON"), id, () => {})
    const ended = (): number =>
      [...members.places.values()].filter(({ problem }) => problem !== undefined).length
    // The one that is left alone is never told that the entry is committed.
    members.until("the end of two", () => ended() === 2)
    members.crash(leader)
    members.start(leader)
    members.until("the end of all", () => ended() === 3)
    for (const { problem } of members.places.values()) expect(problem).toContain("Cannot apply entry 3")
  })
})

describe("lost data", () => {
  test("D7: a member whose disk went back to an earlier state takes no part from then on, also after a restart", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    members.world.advance(500)
    const earlier = members.place(follower).vfs.durableImage()
    const told = Array.from({ length: 5 }, (_, i) => members.propose(leader, `${i}`))
    members.until("results", () => told.every(applied))
    members.crash(follower)
    members.place(follower).vfs = SimVfs.from(earlier)
    members.start(follower)
    members.until("it notices", () => members.place(follower).quarantined !== undefined, 1_000)
    expect(members.member(follower).status()).toMatchObject({ role: "quarantined" })
    members.crash(follower)
    expect(() => members.start(follower)).toThrow("were acknowledged here")
    const after = members.propose(leader, "after")
    members.until("its result", () => applied(after))
  })

  test("D7: when the disk fails as that is written down, nobody was told yet, and the next start finds out again", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    const place = members.place(follower)
    const peer = () =>
      members
        .member(leader)
        .inspect()
        .peers.find(({ id }) => id === follower)
    members.world.advance(500)
    const earlier = place.vfs.durableImage()
    const told = members.propose(leader, "x")
    members.until("its result", () => applied(told))
    members.crash(follower)
    place.vfs = SimVfs.from(earlier)
    members.start(follower)
    place.vfs.fault = () => ({ code: "EIO", applied: false })
    members.until("its end", () => place.problem !== undefined, 1_000)
    expect(members.member(follower).status().role).toBe("quarantined")
    members.world.advance(500)
    expect(peer()).toMatchObject({ quarantined: false })
    place.vfs.fault = undefined
    members.crash(follower)
    members.start(follower)
    members.until("it notices", () => place.quarantined !== undefined, 1_000)
    members.until("the leader knows", () => peer()?.quarantined === true, 1_000)
  })
})

describe("time", () => {
  test("B14: a member that was held up hears what has arrived before it takes its own silence for the leader's", () => {
    const members = new Members(["a", "b", "c"])
    const leader = members.elect()
    members.world.advance(500)
    const follower = ["a", "b", "c"].find((id) => id !== leader) as string
    const { term } = members.member(leader).inspect()
    // For three seconds nothing of it runs; meanwhile ticks and messages pile up.
    const member = members.member(follower)
    members.sent.clear()
    for (let i = 0; i < 60; i++) member.tick()
    members.world.advance(1_000)
    expect(members.member(leader).inspect()).toMatchObject({ role: "leader", term })
    expect(members.member(follower).inspect()).toMatchObject({ role: "follower", leader, term })
    expect(members.sent.get("PreVote")).toBeUndefined()
  })
})
