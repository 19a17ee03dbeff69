/** What the daemon's log says of a tree's events. */
import { expect, test } from "bun:test"
import { showEvent } from "#cli/flight-recorder.ts"

const crashed = (error: unknown): unknown =>
  JSON.parse(showEvent({ _tag: "Crashed", name: "n1/task/t1", error, restartInMs: 100 }, undefined))

test("a crash is one line of JSON, with the words of its error", () => {
  expect(crashed(new Error("boom"))).toEqual({
    _tag: "Crashed",
    name: "n1/task/t1",
    error: "boom",
    restartInMs: 100
  })
})

test("it is a line also when what was thrown is none that JSON can say", () => {
  const request: Record<string, unknown> = { message: "hung up" }
  request.response = { request }
  expect(crashed(request)).toMatchObject({ name: "n1/task/t1", error: "hung up" })
  expect(crashed(7n)).toMatchObject({ error: "7" })
})
