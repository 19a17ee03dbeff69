/** Majorities against counting every subset. */
import { describe, expect, test } from "bun:test"
import { type Configuration, founding } from "#actors/raft/core/configuration.ts"
import { isQuorum, reachedByQuorum, tally } from "#actors/raft/core/quorum.ts"
import { Fresh } from "#runtime/ids.ts"

const ids = ["a", "b", "c", "d", "e", "f", "g"]
const subset = (mask: number): ReadonlyArray<string> => ids.filter((_, i) => (mask >> i) & 1)
const joint = (voters: ReadonlyArray<string>, outgoing: ReadonlyArray<string>): Configuration => ({
  ...founding(...voters),
  outgoing
})
const most = (of: ReadonlyArray<string>, yes: ReadonlyArray<string>): boolean =>
  of.length === 0 || 2 * of.filter((id) => yes.includes(id)).length > of.length

describe("E1: a quorum", () => {
  test("is more than half of the voters, for every group of up to seven and every set that agrees", () => {
    for (let voters = 1; voters < 128; voters++) {
      const configuration = founding(...subset(voters))
      for (let yes = 0; yes < 128; yes++) {
        const agreeing = subset(yes)
        expect(isQuorum(configuration, (id) => agreeing.includes(id))).toBe(most(subset(voters), agreeing))
      }
    }
  })

  test("is more than half of both halves while a joint change is under way", () => {
    for (let voters = 1; voters < 32; voters++) {
      for (let outgoing = 1; outgoing < 32; outgoing++) {
        const configuration = joint(subset(voters), subset(outgoing))
        for (let yes = 0; yes < 32; yes++) {
          const agreeing = subset(yes)
          const wanted = most(subset(voters), agreeing) && most(subset(outgoing), agreeing)
          expect(isQuorum(configuration, (id) => agreeing.includes(id))).toBe(wanted)
        }
      }
    }
  })

  test("of one configuration meets every quorum of the next, whichever single member is moved", () => {
    for (let voters = 1; voters < 128; voters++) {
      for (let i = 0; i < 7; i++) {
        const next = voters ^ (1 << i)
        if (next === 0) continue
        for (let one = 0; one < 128; one++) {
          if (!most(subset(voters), subset(one))) continue
          // The largest set that does not touch the first must not be a quorum of the next.
          expect(most(subset(next), subset(127 & ~one))).toBe(false)
        }
      }
    }
  })

  test("of nobody is never there", () => {
    expect(isQuorum(founding(), () => true)).toBe(false)
    expect(reachedByQuorum(founding(), () => 9)).toBe(0)
    expect(tally(founding(), () => true)).toBe("lost")
  })

  test("has reached the greatest number that enough of its members have reached", () => {
    const chance = Fresh.from(1)
    for (let i = 0; i < 50_000; i++) {
      const voters = subset(1 + chance.below(127))
      const outgoing = chance.below(2) === 0 ? [] : subset(1 + chance.below(127))
      const numbers = new Map(ids.map((id) => [id, chance.below(5)]))
      const configuration = joint(voters, outgoing)
      let wanted = 0
      for (let number = 1; number < 5; number++) {
        const reached = ids.filter((id) => (numbers.get(id) ?? 0) >= number)
        if (most(voters, reached) && most(outgoing, reached)) wanted = number
      }
      expect(reachedByQuorum(configuration, (id) => numbers.get(id) ?? 0)).toBe(wanted)
    }
  })

  test("has decided an election once no further vote can change it", () => {
    for (let voters = 1; voters < 32; voters++) {
      for (let yes = 0; yes < 32; yes++) {
        for (let no = 0; no < 32; no++) {
          if ((yes & no) > 0) continue
          const votes = tally(founding(...subset(voters)), (id) =>
            subset(yes).includes(id) ? true : subset(no).includes(id) ? false : undefined
          )
          const won = most(subset(voters), subset(yes))
          const possible = most(subset(voters), subset(voters & ~no))
          expect(votes).toBe(won ? "won" : possible ? "open" : "lost")
        }
      }
    }
  })
})
