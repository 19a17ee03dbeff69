import { expect, test } from "bun:test"
import { eachLine, parseTable } from "#actors/drivers/data-plane/protocol.ts"

const port = {
  serviceId: "s1",
  serviceName: "web",
  protocol: "tcp",
  publishedPort: 8080,
  targetPort: 80,
  backends: [{ taskId: "t1", nodeId: "n1", address: "10.0.0.2" }]
}

test("a table is taken as it is, unknown fields aside", () => {
  expect(parseTable([{ ...port, later: true }])).toEqual([port as never])
})

test("a bad table is refused with the field, the value and what is expected", () => {
  expect(() => parseTable({})).toThrow("ports is {}: expected a list")
  expect(() => parseTable([{ ...port, publishedPort: 0 }])).toThrow(
    "ports[0].publishedPort is 0: expected a port from 1 to 65535"
  )
  expect(() => parseTable([{ ...port, protocol: "sctp" }])).toThrow(
    'ports[0].protocol is "sctp": expected "tcp" or "udp"'
  )
  expect(() =>
    parseTable([port, { ...port, backends: [{ taskId: "t", nodeId: "n", address: "web" }] }])
  ).toThrow('ports[1].backends[0].address is "web": expected an IP address')
  expect(() => parseTable([{ ...port, serviceName: undefined }])).toThrow(
    "ports[0].serviceName is absent: expected text"
  )
})

test("lines are whole, however they are cut on the way", () => {
  const lines: Array<string> = []
  const feed = eachLine((line) => lines.push(line))
  for (const chunk of ["on", "e\ntwo\nth", "", "ree\n", "unfinished"]) feed(chunk)
  expect(lines).toEqual(["one", "two", "three"])
})
