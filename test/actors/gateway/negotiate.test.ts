import { expect, test } from "bun:test"
import { compareVersions, offeredVersion, refuseVersion, splitVersion } from "#actors/gateway/negotiate.ts"

test("versions are compared by number, not by letter", () => {
  expect(compareVersions("1.9", "1.10")).toBeLessThan(0)
  expect(compareVersions("1.41", "1.41")).toBe(0)
  expect(compareVersions("2.0", "1.99")).toBeGreaterThan(0)
})

test("we offer what both we and the Engine speak", () => {
  expect(offeredVersion("1.41")).toBe("1.41")
  expect(offeredVersion("1.52")).toBe("1.50")
  expect(offeredVersion(undefined)).toBe("1.50")
  expect(offeredVersion("nonsense")).toBe("1.50")
})

test("a version in front of a path is told from a path that begins with v", () => {
  expect(splitVersion("/v1.41/services/web?x=/v1.2/")).toEqual({ path: "/services/web", version: "1.41" })
  expect(splitVersion("/version")).toEqual({ path: "/version" })
  expect(splitVersion("/volumes")).toEqual({ path: "/volumes" })
  expect(splitVersion("/v1.41")).toEqual({ path: "/", version: "1.41" })
})

test("clients that are too new or too old are told so in the Engine's words", () => {
  expect(refuseVersion("1.99", "1.50")).toBe(
    "client version 1.99 is too new. Maximum supported API version is 1.50"
  )
  expect(refuseVersion("1.10", "1.50")).toBe(
    "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
  )
  for (const welcome of ["1.24", "1.41", "1.50"]) expect(refuseVersion(welcome, "1.50")).toBeUndefined()
})
