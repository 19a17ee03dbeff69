/** Labels of ours that mean nothing where they stand. */
import { expect, test } from "bun:test"
import { checkNodeLabels, checkServiceLabels } from "#actors/gateway/validate/check-labels.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

type Labels = Readonly<Record<string, string>>
const ofService = (Labels: Labels, before?: ServiceSpec) => checkServiceLabels({ Labels }, before)?.message
const ofContainer = (Labels: Labels) =>
  checkServiceLabels({ TaskTemplate: { ContainerSpec: { Labels } } })?.message

test("a service's label that nobody reads is refused by name and value, with those that there are", () => {
  expect(
    ofService({
      "troupe.exclusive": "true",
      "troupe.http.host": "a.b",
      "troupe.autoscale.rps": "3",
      "troupe.autoscale.max": "3",
      other: ""
    })
  ).toBeUndefined()
  expect(ofService({ "troupe.drain.timout": "1s" })).toBe(
    'label troupe.drain.timout "1s": expected one of troupe.exclusive, troupe.drain.timeout, troupe.publish.ip, troupe.log.publish, troupe.http.*, troupe.autoscale.*'
  )
})

test("a label at the wrong place is told its place", () => {
  expect(ofService({ "troupe.gpus": "1" })).toContain("it among the container's labels (--container-label")
  expect(ofService({ "troupe.drain": "now" })).toContain("it among a node's labels")
  for (const label of ["troupe.http.host", "troupe.exclusive", "troupe.autoscale.max"])
    expect(ofContainer({ [label]: "x" })).toBe(
      `label ${label} of the container: expected it among the service's labels (--label; in Compose, deploy.labels)`
    )
  expect(ofContainer({ "troupe.gpus": "2" })).toBeUndefined()
})

test("what a label at its place cannot mean is refused", () => {
  expect(ofContainer({ "troupe.gpus": "x" })).toBe('label troupe.gpus "x": expected all, or how many')
  for (const label of ["troupe.http.host", "troupe.log.publish", "troupe.autoscale.cpu"])
    expect(ofService({ [label]: "no!" })).toContain(`label ${label} "no!": expected`)
})

test("a node has one label of ours, with one value", () => {
  const node = (Labels: Labels, before: Labels = {}) =>
    checkNodeLabels(
      { Labels, Role: "worker", Availability: "active" },
      { Labels: before, Role: "worker", Availability: "active" }
    )?.message
  expect(node({ "troupe.drain": "now", zone: "a" })).toBeUndefined()
  expect(node({ "troupe.drain": "soon" })).toBe('label troupe.drain "soon": expected now')
  expect(node({ "troupe.drian": "now" })).toBe('label troupe.drian "now" of the node: expected troupe.drain')
  expect(node({ "troupe.drian": "now" }, { "troupe.drian": "now" })).toBeUndefined()
})

test("what was there before does not stand in the way of an update; what is changed of it does", () => {
  const before = { Labels: { "troupe.odd": "1" } }
  expect(ofService({ "troupe.odd": "1" }, before)).toBeUndefined()
  expect(ofService({ "troupe.odd": "2" }, before)).toContain('label troupe.odd "2"')
})
