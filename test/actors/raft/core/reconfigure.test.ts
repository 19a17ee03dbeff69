/** Which changes of the group are made, and which are refused. */
import { describe, expect, test } from "bun:test"
import {
  type ConfigChange,
  decodeConfiguration,
  encodeConfiguration
} from "#actors/raft/core/configuration.ts"
import { changed } from "#actors/raft/core/reconfigure.ts"
import { Group } from "#test/support/raft-group.ts"

/** `a` leads all of `ids`; those in `down` were not heard for longer than an election timeout. */
function group(ids: string, down: string): Group {
  const made = new Group([...ids])
  made.expire("a")
  made.settle()
  for (const id of down) made.crash(id)
  made.tick(9)
  for (const id of down) made.core("a").unreachable(id)
  made.tick(2)
  return made
}

describe("E6: a change", () => {
  const cases: ReadonlyArray<readonly [string, string, ConfigChange["_tag"], string, boolean]> = [
    ["abc", "", "Remove", "b", true],
    ["abc", "", "Demote", "b", true],
    ["abc", "c", "Remove", "c", true],
    ["abc", "c", "Remove", "b", false],
    ["abc", "c", "Demote", "b", false],
    ["abc", "c", "Remove", "a", false],
    ["ab", "", "Remove", "b", true],
    ["ab", "", "Remove", "a", true],
    ["abcd", "d", "Remove", "d", true],
    ["abcd", "d", "Remove", "b", true],
    ["abcde", "de", "Remove", "e", true],
    ["abcde", "de", "Remove", "b", false],
    ["abcde", "d", "Remove", "b", true],
    ["a", "", "Remove", "a", false],
    ["a", "", "Demote", "a", false]
  ]
  for (const [ids, down, tag, node, allowed] of cases) {
    const who = down === "" ? "all heard" : `${down} silent`
    test(`of ${ids}, ${who}: ${tag} ${node} is ${allowed ? "made" : "refused"}`, () => {
      const made = group(ids, down)
      expect(made.core("a").status().role).toBe("leader")
      const result = made.core("a").proposeConfig({ _tag: tag, node })
      expect(result._tag).toBe(allowed ? "Appended" : "Refused")
      if (allowed) {
        made.settle()
        // And the group goes on.
        made.elect()
      }
    })
  }

  test("that would cost the majority is made when it is forced", () => {
    const made = group("abc", "c")
    expect(made.core("a").proposeConfig({ _tag: "Demote", node: "b" })._tag).toBe("Refused")
    expect(made.core("a").proposeConfig({ _tag: "Demote", node: "b" }, true)._tag).toBe("Appended")
  })

  test("to a voter needs a learner that has caught up", () => {
    const made = new Group(["a"])
    made.expire("a")
    made.settle()
    made.core("a").proposeConfig({ _tag: "AddLearner", node: "b" })
    made.settle()
    const promote: ConfigChange = { _tag: "Promote", node: "b" }
    expect(made.core("a").proposeConfig(promote)).toMatchObject({ _tag: "Refused" })
    made.add("b", { voters: [], outgoing: [], learners: [], removed: [] })
    made.tick(10)
    expect(made.core("a").proposeConfig(promote)).toMatchObject({ _tag: "Appended" })
  })

  test("is refused for strangers, for members that are there already, and for whoever was removed", () => {
    const configuration = { voters: ["a", "b"], outgoing: [], learners: ["l"], removed: ["r"] }
    const refusals: ReadonlyArray<ConfigChange> = [
      { _tag: "AddLearner", node: "a" },
      { _tag: "AddLearner", node: "l" },
      { _tag: "AddLearner", node: "r" },
      { _tag: "Promote", node: "a" },
      { _tag: "Promote", node: "x" },
      { _tag: "Demote", node: "l" },
      { _tag: "Remove", node: "x" },
      { _tag: "Remove", node: "r" }
    ]
    for (const change of refusals) expect(changed(configuration, change)).toMatchObject({ _tag: "Refused" })
  })

  test("moves one node and keeps the lists sorted and apart", () => {
    const configuration = { voters: ["b", "d"], outgoing: [], learners: ["c"], removed: [] }
    expect(changed(configuration, { _tag: "Promote", node: "c" })).toEqual({
      ...configuration,
      voters: ["b", "c", "d"],
      learners: []
    })
    expect(changed(configuration, { _tag: "AddLearner", node: "a" })).toMatchObject({ learners: ["a", "c"] })
    expect(changed(configuration, { _tag: "Demote", node: "d" })).toMatchObject({
      voters: ["b"],
      learners: ["c", "d"]
    })
    expect(changed(configuration, { _tag: "Remove", node: "c" })).toMatchObject({
      learners: [],
      removed: ["c"]
    })
  })
})

describe("a configuration", () => {
  test("is the same after it was written and read, also while it is joint", () => {
    const configuration = { voters: ["a", "b"], outgoing: ["a", "ü"], learners: ["l"], removed: ["r", "s"] }
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration)
  })

  test("is never more than has room beside a snapshot: those that left first are forgotten, no member is", () => {
    const names = (of: string) => Array.from({ length: 200 }, (_, at) => `${of}${at}`.padEnd(25, "x"))
    const members = { voters: names("v").slice(0, 3).sort(), outgoing: [], learners: ["l"] }
    const removed = names("r")
    const bytes = encodeConfiguration({ ...members, removed })
    expect(bytes.length).toBeLessThan(3_600)
    const { removed: kept, ...others } = decodeConfiguration(bytes)
    expect(others).toEqual(members)
    expect(kept.length).toBeGreaterThan(100)
    expect(kept).toEqual(removed.slice(-kept.length))

    const full = { voters: names("v").slice(0, 132), outgoing: [], learners: [], removed }
    expect(changed(full, { _tag: "AddLearner", node: "n".repeat(25) })).toMatchObject({
      reason: "the group has 132 members, and room for no other"
    })
    expect(decodeConfiguration(encodeConfiguration(full)).voters).toEqual(full.voters)
  })

  test("of another version, or with something after it, is not read", () => {
    const bytes = encodeConfiguration({ voters: ["a"], outgoing: [], learners: [], removed: [] })
    expect(() => decodeConfiguration(new Uint8Array([...bytes, 0]))).toThrow("after a configuration")
    expect(() => decodeConfiguration(new Uint8Array([9, ...bytes.slice(1)]))).toThrow("version 9")
    for (let cut = 0; cut < bytes.length; cut++) {
      expect(() => decodeConfiguration(bytes.slice(0, cut))).toThrow()
    }
  })
})
