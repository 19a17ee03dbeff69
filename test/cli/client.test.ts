import { expect, test } from "bun:test"
import { refusedWith } from "#cli/client.ts"

test("an answer that refuses is told as the API says it, and in whole where it says it otherwise", () => {
  const told = [
    refusedWith(404, '{"message":"no such service: web"}'),
    refusedWith(502, "Bad Gateway"),
    refusedWith(400, '["neither"]'),
    refusedWith(503, "")
  ].map(({ status, message }) => `${status}: ${message}`)
  expect(told).toEqual(["404: no such service: web", "502: Bad Gateway", '400: ["neither"]', "503: HTTP 503"])
})
