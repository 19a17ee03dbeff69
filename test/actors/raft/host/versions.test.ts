/** Members of two releases in one group: messages that only one of them knows, and entries that may not be written yet. */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { Message } from "#actors/raft/host/message.ts"
import { Members } from "#test/support/raft-members.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

const abc = ["a", "b", "c"]
const applied = (told: { outcome: unknown }): boolean =>
  (told.outcome as { _tag?: string } | undefined)?._tag === "Applied"

/** What the release before does not know: it neither says it nor understands it. */
const isNew = ({ _tag }: Message): boolean => _tag === "Acknowledged" || _tag === "Quarantined"

test("H5: members are upgraded one after the other, and one of them goes back, while writes go on", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const members = new Members(abc, { seed, host: { snapshotEntries: 15 }, core: { trailingEntries: 3 } })
    const former = new Set(abc)
    let crossed = 0
    members.filter = (message) => {
      if (!isNew(message)) return true
      if (former.has(message.from) || former.has(message.to)) return false
      crossed++
      return true
    }
    members.elect()
    let round = 0
    const write = (times: number): void => {
      for (let i = 0; i < times; i++) {
        const told = abc
          .filter((id) => members.place(id).member !== undefined)
          .map((id) => members.propose(id, `${round++}`))
        members.until("results", () => told.every(applied))
      }
    }
    const restart = (id: string, isFormer: boolean): void => {
      members.crash(id)
      write(8)
      if (isFormer) former.add(id)
      else former.delete(id)
      members.start(id)
      members.until("it keeps up", () => members.member(id).inspect().applied >= round)
    }
    write(3)
    restart("a", false)
    write(3)
    restart("b", false)
    // The new release misbehaves on one machine, and is taken back there.
    restart("a", true)
    write(3)
    for (const id of ["a", "c"]) restart(id, false)
    write(3)
    for (const id of abc) members.until("everything", () => members.place(id).notes.lines.length === round)
    // Now that all are of one release, what only it knows is heard.
    const leader = members.elect()
    const [deaf] = abc.filter((id) => id !== leader)
    members.cuts.add(`${leader}>${deaf}`)
    members.place(leader).diskMs = 700
    members.propose(leader, "slow")
    members.world.advance(600)
    expect(crossed).toBeGreaterThan(0)
  }
})
