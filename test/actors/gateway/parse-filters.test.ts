import { expect, test } from "bun:test"
import { type Filters, hasLabels, hasPrefix, parseFilters, valuesOf } from "#actors/gateway/parse-filters.ts"

const parse = (text: string): Filters => parseFilters(text, ["name", "label"]) as Filters
const refusal = (text: string) => parseFilters(text, ["name", "label"])

test("both forms that clients send mean the same", () => {
  expect(valuesOf(parse('{"name":{"web":true,"db":true}}'), "name")).toEqual(["web", "db"])
  expect(valuesOf(parse('{"name":["web","db"]}'), "name")).toEqual(["web", "db"])
  expect(parse("").size).toBe(0)
})

test("an unknown key is named, and what is no filter is refused", () => {
  expect(refusal('{"zz":{"a":true}}')).toEqual({ code: "invalidArgument", message: "invalid filter 'zz'" })
  for (const text of [
    "nope",
    "[]",
    "3",
    '{"name":3}',
    '{"name":{"a":1}}',
    '{"name":[1]}',
    '{"name":"web"}'
  ]) {
    expect(refusal(text)).toEqual({ code: "invalidArgument", message: "invalid filter" })
  }
})

test("values of one key are alternatives, labels must all be there", () => {
  const filters = parse('{"name":["we","d"],"label":["a","b=c"]}')
  expect(hasPrefix(filters, "name", "web")).toBe(true)
  expect(hasPrefix(filters, "name", "db")).toBe(true)
  expect(hasPrefix(filters, "name", "api")).toBe(false)
  expect(hasLabels(filters, "label", { a: "1", b: "c" })).toBe(true)
  expect(hasLabels(filters, "label", { a: "1", b: "d" })).toBe(false)
  expect(hasLabels(filters, "label", { b: "c" })).toBe(false)
  expect(hasLabels(filters, "label", undefined)).toBe(false)
  expect(hasLabels(parse('{"label":["toString"]}'), "label", {})).toBe(false)
})
