import { expect, test } from "bun:test"
import { compare } from "#actors/history/compare.ts"

test("fields that differ are named by their path, those that are alike or follow from every change are not", () => {
  const before = {
    ID: "s1",
    Version: { Index: 1 },
    UpdatedAt: "a",
    Spec: { Name: "web", Mode: { Replicated: { Replicas: 2 } }, Labels: { a: "1" } }
  }
  const after = {
    ID: "s1",
    Version: { Index: 2 },
    UpdatedAt: "b",
    Spec: { Name: "web", Mode: { Replicated: { Replicas: 4 } }, Labels: { a: "1", b: "2" } },
    PreviousSpec: { Name: "web" }
  }
  expect(compare(before, after)).toEqual([
    { Field: "Spec.Mode.Replicated.Replicas", Before: 2, After: 4 },
    { Field: "Spec.Labels.b", After: "2" }
  ])
  expect(compare(after, before)[1]).toEqual({ Field: "Spec.Labels.b", Before: "2" })
})

test("that something secret changed is told, and nothing of it", () => {
  const fields = compare(
    {
      JoinTokens: { Worker: "SWMTKN-1-old" },
      Roots: { ca: { key: "old-key", certificate: "old-cert" } },
      Spec: { Data: "b2xk", Env: ["PASSWORD=old-word", "MODE=a"] }
    },
    {
      JoinTokens: { Worker: "SWMTKN-1-new" },
      Roots: { ca: { key: "new-key", certificate: "new-cert" } },
      Spec: { Data: "bmV3", Env: ["PASSWORD=new-word", "MODE=b"] },
      RegistryAuth: "fresh"
    }
  )
  expect(fields.map(({ Field }) => Field)).toEqual([
    "JoinTokens.Worker",
    "Roots.ca.key",
    "Roots.ca.certificate",
    "Spec.Data",
    "Spec.Env",
    "RegistryAuth"
  ])
  expect(JSON.stringify(fields)).not.toMatch(/old|new|fresh|b2xk|bmV3/)
  expect(fields[4]?.After).toEqual(["PASSWORD=[redacted]", "MODE=b"])
})

test("a change of everything is told in part, and a long value is cut", () => {
  const labels = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`l${i}`, "v"]))
  expect(compare({}, { Labels: labels })).toHaveLength(64)
  expect(compare({}, { Args: ["x".repeat(5_000)] })).toEqual([
    { Field: "Args", After: expect.stringMatching(/^\["x{509}…$/) }
  ])
})
