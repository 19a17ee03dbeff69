/** What judges every answer in these tests, and in those of whole clusters, notices what the Engine's files do not allow. */
import { expect, test } from "bun:test"
import { complain, mustFit } from "#test/support/openapi/complain.ts"

const node = { ID: "n1", Version: { Index: 7 }, Spec: { Role: "worker" }, Status: { State: "ready" } }
const judged = (body: unknown, path = "/nodes/n1", status = 200) =>
  complain("1.41", "GET", path, status, body)

test("an answer as the file has it is fine, and so are empty lists as Go writes them", () => {
  expect(judged(node)).toEqual([])
  expect(judged([node, { ...node, Description: null }], "/nodes")).toEqual([])
})

test("a wrong type, a word that is none of those named, and a field of no meaning are told by their place", () => {
  expect(judged({ ...node, Version: { Index: "7" } })).toEqual([
    'GET /nodes/n1 200.Version.Index: expected integer, found "7"'
  ])
  expect(judged([{ ...node, Spec: { Role: "chief" } }], "/nodes")).toEqual([
    'GET /nodes 200[0].Spec.Role: expected one of worker, manager, found "chief"'
  ])
  expect(judged({ ...node, Colour: "blue" })).toEqual(["GET /nodes/n1 200: Colour is not known"])
})

test("a refusal without a message is told, and so is a success that the file does not name", () => {
  expect(judged({ reason: "no" }, "/nodes/n1", 418)).toEqual([
    "GET /nodes/n1 418: message is missing",
    "GET /nodes/n1 418: reason is not known"
  ])
  expect(judged({}, "/nodes/n1", 204)).toEqual(["GET /nodes/n1 204: expected 200 or 404 or 500 or 503"])
})

test("what a version does not have yet is not known in it", () => {
  const secret = { ID: "s1", Spec: { Name: "a", Labels: {} } }
  expect(complain("1.41", "GET", "/secrets/s1", 200, secret)).toEqual([])
  const oom = { ID: "t1", Spec: { ContainerSpec: { OomScoreAdj: 5 } } }
  expect(complain("1.50", "GET", "/tasks/t1", 200, oom)).toEqual([])
  expect(complain("1.41", "GET", "/tasks/t1", 200, oom)).toHaveLength(1)
})

test("only JSON of ours is looked at", () => {
  const answer = {
    method: "GET",
    path: "/v1.41/nodes?filters={}",
    version: "1.50",
    status: 200,
    body: "text"
  }
  mustFit({ ...answer, type: "text/plain" })
  mustFit({ ...answer, path: "/v1.41/containers/json", type: "application/json" })
  expect(() => mustFit({ ...answer, type: "application/json" })).toThrow("GET /nodes 200: expected array")
})
