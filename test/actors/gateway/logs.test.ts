import { expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { detailsOf, frame } from "#actors/gateway/frame.ts"
import { parseLogs } from "#actors/gateway/parse-logs.ts"
import { isRefusal } from "#actors/gateway/response.ts"

const parsed = (query: string) => parseLogs(new URLSearchParams(query))
const message = (query: string): string => {
  const result = parsed(query)
  return isRefusal(result) ? result.message : "taken"
}

test("a frame is the stream's number, three zeros, the length and the line", () => {
  expect([...frame("stderr", Buffer.from("ab\n"))]).toEqual([2, 0, 0, 0, 0, 0, 0, 3, 97, 98, 10])
  expect(frame("stdout", Buffer.alloc(300))[6]).toBe(1)
  expect(frame("system", Buffer.from(""))[0]).toBe(3)
})

test("details name node, service and task, sorted among the container's own", () => {
  const context = { nodeId: "n", serviceId: "s", taskId: "t" }
  expect(detailsOf(context, "")).toBe(
    "com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t"
  )
  expect(detailsOf(context, "zone=b,colour=red")).toBe(
    "colour=red,com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t,zone=b"
  )
})

test("a request for logs must choose a stream", () => {
  expect(message("")).toBe("Bad parameters: you must choose at least one stream")
  expect(message("stdout=0&stderr=false")).toBe("Bad parameters: you must choose at least one stream")
  expect(message("stderr=1")).toBe("taken")
})

test("tail is a number of lines or all", () => {
  expect(message("stdout=1&tail=-3")).toBe("negative tail values not supported")
  expect(message("stdout=1&tail=few")).toBe('tail value must be a positive integer or "all"')
  expect(parsed("stdout=1&tail=all")).not.toHaveProperty("request.tail")
  expect(parsed("stdout=1&tail=0")).toHaveProperty("request.tail", 0)
})

test("since and until are seconds with fractions", () => {
  expect(parsed("stdout=1&since=1795381378.5&until=1795381379")).toMatchObject({
    request: { since: 1795381378.5, until: 1795381379 }
  })
  expect(message("stdout=1&since=10m")).toContain('invalid value for "since": "10m"')
})
