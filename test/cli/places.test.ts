/** Where a node keeps its sockets and its secrets, and where the commands look for it. */
import { expect, test } from "bun:test"
import { runDirOf, usualSocketOf } from "#cli/places.ts"

test("two data directories never share sockets or secrets", () => {
  expect(runDirOf("/a")).toMatch(/\/[0-9a-f]{12}$/)
  expect(runDirOf("/a")).not.toBe(runDirOf("/b"))
})

test("a data directory is the same however it is written", () => {
  expect(runDirOf("/a/")).toBe(runDirOf("/a"))
  expect(usualSocketOf("/a/")).toBe(usualSocketOf("/a"))
})
