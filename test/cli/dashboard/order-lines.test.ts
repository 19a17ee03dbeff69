/** Lines of several tasks as one. */
import { expect, test } from "bun:test"
import { type Line, orderLines, readLine } from "#cli/dashboard/page/order-lines.ts"

const line = (at: string, key = 0): Line => ({ key, at, taskId: "t", isError: false, text: "" })

test("a line is taken apart into when, whose and what, whatever is in it", () => {
  const details = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1"
  const of = (text: string) =>
    readLine({ isError: true, text: `2026-11-28T02:38:49.1Z ${details} ${text}` }, 3)
  expect(of("a b  c")).toEqual({
    key: 3,
    at: "2026-11-28T02:38:49.1Z",
    taskId: "t1",
    isError: true,
    text: "a b  c"
  })
  expect(of("").text).toBe("")
  expect(of("  two\nlines").text).toBe("  two\nlines")
  expect(of("\x1b[1;31mred\x1b[0m [1;31m \x1b]0;title\x07and \x1b]8;;http://a\x1b\\link\x1b[K").text).toBe(
    "red [1;31m and link"
  )
})

test("lines are in the order of time, also where digits of it were left out, and the newest are kept", () => {
  const [a, b, c, d] = [
    line("2026-11-28T02:38:49Z"),
    line("2026-11-28T02:38:49.05Z"),
    line("2026-11-28T02:38:49.1Z"),
    line("2026-11-28T02:38:50.000000001Z")
  ] as [Line, Line, Line, Line]
  expect(orderLines([], [c, d, a, b], 9)).toEqual([a, b, c, d])
  expect(orderLines([a, c], [b, d], 3)).toEqual([b, c, d])
  expect(orderLines([a, b], [c, d], 2)).toEqual([c, d])
})

test("lines of one moment stay in the order in which they came", () => {
  const at = "2026-11-28T02:38:49Z"
  const lines = [line(at, 1), line(at, 2), line("2026-11-28T02:38:48Z", 3), line(at, 4)]
  expect(orderLines([], lines, 9).map(({ key }) => key)).toEqual([3, 1, 2, 4])
})
