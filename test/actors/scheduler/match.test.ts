/** The grammar of placement constraints, which the gateway and the scheduler share. */
import { describe, expect, test } from "bun:test"
import { parseConstraints } from "#actors/scheduler/match.ts"

describe("constraints are read as SwarmKit reads them", () => {
  test("blanks around key and value do not count", () => {
    expect(parseConstraints([" node.labels.zone  ==  a b "])).toEqual([
      { key: "node.labels.zone", operator: "==", value: "a b" }
    ])
  })

  test("keys may begin with an underscore, values may hold what patterns are made of", () => {
    expect(parseConstraints(["_x!=a*(b)"])).toEqual([{ key: "_x", operator: "!=", value: "a*(b)" }])
  })

  test.each([
    ["node.role", "constraint expected one operator from ==, !="],
    ["node.labels.a/b==c", "key 'node.labels.a/b' is invalid"],
    ["node.role==", "value '' is invalid"],
    ["node.role==a=b", "value 'a=b' is invalid"]
  ])("%s is refused", (expression, problem) => {
    expect(parseConstraints([expression])).toBe(problem)
  })
})
