import { expect, test } from "bun:test"
import { explain } from "#actors/drivers/engine/client.ts"

const isTemporary = (statusCode: number, words: string): boolean =>
  explain("logs", "unix:///x", { statusCode, message: `(HTTP code ${statusCode}) server error - ${words} ` })
    .temporary

test("the Engine's own condition passes; a log driver that cannot be read stays so", () => {
  expect(isTemporary(503, "try later")).toBe(true)
  expect(isTemporary(500, "context deadline exceeded")).toBe(true)
  expect(isTemporary(501, "configured logging driver does not support reading")).toBe(false)
  expect(isTemporary(404, "No such container: x")).toBe(false)
})
