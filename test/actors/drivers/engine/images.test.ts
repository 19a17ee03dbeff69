import { expect, test } from "bun:test"
import { normaliseAuth, parseImage } from "#actors/drivers/engine/images.ts"

test("a name without tag means latest, at Docker's own registry", () => {
  expect(parseImage("nginx")).toEqual({
    name: "nginx",
    reference: "latest",
    pinned: false,
    registry: "docker.io"
  })
  expect(parseImage("team/app:3").registry).toBe("docker.io")
})

test("a first part with a dot, a port or localhost is the registry", () => {
  expect(parseImage("ghcr.io/a/b:1")).toMatchObject({
    name: "ghcr.io/a/b",
    reference: "1",
    registry: "ghcr.io"
  })
  expect(parseImage("localhost/a")).toMatchObject({ reference: "latest", registry: "localhost" })
  expect(parseImage("host:5000/a")).toMatchObject({
    name: "host:5000/a",
    reference: "latest",
    registry: "host:5000"
  })
})

test("a digest pins an image and wins over its tag", () => {
  expect(parseImage("host:5000/a:1@sha256:abc")).toEqual({
    name: "host:5000/a",
    reference: "sha256:abc",
    pinned: true,
    registry: "host:5000"
  })
})

test("credentials are read in every spelling of base64 and written in the one that Go reads", () => {
  const json = JSON.stringify({ username: "ada", password: "ÿ?>~~" })
  const padded = Buffer.from(json).toString("base64").replaceAll("+", "-").replaceAll("/", "_")
  expect(normaliseAuth(Buffer.from(json).toString("base64url"))).toBe(padded)
  expect(normaliseAuth(Buffer.from(json).toString("base64"))).toBe(padded)
  expect(padded.length % 4).toBe(0)
})

test("credentials that are no JSON object are not credentials", () => {
  for (const text of [
    "",
    "%%%",
    Buffer.from("[1]").toString("base64"),
    Buffer.from("null").toString("base64")
  ]) {
    expect(normaliseAuth(text)).toBeUndefined()
  }
})
