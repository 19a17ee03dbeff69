/** Random lives of small groups: whatever is lost, late or repeated, what may never be is not. */
import { describe, expect, test } from "bun:test"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import { Fresh } from "#runtime/ids.ts"
import { command, Group } from "#test/support/raft-group.ts"

/** One life of `steps` moves; afterwards the group is healed and must work. */
function live(seed: number, members: number, steps: number): Group {
  const chance = Fresh.from(seed)
  const ids = ["a", "b", "c", "d", "e"].slice(0, members)
  const group = new Group(ids, {
    seed,
    settings: {
      appendBytes: 200,
      persistEntries: 3,
      inFlightMessages: 3,
      trailingEntries: 2,
      applyEntries: 2
    }
  })
  const late: Array<CoreMessage> = []
  let text = 0
  const any = (): string => ids[chance.below(ids.length)] as string
  for (let i = 0; i < steps; i++) {
    const id = any()
    const member = group.member(id)
    switch (chance.below(20)) {
      case 0:
        if (chance.below(6) === 0) group.crash(id)
        break
      case 1:
        if (member.down) group.restart(id)
        break
      case 2:
        if (chance.below(4) === 0) group.cut(id, any())
        break
      case 3:
        if (chance.below(4) === 0) group.heal()
        break
      case 4:
      case 5:
        if (!member.down) member.core.propose([command(`${++text}`)])
        break
      case 6:
        if (!member.down && chance.below(8) === 0) member.core.transferLeadership(any())
        break
      case 7:
        if (!member.down && member.applied > (member.disk.snapshot?.index ?? 0) && chance.below(3) === 0) {
          if (member.disk.entries.some(({ index }) => index === member.applied)) group.compact(id)
        }
        break
      case 8: {
        if (member.down || chance.below(4) > 0) break
        const tags = ["AddLearner", "Promote", "Demote", "Remove"] as const
        const tag = tags[chance.below(4)] as (typeof tags)[number]
        member.core.proposeConfig({ _tag: tag, node: any() })
        break
      }
      case 9:
      case 10:
      case 11:
        if (!member.down) member.core.tick()
        break
      case 12:
      case 13:
        group.persistOne(id)
        break
      default: {
        const at = chance.below(Math.min(group.mail.length, 8) || 1)
        const [message] = group.mail.splice(at, 1)
        if (message === undefined) break
        const fate = chance.below(12)
        if (fate === 0) break
        if (fate === 1) group.mail.push(message)
        if (fate === 2) late.push(message)
        group.deliver(message)
        if (late.length > 5 && chance.below(3) === 0)
          group.deliver(late.splice(chance.below(late.length), 1)[0] as CoreMessage)
      }
    }
    group.collect(id)
  }
  group.heal()
  for (const id of ids) if (group.member(id).down) group.restart(id)
  for (const message of late) group.deliver(message)
  return group
}

const runs = Number(process.env.RUNS ?? 60)

for (const members of [1, 2, 3, 5]) {
  describe(`a group of ${members}`, () => {
    test("A1 A3 A5 A11 C1 C2 keeps what it promised in any weather, and works when it clears", () => {
      for (let seed = 1; seed <= runs; seed++) {
        try {
          const group = live(seed, members, 3_000)
          group.elect()
          group.tick(60)
          const leader = group.leader() as string
          expect(group.core(leader).propose([command("last")])._tag).toBe("Appended")
          group.tick(10)
          const status = group.core(leader).status()
          expect(status.commit).toBe(status.lastIndex)
          for (const peer of status.peers) expect(peer.match).toBe(status.lastIndex)
        } catch (error) {
          throw new Error(`seed ${seed}: ${(error as Error).stack}`)
        }
      }
    }, 120_000)
  })
}
