import { expect, test } from "bun:test"
import { Option } from "effect"
import { changesOf, withLabels } from "#cli/commands/autoscale.ts"
import { type Scaled, showBytes, showDecisions, showScaled } from "#cli/print/autoscale.ts"

const none = Option.none<string>()
const nothing = {
  min: none,
  max: none,
  schedule: none,
  timezone: none,
  tolerance: none,
  panic: none,
  window: none,
  stabilise: none
}

test("flags become labels beside those that the service has, and an empty value takes one away", () => {
  const changes = changesOf({ ...nothing, max: Option.some("9"), min: Option.some("") }, ["nats:a=b=25"])
  if (changes instanceof Error) throw changes
  const spec = {
    Name: "web",
    Labels: { mine: "x", "troupe.autoscale.min": "2", "troupe.autoscale.cpu": "1" }
  }
  expect(withLabels(spec, changes, false).Labels).toEqual({
    mine: "x",
    "troupe.autoscale.cpu": "1",
    "troupe.autoscale.max": "9",
    "troupe.autoscale.nats:a=b": "25"
  })
  expect(withLabels(spec, [], true).Labels).toEqual({ mine: "x" })
  expect(changesOf(nothing, ["cpu"])).toEqual(new Error("--target cpu: expected NAME=GOAL, such as cpu=70%"))
})

test("a decision is told with each target's figures and what it wants", () => {
  const decision = {
    At: "2026-11-27T05:00:00.000Z",
    From: 1,
    To: 3,
    Running: 1,
    Wanted: 3,
    Why: "memory 1.4e+09 with 5.24e+08 a task",
    Votes: [
      { Target: "memory", Goal: 2 ** 29, Mean: 1.5 * 2 ** 30, Recent: 2 ** 30, Wants: 3, Panics: false },
      { Target: "cpu", Goal: 0.7, Panics: false }
    ]
  }
  const web: Scaled = {
    ID: "w",
    Name: "web",
    Replicas: 3,
    Running: 1,
    Min: 1,
    Max: 9,
    Targets: [{ Name: "memory", Metric: "memory", Goal: 2 ** 29 }],
    Schedule: [],
    Now: decision,
    Changes: [decision]
  }
  const text = showDecisions(web)
  expect(text).toMatch(/^memory +1.5GiB +1GiB +512MiB +3$/m)
  expect(text).toMatch(/^cpu +unknown +unknown +0.7 cores +to stay$/m)
  expect(text).toMatch(/^2026-11-27T05:00:00.000Z +1 → 3 +memory/m)
  expect(showScaled([web])).toMatch(/^web +1\/3 +1–9 +memory 512MiB +memory 1.4e\+09/m)
})

test("bytes are written as the docker CLI writes them", () => {
  expect([0, 1023, 1024, 1.5 * 2 ** 20, 2 ** 50].map(showBytes)).toEqual([
    "0B",
    "1023B",
    "1KiB",
    "1.5MiB",
    "1024TiB"
  ])
})
